"""Traces by OpenTelemetry. Without the extra `telemetry` they are not recorded."""

try:
    from hoc.telemetry.spans import process_span, publish_span, request_describer, route_describer, traced
except ModuleNotFoundError:
    from hoc.telemetry.untraced import (
        process_span,
        publish_span,
        request_describer,
        route_describer,
        traced,
    )

__all__ = ["process_span", "publish_span", "request_describer", "route_describer", "traced"]

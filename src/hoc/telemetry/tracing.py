"""Traces by OpenTelemetry. Without the extra `telemetry` they are not recorded."""

try:
    from hoc.telemetry.spans import describe_request, process_span, publish_span, route_describer, traced
except ModuleNotFoundError:
    from hoc.telemetry.untraced import (
        describe_request,
        process_span,
        publish_span,
        route_describer,
        traced,
    )

__all__ = ["describe_request", "process_span", "publish_span", "route_describer", "traced"]

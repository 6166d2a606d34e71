"""All telemetry of a service's requests."""

from collections.abc import Sequence

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from hoc.telemetry.logs import log_request
from hoc.telemetry.metrics import EventMetrics
from hoc.telemetry.requests import ObservedRequests
from hoc.telemetry.scraping import MetricsEndpoint
from hoc.telemetry.tracing import request_describer, traced

__all__ = ["EventMetrics", "MetricsEndpoint", "observed"]


def observed(
    app: ASGIApp, routes: Sequence[BaseRoute], metrics: MetricsEndpoint, *, log_requests: bool
) -> ASGIApp:
    """Return the application with metrics, traces and, if wanted, a log of its requests."""
    observers = metrics.observers()
    if (describe := request_describer()) is not None:
        observers.append(describe)
    if log_requests:
        observers.append(log_request)
    return traced(ObservedRequests(app, routes=routes, observers=observers))

"""All that watches a service's requests."""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from hoc.telemetry.logs import log_request
from hoc.telemetry.metrics import EventMetrics
from hoc.telemetry.requests import ObservedRequests, Observer
from hoc.telemetry.scraping import MetricsEndpoint
from hoc.telemetry.tracing import describe_request, traced

__all__ = ["EventMetrics", "MetricsEndpoint", "observed"]


def observed(
    routes: Sequence[BaseRoute], metrics: MetricsEndpoint, *, log_requests: bool
) -> list[Middleware]:
    """Middleware, to be put inside RequestIds, around an application of these routes."""
    observers: list[Observer] = [*metrics.observers(), describe_request]
    if log_requests:
        observers.append(log_request)
    return [Middleware(traced), Middleware(ObservedRequests, routes=routes, observers=observers)]

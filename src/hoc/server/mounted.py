"""Health and metrics, for a host that mounts `Accounts` to mount too.

::

    metrics = EventMetrics()
    accounts = Accounts(Settings(), observer=metrics)
    app.mount("/hoc", health_app(accounts))  # /hoc/health/live, /hoc/health/ready, /hoc/health/detailed
    app.mount("/ops", metrics_app(accounts, metrics))  # /ops/metrics
"""

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from hoc.asgi import Accounts
from hoc.cus.account.L2_api.app import Api
from hoc.server.health import Health

if TYPE_CHECKING:  # it needs an extra
    from hoc.telemetry.metrics import EventMetrics


def health_app(accounts: Accounts) -> Api:
    """``/health``, ``/health/live``, ``/health/ready`` and ``/health/detailed``, as `hoc serve` has them."""

    async def events() -> dict[str, Any]:
        return asdict(await accounts.events.status())

    return Api(Health(accounts.readiness, events, accounts.reads.replica).routes())


def metrics_app(accounts: Accounts, metrics: "EventMetrics") -> Api:
    """``/metrics`` of requests, connections and events of ``accounts``, whose ``observer`` is ``metrics``.

    From this call on, the requests of its applications are counted and timed. It needs the extra
    ``telemetry``.
    """
    from hoc.telemetry.requests import MountedRequests  # noqa: PLC0415 - a host without metrics needs none
    from hoc.telemetry.scraping import MetricsEndpoint  # noqa: PLC0415 - only it needs the extra

    async def collect() -> None:
        status = await accounts.events.status()
        metrics.waiting(status.events_unpublished, status.oldest_unpublished_seconds)

    endpoint = MetricsEndpoint(accounts.database, [collect], accounts.reads.replica)
    for api in (accounts.console_app, accounts.identity_app):
        api.observe_by(partial(MountedRequests, routes=api.routes, observers=endpoint.observers()))
    return Api(endpoint.routes())

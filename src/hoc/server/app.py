"""`Service`: both applications of `Accounts`, health and metrics, observed."""

import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from starlette.routing import Match, Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from hoc.asgi import Accounts
from hoc.cus.account.L2_api.app import Api
from hoc.server.callers import authentication, pages_authentication
from hoc.server.front import front_routes, mount_point_routes
from hoc.server.health import Health
from hoc.server.hooks import load_hooks
from hoc.server.operations import OperationsToken
from hoc.server.pages_beside import PagesBeside
from hoc.server.stopping import STATE, Stopping
from hoc.settings import Settings
from hoc.telemetry.service import EventMetrics, MetricsEndpoint, observed

SCIM_PATH = "/scim/v2"
OBJECTS_OF_A_REQUEST = 100
"""An upper estimate of gc-tracked objects per request in flight (measured: about 50)."""


class FixedMount(Mount):
    """A mount at a path without parameters, of all that is below it.

    Starlette's own `matches` costs a profile read 3 % more.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        root_path = scope.get("root_path", "")
        mounted_at = f"{root_path}{self.path}/"
        if not scope["path"].startswith(mounted_at) or scope["path"] == mounted_at:
            return Match.NONE, {}
        return Match.FULL, {
            "app_root_path": scope.get("app_root_path", root_path),
            "root_path": root_path + self.path,
            "endpoint": self.app,
        }


class Service:
    """The application of `hoc serve`. ``routes`` are all its routes, in the order in which they are tried.

    From ``stopping``'s begin, it is not ready.
    """

    def __init__(self, settings: Settings) -> None:
        self.stopping = Stopping(settings.drain_seconds_or_default)
        self._metrics = EventMetrics()
        self._accounts = Accounts(
            settings,
            authentication=authentication(settings),
            pages_authentication=pages_authentication(settings),
            observer=self._metrics,
            delivery_observer=self._metrics,
            hooks=load_hooks(settings.hooks),
        )
        metrics = MetricsEndpoint(self._accounts.database, [self._events], self._accounts.reads.replica)
        identity = FixedMount("/api/v1", self._accounts.identity_app)
        console = FixedMount(settings.mount_path, self._accounts.console_app)
        mounts = [identity, console]
        if settings.scim:
            mounts.append(FixedMount(SCIM_PATH, self._accounts.scim_app))
        front = front_routes(_places(console.path, identity.path)) if settings.shows_docs else []
        if settings.shows_docs or settings.serves_pages:
            front += mount_point_routes(console.path)
        health = Health(
            self._accounts.readiness, self._events, self._accounts.reads.replica, stopping=self.stopping
        )
        about = Api([*health.routes(), *metrics.routes(), *front])
        self.routes = [*mounts, *about.routes]
        default: ASGIApp = about
        if settings.serves_pages:
            pages = self._accounts.pages_app
            self.routes += pages.routes
            default = PagesBeside(about, pages)
        self.router = Router(mounts, default=default, redirect_slashes=False, lifespan=self._lifespan)
        app: ASGIApp = self.router
        if settings.operations_token is not None:
            documents = [
                path
                for path in _places(console.path, identity.path).values()
                if path.endswith(("/docs", ".json"))
            ]
            app = OperationsToken(
                app,
                token=settings.operations_token.get_secret_value(),
                paths=["/metrics", "/health/detailed", *documents],
            )
        self._app = observed(app, self.routes, metrics, log_requests=settings.log_requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, app: object) -> AsyncGenerator[dict[str, Stopping]]:
        async with self._accounts.lifespan(app):
            with self.stopping.following_signals():
                yield {STATE: self.stopping}

    async def _events(self) -> dict[str, Any]:
        """What `/health/detailed` says of events; the metrics are brought up to date with it."""
        status = await self._accounts.events.status()
        self._metrics.waiting(status.events_unpublished, status.oldest_unpublished_seconds)
        return asdict(status)


def _places(console: str, identity: str) -> dict[str, str]:
    """Where the parts of the service are."""
    return {
        "console": f"{console}/docs",
        "identity": f"{identity}/docs",
        "events": f"{identity}/asyncapi/docs",
        "console (OpenAPI)": f"{console}/openapi.json",
        "identity (OpenAPI)": f"{identity}/openapi.json",
        "events (AsyncAPI)": f"{identity}/asyncapi.json",
        "health": "/health",
        "metrics": "/metrics",
    }


def create_app() -> Service:
    """The service, configured from the environment. Raises ValueError for a wrong setting."""
    settings = Settings()
    service = Service(settings)
    # Everything made so far stays; a scan of it would stop all requests for up to 60 ms.
    gc.collect()
    gc.freeze()
    # Objects of in-flight requests are not garbage. By default the collector runs after every 700
    # allocations, which under load scans them again and again.
    gc.set_threshold(settings.max_requests * OBJECTS_OF_A_REQUEST)
    return service

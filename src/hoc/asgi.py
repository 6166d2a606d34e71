"""The composition root: everything that runs behind HTTP, put together from settings."""

import gc
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from typing import Any

import orjson
from starlette.authentication import AuthenticationBackend
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import Receive, Scope, Send

from hoc.cus.account.L2_api.app import Api
from hoc.cus.account.L2_api.authentication import (
    DevelopmentKeys,
    GatewayBackend,
    JwksUrl,
    JwtBackend,
    StaticKeys,
    any_of,
)
from hoc.cus.account.L2_api.calls import Gate
from hoc.cus.account.L2_api.console import console_operations
from hoc.cus.account.L2_api.feed import FeedRoutes
from hoc.cus.account.L2_api.health import Health
from hoc.cus.account.L2_api.identity import IdentityRoutes
from hoc.cus.account.L2_api.openapi import openapi_route
from hoc.cus.account.L2_api.operations import routes
from hoc.cus.account.L5_engines.account_service import create_account_service
from hoc.cus.account.L5_engines.engines import postgres_engines
from hoc.cus.account.L5_engines.event_feed import EventFeed
from hoc.cus.account.L5_engines.idempotency import Idempotency
from hoc.cus.account.L5_schemas.records import Access
from hoc.cus.account.L6_drivers.event_log import SqlEventLog
from hoc.cus.account.L6_drivers.idempotency import SqlIdempotencyKeys
from hoc.cus.account.L6_drivers.members import SqlMembers
from hoc.database import Database
from hoc.events.asyncapi import asyncapi_document
from hoc.events.billing import billing_handlers
from hoc.events.message import Handler
from hoc.events.observer import EventObserver
from hoc.events.service import EventService
from hoc.events.wakeups import Doorbell
from hoc.housekeeping import Housekeeping
from hoc.mail.courier import Courier
from hoc.mail.mailbox import DevelopmentMailbox
from hoc.mail.sender import MailSender
from hoc.mounting import Mounted
from hoc.settings import Settings
from hoc.sharing import EqualReads, SharedReads
from hoc.turns import Turns

PATIENCE_SECONDS = 0.8
"""For which a request waits for one of those before it to end."""
OBJECTS_OF_A_REQUEST = 100
"""That Python's garbage collector keeps account of: about 50, and room."""


class Accounts:
    """The accounts domain as an ASGI application to mount in another one.

    ::

        accounts = Accounts(Settings(), authentication=MyBackend())
        app = FastAPI(lifespan=accounts.lifespan)
        app.mount("/accounts", accounts.app)
        app.mount("/api/v1", accounts.identity)

    Args:
        settings: `Settings.database_url` must be set.
        authentication: says who calls. None: the application around it does, with Starlette's
            AuthenticationMiddleware; where nobody does, every route but the public one answers 401.
        handlers: of others' events, by subject, beside those of billing; one for a subject of billing's
            replaces that. They need `Settings.nats_url`.
        observer: is told what becomes of events.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        authentication: AuthenticationBackend | None = None,
        handlers: Mapping[str, Handler] | None = None,
        observer: EventObserver | None = None,
    ) -> None:
        if settings.database_url is None:
            raise ValueError("HOC_DATABASE_URL is not set: name the PostgreSQL database to use.")
        self.database = Database(
            settings.database_url.get_secret_value(),
            pool_size=settings.pool_size,
            statement_timeout_ms=settings.statement_timeout_ms,
        )
        self.engines = postgres_engines(settings.options())
        self._courier = Courier(
            self.database, mail_sender(settings), mail_from=settings.mail_from, public_url=settings.public_url
        )
        self._housekeeping = Housekeeping(self.database)
        self._doorbell = Doorbell(self.database)
        self.database.after_write(self._doorbell.ring)
        self.events = EventService(
            settings, billing_handlers(self.engines.billing) | dict(handlers or {}), observer=observer
        )
        gate = Gate(
            self.database, SharedReads(self._read_access), EqualReads(), Idempotency(SqlIdempotencyKeys())
        )
        turns: Turns[None] = Turns(settings.max_requests, patience_seconds=PATIENCE_SECONDS)
        console = console_operations(self.engines, on_mail_queued=self._courier.wake)
        self.app = Api(
            [*routes(console, gate), openapi_route(console, title="hoc console", version=version("hoc"))],
            authentication=authentication,
            turns=turns,
        )
        self.accounts = create_account_service(self.database)
        identity = [
            *IdentityRoutes(self.accounts).operations(),
            *FeedRoutes(EventFeed(SqlEventLog())).operations(),
        ]
        self.identity = Api(
            [
                *routes(identity, gate),
                openapi_route(identity, title="hoc identity", version=version("hoc")),
                Route("/asyncapi.json", _asyncapi),
            ],
            authentication=authentication,
            turns=turns,
        )

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncGenerator[None, None]:
        """Deliver mail, relay events and tidy up while the surrounding application runs; then disconnect."""
        try:
            async with (
                self._courier.running(),
                self._housekeeping.running(),
                self._doorbell.running(),
                self.events.running(),
            ):
                yield
        finally:
            await self.database.close()

    async def _read_access(self, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], Access]:
        async with self.database.reading() as session:
            return await SqlMembers().access(session, pairs)


@cache
def _asyncapi_document() -> bytes:
    return orjson.dumps(asyncapi_document())


async def _asyncapi(_request: Request) -> Response:
    return Response(_asyncapi_document(), media_type="application/json")


class Service:
    """What `hoc serve` runs: both applications, health and metrics, all of it watched."""

    def __init__(self, settings: Settings) -> None:
        # Imported here: mounting `Accounts` needs none of the extra's libraries.
        from hoc.telemetry.service import EventMetrics, MetricsEndpoint, observed  # noqa: PLC0415 - see above

        self._metrics = EventMetrics()
        self._accounts = Accounts(settings, authentication=authentication(settings), observer=self._metrics)
        metrics = MetricsEndpoint(self._accounts.database, [self._events])
        about = Api([*Health(self._accounts.database, self._events).routes(), *metrics.routes()])
        identity, console = (
            Mount("/api/v1", self._accounts.identity),
            Mount(settings.mount_path, self._accounts.app),
        )
        self.routes = [identity, console, *about.routes]
        self.router = Router(lifespan=self._accounts.lifespan)
        mounted = Mounted([identity, console], about)
        self._app = observed(mounted, self.routes, metrics, log_requests=settings.log_requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self.router if scope["type"] == "lifespan" else self._app)(scope, receive, send)

    async def _events(self) -> dict[str, Any]:
        """How things stand with events."""
        status = await self._accounts.events.status()
        self._metrics.waiting(status.events_unpublished, status.oldest_unpublished_seconds)
        return asdict(status)


def create_app() -> Service:
    """The service, configured from the environment."""
    settings = Settings()
    service = Service(settings)
    # What is there by now stays; looking through it for garbage would stop all requests for 60 ms at times.
    gc.collect()
    gc.freeze()
    # What belongs to requests under way is no garbage either; by default Python looks after 700 new objects.
    gc.set_threshold(settings.max_requests * OBJECTS_OF_A_REQUEST)
    return service


def authentication(settings: Settings) -> AuthenticationBackend:
    """Whatever is configured to say who calls; nothing configured lets nobody in."""
    backends: list[AuthenticationBackend] = []
    if settings.gateway_secret is not None:
        backends.append(GatewayBackend(secret=settings.gateway_secret.get_secret_value()))
    if settings.jwt_jwks_url is not None or settings.jwt_public_key is not None:
        backends.append(_jwt_backend(settings))
    if settings.development:
        # Imported here: only a development server has a data directory, and the extra that brings it.
        from hoc.embedded import DataDirectory  # noqa: PLC0415 - see above

        backends.append(DevelopmentKeys(DataDirectory(settings.data_dir).development_key).backend())
    return any_of(*backends)


def mail_sender(settings: Settings) -> MailSender:
    """SMTP when it is configured, the development mailbox otherwise."""
    if settings.smtp_url is not None:
        from hoc.mail.smtp import SmtpSender  # noqa: PLC0415 - only who sends needs the extra

        return SmtpSender.from_url(settings.smtp_url.get_secret_value())
    from hoc.embedded import DataDirectory  # noqa: PLC0415 - only a development server has one

    return DevelopmentMailbox(DataDirectory(settings.data_dir).mailbox)


def _jwt_backend(settings: Settings) -> JwtBackend:
    if settings.jwt_issuer is None or settings.jwt_audience is None:
        raise ValueError("HOC_JWT_ISSUER and HOC_JWT_AUDIENCE must be set with a key to verify tokens by.")
    keys = (
        JwksUrl(settings.jwt_jwks_url)
        if settings.jwt_jwks_url is not None
        else StaticKeys.from_pem((settings.jwt_public_key or "").encode())
    )
    return JwtBackend(
        key_source=keys,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        tenant_claim=settings.jwt_tenant_claim,
    )

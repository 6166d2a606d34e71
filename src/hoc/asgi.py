"""`Accounts`: everything that runs behind the HTTP routes, put together from settings."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING

import orjson
from starlette.authentication import AuthenticationBackend
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hoc.concurrency.limiter import Limiter
from hoc.concurrency.single_flight import SingleFlight
from hoc.cus.account.L2_api.app import Api
from hoc.cus.account.L2_api.callers import Callers
from hoc.cus.account.L2_api.console import CONSOLE_OPERATIONS
from hoc.cus.account.L2_api.csrf import origin_of, parse_origins
from hoc.cus.account.L2_api.endpoints import Dependencies, routes
from hoc.cus.account.L2_api.feed import FEED_OPERATIONS
from hoc.cus.account.L2_api.identity import IDENTITY_OPERATIONS
from hoc.cus.account.L2_api.openapi import CACHED_DOCUMENT, openapi_route
from hoc.cus.account.L2_api.request import BodyParser
from hoc.cus.account.wiring import (
    access_reader,
    create_account_service,
    event_feed,
    idempotency,
    open_database,
    owner_reader,
    postgres_facade,
)
from hoc.distribution import how_to_add, installed_version
from hoc.events.asyncapi import asyncapi_document
from hoc.events.billing import billing_handlers
from hoc.events.message import Handler
from hoc.events.observer import EventObserver
from hoc.events.service import EventService
from hoc.events.wakeups import CommitNotifier
from hoc.housekeeping import Housekeeping
from hoc.mail.courier import Courier
from hoc.mail.mailbox import DevelopmentMailbox
from hoc.mail.queues import AccountMailQueue, InvitationQueue
from hoc.mail.sender import MailSender
from hoc.settings import Settings

if TYPE_CHECKING:  # it needs an extra
    from hoc.cus.account.L2_api.rate_limits import RateLimits

ADMISSION_TIMEOUT_SECONDS = 0.8
"""How long a request waits for admission before it is answered 503."""


class Accounts:
    """The accounts domain as ASGI applications to mount in another one.

    ::

        accounts = Accounts(Settings(), authentication=MyBackend())
        app = FastAPI(lifespan=accounts.lifespan)
        app.mount("/accounts", accounts.console_app)
        app.mount("/api/v1", accounts.identity_app)

    ``facade`` and ``identity_service`` are the same rules for Python code.

    Args:
        settings: `Settings.database_url` must be set.
        authentication: identifies callers, and nothing else does: whoever it does not know is nobody, also
            if the host application knows them. With None, the host's AuthenticationMiddleware identifies
            callers; in a host without one, every route but the public one answers 401.
        handlers: of others' events, by subject, beside those of billing; a handler for one of billing's
            subjects replaces that. They need `Settings.nats_url`.
        observer: is called for each event that is published, received or set aside.

    Raises:
        ValueError: a setting is missing or wrong.
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
        self.database = open_database(
            settings.database_url.get_secret_value(),
            pool_size=settings.pool_size,
            statement_timeout_ms=settings.statement_timeout_ms,
        )
        self.facade = postgres_facade(settings)
        self.identity_service = create_account_service(
            self.database,
            primary_issuer=settings.primary_issuer_or_default,
            mails_per_recipient_per_day=settings.invitations_per_recipient_per_day,
        )
        mails = {"mail_from": settings.mail_from, "public_url": settings.public_url}
        self._courier = Courier(
            self.database, mail_sender(settings), [InvitationQueue(**mails), AccountMailQueue(**mails)]
        )
        self._housekeeping = Housekeeping(self.database)
        self._commit_notifier = CommitNotifier(self.database)
        self.database.after_write(self._commit_notifier.notify)
        self.events = EventService(
            settings, billing_handlers(self.facade.billing) | dict(handlers or {}), observer=observer
        )
        dependencies = Dependencies(
            database=self.database,
            callers=Callers(
                access_reader(self.database),
                owner_reader(self.database),
                primary_issuer=settings.primary_issuer_or_default,
                authentication=authentication,
            ),
            bodies=BodyParser(Limiter(1, timeout_seconds=ADMISSION_TIMEOUT_SECONDS)),
            pages=SingleFlight(),
            idempotency=idempotency(),
            on_mail_queued=self._courier.wake,
        )
        limiter: Limiter[None] = Limiter(settings.max_requests, timeout_seconds=ADMISSION_TIMEOUT_SECONDS)
        rate_limits = rate_limits_of(settings)
        trusted_origins = _trusted_origins(settings)
        self.console_app = Api(
            [
                *routes(CONSOLE_OPERATIONS, self.facade, dependencies),
                openapi_route(CONSOLE_OPERATIONS, title="hoc console", version=installed_version()),
            ],
            authentication=authentication,
            limiter=limiter,
            rate_limits=rate_limits,
            trusted_origins=trusted_origins,
        )
        self.identity_app = Api(
            [
                *routes(IDENTITY_OPERATIONS, self.identity_service, dependencies),
                *routes(FEED_OPERATIONS, event_feed(), dependencies),
                openapi_route(
                    [*IDENTITY_OPERATIONS, *FEED_OPERATIONS],
                    title="hoc identity",
                    version=installed_version(),
                ),
                Route("/asyncapi.json", _asyncapi),
            ],
            authentication=authentication,
            limiter=limiter,
            rate_limits=rate_limits,
            trusted_origins=trusted_origins,
        )

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncGenerator[None, None]:
        """Deliver mail, relay events and tidy up while the host application runs; then disconnect."""
        try:
            async with (
                self._courier.running(),
                self._housekeeping.running(),
                self._commit_notifier.running(),
                self.events.running(),
            ):
                yield
        finally:
            await self.database.close()


def _trusted_origins(settings: Settings) -> frozenset[str]:
    listed = parse_origins(settings.trusted_origins or "")
    # The default is a local address, at which anything may run.
    return listed | {origin_of(settings.public_url)} if "public_url" in settings.model_fields_set else listed


@cache
def _asyncapi_document() -> bytes:
    return orjson.dumps(asyncapi_document())


async def _asyncapi(_request: Request) -> Response:
    return Response(_asyncapi_document(), headers=CACHED_DOCUMENT, media_type="application/json")


def rate_limits_of(settings: Settings) -> "RateLimits | None":
    """The configured rate limits, None when they are off. Raises ValueError for a wrong setting."""
    if not settings.rate_limits:
        return None
    try:
        from hoc.cus.account.L2_api.rate_limits import RateLimits  # noqa: PLC0415 - only they need the extra
    except ImportError:
        raise ValueError(f"HOC_RATE_LIMITS needs another library: {how_to_add('rate-limits')}.") from None

    url = settings.rate_limit_storage_url
    return RateLimits(
        per_caller=settings.rate_limit_per_caller,
        per_address=settings.rate_limit_per_address,
        storage_url=url.get_secret_value() if url else None,
    )


def mail_sender(settings: Settings) -> MailSender:
    """SMTP when it is configured, the development mailbox otherwise."""
    if settings.smtp_url is not None:
        from hoc.mail.smtp import SmtpSender  # noqa: PLC0415 - only SMTP needs the extra

        return SmtpSender.from_url(settings.smtp_url.get_secret_value())
    from hoc.embedded import DataDirectory  # noqa: PLC0415 - only a development server has one

    return DevelopmentMailbox(DataDirectory(settings.data_dir).mailbox)

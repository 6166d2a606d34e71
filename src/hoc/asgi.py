"""`Accounts`: everything that runs behind the HTTP routes, put together from settings."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import orjson
from starlette.authentication import AuthenticationBackend
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hoc.concurrency.single_flight import SingleFlight
from hoc.cus.account.L2_api.admission import slots
from hoc.cus.account.L2_api.app import Api
from hoc.cus.account.L2_api.callers import Callers
from hoc.cus.account.L2_api.console import CONSOLE_OPERATIONS
from hoc.cus.account.L2_api.console.domains import DOMAINS
from hoc.cus.account.L2_api.console.invitations import issue_invitation_link
from hoc.cus.account.L2_api.console.scim import SCIM
from hoc.cus.account.L2_api.console.webhooks import WEBHOOKS
from hoc.cus.account.L2_api.cors import cors_origins
from hoc.cus.account.L2_api.csrf import origin_of, parse_origins
from hoc.cus.account.L2_api.deployment_webhooks import DEPLOYMENT_WEBHOOKS
from hoc.cus.account.L2_api.documentation import documentation_route
from hoc.cus.account.L2_api.endpoints import Dependencies, routes
from hoc.cus.account.L2_api.feed import FEED_OPERATIONS
from hoc.cus.account.L2_api.identity import IDENTITY_OPERATIONS, issue_email_change_link
from hoc.cus.account.L2_api.openapi import CACHED_DOCUMENT, openapi_document, openapi_route
from hoc.cus.account.L2_api.operations import AnyOperation
from hoc.cus.account.L2_api.request import BodyParser
from hoc.cus.account.L2_api.subject_rights import SUBJECT_RIGHTS_OPERATIONS
from hoc.cus.account.L2_api.support_desk import SUPPORT_DESK_OPERATIONS
from hoc.cus.account.L2_api.tenants import TENANT_OPERATIONS
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_engines.hooks import Hook
from hoc.cus.account.wiring import (
    access_reader,
    create_account_service,
    event_feed,
    frame_reader,
    idempotency,
    open_database,
    open_replica,
    owner_reader,
    postgres_facade,
    time_limit,
)
from hoc.database import Database, PasswordSource, Reads
from hoc.distribution import how_to_add, installed_version
from hoc.events.asyncapi import asyncapi_document
from hoc.events.billing import billing_handlers
from hoc.events.message import Handler
from hoc.events.observer import EventObserver
from hoc.events.service import EventService
from hoc.events.wakeups import CommitNotifier
from hoc.housekeeping import Housekeeping
from hoc.mail.sender import MailSender
from hoc.mail.setup import create_courier, email_change_url
from hoc.readiness import Readiness
from hoc.retention import KeepDays, Retention
from hoc.settings import Settings
from hoc.telemetry.tracing import route_describer

if TYPE_CHECKING:  # they need extras
    from hoc.cus.account.L2_api.pages.endpoint import PageParts
    from hoc.cus.account.L2_api.rate_limits import RateLimits
    from hoc.domains.checker import DomainChecker
    from hoc.webhooks.observer import DeliveryObserver
    from hoc.webhooks.sender import WebhookSender


class Accounts:
    """The accounts domain as ASGI applications to mount in another one.

    ::

        accounts = Accounts(Settings(), authentication=MyBackend())
        app = FastAPI(lifespan=accounts.lifespan)
        app.mount("/accounts", accounts.console_app)
        app.mount("/api/v1", accounts.identity_app)
        app.mount("/scim/v2", accounts.scim_app)

    ``facade`` and ``identity_service`` are the same rules for Python code. ``reads`` reads by them on the
    replica (`Settings.database_replica_url`) where it can.

    Args:
        settings: `Settings.database_url` must be set.
        authentication: identifies callers, and nothing else does: whoever it does not know is nobody, also
            if the host application knows them. With None, the host's AuthenticationMiddleware identifies
            callers; in a host without one, every route but the public one answers 401.
        pages_authentication: identifies people who open ``pages_app`` in a browser, by a cookie say. With
            None, there are no pages.
        handlers: of others' events, by subject, beside those of billing; a handler for one of billing's
            subjects replaces that. They need `Settings.nats_url`.
        observer: is called for each event that is published, received or set aside.
        delivery_observer: is called for each attempt to deliver an event to a webhook endpoint.
        mail: sends the mails, in place of SMTP (`Settings.smtp_url`) and the development mailbox.
        database_password: gives the password of each connection to the database, in place of the URL's.
        hooks: by event type. Each is awaited with the operation's session and the event, before the commit.
            An `AccountsError` that it raises is the answer, any other exception a 500; both undo everything.

    Raises:
        ValueError: a setting is missing or wrong.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        authentication: AuthenticationBackend | None = None,
        pages_authentication: AuthenticationBackend | None = None,
        handlers: Mapping[str, Handler] | None = None,
        observer: EventObserver | None = None,
        delivery_observer: "DeliveryObserver | None" = None,
        mail: MailSender | None = None,
        database_password: PasswordSource | None = None,
        hooks: Mapping[str, Hook] | None = None,
    ) -> None:
        if settings.database_url is None:
            raise ValueError("HOC_DATABASE_URL is not set: name the PostgreSQL database to use.")
        self.database = open_database(
            settings.database_url.get_secret_value(),
            pool_size=settings.pool_size,
            statement_timeout_ms=settings.statement_timeout_ms,
            password=database_password,
            pooler=settings.pooler,
        )
        replica = open_replica(settings, self.database, password=database_password)
        self.reads = Reads(self.database, replica)
        self.readiness = Readiness(self.database, pooler=settings.pooler)
        self.database.before_use(self.readiness.require_schema)
        self.facade = postgres_facade(settings, hooks=hooks)
        self.identity_service = create_account_service(
            self.database,
            primary_issuer=settings.primary_issuer_or_default,
            mails_per_recipient_per_day=settings.invitations_per_recipient_per_day,
            special_use_domains=settings.special_use_domains,
            email_change_url=email_change_url(settings),
            hooks=hooks,
        )
        self._courier = create_courier(self.database, settings, mail) if settings.send_mail else None
        self._housekeeping = Housekeeping(
            self.database,
            webhook_attempts_days=settings.webhook_attempts_days,
            retention=Retention(self.database, self.facade.erasure, _keep_days(settings)),
        )
        self._commit_notifier = CommitNotifier(self.database)
        self.database.after_write(self._commit_notifier.notify)
        self.webhooks = (
            _webhook_sender(settings, self.database, delivery_observer) if settings.webhooks else None
        )
        self.events = EventService(
            settings,
            billing_handlers(self.facade.billing) | dict(handlers or {}),
            observer=observer,
            password=database_password,
            on_numbered=self._on_numbered,
        )
        self.events.before_use(self.readiness.require_schema)
        callers = Callers(
            access_reader(self.database),
            owner_reader(self.database),
            primary_issuer=settings.primary_issuer_or_default,
            authentication=authentication,
        )
        self._checker = _domain_checker(settings, self.database, self.facade) if settings.domains else None

        def on_work_queued() -> None:
            for worker in (self._courier, self._checker, self.webhooks):
                if worker is not None:
                    worker.wake()

        dependencies = Dependencies(
            database=self.database,
            callers=callers,
            bodies=BodyParser(slots(1)),
            pages=SingleFlight(),
            idempotency=idempotency(),
            on_work_queued=on_work_queued,
            reads=self.reads,
        )
        limiter = slots(settings.max_requests)
        limit = time_limit(settings.request_timeout_ms / 1_000)
        rate_limits = rate_limits_of(settings)
        unserved = [] if settings.invitation_links else [issue_invitation_link, issue_email_change_link]
        unserved += [] if settings.domains else DOMAINS
        unserved += [] if settings.scim else SCIM
        unserved += [] if settings.webhooks else WEBHOOKS
        deployment = DEPLOYMENT_WEBHOOKS if settings.webhooks else []
        console = [operation for operation in CONSOLE_OPERATIONS if operation not in unserved]
        identity = [operation for operation in IDENTITY_OPERATIONS if operation not in unserved]
        on_route = route_describer()
        trusted_origins = _trusted_origins(settings)
        api = partial(
            Api,
            authentication=authentication,
            limiter=limiter,
            time_limit=limit,
            rate_limits=rate_limits,
            on_route=on_route,
            trusted_origins=trusted_origins,
            cors_origins=cors_origins(settings.cors_origins),
        )
        self.console_app = api(
            [
                *routes(console, self.facade, dependencies),
                *_documentation(settings, console, title="hoc console"),
            ]
        )
        self.identity_app = api(
            [
                *routes(identity, self.identity_service, dependencies),
                *routes(TENANT_OPERATIONS, self.facade, dependencies),
                *routes(SUBJECT_RIGHTS_OPERATIONS, self.facade, dependencies),
                *routes(SUPPORT_DESK_OPERATIONS, self.facade, dependencies),
                *routes(FEED_OPERATIONS, event_feed(), dependencies),
                *routes(deployment, self.facade, dependencies),
                *_documentation(
                    settings,
                    [
                        *identity,
                        *TENANT_OPERATIONS,
                        *SUBJECT_RIGHTS_OPERATIONS,
                        *SUPPORT_DESK_OPERATIONS,
                        *FEED_OPERATIONS,
                        *deployment,
                    ],
                    title="hoc identity",
                ),
                *_event_documentation(settings),
            ]
        )
        self._scim_app: Callable[[], Api] = cache(
            partial(_scim, self.database, self.facade, on_work_queued, api)
        )
        self._pages_app: Api | None = None
        if pages_authentication is not None:
            pages_app, page_parts = _pages()
            self._pages_app = pages_app(
                settings,
                page_parts(
                    self.facade,
                    self.identity_service,
                    self.database,
                    callers,
                    frame_reader(),
                    on_work_queued,
                    self.reads,
                ),
                authentication=pages_authentication,
                limiter=limiter,
                time_limit=limit,
                rate_limits=rate_limits,
                trusted_origins=trusted_origins,
                on_route=on_route,
            )

    @property
    def scim_app(self) -> Api:
        """The tenants' directories, by SCIM 2.0. Raises ValueError without the extra ``scim``."""
        return self._scim_app()

    @property
    def pages_app(self) -> Api:
        """The console's pages. Raises ValueError without ``pages_authentication``."""
        if self._pages_app is None:
            raise ValueError("There are no pages without pages_authentication. Pass it to Accounts.")
        return self._pages_app

    def _on_numbered(self) -> None:
        if self.webhooks is not None:
            self.webhooks.wake()

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncGenerator[None, None]:
        """Deliver mail, relay events and tidy up while the host application runs; then disconnect.

        It can be entered again after it has ended, in another event loop too.
        """
        self.database.enter_loop()
        try:
            await self.readiness.check()  # before the others find out one by one
            async with (
                self.readiness.running(),
                self._courier.running() if self._courier is not None else nullcontext(),
                self._checker.running() if self._checker is not None else nullcontext(),
                self.reads.replica.running() if self.reads.replica is not None else nullcontext(),
                self._housekeeping.running(),
                self._commit_notifier.running(),
                self.events.running(),
                self.webhooks.running() if self.webhooks is not None else nullcontext(),
            ):
                yield
        finally:
            await self.database.close()


def _keep_days(settings: Settings) -> KeepDays:
    return KeepDays(
        events=settings.keep_events_days,
        deleted_accounts=settings.keep_deleted_accounts_days,
        ended_invitations=settings.keep_ended_invitations_days,
    )


def _pages() -> "tuple[Callable[..., Api], type[PageParts]]":
    try:
        from hoc.cus.account.L2_api.pages.app import pages_app  # noqa: PLC0415 - only they need the extra
        from hoc.cus.account.L2_api.pages.endpoint import PageParts  # noqa: PLC0415 - see above
    except ImportError as missing:
        raise ValueError(f"The pages need the library {missing.name}: {how_to_add('console')}.") from None
    return pages_app, PageParts


def _scim(
    database: Database, facade: AccountsFacade, on_work_queued: Callable[[], None], api: Callable[..., Api]
) -> Api:
    try:
        from hoc.scim.app import scim_app  # noqa: PLC0415 - only SCIM needs the extra
    except ImportError as missing:
        raise ValueError(f"SCIM needs the library {missing.name}: {how_to_add('scim')}.") from None
    return scim_app(database, facade.scim_tokens, facade.provisioning, on_work_queued=on_work_queued, api=api)


def _domain_checker(settings: Settings, database: Database, facade: AccountsFacade) -> "DomainChecker":
    try:
        from hoc.domains.checker import DomainChecker  # noqa: PLC0415 - only domains need the extra
        from hoc.domains.lookup import DnsLookup  # noqa: PLC0415 - see above
    except ImportError as missing:
        raise ValueError(f"HOC_DOMAINS needs the library {missing.name}: {how_to_add('domains')}.") from None
    return DomainChecker(database, facade.domain_checks, DnsLookup(settings.dns_servers))


def _webhook_sender(
    settings: Settings, database: Database, observer: "DeliveryObserver | None"
) -> "WebhookSender":
    try:
        from hoc.webhooks.setup import create_sender  # noqa: PLC0415 - only webhooks need the extra
    except ImportError as missing:
        raise ValueError(
            f"HOC_WEBHOOKS needs the library {missing.name}: {how_to_add('webhooks')}."
        ) from None
    return create_sender(database, settings, observer)


def _trusted_origins(settings: Settings) -> frozenset[str]:
    listed = parse_origins(settings.trusted_origins or "")
    # The default is a local address, at which anything may run.
    return listed | {origin_of(settings.public_url)} if "public_url" in settings.model_fields_set else listed


def _documentation(settings: Settings, operations: Sequence[AnyOperation], *, title: str) -> list[Route]:
    """The document of the operations, and the page about it."""
    routes = [openapi_route(operations, title=title, version=installed_version())]
    if settings.shows_docs:

        def document(server: str) -> dict[str, Any]:
            return openapi_document(operations, title=title, version=installed_version(), server=server)

        routes.append(documentation_route("/docs", "openapi.json", document))
    return routes


def _event_documentation(settings: Settings) -> list[Route]:
    routes = [Route("/asyncapi.json", _asyncapi)]
    if settings.shows_docs:
        page = documentation_route("/asyncapi/docs", "../asyncapi.json", lambda _server: asyncapi_document())
        routes.append(page)
    return routes


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

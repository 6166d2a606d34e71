"""`Accounts`: everything that runs behind the HTTP routes, put together from settings."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Protocol

from starlette.authentication import AuthenticationBackend

from hoc import optional_parts
from hoc.applications import Applications
from hoc.cus.account.L2_api.app import Api
from hoc.cus.account.L5_engines.hooks import Hook
from hoc.cus.account.wiring import create_account_service, open_database, open_replica, postgres_facade
from hoc.database import PasswordSource, Reads
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

if TYPE_CHECKING:  # it needs an extra
    from hoc.webhooks.observer import DeliveryObserver


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
        self.webhooks = optional_parts.webhook_sender(settings, self.database, delivery_observer)
        self.events = EventService(
            self.database,
            settings,
            billing_handlers(self.facade.billing) | dict(handlers or {}),
            observer=observer,
            password=database_password,
            on_numbered=self._on_numbered,
        )
        self.events.before_use(self.readiness.require_schema)
        self._checker = optional_parts.domain_checker(settings, self.database, self.facade)
        applications = Applications(
            settings,
            self.facade,
            self.identity_service,
            self.database,
            self.reads,
            authentication=authentication,
            on_work_queued=self._on_work_queued,
        )
        self.console_app = applications.console()
        self.identity_app = applications.identity()
        self._scim_app = cache(applications.scim)
        self._pages_app = None if pages_authentication is None else applications.pages(pages_authentication)

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

    def _on_work_queued(self) -> None:
        for worker in (self._courier, self._checker, self.webhooks):
            if worker is not None:
                worker.wake()

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
                _running(self._courier),
                _running(self._checker),
                _running(self.reads.replica),
                self._housekeeping.running(),
                self._commit_notifier.running(),
                self.events.running(),
                _running(self.webhooks),
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


class _Part(Protocol):
    def running(self) -> AbstractAsyncContextManager[None]: ...


def _running(part: _Part | None) -> AbstractAsyncContextManager[None]:
    return nullcontext() if part is None else part.running()

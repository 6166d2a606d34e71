"""The relay and the inbound handlers beside an application, put together from settings."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L6_drivers.event_sequencing import SqlEventSequencing
from hoc.cus.account.wiring import open_database
from hoc.database import Database, PasswordSource
from hoc.events.message import Handler
from hoc.events.observer import EventObserver
from hoc.events.relay import Relay
from hoc.events.wakeups import Listener
from hoc.settings import Settings

if TYPE_CHECKING:
    from hoc.events.inbound import Inbound
    from hoc.events.nats import NatsConnection
    from hoc.events.nats_access import NatsAccess
    from hoc.events.publisher import Publisher

# One for numbering events, one for publishing them; `status` takes whichever is free.
_CONNECTIONS = 2


@dataclass(frozen=True, slots=True)
class EventStatus:
    """The state of events. ``nats_connected`` is None where no NATS is configured."""

    nats_connected: bool | None
    events_unpublished: int
    oldest_unpublished_seconds: float
    events_parked: int


class EventService:
    """The relay and its listener on connections of their own, and the handlers of inbound messages.

    Args:
        database: the application's, on which inbound messages are handled.
        settings: `Settings.database_url` must be set; without a `nats_url` events are only numbered.
        handlers: of inbound messages, by subject.
        observer: counts events, for metrics.
        password: gives the password of each connection to the database, in place of the URL's.
        on_numbered: is called when this process has numbered events.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        handlers: Mapping[str, Handler],
        *,
        observer: EventObserver | None = None,
        password: PasswordSource | None = None,
        on_numbered: Callable[[], None] = lambda: None,
    ) -> None:
        if settings.database_url is None:
            raise ValueError("HOC_DATABASE_URL is not set: name the PostgreSQL database to use.")
        url = settings.database_url.get_secret_value()
        self._database = open_database(
            url,
            pool_size=_CONNECTIONS,
            statement_timeout_ms=settings.statement_timeout_ms,
            password=password,
            pooler=settings.pooler,
        )
        self._nats: NatsConnection | None = None
        self._inbound: Inbound | None = None
        publisher: Publisher | None = None
        if settings.nats_url is not None:
            self._nats, publisher, self._inbound = _on_nats(settings, database, handlers, observer)
        self._relay = Relay(
            self._database,
            publisher,
            source=settings.events_source,
            observer=observer,
            on_numbered=on_numbered,
        )
        self._listener = _listener(settings, self._relay.wake, password)
        self._events = SqlEventSequencing()

    def before_use(self, check: Callable[[], None]) -> None:
        """Have ``check`` called before each use of the database, as `Database.before_use` does."""
        self._database.before_use(check)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Work in the background until the end of the block. Entering it does not wait for NATS."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._database.close)
            if self._nats is not None:
                await stack.enter_async_context(self._nats.running())
            await stack.enter_async_context(self._relay.running())
            if self._listener is not None:
                await stack.enter_async_context(self._listener.running())
            if self._inbound is not None:
                await stack.enter_async_context(self._inbound.running())
            yield

    async def status(self) -> EventStatus:
        """Raises UnavailableError."""
        async with self._database.reading() as session:
            backlog = await self._events.status(session)
        waits = 0.0 if backlog.oldest is None else (utc_now() - backlog.oldest).total_seconds()
        return EventStatus(
            nats_connected=None if self._nats is None else self._nats.is_connected,
            events_unpublished=backlog.unpublished,
            oldest_unpublished_seconds=max(waits, 0.0),
            events_parked=backlog.dead,
        )


def _listener(
    settings: Settings, wake: Callable[[], None], password: PasswordSource | None
) -> Listener | None:
    """None where a pooler in transaction mode is in the way: relays still poll."""
    url = settings.listen_database_url or settings.database_url
    if url is None or (not settings.listen_database_url and settings.pooler == "transaction"):
        return None
    pooler = None if settings.listen_database_url else settings.pooler
    return Listener(url.get_secret_value(), wake, password=password, pooler=pooler)


def _on_nats(
    settings: Settings, database: Database, handlers: Mapping[str, Handler], observer: EventObserver | None
) -> "tuple[NatsConnection, Publisher, Inbound]":
    # Imported here: a relay that only numbers events needs no client.
    from hoc.events.inbound import Inbound  # noqa: PLC0415 - see above
    from hoc.events.nats import JetStreamPublisher, NatsConnection  # noqa: PLC0415 - see above

    access = access_of(settings)
    access.check()
    connection = NatsConnection(access)
    publisher = JetStreamPublisher(connection, stream=settings.nats_stream, replicas=settings.nats_replicas)
    inbound = Inbound(
        connection,
        database,
        handlers,
        group=settings.nats_stream,
        new_stream=settings.nats_inbound_stream,
        replicas=settings.nats_replicas,
        observer=observer,
    )
    return connection, publisher, inbound


def access_of(settings: Settings) -> "NatsAccess":
    """How to connect to NATS. `NatsAccess.check` says what is wrong with it."""
    from hoc.events.nats_access import NatsAccess  # noqa: PLC0415 - few need it

    return NatsAccess(
        url=settings.nats_url.get_secret_value() if settings.nats_url else "",
        credentials_file=settings.nats_credentials_file,
        ca_file=settings.nats_ca_file,
        certificate_file=settings.nats_certificate_file,
        key_file=settings.nats_key_file,
    )

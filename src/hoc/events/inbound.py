"""Handles inbound messages, each once: its id is stored in the transaction of its handler.

A message is acknowledged after that transaction has committed. If the handler fails, the message is delivered
again after growing pauses, and after the last one becomes a dead letter in the database. Others do not wait.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime

import orjson
from nats.aio.msg import Msg
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.concurrency.background import BackgroundLoop
from hoc.concurrency.per_loop import PerLoop
from hoc.cus.account.L5_engines.times import utc_time
from hoc.cus.account.L5_schemas.errors import InvalidInputError, UnavailableError
from hoc.cus.account.L6_drivers.errors import explain_outage
from hoc.cus.account.L6_drivers.inbound import SqlInbound, StoredMessage
from hoc.database import Database
from hoc.events.message import Handler, InboundMessage
from hoc.events.nats import NatsConnection, require_stream
from hoc.events.observer import EventObserver
from hoc.events.publisher import PublisherUnavailableError
from hoc.telemetry.tracing import process_span

BATCH = 10
FETCH_SECONDS = 5.0
RETRY_SECONDS = 2.0
BACKOFF_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0)

_MAX_ID_LENGTH = 255
_PING = text("SELECT 1")

_log = logging.getLogger("hoc.events")


class Inbound:
    """Receives messages and calls their handlers.

    Args:
        handlers: by subject, which may end in ``.*``.
        group: each message is delivered to one server of each group.
        new_stream: the stream to create for a subject that no stream has; None waits until one has it.
        backoff: the seconds before each new delivery; a message that fails after the last is a dead letter.
        observer: is notified of the outcome of each message.
    """

    def __init__(
        self,
        connection: NatsConnection,
        database: Database,
        handlers: Mapping[str, Handler],
        *,
        group: str,
        new_stream: str | None = None,
        backoff: Sequence[float] = BACKOFF_SECONDS,
        observer: EventObserver | None = None,
    ) -> None:
        self._connection = connection
        self._database = database
        self._handlers = handlers
        self._group = group
        self._new_stream = new_stream
        self._backoff = backoff
        self._observer = observer
        self._messages = SqlInbound()
        self._stream_lock = PerLoop(asyncio.Lock)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Handle messages in the background. After the block, unfinished ones are delivered again."""
        async with AsyncExitStack() as stack:
            for subject, handler in self._handlers.items():
                await stack.enter_async_context(self._consumer(subject, handler).running())
            await stack.enter_async_context(self._retrier().running())
            yield

    def _consumer(self, subject: str, handler: Handler) -> BackgroundLoop:
        async def consume() -> None:
            await self._receive_all(subject, handler, loop.succeeded)

        loop = BackgroundLoop(
            consume,
            name=f"hoc-inbound {subject}",
            subject=subject,
            pause_seconds=RETRY_SECONDS,
            explain=_explain,
            logger=_log,
        )
        return loop

    async def _receive_all(self, subject: str, handler: Handler, succeeded: Callable[[], None]) -> None:
        jetstream = self._connection.jetstream
        durable = f"{self._group}-{subject}".replace(".", "_").replace("*", "any")
        try:
            pull = await jetstream.pull_subscribe(subject, durable=durable)
        except NotFoundError:
            if self._new_stream is None:
                raise
            async with self._stream_lock.get():
                await require_stream(jetstream, self._new_stream, [subject])
            pull = await jetstream.pull_subscribe(subject, durable=durable)
        try:
            while True:
                # A delivery during an outage of the database would count as an attempt.
                await self._require_database()
                messages = await _fetch(pull)
                succeeded()
                for message in messages:
                    await self._receive(message, handler)
        finally:
            with suppress(Error):  # a lost connection has no subscriptions either
                await pull.unsubscribe()

    async def _require_database(self) -> None:
        async with self._database.reading() as session:
            await session.execute(_PING)

    async def _receive(self, received: Msg, handler: Handler) -> None:
        message = _stored(received)
        delivery = received.metadata.num_delivered or 1
        try:
            _given_time(received)  # a time out of bounds is refused, and not replaced
            with process_span(message.subject, received.headers):
                outcome = "handled" if await self._handle(message, handler) else "repeated"
        except UnavailableError:
            # The message is not the cause of an outage, and never becomes a dead letter for one.
            await received.nak(delay=self._backoff[0])
            return
        except Exception as problem:  # noqa: BLE001 - one message must not hold up the others
            is_invalid = isinstance(problem, InvalidInputError)
            if not is_invalid and delivery <= len(self._backoff):
                _log.warning("%s failed and will be retried: %s", message.subject, _reason(problem))
                await received.nak(delay=self._backoff[delivery - 1])
                self._observe("failed")
                return
            reason = _reason(problem)
            _log.error("message %s (%s) is a dead letter: %s", message.message_id, message.subject, reason)
            async with self._database.transaction() as session:
                await self._messages.add_dead_letter(session, message, reason)
            outcome = "parked"
        await received.ack_sync()
        self._observe(outcome)

    async def _handle(self, message: StoredMessage, handler: Handler) -> bool:
        """Call the handler. Returns False, without calling it, if the message had been handled before."""

        async def work(session: AsyncConnection) -> bool:
            if not await self._messages.claim(session, message):
                return False
            await handler(session, _parsed(message))
            return True

        return await self._database.transact(work)

    def _retrier(self) -> BackgroundLoop:
        async def retry() -> None:
            await self.retry_dead_letters()

        return BackgroundLoop(
            retry,
            name="hoc-inbound retries",
            subject="dead messages",
            pause_seconds=RETRY_SECONDS,
            explain=_explain,
            logger=_log,
        )

    async def retry_dead_letters(self) -> int:
        """Handle the dead letters for which a retry was requested. Returns how many were handled."""
        async with self._database.transaction() as session:
            due = await self._messages.retries(session, BATCH)
        handled = 0
        for message in due:
            handler = _handler_of(self._handlers, message.subject)
            if handler is None:
                continue
            try:
                await self._handle(message, handler)
            except UnavailableError:
                raise
            except Exception as problem:  # noqa: BLE001 - it stays a dead letter, with the new reason
                async with self._database.transaction() as session:
                    await self._messages.keep_dead_letter(session, message.message_id, _reason(problem))
                continue
            async with self._database.transaction() as session:
                await self._messages.remove_dead_letter(session, message.message_id)
            handled += 1
        return handled

    def _observe(self, outcome: str) -> None:
        if self._observer is not None:
            self._observer.received(outcome)


def _explain(problem: Exception) -> str | None:
    if isinstance(problem, PublisherUnavailableError):
        return ""  # the connection has logged it
    if isinstance(problem, NotFoundError):
        return "no stream has this subject yet"
    if isinstance(problem, Error | OSError | TimeoutError):
        return f"NATS failed with {type(problem).__name__}"
    return explain_outage(problem)


async def _fetch(pull: JetStreamContext.PullSubscription) -> list[Msg]:
    """The next messages, [] if none arrived in time."""
    try:
        return await pull.fetch(BATCH, timeout=FETCH_SECONDS)
    except TimeoutError:
        return []


def _handler_of(handlers: Mapping[str, Handler], subject: str) -> Handler | None:
    return handlers.get(subject) or handlers.get(f"{subject.rpartition('.')[0]}.*")


def _stored(received: Msg) -> StoredMessage:
    headers = received.headers or {}
    position = f"{received.metadata.stream}:{received.metadata.sequence.stream}"
    given = headers.get("Nats-Msg-Id") or headers.get("ce-id") or position
    time = received.metadata.timestamp
    with suppress(InvalidInputError):
        time = _given_time(received) or time
    return StoredMessage(
        message_id=given if len(given) <= _MAX_ID_LENGTH else position,
        subject=received.subject[:_MAX_ID_LENGTH],
        time=time,
        data=received.data,
    )


def _given_time(received: Msg) -> datetime | None:
    """The time in ``ce-time``, or None without one. Raises InvalidInputError for a year out of bounds."""
    try:
        time = datetime.fromisoformat((received.headers or {}).get("ce-time", ""))
    except ValueError:
        return None
    return utc_time("ce-time", time) if time.tzinfo else None


def _parsed(message: StoredMessage) -> InboundMessage:
    try:
        data = orjson.loads(message.data)
    except orjson.JSONDecodeError:
        raise InvalidInputError.of("data", "is not JSON") from None
    return InboundMessage(message.message_id, message.subject, message.time, data)


def _reason(problem: Exception) -> str:
    """A text that is safe to log: the text of another library's exception may quote the message."""
    return problem.message if isinstance(problem, InvalidInputError) else type(problem).__name__

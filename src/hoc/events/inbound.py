"""Handles inbound messages, each once: its id is stored in the transaction of its handler.

A message is acknowledged after that transaction has committed. If the handler fails, the message is delivered
again after growing pauses, and after the last one becomes a dead letter in the database. Others do not wait.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from nats.aio.msg import Msg
from nats.errors import Error
from nats.js.errors import NotFoundError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.concurrency.background import BackgroundLoop
from hoc.concurrency.per_loop import PerLoop
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L6_drivers.errors import explain_outage
from hoc.cus.account.L6_drivers.inbound import SqlInbound, StoredMessage
from hoc.database import Database
from hoc.events.message import Handler, InboundMessage
from hoc.events.nats import NatsConnection, require_stream
from hoc.events.observer import EventObserver
from hoc.events.publisher import PublisherUnavailableError
from hoc.events.pulling import pulling
from hoc.events.received import HandlerError, given_time, is_hopeless, parsed, reason_of, stored
from hoc.telemetry.tracing import process_span

BATCH = 10
FETCH_SECONDS = 5.0
RETRY_SECONDS = 2.0
BACKOFF_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0)
HANDLE_SECONDS = 20.0
"""Within JetStream's 30 seconds for an acknowledgement."""

_PING = text("SELECT 1")

_log = logging.getLogger("hoc.events")


class Inbound:
    """Receives messages and calls their handlers.

    Args:
        handlers: by subject, which may end in ``.*``.
        group: each message is delivered to one server of each group.
        new_stream: the stream to create for a subject that no stream has; None waits until one has it.
        replicas: the number of NATS servers that have a new stream, one if it is None.
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
        replicas: int | None = None,
        backoff: Sequence[float] = BACKOFF_SECONDS,
        observer: EventObserver | None = None,
    ) -> None:
        self._connection = connection
        self._database = database
        self._handlers = handlers
        self._group = group
        self._new_stream = new_stream
        self._replicas = replicas
        self._backoff = backoff
        self._observer = observer
        self._messages = SqlInbound()
        self._patterns = [_pattern(subject) for subject in handlers]
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
        client, jetstream = self._connection.client, self._connection.jetstream
        durable = f"{self._group}-{subject}".replace(".", "_").replace("*", "any")
        async with AsyncExitStack() as stack:
            try:
                pull = await stack.enter_async_context(pulling(client, jetstream, subject, durable=durable))
            except NotFoundError:
                if self._new_stream is None:
                    raise
                async with self._stream_lock.get():
                    await require_stream(jetstream, self._new_stream, [subject], replicas=self._replicas)
                pull = await stack.enter_async_context(pulling(client, jetstream, subject, durable=durable))
            while True:
                # Handing messages back during an outage of the database would only move them to and fro.
                await self._require_database()
                messages = await pull.fetch(BATCH, FETCH_SECONDS)
                succeeded()
                for message in messages:
                    await self._receive(message, handler)

    async def _require_database(self) -> None:
        async with self._database.reading() as session:
            await session.execute(_PING)

    async def _receive(self, received: Msg, handler: Handler) -> None:
        """Settle a message, or hand it back. Nothing about one message ends the batch."""
        try:
            await self._settle(received, handler)
        except UnavailableError:
            # The message is not the cause of an outage, and never becomes a dead letter for one.
            await self._hand_back(received)
        except Error:
            pass  # its acknowledgement is lost with the connection: JetStream delivers it again
        except Exception as problem:  # noqa: BLE001 - its text may quote the message
            _log.error("a message was handed back after an unforeseen %s", type(problem).__name__)
            await self._hand_back(received)

    async def _hand_back(self, received: Msg) -> None:
        with suppress(Error):
            await received.nak(delay=self._backoff[0])

    async def _settle(self, received: Msg, handler: Handler) -> None:
        message = stored(received)
        try:
            given_time(received)  # a time out of bounds is refused, and not replaced
            with process_span(message.subject, received.headers):
                outcome = "handled" if await self._handle(message, handler) else "repeated"
        except UnavailableError:
            raise
        except Exception as problem:  # noqa: BLE001 - it is counted against the message
            pause = None if is_hopeless(problem) else await self._count_failure(message)
            if pause is not None:
                _log.warning("%s failed and will be retried: %s", message.subject, reason_of(problem))
                await received.nak(delay=pause)
                self._observe("failed")
                return
            await self._add_dead_letter(message, reason_of(problem))
            outcome = "parked"
        await received.ack_sync()
        self._observe(outcome)

    async def _count_failure(self, message: StoredMessage) -> float | None:
        """The seconds before the next delivery, None after the last one.

        JetStream's own count would include the deliveries that an outage ended.
        """
        async with self._database.transaction() as session:
            failures = await self._messages.count_failure(session, message)
        return self._backoff[max(failures - 1, 0)] if failures <= len(self._backoff) else None

    async def _add_dead_letter(self, message: StoredMessage, reason: str) -> None:
        async with self._database.transaction() as session:
            await self._messages.add_dead_letter(session, message, reason)
        _log.error("message %s (%s) is a dead letter: %s", message.message_id, message.subject, reason)

    async def _handle(self, message: StoredMessage, handler: Handler) -> bool:
        """Call the handler. Returns False, without calling it, if the message had been handled before."""

        async def work(session: AsyncConnection) -> bool:
            if not await self._messages.claim(session, message):
                return False
            await _call(handler, session, parsed(message))
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
            due = await self._messages.retries(session, self._patterns, BATCH)
        return sum([await self._retry(message) for message in due])

    async def _retry(self, message: StoredMessage) -> bool:
        handler = _handler_of(self._handlers, message.subject)
        if handler is None:
            return False
        try:
            await self._handle(message, handler)
        except UnavailableError:
            return False  # it is retried again, and the next ones now
        except Exception as problem:  # noqa: BLE001 - it stays a dead letter, with the new reason
            async with self._database.transaction() as session:
                await self._messages.keep_dead_letter(session, message.message_id, reason_of(problem))
            return False
        async with self._database.transaction() as session:
            await self._messages.remove_dead_letter(session, message.message_id)
        return True

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


async def _call(handler: Handler, session: AsyncConnection, message: InboundMessage) -> None:
    """Call the handler. Raises HandlerError for what would otherwise look like an outage, or like the end."""
    try:
        async with asyncio.timeout(HANDLE_SECONDS):
            await handler(session, message)
    except (OSError, TimeoutError) as problem:
        await session.execute(_PING)  # raises what the handler met if that was an outage of the database
        raise HandlerError(type(problem).__name__) from problem
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise HandlerError("CancelledError") from None  # the handler's own, of a task that it waited for


def _handler_of(handlers: Mapping[str, Handler], subject: str) -> Handler | None:
    return handlers.get(subject) or handlers.get(f"{subject.rpartition('.')[0]}.*")


def _pattern(subject: str) -> str:
    """A regular expression of PostgreSQL for the subjects that a handler is for."""
    return "^" + re.escape(subject).replace(r"\*", "[^.]+") + "$"

"""The relay: numbers committed events, and publishes them in that order.

Any number of relays run on one database; one at a time does each of the two. The publishing relay locks the
cursor row until it has advanced it. If the relay dies, the lock is released at once; if it hangs, when
PostgreSQL's idle_in_transaction_session_timeout ends the transaction. The next relay repeats the events that
were sent since the cursor last moved, with the same ids. So every event is published at least once, and first
deliveries are in order.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.concurrency.background import BackgroundLoop
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L6_drivers.dead_letters import SqlDeadLetters
from hoc.cus.account.L6_drivers.errors import explain_outage
from hoc.cus.account.L6_drivers.event_partitions import SqlEventPartitions
from hoc.cus.account.L6_drivers.event_sequencing import SqlEventSequencing
from hoc.database import Database
from hoc.events.observer import EventObserver
from hoc.events.publisher import Publisher
from hoc.events.sending import Sender, Sent

BATCH = 500
POLL_SECONDS = 0.5
GATHER_SECONDS = 0.03
"""Events that come meanwhile get their numbers together: that costs hardly more than the number of one."""
PAUSE_SECONDS = 1.0
BUSY_SECONDS = 0.05

_log = logging.getLogger("hoc.events")


class PartitionMissingError(Exception):
    """An event's month has no partition, and the role may not create it."""


def _explain(problem: Exception) -> str | None:
    if isinstance(problem, PartitionMissingError):
        return "the partition of their month is missing; run `hoc migrate` as the tables' owner"
    return explain_outage(problem)


class Relay:
    """Numbers events and publishes them.

    Args:
        database: the relay's own, with two connections, so that requests do not compete with it for them.
        publisher: None only numbers events, for the audit trail and the feed.
        source: the CloudEvents ``source`` of every event.
        observer: is notified of the outcome of each event.
        on_numbered: is called when events have been numbered.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher | None,
        *,
        source: str,
        observer: EventObserver | None = None,
        batch: int = BATCH,
        poll_seconds: float = POLL_SECONDS,
        on_numbered: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_numbered = on_numbered
        self._database = database
        self._publisher = publisher
        self._sender = None if publisher is None else Sender(publisher, source)
        self._observer = observer
        self._batch = batch
        self._events = SqlEventSequencing()
        self._partitions = SqlEventPartitions()
        self._dead_letters = SqlDeadLetters()
        self._sequencing = self._loop(self.sequence_events, "hoc-sequence-events", poll_seconds)
        self._publishing = self._loop(self.publish, "hoc-publish", poll_seconds)
        self._has_cursors = False
        self._failure = ""

    def wake(self) -> None:
        """Look for events now instead of at the next poll."""
        self._sequencing.wake()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Relay in the background. After the block, unfinished events are published by the next relay."""
        self._has_cursors = False  # the database may have been made anew since the last time
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._sequencing.running())
            if self._publisher is not None:
                await stack.enter_async_context(self._publishing.running())
            yield

    def _loop(self, work: Callable[[], Awaitable[bool]], name: str, poll_seconds: float) -> BackgroundLoop:
        return BackgroundLoop(
            work, name=name, subject="events", pause_seconds=poll_seconds, explain=_explain, logger=_log
        )

    async def sequence_events(self) -> bool:
        """Number a batch of committed events. Returns whether there may be more."""
        try:
            sequenced = await self._sequence_batch()
        except asyncpg.CheckViolationError:
            # This statement can violate no other check: the month's partition is missing.
            async with self._database.transaction() as session:
                if not await self._partitions.may_create(session):
                    raise PartitionMissingError from None
                await self._partitions.create(session)
            sequenced = await self._sequence_batch()
        if sequenced:
            self._publishing.wake()
            self._on_numbered()
        if 0 < sequenced < self._batch:
            await asyncio.sleep(GATHER_SECONDS)
        return sequenced > 0

    async def _sequence_batch(self) -> int:
        async with self._database.reading() as session:
            if not self._has_cursors:
                await self._events.create_cursors(session)
                self._has_cursors = True
            return await self._events.sequence_events(session, self._batch)

    async def publish(self) -> bool:
        """Publish a batch, unless another relay holds the cursor. Returns whether there may be more."""
        if self._sender is None or self._publisher is None or not self._publisher.is_connected:
            return False
        async with self._database.transaction() as session:
            start = await self._events.lock_published(session)
            sent = None if start is None else await self._publish_after(start, session, self._sender)
        if sent is None:
            await asyncio.sleep(BUSY_SECONDS)
            return True
        self._report(sent)
        if sent.failed:
            await asyncio.sleep(PAUSE_SECONDS)
        return bool(sent.published or sent.refused or sent.failed)

    async def _publish_after(self, start: int, session: AsyncConnection, sender: Sender) -> Sent:
        retried = await self._dead_letters.retries(session, self._batch)
        events = await self._events.next(session, start, self._batch)
        sent = await sender.send([*retried, *events])
        for event in [*retried, *events]:
            if event.event_id in sent.refused:
                await self._dead_letters.add(session, event, sent.refused[event.event_id])
        for event in retried:
            if event.event_id in sent.published:
                await self._dead_letters.remove(session, event.event_id)
        if settled := sent.settled(events):
            await self._events.advance(session, settled[-1].sequence)
        return sent

    def _report(self, sent: Sent) -> None:
        for event_id, reason in sent.refused.items():
            _log.error("event %s is a dead letter: %s", event_id, reason)
        failure = str(next(iter(sent.failed.values()), ""))
        if failure != self._failure:
            self._failure = failure
            if failure:
                _log.warning("publishing fails and will be retried: %s", failure)
            else:
                _log.info("publishing succeeds again")
        if self._observer is not None:
            now = utc_now()
            for event in sent.published.values():
                self._observer.published((now - event.time).total_seconds())
            for _ in sent.refused:
                self._observer.dead_lettered()

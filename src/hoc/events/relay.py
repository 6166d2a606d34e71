"""The relay: puts committed events in line, and publishes them in that order.

Any number of relays run on one database; one at a time does each of the two. Whoever publishes holds the
cursor's row until the cursor has moved: a relay that dies lets go of it at once, one that is stopped when
PostgreSQL ends its idle transaction. What it had sent is then sent again, under the same id, before anything
that comes later. So each event is published at least once, and first ones are in order.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.background import in_background
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L6_drivers.event_line import SqlEventLine
from hoc.database import Database
from hoc.events.observer import EventObserver
from hoc.events.publisher import Publisher
from hoc.events.sending import Sender, Sent

BATCH = 500
POLL_SECONDS = 0.5
PAUSE_SECONDS = 1.0
BUSY_SECONDS = 0.05

_log = logging.getLogger("hoc.events")


class Relay:
    """Puts in line and publishes.

    Args:
        database: for the relay alone, so that it neither starves nor is starved; two connections are enough.
        publisher: None only puts events in line, for the audit trail and the feed.
        source: the CloudEvents ``source`` of every event.
        observer: is told what becomes of each event.
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
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._sender = None if publisher is None else Sender(publisher, source)
        self._observer = observer
        self._batch = batch
        self._poll_seconds = poll_seconds
        self._events = SqlEventLine()
        self._committed = asyncio.Event()
        self._lined_up = asyncio.Event()
        self._has_cursors = False
        self._trouble = ""

    def wake(self) -> None:
        """Look for events now instead of at the next poll."""
        self._committed.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Relay in the background; at the end, what is under way is broken off and stays to be published."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(
                in_background(self._repeat(self.line_up, self._committed), name="hoc-line-up")
            )
            if self._publisher is not None:
                await stack.enter_async_context(
                    in_background(self._repeat(self.publish, self._lined_up), name="hoc-publish")
                )
            yield

    async def line_up(self) -> bool:
        """Put a batch of committed events in line; whether there may be more."""
        try:
            lined_up = await self._line_up()
        except asyncpg.CheckViolationError:
            # Nothing else is checked here: the month's partition is missing.
            async with self._database.transaction() as session:
                await self._events.create_partitions(session)
            lined_up = await self._line_up()
        if lined_up:
            self._lined_up.set()
        return lined_up > 0

    async def _line_up(self) -> int:
        async with self._database.reading() as session:
            if not self._has_cursors:
                await self._events.create_cursors(session)
                self._has_cursors = True
            return await self._events.line_up(session, self._batch)

    async def publish(self) -> bool:
        """Publish a batch of the line; whether there may be more. Nothing while another relay is at it."""
        if self._sender is None or self._publisher is None or not self._publisher.is_connected:
            return False
        async with self._database.transaction() as session:
            start = await self._events.take_turn(session)
            sent = None if start is None else await self._publish_after(start, session, self._sender)
        if sent is None:
            await asyncio.sleep(BUSY_SECONDS)
            return True
        self._tell(sent)
        if sent.failed:
            await asyncio.sleep(PAUSE_SECONDS)
        return bool(sent.published or sent.refused or sent.failed)

    async def _publish_after(self, start: int, session: AsyncConnection, sender: Sender) -> Sent:
        retried = await self._events.retries(session, self._batch)
        events = await self._events.next(session, start, self._batch)
        sent = await sender.send([*retried, *events])
        for event in [*retried, *events]:
            if event.event_id in sent.refused:
                await self._events.park(session, event, sent.refused[event.event_id])
        for event in retried:
            if event.event_id in sent.published:
                await self._events.unpark(session, event.event_id)
        if settled := sent.settled(events):
            await self._events.advance(session, settled[-1].sequence)
        return sent

    def _tell(self, sent: Sent) -> None:
        for event_id, reason in sent.refused.items():
            _log.error("event %s is parked: %s", event_id, reason)
        trouble = str(next(iter(sent.failed.values()), ""))
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                _log.warning("events wait: %s", trouble)
            else:
                _log.info("events are published again")
        if self._observer is not None:
            now = utc_now()
            for event in sent.published.values():
                self._observer.published((now - event.time).total_seconds())
            for _ in sent.refused:
                self._observer.parked()

    async def _repeat(self, work: Callable[[], Awaitable[bool]], woken: asyncio.Event) -> None:
        is_away = False
        while True:
            woken.clear()
            try:
                may_be_more = await work()
                is_away = False
                if may_be_more:
                    continue
            except UnavailableError:
                if not is_away:
                    _log.warning("events wait: the database is unavailable")
                is_away = True
            except Exception:  # noqa: BLE001 - whatever it was, the next round must come
                _log.exception("events wait: the relay failed")
            with suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), self._poll_seconds)

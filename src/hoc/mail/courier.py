"""The courier: delivers the mails in the queues, several at once.

A mail leaves its queue only after the sender has accepted it, so after a crash it is sent again. Each time it
has a fresh token, so that only the link of the newest mail works. Any number of couriers can share a queue.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.concurrency.background import BackgroundLoop
from hoc.concurrency.per_loop import PerLoop
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L5_schemas.mails import QueuedMail
from hoc.cus.account.L6_drivers.errors import explain_outage
from hoc.database import Database
from hoc.mail.queues import AnyMailQueue
from hoc.mail.sender import MailRejectedError, MailSender, MailUnavailableError

AT_ONCE: Final = 8
LEASE: Final = timedelta(minutes=5)  # hoc's senders take at most two, so nothing is sent after it
TRANSACTIONS_AT_ONCE: Final = 2  # so that mail leaves the pool's connections to requests
POLL_SECONDS: Final = 1.0
GRACE_SECONDS: Final = 5.0
FIRST_PAUSE: Final = timedelta(seconds=5)
LONGEST_PAUSE: Final = timedelta(minutes=15)
OUTAGE_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""How long a delivery waits for the database each time that it is away, in seconds: well within the lease."""

T = TypeVar("T")

_log = logging.getLogger("hoc.mail")


async def _nothing() -> None:
    pass


class Courier:
    """Delivers the mails of ``queues`` through ``sender``, up to ``at_once`` at the same time.

    ``close`` is awaited when the courier ends.
    """

    def __init__(
        self,
        database: Database,
        sender: MailSender,
        queues: Sequence[AnyMailQueue],
        *,
        at_once: int = AT_ONCE,
        close: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._database = database
        self._sender = sender
        self._queues = deque(queues)
        self._at_once = at_once
        self._close = close
        self._deliveries: set[asyncio.Task[None]] = set()
        self._has_more = False
        self._turns = PerLoop(lambda: asyncio.Semaphore(TRANSACTIONS_AT_ONCE))
        self._loop = BackgroundLoop(
            self._start_due,
            name="hoc-courier",
            subject="mail",
            pause_seconds=POLL_SECONDS,
            explain=explain_outage,
            logger=_log,
        )

    def wake(self) -> None:
        """Read the queues now instead of at the next poll."""
        self._loop.wake()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Deliver in the background. At the end, deliveries under way get five seconds, then are cancelled.

        A cancelled mail stays queued.
        """
        try:
            async with self._loop.running():
                yield
        finally:
            try:
                await self._end_deliveries()
            finally:
                await self._close()

    async def deliver_due(self) -> int:
        """Try to deliver the mails that are due, as many as are sent at once. Returns how many they were."""
        try:
            started = await self._claim_and_start()
            await asyncio.gather(*started)
        finally:
            await self._close()
        return len(started)

    async def _start_due(self) -> bool:
        await self._claim_and_start()
        return self._has_more and len(self._deliveries) < self._at_once

    async def _claim_and_start(self) -> list[asyncio.Task[None]]:
        """Start to deliver as many mails as may be under way, from another queue first each time."""
        started: list[asyncio.Task[None]] = []
        for queue in list(self._queues):
            if free := self._at_once - len(self._deliveries):
                now = utc_now()
                async with self._transaction() as session:
                    due = await queue.mails.claim(session, now=now, lease_until=now + LEASE, batch=free)
                started += [self._start(queue, mail) for mail in due]
                self._has_more = len(due) == free
        self._queues.rotate()
        return started

    def _start(self, queue: AnyMailQueue, mail: QueuedMail) -> asyncio.Task[None]:
        task = asyncio.create_task(self._try_to_deliver(queue, mail), name="hoc-mail")
        self._deliveries.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._deliveries.discard(task)
        if self._has_more:
            self.wake()
        if not task.cancelled() and (problem := task.exception()) is not None:
            # Not the error's text, which may quote the address.
            _log.error("a mail waits for %s: %s", LEASE, type(problem).__name__)

    async def _end_deliveries(self) -> None:
        try:
            if self._deliveries:
                await asyncio.wait(self._deliveries, timeout=GRACE_SECONDS)
        finally:
            late = list(self._deliveries)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _try_to_deliver(self, queue: AnyMailQueue, mail: QueuedMail) -> None:
        try:
            await self._deliver(queue, mail)
        except UnavailableError:
            raise
        except Exception as problem:  # noqa: BLE001 - one mail must not hold up the others
            # Not the error's text, which may quote the address.
            _log.error("mail of %s postponed: %s", mail.about, type(problem).__name__)
            await self._postpone(queue, mail)

    async def _deliver(self, queue: AnyMailQueue, mail: QueuedMail) -> None:
        message = await self._record(lambda session: queue.compose(session, mail, now=utc_now()))
        if message is None:
            await self._record(lambda session: queue.mails.drop(session, mail, utc_now()))
            return
        try:
            await self._sender.send(message())
        except MailUnavailableError as problem:
            _log.warning("mail of %s postponed: %s", mail.about, problem)
            await self._postpone(queue, mail)
        except MailRejectedError as problem:
            _log.error("mail of %s given up: %s", mail.about, problem)
            reason = _reason(problem)
            await self._record(lambda session: queue.mails.fail(session, mail, reason, utc_now()))
        else:
            await self._record(lambda session: queue.mails.finish(session, mail, utc_now()))

    async def _postpone(self, queue: AnyMailQueue, mail: QueuedMail) -> None:
        pause = min(FIRST_PAUSE * 2 ** min(mail.attempts - 1, 10), LONGEST_PAUSE)

        async def postpone(session: AsyncConnection) -> None:
            now = utc_now()
            await queue.mails.postpone(session, mail, now + pause, now)

        await self._record(postpone)

    async def _record(self, step: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What ``step`` of a delivery returns, in a transaction. Repeated while the database is away.

        Without that, an outage of a second would leave the mail claimed until its lease ends.
        """
        for pause in OUTAGE_PAUSES:
            with suppress(UnavailableError):
                async with self._transaction() as session:
                    return await step(session)
            await asyncio.sleep(pause)
        async with self._transaction() as session:
            return await step(session)

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[AsyncConnection]:
        async with self._turns.get(), self._database.transaction() as session:
            yield session


def _reason(problem: MailRejectedError) -> str:
    """The error's text as one line that can be stored: a host's sender may write anything."""
    return "".join(filter(str.isprintable, str(problem))) or "the mail was rejected"

"""The courier: delivers the mails in the queues.

A mail leaves its queue only after the sender has accepted it, so after a crash it is sent again. Each time it
has a fresh token, so that only the link of the newest mail works. Any number of couriers can share a queue.
"""

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from hoc.concurrency.background import BackgroundLoop
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L6_drivers.errors import explain_outage
from hoc.database import Database
from hoc.mail.queues import AnyMailQueue, QueuedMail
from hoc.mail.sender import MailRejectedError, MailSender, MailUnavailableError

BATCH = 5  # the sender takes at most 30 seconds for each, so a batch is delivered within its lease
LEASE = timedelta(minutes=5)
POLL_SECONDS = 1.0
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=15)

_log = logging.getLogger("hoc.mail")


class Courier:
    """Delivers the mails of ``queues`` through ``sender``."""

    def __init__(self, database: Database, sender: MailSender, queues: Sequence[AnyMailQueue]) -> None:
        self._database = database
        self._sender = sender
        self._queues = queues
        self._loop = BackgroundLoop(
            self._deliver_batch,
            name="hoc-courier",
            subject="mail",
            pause_seconds=POLL_SECONDS,
            explain=explain_outage,
            logger=_log,
        )

    def wake(self) -> None:
        """Read the queues now instead of at the next poll."""
        self._loop.wake()

    def running(self) -> AbstractAsyncContextManager[None]:
        """Deliver in the background. At the end, a delivery under way is cancelled; its mail stays queued."""
        return self._loop.running()

    async def deliver_due(self) -> int:
        """Try to deliver one batch of due mails from each queue. Returns how many they were."""
        delivered = 0
        for queue in self._queues:
            now = utc_now()
            async with self._database.transaction() as session:
                due = await queue.claim(session, now=now, lease_until=now + LEASE, batch=BATCH)
            for mail in due:
                await self._try_to_deliver(queue, mail)
            delivered += len(due)
        return delivered

    async def _deliver_batch(self) -> bool:
        return await self.deliver_due() > 0

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
        async with self._database.transaction() as session:
            message = await queue.compose(session, mail, now=utc_now())
        if message is None:
            async with self._database.transaction() as session:
                await queue.drop(session, mail, utc_now())
            return
        try:
            await self._sender.send(message())
        except MailUnavailableError as problem:
            _log.warning("mail of %s postponed: %s", mail.about, problem)
            await self._postpone(queue, mail)
        except MailRejectedError as problem:
            _log.error("mail of %s given up: %s", mail.about, problem)
            async with self._database.transaction() as session:
                await queue.fail(session, mail, _reason(problem), utc_now())
        else:
            async with self._database.transaction() as session:
                await queue.finish(session, mail)

    async def _postpone(self, queue: AnyMailQueue, mail: QueuedMail) -> None:
        pause = min(FIRST_PAUSE * 2 ** min(mail.attempts - 1, 10), LONGEST_PAUSE)
        async with self._database.transaction() as session:
            await queue.postpone(session, mail, utc_now() + pause)


def _reason(problem: MailRejectedError) -> str:
    """The error's text as one line that can be stored: a host's sender may write anything."""
    return "".join(filter(str.isprintable, str(problem))) or "the mail was rejected"

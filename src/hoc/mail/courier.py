"""The courier: takes due invitation mails from the queue and sees each one delivered.

A queued mail leaves the queue only after the sender took it, so a crash at any moment sends it again: at
least once, with a fresh token each time, so that only the newest mail's link works. Any number of couriers
share the queue.
"""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta

from hoc.background import in_background
from hoc.cus.account.L5_engines.letters import draw_letter
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L5_schemas.records import DueDelivery, InvitationLetter
from hoc.cus.account.L6_drivers.deliveries import SqlDeliveries
from hoc.cus.account.L6_drivers.letters import SqlLetters
from hoc.database import Database
from hoc.mail.message import InvitationMail, compose, invitation_link
from hoc.mail.sender import MailRejectedError, MailSender, MailUnavailableError

BATCH = 5  # delivered one after the other: even if each takes the sender's 30 seconds, within the lease
LEASE = timedelta(minutes=5)
POLL_SECONDS = 1.0
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=15)

_log = logging.getLogger("hoc.mail")


class Courier:
    """Delivers queued invitation mail through ``sender``.

    Args:
        mail_from: the sender's address, with or without a display name.
        public_url: where links lead; they are never built from a request.
    """

    def __init__(self, database: Database, sender: MailSender, *, mail_from: str, public_url: str) -> None:
        self._database = database
        self._sender = sender
        self._mail_from = mail_from
        self._public_url = public_url
        self._queue = SqlDeliveries()
        self._letters = SqlLetters()
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """Look at the queue now instead of at the next poll."""
        self._awake.set()

    def running(self) -> AbstractAsyncContextManager[None]:
        """Deliver in the background; at the end, what is under way is broken off and stays queued."""
        return in_background(self._run(), name="hoc-courier")

    async def deliver_due(self) -> int:
        """Deliver one batch of due mails; how many were taken from the queue."""
        now = utc_now()
        async with self._database.transaction() as session:
            due = await self._queue.claim(session, now=now, lease_until=now + LEASE, batch=BATCH)
        for delivery in due:
            try:
                await self._deliver(delivery)
            except UnavailableError:
                raise
            except Exception as problem:  # noqa: BLE001 - one mail must not keep the others from leaving
                # Not its text, which may quote the address.
                _log.error("invitation %s waits: %s", delivery.invitation_id, type(problem).__name__)
                await self._postpone(delivery)
        return len(due)

    async def _run(self) -> None:
        while True:
            self._awake.clear()
            try:
                if await self.deliver_due():
                    continue
            except UnavailableError:
                _log.warning("invitation mail waits: the database is unavailable")
            except Exception:  # noqa: BLE001 - whatever it was, the next round must come
                _log.exception("invitation mail waits: the courier failed")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), POLL_SECONDS)

    async def _deliver(self, delivery: DueDelivery) -> None:
        async with self._database.transaction() as session:
            drawn = await draw_letter(
                self._letters, session, delivery.tenant_id, delivery.invitation_id, now=utc_now()
            )
        if drawn is not None:
            try:
                await self._sender.send(compose(self._mail(*drawn), self._mail_from))
            except MailUnavailableError as problem:
                _log.warning("invitation %s waits: %s", delivery.invitation_id, problem)
                await self._postpone(delivery)
                return
            except MailRejectedError as problem:
                _log.error("invitation %s cannot be mailed: %s", delivery.invitation_id, problem)
        async with self._database.transaction() as session:
            await self._queue.finish(session, delivery.delivery_id)

    async def _postpone(self, delivery: DueDelivery) -> None:
        pause = min(FIRST_PAUSE * 2 ** min(delivery.attempts - 1, 10), LONGEST_PAUSE)
        async with self._database.transaction() as session:
            await self._queue.postpone(session, delivery.delivery_id, utc_now() + pause)

    def _mail(self, letter: InvitationLetter, token: str) -> InvitationMail:
        return InvitationMail(
            to=letter.email,
            tenant_name=letter.tenant_name,
            inviter_name=letter.inviter_name,
            role=letter.role,
            invitation_id=letter.invitation_id,
            token=token,
            link=invitation_link(self._public_url, letter.invitation_id, token),
            expires_at=letter.expires_at,
        )

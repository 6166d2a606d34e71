"""The courier: delivers the invitation mails in the queue.

A mail leaves the queue only after the sender has accepted it, so after a crash it is sent again. Each time it
has a fresh token, so that only the link of the newest mail works. Any number of couriers can share the queue.
"""

import logging
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from hoc.concurrency.background import BackgroundLoop
from hoc.cus.account.L5_engines.invitation_mail import issue_token
from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.errors import UnavailableError
from hoc.cus.account.L5_schemas.port_types import DueMail, InvitationMailContent
from hoc.cus.account.L6_drivers.errors import explain_outage
from hoc.cus.account.L6_drivers.invitation_mail import SqlInvitationMail
from hoc.database import Database
from hoc.mail.message import InvitationMail, compose, invitation_link
from hoc.mail.sender import MailRejectedError, MailSender, MailUnavailableError

BATCH = 5  # the sender takes at most 30 seconds for each, so a batch is delivered within its lease
LEASE = timedelta(minutes=5)
POLL_SECONDS = 1.0
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=15)

_log = logging.getLogger("hoc.mail")


class Courier:
    """Delivers queued invitation mail through ``sender``.

    Args:
        mail_from: the sender's address, with or without a display name.
        public_url: the base of the links in mails.
    """

    def __init__(self, database: Database, sender: MailSender, *, mail_from: str, public_url: str) -> None:
        self._database = database
        self._sender = sender
        self._mail_from = mail_from
        self._public_url = public_url
        self._mails = SqlInvitationMail()
        self._loop = BackgroundLoop(
            self._deliver_batch,
            name="hoc-courier",
            subject="invitation mail",
            pause_seconds=POLL_SECONDS,
            explain=explain_outage,
            logger=_log,
        )

    def wake(self) -> None:
        """Read the queue now instead of at the next poll."""
        self._loop.wake()

    def running(self) -> AbstractAsyncContextManager[None]:
        """Deliver in the background. At the end, a delivery under way is cancelled; its mail stays queued."""
        return self._loop.running()

    async def deliver_due(self) -> int:
        """Try to deliver one batch of due mails. Returns the size of the batch."""
        now = utc_now()
        async with self._database.transaction() as session:
            due = await self._mails.claim(session, now=now, lease_until=now + LEASE, batch=BATCH)
        for mail in due:
            try:
                await self._deliver(mail)
            except UnavailableError:
                raise
            except Exception as problem:  # noqa: BLE001 - one mail must not hold up the others
                # Not the error's text, which may quote the address.
                _log.error("mail of invitation %s postponed: %s", mail.invitation_id, type(problem).__name__)
                await self._postpone(mail)
        return len(due)

    async def _deliver_batch(self) -> bool:
        return await self.deliver_due() > 0

    async def _deliver(self, mail: DueMail) -> None:
        async with self._database.transaction() as session:
            issued = await issue_token(
                self._mails, session, mail.tenant_id, mail.invitation_id, now=utc_now()
            )
        if issued is not None:
            try:
                await self._sender.send(compose(self._mail(*issued), self._mail_from))
            except MailUnavailableError as problem:
                _log.warning("mail of invitation %s postponed: %s", mail.invitation_id, problem)
                await self._postpone(mail)
                return
            except MailRejectedError as problem:
                _log.error("mail of invitation %s given up: %s", mail.invitation_id, problem)
        async with self._database.transaction() as session:
            await self._mails.finish(session, mail.mail_id)

    async def _postpone(self, mail: DueMail) -> None:
        pause = min(FIRST_PAUSE * 2 ** min(mail.attempts - 1, 10), LONGEST_PAUSE)
        async with self._database.transaction() as session:
            await self._mails.postpone(session, mail.mail_id, utc_now() + pause)

    def _mail(self, content: InvitationMailContent, token: str) -> InvitationMail:
        return InvitationMail(
            to=content.email,
            tenant_name=content.tenant_name,
            inviter_name=content.inviter_name,
            role=content.role,
            invitation_id=content.invitation_id,
            token=token,
            link=invitation_link(self._public_url, content.invitation_id, token),
            expires_at=content.expires_at,
        )

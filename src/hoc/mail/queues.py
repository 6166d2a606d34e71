"""What a queue of mails is, and the queues of mails with a token."""

from collections.abc import Callable, Sequence
from datetime import datetime
from email.message import EmailMessage
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cus.account.L5_engines.email_changes import issue_email_token
from hoc.cus.account.L5_engines.invitation_mail import issue_token
from hoc.cus.account.L5_engines.link_patterns import filled
from hoc.cus.account.L5_schemas.identity import EmailChangeResponse
from hoc.cus.account.L5_schemas.mails import DueAccountMail, DueMail, InvitationMailContent, QueuedMail
from hoc.cus.account.L6_drivers.account_mail import ACCOUNT_MAILS
from hoc.cus.account.L6_drivers.email_changes import SqlEmailChanges
from hoc.cus.account.L6_drivers.invitation_mail import SqlInvitationMail
from hoc.mail.invitation_mail import InvitationMail, compose_invitation
from hoc.mail.message import MailWriter, fingerprint_of, link_header
from hoc.mail.notices import NOTICE_ATTEMPTS

MailT = TypeVar("MailT", bound=QueuedMail)


class QueuedMails(Protocol[MailT]):
    """The rows of a queue."""

    async def claim(
        self, session: AsyncConnection, *, now: datetime, lease_until: datetime, batch: int
    ) -> Sequence[MailT]:
        """Claim due mails that no other courier is claiming. They are due again at ``lease_until``."""
        ...

    async def postpone(
        self, session: AsyncConnection, mail: MailT, due_at: datetime, now: datetime, /
    ) -> None:
        """Have a mail that could not be sent wait until ``due_at``."""
        ...

    async def finish(self, session: AsyncConnection, mail: MailT, now: datetime, /) -> None:
        """Remove a mail that was sent."""
        ...

    async def fail(self, session: AsyncConnection, mail: MailT, reason: str, now: datetime, /) -> None:
        """Remove a mail that cannot be delivered."""
        ...

    async def drop(self, session: AsyncConnection, mail: MailT, now: datetime, /) -> None:
        """Remove a mail of which `compose` said that there is nothing to send."""
        ...


class MailQueue(Protocol[MailT]):
    """A queue, and how its mails are written."""

    @property
    def mails(self) -> QueuedMails[MailT]: ...

    async def compose(
        self, session: AsyncConnection, mail: MailT, *, now: datetime
    ) -> Callable[[], EmailMessage] | None:
        """What makes the message, from outside of the transaction. None: there is nothing to send any more.

        It raises MailRejectedError when mail cannot be sent to the address.
        """
        ...


AnyMailQueue: TypeAlias = MailQueue[Any]


class InvitationQueue:
    """Mails of invitations. ``link`` is the pattern of their links."""

    def __init__(self, link: str, writer: MailWriter) -> None:
        self._link = link
        self._writer = writer
        self.mails = SqlInvitationMail()

    async def compose(
        self, session: AsyncConnection, mail: DueMail, *, now: datetime
    ) -> Callable[[], EmailMessage] | None:
        issued = await issue_token(self.mails, session, mail.tenant_id, mail.invitation_id, now=now)
        return None if issued is None else partial(compose_invitation, self._mail(*issued), self._writer)

    def _mail(self, content: InvitationMailContent, token: str) -> InvitationMail:
        return InvitationMail(
            to=content.email,
            tenant_name=content.tenant_name,
            inviter_name=content.inviter_name,
            role=content.role,
            invitation_id=content.invitation_id,
            token=token,
            link=filled(self._link, invitation_id=content.invitation_id, token=token),
            expires_at=content.expires_at,
            locale=content.locale,
        )


class AccountMailQueue:
    """Mails that confirm the change of an address, and notices to the address that was replaced.

    ``link`` is the pattern of the links that confirm.
    """

    def __init__(self, link: str, writer: MailWriter) -> None:
        self._link = link
        self._writer = writer
        self._changes = SqlEmailChanges()
        self.mails = ACCOUNT_MAILS

    async def compose(
        self, session: AsyncConnection, mail: DueAccountMail, *, now: datetime
    ) -> Callable[[], EmailMessage] | None:
        if mail.notice_to is not None:
            return partial(self._notice, mail, mail.notice_to) if mail.attempts <= NOTICE_ATTEMPTS else None
        issued = await issue_email_token(self._changes, session, mail.user_id, now=now)
        return None if issued is None else partial(self._confirmation, mail.locale, *issued)

    def _notice(self, mail: DueAccountMail, to: str) -> EmailMessage:
        """It does not name the new address."""
        fingerprint = fingerprint_of(mail.mail_id)
        return self._writer.write("notice", {}, to=to, locale=mail.locale, fingerprint=fingerprint)

    def _confirmation(self, locale: str | None, change: EmailChangeResponse, token: str) -> EmailMessage:
        link = filled(self._link, token=token)
        return self._writer.write(
            "confirmation",
            {"link": link, "expires_at": change.expires_at},
            to=change.email,
            locale=locale,
            fingerprint=fingerprint_of(token),
            headers=link_header(link, token),
        )

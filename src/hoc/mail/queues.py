"""The queues of mails: of invitations, and about accounts."""

from collections.abc import Callable, Sequence
from datetime import datetime
from email.message import EmailMessage
from functools import partial
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cus.account.L5_engines.email_changes import issue_email_token
from hoc.cus.account.L5_engines.invitation_mail import issue_token
from hoc.cus.account.L5_schemas.port_types import DueAccountMail, DueMail, InvitationMailContent
from hoc.cus.account.L6_drivers.email_changes import SqlAccountMail, SqlEmailChanges
from hoc.cus.account.L6_drivers.invitation_mail import SqlInvitationMail
from hoc.mail.account_mail import EmailChangeMail, compose_confirmation, compose_notice
from hoc.mail.message import InvitationMail, compose, email_change_link, invitation_link


class QueuedMail(Protocol):
    """A mail claimed for sending. ``attempts`` includes this one; ``about`` names its subject in a log."""

    @property
    def mail_id(self) -> str: ...

    @property
    def attempts(self) -> int: ...

    @property
    def about(self) -> str: ...


class MailQueue(Protocol):
    async def claim(
        self, session: AsyncConnection, *, now: datetime, lease_until: datetime, batch: int
    ) -> Sequence[QueuedMail]:
        """Claim due mails that no other courier is claiming. They are due again at ``lease_until``."""
        ...

    async def compose(
        self, session: AsyncConnection, mail: QueuedMail, *, now: datetime
    ) -> Callable[[], EmailMessage] | None:
        """What makes the message, from outside of the transaction. None: there is nothing to send any more.

        It raises MailRejectedError when mail cannot be sent to the address.
        """
        ...

    async def postpone(self, session: AsyncConnection, mail_id: str, due_at: datetime) -> None: ...

    async def finish(self, session: AsyncConnection, mail_id: str) -> None: ...


class InvitationQueue:
    """Mails of invitations. ``public_url`` is the base of their links."""

    def __init__(self, *, mail_from: str, public_url: str) -> None:
        self._mail_from = mail_from
        self._public_url = public_url
        self._mails = SqlInvitationMail()
        self.claim = self._mails.claim
        self.postpone = self._mails.postpone
        self.finish = self._mails.finish

    async def compose(
        self, session: AsyncConnection, mail: QueuedMail, *, now: datetime
    ) -> Callable[[], EmailMessage] | None:
        assert isinstance(mail, DueMail)  # noqa: S101 - from this queue
        issued = await issue_token(self._mails, session, mail.tenant_id, mail.invitation_id, now=now)
        return None if issued is None else partial(compose, self._mail(*issued), self._mail_from)

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


class AccountMailQueue:
    """Mails that confirm the change of an address, and notices to the address that was replaced."""

    def __init__(self, *, mail_from: str, public_url: str) -> None:
        self._mail_from = mail_from
        self._public_url = public_url
        self._changes = SqlEmailChanges()
        mails = SqlAccountMail()
        self.claim = mails.claim
        self.postpone = mails.postpone
        self.finish = mails.finish

    async def compose(
        self, session: AsyncConnection, mail: QueuedMail, *, now: datetime
    ) -> Callable[[], EmailMessage] | None:
        assert isinstance(mail, DueAccountMail)  # noqa: S101 - from this queue
        if mail.notice_to is not None:
            return partial(compose_notice, mail.notice_to, mail.mail_id, self._mail_from)
        issued = await issue_email_token(self._changes, session, mail.user_id, now=now)
        if issued is None:
            return None
        change, token = issued
        link = email_change_link(self._public_url, token)
        return partial(
            compose_confirmation,
            EmailChangeMail(change.email, token, link, change.expires_at),
            self._mail_from,
        )

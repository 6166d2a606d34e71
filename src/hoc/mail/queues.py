"""The queues of mails: of invitations, about accounts, about support tickets, and about domains."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from hoc.cus.account.L5_engines.email_changes import issue_email_token
from hoc.cus.account.L5_engines.invitation_mail import issue_token
from hoc.cus.account.L5_engines.link_patterns import filled
from hoc.cus.account.L5_schemas.domains import DueDomainMail
from hoc.cus.account.L5_schemas.port_types import DueAccountMail, DueMail, InvitationMailContent
from hoc.cus.account.L5_schemas.tickets import DueTicketMail
from hoc.cus.account.L5_schemas.webhooks import DueWebhookMail
from hoc.cus.account.L6_drivers.domain_mail import SqlDomainMail
from hoc.cus.account.L6_drivers.email_changes import SqlAccountMail, SqlEmailChanges
from hoc.cus.account.L6_drivers.invitation_mail import SqlInvitationMail
from hoc.cus.account.L6_drivers.ticket_mail import SqlTicketMail
from hoc.cus.account.L6_drivers.webhook_mail import SqlWebhookMail
from hoc.mail.account_mail import EmailChangeMail, compose_confirmation, compose_notice
from hoc.mail.domain_mail import compose_domain_mail
from hoc.mail.message import InvitationMail, compose_invitation
from hoc.mail.ticket_mail import compose_ticket_mail
from hoc.mail.webhook_mail import compose_webhook_mail

if TYPE_CHECKING:
    from hoc.mail.templating import MailTemplates

NOTICE_ATTEMPTS: Final = 500
"""About five days (RFC 5321, 4.5.4.1). Other mails are dropped when their link has expired."""


class QueuedMail(Protocol):
    """A mail claimed for sending. ``attempts`` includes this one; ``about`` names its subject in a log."""

    @property
    def mail_id(self) -> str: ...

    @property
    def attempts(self) -> int: ...

    @property
    def about(self) -> str: ...


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

    def __init__(self, mail_from: str, link: str, templates: "MailTemplates") -> None:
        self._mail_from = mail_from
        self._link = link
        self._templates = templates
        self.mails = SqlInvitationMail()

    async def compose(
        self, session: AsyncConnection, mail: DueMail, *, now: datetime
    ) -> Callable[[], EmailMessage] | None:
        issued = await issue_token(self.mails, session, mail.tenant_id, mail.invitation_id, now=now)
        if issued is None:
            return None
        return partial(compose_invitation, self._mail(*issued), self._mail_from, self._templates)

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

    def __init__(self, mail_from: str, link: str, templates: "MailTemplates") -> None:
        self._mail_from = mail_from
        self._link = link
        self._templates = templates
        self._changes = SqlEmailChanges()
        self.mails = SqlAccountMail()

    async def compose(
        self, session: AsyncConnection, mail: DueAccountMail, *, now: datetime
    ) -> Callable[[], EmailMessage] | None:
        if mail.notice_to is not None:
            if mail.attempts > NOTICE_ATTEMPTS:
                return None
            return partial(
                compose_notice, mail.notice_to, mail.locale, mail.mail_id, self._mail_from, self._templates
            )
        issued = await issue_email_token(self._changes, session, mail.user_id, now=now)
        if issued is None:
            return None
        change, token = issued
        link = filled(self._link, token=token)
        return partial(
            compose_confirmation,
            EmailChangeMail(change.email, token, link, change.expires_at, mail.locale),
            self._mail_from,
            self._templates,
        )


class TicketMailQueue:
    """Mails that tell of support's answers to tickets. ``link`` is the pattern of the links to them."""

    def __init__(self, mail_from: str, link: str, templates: "MailTemplates") -> None:
        self._mail_from = mail_from
        self._link = link
        self._templates = templates
        self.mails = SqlTicketMail()

    async def compose(
        self,
        session: AsyncConnection,
        mail: DueTicketMail,
        *,
        now: datetime,  # noqa: ARG002 - of the protocol
    ) -> Callable[[], EmailMessage] | None:
        if mail.attempts > NOTICE_ATTEMPTS:
            return None
        content = await self.mails.content(session, mail)
        if content is None:
            return None
        link = filled(self._link, tenant_id=mail.tenant_id, ticket_id=mail.ticket_id)
        return partial(compose_ticket_mail, content, link, mail.mail_id, self._mail_from, self._templates)


class DomainMailQueue:
    """Mails that tell owners of a domain's trouble. ``grace`` is how long its record may be missing."""

    def __init__(self, mail_from: str, grace: timedelta, templates: "MailTemplates") -> None:
        self._mail_from = mail_from
        self._grace = grace
        self._templates = templates
        self.mails = SqlDomainMail()

    async def compose(
        self,
        session: AsyncConnection,
        mail: DueDomainMail,
        *,
        now: datetime,  # noqa: ARG002 - of the protocol
    ) -> Callable[[], EmailMessage] | None:
        if mail.attempts > NOTICE_ATTEMPTS:
            return None
        content = await self.mails.content(session, mail)
        if content is None:
            return None
        lost_at = None if content.failing_since is None else content.failing_since + self._grace
        return partial(compose_domain_mail, content, lost_at, mail.mail_id, self._mail_from, self._templates)


class WebhookMailQueue:
    """Mails that tell owners that a webhook endpoint is disabled."""

    def __init__(self, mail_from: str, templates: "MailTemplates") -> None:
        self._mail_from = mail_from
        self._templates = templates
        self.mails = SqlWebhookMail()

    async def compose(
        self,
        session: AsyncConnection,
        mail: DueWebhookMail,
        *,
        now: datetime,  # noqa: ARG002 - of the protocol
    ) -> Callable[[], EmailMessage] | None:
        if mail.attempts > NOTICE_ATTEMPTS:
            return None
        content = await self.mails.content(session, mail)
        if content is None:
            return None
        return partial(compose_webhook_mail, content, mail.mail_id, self._mail_from, self._templates)

"""The mails about support's answer to a ticket, a domain's trouble and a disabled webhook endpoint."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

from hoc.cus.account.L5_engines.link_patterns import filled
from hoc.cus.account.L5_schemas.mails import QueuedMail
from hoc.mail.message import fingerprint_of, shown_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime, timedelta
    from email.message import EmailMessage

    from sqlalchemy.ext.asyncio import AsyncConnection

    from hoc.cus.account.L5_schemas.domains import DomainMailContent, DueDomainMail
    from hoc.cus.account.L5_schemas.tickets import DueTicketMail, TicketMailContent
    from hoc.cus.account.L5_schemas.webhooks import DueWebhookMail, WebhookMailContent
    from hoc.mail.message import MailWriter
    from hoc.mail.queues import QueuedMails

NOTICE_ATTEMPTS: Final = 500
"""About five days (RFC 5321, 4.5.4.1). Other mails are dropped when their link has expired."""


class NoticeContent(Protocol):
    """To whom a notice goes, and in which language."""

    @property
    def email(self) -> str: ...

    @property
    def locale(self) -> str | None: ...


MailT = TypeVar("MailT", bound=QueuedMail)
ContentT = TypeVar("ContentT", bound=NoticeContent)
Values: TypeAlias = "dict[str, Any]"


class NoticeQueue(Generic[MailT, ContentT]):
    """Mails of one kind of template.

    ``read`` reads what a mail says now, or None if there is nobody to tell. ``values`` makes the template's
    values of that.
    """

    def __init__(
        self,
        kind: str,
        mails: QueuedMails[MailT],
        read: Callable[[AsyncConnection, MailT], Awaitable[ContentT | None]],
        values: Callable[[MailT, ContentT], Values],
        writer: MailWriter,
    ) -> None:
        self.mails = mails
        self._kind = kind
        self._read = read
        self._values = values
        self._writer = writer

    async def compose(
        self,
        session: AsyncConnection,
        mail: MailT,
        *,
        now: datetime,  # noqa: ARG002 - of the protocol
    ) -> Callable[[], EmailMessage] | None:
        if mail.attempts > NOTICE_ATTEMPTS:
            return None
        content = await self._read(session, mail)
        return None if content is None else partial(self._write, mail, content)

    def _write(self, mail: MailT, content: ContentT) -> EmailMessage:
        return self._writer.write(
            self._kind,
            self._values(mail, content),
            to=content.email,
            locale=content.locale,
            fingerprint=fingerprint_of(mail.mail_id),
        )


def ticket_values(link: str, mail: DueTicketMail, content: TicketMailContent) -> Values:
    """The answer itself is not in the mail. ``link`` is the pattern of the links to tickets."""
    return {
        "ticket_subject": shown_name(content.subject),
        "tenant_name": shown_name(content.tenant_name),
        "is_resolved": content.is_resolved,
        "link": filled(link, tenant_id=mail.tenant_id, ticket_id=mail.ticket_id),
    }


def domain_values(grace: timedelta, _mail: DueDomainMail, content: DomainMailContent) -> Values:
    """``grace`` is how long a domain's record may be missing.

    The domain and its record are written as they are, so that they can be copied: an owner has claimed it.
    """
    return {
        "domain": content.domain,
        "tenant_name": shown_name(content.tenant_name),
        "record_name": content.record_name,
        "record_value": content.record_value,
        "lost_at": None if content.failing_since is None else content.failing_since + grace,
    }


def webhook_values(_mail: DueWebhookMail, content: WebhookMailContent) -> Values:
    """Of the URL, only the host is in the mail: the rest may be a secret."""
    return {
        "host": urlsplit(content.url).hostname or "",
        "tenant_name": shown_name(content.tenant_name),
        "reason": content.reason.value,
    }

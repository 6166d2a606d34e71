"""The mails about the change of an account's address: to confirm it, and to tell the old address."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from hoc.mail.message import add_link, envelope_for, set_texts

if TYPE_CHECKING:
    from datetime import datetime
    from email.message import EmailMessage

    from hoc.mail.templating import MailTemplates


@dataclass(frozen=True, slots=True)
class EmailChangeMail:
    """The content of a mail that asks for a confirmation. Its repr shows no personal data."""

    to: str = field(repr=False)
    token: str = field(repr=False)
    link: str = field(repr=False)
    expires_at: datetime
    """Timezone-aware."""
    locale: str | None
    """The account's, a BCP 47 tag."""


def compose_confirmation(mail: EmailChangeMail, sender: str, templates: MailTemplates) -> EmailMessage:
    """Build the mail to the new address. Raises as `envelope_for`."""
    texts = templates.render("confirmation", mail.locale, link=mail.link, expires_at=mail.expires_at)
    fingerprint = _fingerprint(mail.token)
    message = envelope_for(mail.to, sender, texts.subject, fingerprint)
    add_link(message, mail.link, mail.token)
    set_texts(message, texts, fingerprint)
    return message


def compose_notice(
    to: str, locale: str | None, mail_id: str, sender: str, templates: MailTemplates
) -> EmailMessage:
    """Build the mail to the replaced address, which does not name the new one. Raises as `envelope_for`."""
    texts = templates.render("notice", locale)
    fingerprint = _fingerprint(mail_id)
    message = envelope_for(to, sender, texts.subject, fingerprint)
    set_texts(message, texts, fingerprint)
    return message


def _fingerprint(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()[:32]

"""The mails about the change of an account's address: to confirm it, and to tell the old address."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from hashlib import sha256
from html import escape

from hoc.mail.message import EMAIL_CHANGE_HEADER, envelope_for, set_texts

_NOTICE = (
    "The e-mail address of your account has been changed, and this address no longer belongs to it.",
    "If you did not change it, tell the support of the service at once.",
)


@dataclass(frozen=True, slots=True)
class EmailChangeMail:
    """The content of a mail that asks for a confirmation. Its repr shows no personal data."""

    to: str = field(repr=False)
    token: str = field(repr=False)
    link: str = field(repr=False)
    expires_at: datetime
    """Timezone-aware."""


def compose_confirmation(mail: EmailChangeMail, sender: str) -> EmailMessage:
    """Build the mail to the new address. Raises as `envelope_for`."""
    fingerprint = sha256(mail.token.encode()).hexdigest()[:32]
    expiry = mail.expires_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    asked = "Somebody, probably you, wants to use this address for an account."
    notice = f"The link ends on {expiry}. If it was not you, ignore this mail, and nothing changes."
    message = envelope_for(mail.to, sender, "Confirm your e-mail address", fingerprint)
    message[EMAIL_CHANGE_HEADER] = "to confirm"
    set_texts(
        message,
        f"{asked}\n\nTo confirm that it is yours, open this link:\n\n{mail.link}\n\n{notice}\n",
        _page(
            f"<p>{asked}</p>",
            f'<p><a href="{escape(mail.link)}">Confirm this address</a></p>',
            f"<p>{notice}</p>",
        ),
        fingerprint,
    )
    return message


def compose_notice(to: str, mail_id: str, sender: str) -> EmailMessage:
    """Build the mail to the replaced address, which does not name the new one. Raises as `envelope_for`."""
    fingerprint = sha256(mail_id.encode()).hexdigest()[:32]
    message = envelope_for(to, sender, "Your e-mail address has been changed", fingerprint)
    set_texts(
        message, "\n\n".join(_NOTICE) + "\n", _page(*(f"<p>{part}</p>" for part in _NOTICE)), fingerprint
    )
    return message


def _page(*parts: str) -> str:
    return "\n".join(("<!doctype html>", '<html lang="en">', '<meta charset="utf-8">', *parts, "</html>", ""))

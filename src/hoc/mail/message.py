"""The invitation mail: its link, its text, and how to find the link in a mail."""

from __future__ import annotations

import hmac
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from hoc.cus.account.L5_engines.email_address import envelope
from hoc.mail.sender import MailRejectedError

INVITATION_HEADER: Final = "X-Hoc-Invitation-Id"
EMAIL_CHANGE_HEADER: Final = "X-Hoc-Email-Change"
MAX_NAME_LENGTH: Final = 80

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, bidi overrides, lone surrogates, …
_JOINERS: Final = "\u200c\u200d"  # invisible too, but words (Persian, Hindi) and emoji are spelt with them
# In `evil.example`, `https://…`, `mailto:…` and `ada@…`, also full-width: mail programs make links of those.
_LINKING: Final = re.compile(
    r"(?<=\S)[.:@\N{ONE DOT LEADER}\N{IDEOGRAPHIC FULL STOP}\N{SMALL FULL STOP}\N{FULLWIDTH FULL STOP}"
    r"\N{HALFWIDTH IDEOGRAPHIC FULL STOP}\N{SMALL COLON}\N{FULLWIDTH COLON}\N{SMALL COMMERCIAL AT}"
    r"\N{FULLWIDTH COMMERCIAL AT}](?=\S)"
)
_NAME_AND_ADDRESS: Final = re.compile(r'"?(?P<name>[^"<>]*?)"?\s*<(?P<address>[^<>]*)>')


@dataclass(frozen=True, slots=True)
class InvitationMail:
    """The content of one invitation mail. Its repr shows no personal data."""

    to: str = field(repr=False)
    tenant_name: str = field(repr=False)
    inviter_name: str | None = field(repr=False)
    role: str
    invitation_id: str
    token: str = field(repr=False)
    link: str = field(repr=False)
    expires_at: datetime
    """Timezone-aware."""


def invitation_link(public_url: str, invitation_id: str, token: str) -> str:
    """Return the link that accepts an invitation.

    ``public_url`` is configuration (HOC_PUBLIC_URL), never a request's Host header. The token is the
    fragment, which browsers do not send, so that it reaches no access log and no Referer. Raises ValueError
    if ``public_url`` is not an absolute http(s) URL without query and fragment.
    """
    path = f"/invitations/{quote(invitation_id, safe='')}#token={quote(token, safe='')}"
    return _checked_base(public_url) + path


def _checked_base(public_url: str) -> str:
    parts = urlsplit(public_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(
            "HOC_PUBLIC_URL must be an absolute http(s) URL without query and fragment,"
            f" such as https://app.example.com; it is {public_url!r}"
        )
    return public_url.rstrip("/")


def email_change_link(public_url: str, token: str) -> str:
    """Return the link that confirms the change of an address. Raises ValueError as `invitation_link`."""
    return f"{_checked_base(public_url)}/email-changes#token={quote(token, safe='')}"


def compose(mail: InvitationMail, sender: str) -> EmailMessage:
    """Build the mail, as plain text with an HTML alternative. Raises as `envelope_for`."""
    message = envelope_for(mail.to, sender, f"You are invited to {_tenant(mail)}", _fingerprint(mail))
    message[INVITATION_HEADER] = _header_text(_clean(mail.invitation_id))
    set_texts(message, _text(mail), _html(mail), _fingerprint(mail))
    return message


def envelope_for(to: str, sender: str, subject: str, fingerprint: str) -> EmailMessage:
    """A message without content. The Message-ID is derived from the fingerprint.

    ``sender`` is an address or `Name <address>` (HOC_MAIL_FROM), and becomes the envelope sender too. A
    repeated delivery with one token has one Message-ID. Raises MailRejectedError if mail cannot be sent to
    ``to``, ValueError if ``sender`` is invalid.
    """
    from_address = parse_sender(sender)
    try:
        to_address = _address(to)
    except ValueError:
        raise MailRejectedError("mail cannot be sent to the recipient's address") from None
    internationalized = not f"{from_address.addr_spec}{to_address.addr_spec}".isascii()
    message = EmailMessage(policy=policy.SMTPUTF8 if internationalized else policy.SMTP)
    message["From"] = from_address
    message["To"] = to_address
    message["Subject"] = _header_text(subject)
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{fingerprint}@{from_address.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: asks for no out-of-office replies
    return message


def set_texts(message: EmailMessage, text: str, html: str, fingerprint: str) -> None:
    # Quoted-printable passes every server unchanged. A server without 8BITMIME would re-encode 8bit.
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    message.set_boundary(f"=_{fingerprint}")  # `=_` never occurs in quoted-printable (RFC 2045, 6.7)


def parse_sender(sender: str) -> Address:
    """Parse `address` or `Name <address>`, the forms of HOC_MAIL_FROM. Raises ValueError for any other."""
    named = _NAME_AND_ADDRESS.fullmatch(sender.strip())
    try:
        parsed = _address(named["address"] if named else sender.strip())
    except ValueError as error:
        raise ValueError(f"HOC_MAIL_FROM must be an address or `Name <address>`: {error}") from None
    return Address(_header_text(_clean(named["name"])) if named else "", parsed.username, parsed.domain)


def link_in(message: EmailMessage) -> str | None:
    """Return the link of a mail that hoc built, None if it has no link or another program built it."""
    body = message.get_body(("plain",))
    if INVITATION_HEADER in message:
        path = f"/invitations/{quote(str(message[INVITATION_HEADER]), safe='')}"
    elif EMAIL_CHANGE_HEADER in message:
        path = "/email-changes"
    else:
        return None
    if body is None:
        return None
    # The link is a line by itself. A name that looks like a link is always inside a sentence.
    link = re.compile(rf"https?://\S+{re.escape(path)}#token=\S+")
    return next(filter(link.fullmatch, str(body.get_content()).splitlines()), None)


def token_in(link: str) -> str:
    """Return the token of a link built by `invitation_link` or `email_change_link`."""
    return unquote(link.partition("#token=")[2])


def _address(text: str) -> Address:
    """Parse an address. Raises ValueError, as `envelope`."""
    local, domain = envelope(text)
    return Address(username=local, domain=domain)


def _clean(text: str) -> str:
    """Reduce a user's text to one bounded line of visible characters."""
    visible = "".join(
        " " if unicodedata.category(char) in _INVISIBLE and char not in _JOINERS else char for char in text
    )
    line = " ".join(visible.split())
    return line if len(line) <= MAX_NAME_LENGTH else f"{line[: MAX_NAME_LENGTH - 1].rstrip()}…"


def _name(text: str) -> str:
    """A person's or tenant's name as one line in which no mail program finds a link.

    A space follows each dot, colon and at sign inside a word. Names such as `Node.js` are not refused: they
    stay readable as `Node. js`.
    """
    return _clean(_LINKING.sub(r"\g<0> ", text))


def _header_text(line: str) -> str:
    """Keep the email package from decoding an encoded word (RFC 2047), which may contain CRLF."""
    return line.replace("=?", "= ?")


def _tenant(mail: InvitationMail) -> str:
    return _name(mail.tenant_name) or "a team"


def _fingerprint(mail: InvitationMail) -> str:
    return hmac.new(mail.token.encode(), mail.invitation_id.encode(), "sha256").hexdigest()[:32]


def _sentences(mail: InvitationMail) -> tuple[str, str]:
    inviter = _name(mail.inviter_name or "")
    invited = f"{inviter} has invited you" if inviter else "You have been invited"
    expiry = mail.expires_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    invitation = f"{invited} to join {_tenant(mail)} as {_clean(mail.role)}."
    notice = f"It is for this address only and ends on {expiry}. If you did not expect it, ignore this mail."
    return invitation, notice


def _text(mail: InvitationMail) -> str:
    invitation, notice = _sentences(mail)
    return f"{invitation}\n\nTo accept, open this link:\n\n{mail.link}\n\n{notice}\n"


def _html(mail: InvitationMail) -> str:
    invitation, notice = _sentences(mail)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<p>{escape(invitation)}</p>\n"
        f'<p><a href="{escape(mail.link)}">Accept the invitation</a></p>\n'
        f"<p>{escape(notice)}</p>\n</html>\n"
    )

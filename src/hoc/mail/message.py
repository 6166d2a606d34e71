"""What all mails have, and how to find the link in a mail."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from hoc.cus.account.L5_engines.email_address import envelope
from hoc.mail.sender import MailRejectedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hoc.mail.templating import MailTemplates

LINK_HEADER: Final = "X-Hoc-Link"
MAX_NAME_LENGTH: Final = 80
FINGERPRINT_LENGTH: Final = 32

_PLACE: Final = "{token}"
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
class MailWriter:
    """Writes mails from ``sender``, which is an address or `Name <address>` (HOC_MAIL_FROM)."""

    sender: str
    templates: MailTemplates

    def write(
        self,
        kind: str,
        values: Mapping[str, object],
        *,
        to: str,
        locale: str | None,
        fingerprint: str,
        headers: Mapping[str, str] | None = None,
    ) -> EmailMessage:
        """A mail of a kind of template, as plain text with an HTML alternative. Raises as `envelope_for`."""
        texts = self.templates.render(kind, locale, **values)
        message = envelope_for(to, self.sender, texts.subject, fingerprint)
        for name, value in (headers or {}).items():
            message[name] = value
        # Quoted-printable passes every server unchanged. A server without 8BITMIME would re-encode 8bit.
        message.set_content(texts.text, cte="quoted-printable")
        message.add_alternative(texts.html, subtype="html", cte="quoted-printable")
        message.set_boundary(f"=_{fingerprint}")  # `=_` never occurs in quoted-printable (RFC 2045, 6.7)
        return message


def fingerprint_of(own: str) -> str:
    """The fingerprint of the mail that alone has ``own``, a token or the mail's id."""
    return sha256(own.encode()).hexdigest()[:FINGERPRINT_LENGTH]


def envelope_for(to: str, sender: str, subject: str, fingerprint: str) -> EmailMessage:
    """A message without content. The Message-ID is derived from the fingerprint.

    ``sender`` becomes the envelope sender too. A repeated delivery with one token has one Message-ID.
    Raises MailRejectedError if mail cannot be sent to ``to``, ValueError if ``sender`` is invalid.
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
    message["Subject"] = header_text(subject)
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{fingerprint}@{from_address.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: asks for no out-of-office replies
    return message


def link_header(link: str, token: str) -> dict[str, str]:
    """What `link_in` finds the link by. It has no token, because mail servers log headers."""
    return {LINK_HEADER: link.replace(quote(token, safe=""), _PLACE)}


def parse_sender(sender: str) -> Address:
    """Parse `address` or `Name <address>`, the forms of HOC_MAIL_FROM. Raises ValueError for any other."""
    named = _NAME_AND_ADDRESS.fullmatch(sender.strip())
    try:
        parsed = _address(named["address"] if named else sender.strip())
    except ValueError as error:
        raise ValueError(f"HOC_MAIL_FROM must be an address or `Name <address>`: {error}") from None
    return Address(header_text(clean(named["name"])) if named else "", parsed.username, parsed.domain)


def link_in(message: EmailMessage) -> tuple[str, str] | None:
    """Return the link of a mail that hoc built, and its token. None: it has no link, or is not hoc's."""
    body = message.get_body(("plain",))
    if body is None or LINK_HEADER not in message:
        return None
    # The link is a line by itself. A name that looks like a link is always inside a sentence.
    before, _, after = str(message[LINK_HEADER]).partition(_PLACE)
    link = re.compile(rf"{re.escape(before)}(\S+){re.escape(after)}")
    found = next(filter(None, map(link.fullmatch, str(body.get_content()).splitlines())), None)
    return None if found is None else (found[0], unquote(found[1]))


def _address(text: str) -> Address:
    """Parse an address. Raises ValueError, as `envelope`."""
    local, domain = envelope(text)
    return Address(username=local, domain=domain)


def clean(text: str) -> str:
    """Reduce a user's text to one bounded line of visible characters."""
    visible = "".join(
        " " if unicodedata.category(char) in _INVISIBLE and char not in _JOINERS else char for char in text
    )
    line = " ".join(visible.split())
    return line if len(line) <= MAX_NAME_LENGTH else f"{line[: MAX_NAME_LENGTH - 1].rstrip()}…"


def shown_name(text: str) -> str:
    """A person's or tenant's name as one line in which no mail program finds a link.

    A space follows each dot, colon and at sign inside a word. Names such as `Node.js` are not refused: they
    stay readable as `Node. js`.
    """
    return clean(_LINKING.sub(r"\g<0> ", text))


def header_text(line: str) -> str:
    """Keep the email package from decoding an encoded word (RFC 2047), which may contain CRLF."""
    return line.replace("=?", "= ?")

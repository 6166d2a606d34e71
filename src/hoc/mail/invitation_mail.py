"""The mail of an invitation."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hoc.mail.message import FINGERPRINT_LENGTH, clean, header_text, link_header, shown_name

if TYPE_CHECKING:
    from datetime import datetime
    from email.message import EmailMessage

    from hoc.mail.message import MailWriter

INVITATION_HEADER: Final = "X-Hoc-Invitation-Id"


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
    locale: str | None = field(default=None, repr=False)
    """The recipient's, a BCP 47 tag."""


def compose_invitation(mail: InvitationMail, writer: MailWriter) -> EmailMessage:
    """Build the mail. Raises as `envelope_for`."""
    invitation_id = header_text(clean(mail.invitation_id))
    return writer.write(
        "invitation",
        {
            "tenant_name": shown_name(mail.tenant_name),
            "inviter_name": shown_name(mail.inviter_name or ""),
            "role": clean(mail.role),
            "link": mail.link,
            "expires_at": mail.expires_at,
        },
        to=mail.to,
        locale=mail.locale,
        fingerprint=_fingerprint(mail),
        headers={INVITATION_HEADER: invitation_id} | link_header(mail.link, mail.token),
    )


def _fingerprint(mail: InvitationMail) -> str:
    digest = hmac.new(mail.token.encode(), mail.invitation_id.encode(), "sha256").hexdigest()
    return digest[:FINGERPRINT_LENGTH]

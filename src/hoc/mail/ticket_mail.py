"""The mail that tells the member who opened a support ticket of support's answer."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from hoc.mail.message import envelope_for, set_texts, shown_name

if TYPE_CHECKING:
    from email.message import EmailMessage

    from hoc.cus.account.L5_schemas.tickets import TicketMailContent
    from hoc.mail.templating import MailTemplates


def compose_ticket_mail(
    content: TicketMailContent, link: str, mail_id: str, sender: str, templates: MailTemplates
) -> EmailMessage:
    """Build the mail, which does not have the answer itself. Raises as `envelope_for`."""
    texts = templates.render(
        "ticket",
        content.locale,
        ticket_subject=shown_name(content.subject),
        tenant_name=shown_name(content.tenant_name),
        is_resolved=content.is_resolved,
        link=link,
    )
    fingerprint = sha256(mail_id.encode()).hexdigest()[:32]
    message = envelope_for(content.email, sender, texts.subject, fingerprint)
    set_texts(message, texts, fingerprint)
    return message

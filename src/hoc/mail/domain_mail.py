"""The mails that tell an owner that a domain's record is missing, and that the domain is lost."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from hoc.mail.message import envelope_for, set_texts, shown_name

if TYPE_CHECKING:
    from datetime import datetime
    from email.message import EmailMessage

    from hoc.cus.account.L5_schemas.domains import DomainMailContent
    from hoc.mail.templating import MailTemplates


def compose_domain_mail(
    content: DomainMailContent,
    lost_at: datetime | None,
    mail_id: str,
    sender: str,
    templates: MailTemplates,
) -> EmailMessage:
    """Build the mail. ``lost_at`` is None once the domain is lost. Raises as `envelope_for`.

    The domain and its record are written as they are, so that they can be copied: an owner has claimed it.
    """
    texts = templates.render(
        "domain",
        content.locale,
        domain=content.domain,
        tenant_name=shown_name(content.tenant_name),
        record_name=content.record_name,
        record_value=content.record_value,
        lost_at=lost_at,
    )
    fingerprint = sha256(mail_id.encode()).hexdigest()[:32]
    message = envelope_for(content.email, sender, texts.subject, fingerprint)
    set_texts(message, texts, fingerprint)
    return message

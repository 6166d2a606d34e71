"""The mail that tells an owner that a webhook endpoint is disabled."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hoc.mail.message import envelope_for, set_texts, shown_name

if TYPE_CHECKING:
    from email.message import EmailMessage

    from hoc.cus.account.L5_schemas.webhooks import WebhookMailContent
    from hoc.mail.templating import MailTemplates


def compose_webhook_mail(
    content: WebhookMailContent, mail_id: str, sender: str, templates: MailTemplates
) -> EmailMessage:
    """Build the mail. Raises as `envelope_for`.

    Of the URL, only the host is in it: the rest may be a secret.
    """
    texts = templates.render(
        "webhook",
        content.locale,
        host=urlsplit(content.url).hostname or "",
        tenant_name=shown_name(content.tenant_name),
        reason=content.reason.value,
    )
    fingerprint = sha256(mail_id.encode()).hexdigest()[:32]
    message = envelope_for(content.email, sender, texts.subject, fingerprint)
    set_texts(message, texts, fingerprint)
    return message

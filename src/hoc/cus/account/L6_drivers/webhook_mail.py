"""The courier's queue of mails that tell owners of a disabled webhook endpoint."""

from sqlalchemy import select

from hoc.cus.account.L5_schemas.values import WebhookDisabled
from hoc.cus.account.L5_schemas.webhooks import DueWebhookMail, WebhookMailContent
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_one
from hoc.cus.account.L6_drivers.mailed_owners import owner_of
from hoc.cus.account.L6_drivers.queued_mails import SqlQueuedMails
from hoc.cus.account.L6_drivers.tables import webhook_endpoints, webhook_mails
from hoc.cus.account.L6_drivers.webhooks import THIS_ENDPOINT

ENDPOINT_NOW = select(webhook_endpoints.c.url, webhook_endpoints.c.disabled_reason).where(THIS_ENDPOINT)

WEBHOOK_MAILS = SqlQueuedMails(webhook_mails, DueWebhookMail)


async def webhook_mail_content(session: SqlSession, mail: DueWebhookMail) -> WebhookMailContent | None:
    """What the mail says now. None: there is nobody to tell, or the endpoint is enabled again."""
    endpoint = await fetch_one(session, ENDPOINT_NOW, tenant_id=mail.tenant_id, endpoint_id=mail.endpoint_id)
    if endpoint is None or endpoint.disabled_reason in {None, WebhookDisabled.REQUESTED}:
        return None
    recipient = await owner_of(session, mail.tenant_id, mail.user_id)
    if recipient is None:
        return None
    return WebhookMailContent(
        email=recipient.email,
        tenant_name=recipient.tenant_name,
        url=endpoint.url,
        reason=WebhookDisabled(endpoint.disabled_reason),
        locale=recipient.locale,
    )

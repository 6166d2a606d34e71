"""The courier's queue of mails that tell owners of a disabled webhook endpoint."""

from datetime import datetime

from sqlalchemy import select

from hoc.cus.account.L5_schemas.values import WebhookDisabled
from hoc.cus.account.L5_schemas.webhooks import DueWebhookMail, WebhookMailContent
from hoc.cus.account.L6_drivers import queued_mails
from hoc.cus.account.L6_drivers.domain_mail import RECIPIENT
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, fetch_one
from hoc.cus.account.L6_drivers.tables import webhook_endpoints, webhook_mails
from hoc.cus.account.L6_drivers.webhooks import THIS_ENDPOINT

ENDPOINT_NOW = select(webhook_endpoints.c.url, webhook_endpoints.c.disabled_reason).where(THIS_ENDPOINT)

CLAIM = queued_mails.claim(webhook_mails).returning(
    webhook_mails.c.mail_id,
    webhook_mails.c.tenant_id,
    webhook_mails.c.endpoint_id,
    webhook_mails.c.user_id,
    webhook_mails.c.attempts,
)
POSTPONE = queued_mails.postpone(webhook_mails)
FINISH = queued_mails.remove(webhook_mails)


class SqlWebhookMail:
    async def content(self, session: SqlSession, mail: DueWebhookMail) -> WebhookMailContent | None:
        """What the mail says now. None: there is nobody to tell, or the endpoint is enabled again."""
        endpoint = await fetch_one(
            session, ENDPOINT_NOW, tenant_id=mail.tenant_id, endpoint_id=mail.endpoint_id
        )
        if endpoint is None or endpoint.disabled_reason in {None, WebhookDisabled.REQUESTED}:
            return None
        recipient = await fetch_one(session, RECIPIENT, tenant_id=mail.tenant_id, user_id=mail.user_id)
        if recipient is None:
            return None
        return WebhookMailContent(
            email=recipient.email,
            tenant_name=recipient.tenant_name,
            url=endpoint.url,
            reason=WebhookDisabled(endpoint.disabled_reason),
            locale=recipient.locale,
        )

    async def claim(
        self, session: SqlSession, *, now: datetime, lease_until: datetime, batch: int
    ) -> list[DueWebhookMail]:
        """Claim due mails that no other courier is claiming. They are due again at ``lease_until``."""
        rows = await fetch_all(session, CLAIM, now=now, due_at=lease_until, batch=batch)
        return [DueWebhookMail(*row) for row in rows]

    async def postpone(
        self, session: SqlSession, mail: DueWebhookMail, due_at: datetime, _now: datetime
    ) -> None:
        await fetch_one(session, POSTPONE, mail_id=mail.mail_id, due_at=due_at)

    async def finish(self, session: SqlSession, mail: DueWebhookMail, _now: datetime) -> None:
        await fetch_one(session, FINISH, mail_id=mail.mail_id)

    async def fail(self, session: SqlSession, mail: DueWebhookMail, _reason: str, now: datetime) -> None:
        await self.finish(session, mail, now)

    async def drop(self, session: SqlSession, mail: DueWebhookMail, now: datetime) -> None:
        await self.finish(session, mail, now)

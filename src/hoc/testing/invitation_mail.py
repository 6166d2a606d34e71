"""The content of an invitation's mail, its token, and what becomes of it."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.events import (
    EventData,
    InvitationDeliveryFailedEventData,
    InvitationMailDelayedEventData,
    InvitationMailSentEventData,
)
from hoc.cus.account.L5_schemas.mails import InvitationMailContent
from hoc.cus.account.L5_schemas.values import InvitationStatus, MailDelivery
from hoc.testing.database import MemorySession
from hoc.testing.rows import InvitationRow, combine
from hoc.testing.store import MemoryStore


class MemoryInvitationMail(MemoryStore):
    async def issue_token(
        self,
        session: MemorySession,
        tenant_id: str,
        invitation_id: str,
        *,
        token_hash: bytes,
        now: datetime,
    ) -> InvitationMailContent | None:
        tables = await self.write(session)
        row = tables.invitations.get((tenant_id, invitation_id))
        if row is None or row.status != InvitationStatus.PENDING or row.expires_at <= now:
            return None
        if row.delivery is None:
            return None
        tables.invitations[tenant_id, invitation_id] = replace(row, token_hash=token_hash)
        inviter, invited = tables.users.get(row.invited_by), tables.account_by_email(row.email_key)
        return InvitationMailContent(
            tenant_id=tenant_id,
            invitation_id=invitation_id,
            email=row.email,
            role=row.role,
            tenant_name=tables.tenants[tenant_id].name,
            inviter_name=None if inviter is None else inviter.name,
            expires_at=row.expires_at,
            locale=None if invited is None else invited.locale,
        )

    async def settle(
        self,
        session: MemorySession,
        tenant_id: str,
        invitation_id: str,
        delivery: MailDelivery,
        *,
        reason: str | None,
        now: datetime,
    ) -> bool:
        """Say what became of the mail of an invitation. False: no mail of it is queued."""
        tables = await self.write(session)
        row = tables.invitations.get((tenant_id, invitation_id))
        if row is None or row.delivery not in {MailDelivery.QUEUED, MailDelivery.DELAYED}:
            return False
        tables.invitations[tenant_id, invitation_id] = replace(row, delivery=delivery, delivery_error=reason)
        if delivery != row.delivery:
            tables.record(_event(row, delivery, reason, now), actor=None, at=now)
        return True


def _event(row: InvitationRow, delivery: MailDelivery, reason: str | None, now: datetime) -> EventData:
    if delivery is MailDelivery.SENT:
        return combine(InvitationMailSentEventData, row, sent_at=now)
    if delivery is MailDelivery.DELAYED:
        return combine(InvitationMailDelayedEventData, row, delayed_at=now)
    return combine(InvitationDeliveryFailedEventData, row, reason=reason, failed_at=now)

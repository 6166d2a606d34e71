"""The content of an invitation's mail, and its token."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.port_types import InvitationMailContent
from hoc.cus.account.L5_schemas.values import InvitationStatus
from hoc.testing.database import MemorySession
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
        tables.invitations[tenant_id, invitation_id] = replace(row, token_hash=token_hash)
        inviter = tables.users.get(row.invited_by)
        return InvitationMailContent(
            tenant_id=tenant_id,
            invitation_id=invitation_id,
            email=row.email,
            role=row.role,
            tenant_name=tables.tenants[tenant_id].name,
            inviter_name=None if inviter is None else inviter.name,
            expires_at=row.expires_at,
        )

"""What an invitation's mail says, read as its token is drawn."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.records import InvitationLetter
from hoc.cus.account.L5_schemas.values import InvitationStatus
from hoc.testing.database import MemorySession
from hoc.testing.store import MemoryStore


class MemoryLetters(MemoryStore):
    async def draw(
        self,
        session: MemorySession,
        tenant_id: str,
        invitation_id: str,
        *,
        token_hash: bytes,
        now: datetime,
    ) -> InvitationLetter | None:
        tables = await self.write(session)
        row = tables.invitations.get((tenant_id, invitation_id))
        if row is None or row.status != InvitationStatus.PENDING or row.expires_at <= now:
            return None
        tables.invitations[tenant_id, invitation_id] = replace(row, token_hash=token_hash)
        inviter = tables.users.get(row.invited_by)
        return InvitationLetter(
            tenant_id=tenant_id,
            invitation_id=invitation_id,
            email=row.email,
            role=row.role,
            tenant_name=tables.tenants[tenant_id].name,
            inviter_name=None if inviter is None else inviter.name,
            expires_at=row.expires_at,
        )

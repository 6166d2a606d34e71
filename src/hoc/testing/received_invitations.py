"""Invitations as the invited person sees them."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.events import InvitationDeclinedEventData
from hoc.cus.account.L5_schemas.port_types import LinkedInvitation, Slice, SortKey, Window
from hoc.cus.account.L5_schemas.results import InvitationPreviewResult, ReceivedInvitationResult
from hoc.cus.account.L5_schemas.values import InvitationStatus, TenantStatus
from hoc.testing.database import MemorySession
from hoc.testing.invitation_sending import has_expired
from hoc.testing.rows import InvitationRow, combine
from hoc.testing.store import MemoryStore, slice_of
from hoc.testing.tables import Tables


class MemoryReceivedInvitations(MemoryStore):
    async def find(
        self, session: MemorySession, tenant_id: str, invitation_id: str
    ) -> LinkedInvitation | None:
        tables = self.read(session)
        row = tables.invitations.get((tenant_id, invitation_id))
        if row is None:
            return None
        preview = combine(InvitationPreviewResult, row, **_names(tables, row))
        return combine(LinkedInvitation, row, preview=preview, tenant_status=tables.tenants[tenant_id].status)

    async def decline(
        self, session: MemorySession, tenant_id: str, invitation_id: str, now: datetime, *, actor: str
    ) -> None:
        tables = await self.write(session)
        row = tables.invitations[tenant_id, invitation_id]
        tables.invitations[tenant_id, invitation_id] = replace(row, status=InvitationStatus.DECLINED)
        event = InvitationDeclinedEventData(tenant_id, invitation_id, row.email, row.role, declined_at=now)
        tables.record(event, actor=actor, at=now)

    async def page(
        self, session: MemorySession, user_id: str, window: Window, *, now: datetime
    ) -> Slice[ReceivedInvitationResult]:
        tables = self.read(session)
        user = tables.account(user_id)
        address = user.email_key if user is not None and user.is_active and user.email_verified else None
        return slice_of(
            (
                (SortKey(row.created_at, row.invitation_id), _result(tables, row))
                for row in tables.invitations.values()
                if row.email_key == address
                and row.status == InvitationStatus.PENDING
                and not has_expired(row, now)
                and tables.tenants[row.tenant_id].status is TenantStatus.ACTIVE
            ),
            window,
            newest_first=True,
        )


def _result(tables: Tables, row: InvitationRow) -> ReceivedInvitationResult:
    return combine(ReceivedInvitationResult, row, id=row.invitation_id, **_names(tables, row))


def _names(tables: Tables, row: InvitationRow) -> dict[str, str | None]:
    inviter = tables.users.get(row.invited_by)
    return {
        "tenant_name": tables.tenants[row.tenant_id].name,
        "inviter_name": None if inviter is None else inviter.name,
    }

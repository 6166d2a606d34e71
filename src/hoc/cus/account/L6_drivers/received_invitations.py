"""Invitations as the invited person sees them."""

from datetime import datetime

from sqlalchemy import func, select, update

from hoc.cus.account.L5_schemas.events import InvitationDeclinedEventData
from hoc.cus.account.L5_schemas.port_types import LinkedInvitation, Slice, Window
from hoc.cus.account.L5_schemas.results import InvitationPreviewResult, ReceivedInvitationResult
from hoc.cus.account.L5_schemas.values import InvitationStatus, TenantStatus
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_one
from hoc.cus.account.L6_drivers.fragments import ACCOUNT, NOW
from hoc.cus.account.L6_drivers.invitation_counts import count_closed
from hoc.cus.account.L6_drivers.invitation_sending import IS_PENDING, THIS
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import invitations, tenants, users

TENANT_NAME = tenants.c.name.label("tenant_name")
INVITER_NAME = (
    select(users.c.name).where(users.c.user_id == invitations.c.invited_by).scalar_subquery()
).label("inviter_name")

FIND = (
    select(
        TENANT_NAME,
        INVITER_NAME,
        invitations.c.role,
        invitations.c.expires_at,
        invitations.c.status,
        invitations.c.token_hash,
        tenants.c.status.label("tenant_status"),
    )
    .select_from(invitations.join(tenants))
    .where(THIS)
)


def _decline() -> AnySelect:
    declined = (
        update(invitations)
        .where(THIS, IS_PENDING)
        .values(status=InvitationStatus.DECLINED, updated_at=NOW)
        .returning(
            invitations.c.tenant_id,
            invitations.c.invitation_id,
            invitations.c.email,
            invitations.c.role,
            invitations.c.status,
            invitations.c.delivery,
        )
        .cte("declined")
    )
    invitation_declined = recorded(InvitationDeclinedEventData, declined)
    return select(declined.c.invitation_id).add_cte(*count_closed(declined), invitation_declined)


DECLINE = _decline()

# A scalar subquery, not a join: so PostgreSQL reads the index in the list's order, and stops at its limit.
VERIFIED_ADDRESS = (
    select(users.c.email_key)
    .where(users.c.user_id == ACCOUNT, users.c.is_active, users.c.email_verified)
    .scalar_subquery()
)


IS_RECEIVED = (
    (invitations.c.email_key == VERIFIED_ADDRESS)
    & IS_PENDING
    & (invitations.c.expires_at > NOW)
    & (tenants.c.status == TenantStatus.ACTIVE)
)

# It crosses tenants, as the list of a user's memberships does.
RECEIVED = Paged(
    select(
        invitations.c.invitation_id.label("id"),
        invitations.c.tenant_id,
        TENANT_NAME,
        INVITER_NAME,
        invitations.c.role,
        invitations.c.created_at,
        invitations.c.expires_at,
    )
    .select_from(invitations.join(tenants))
    .where(IS_RECEIVED),
    at=invitations.c.created_at,
    row_id=invitations.c.invitation_id,
    total=select(func.count()).select_from(invitations.join(tenants)).where(IS_RECEIVED).scalar_subquery(),
    newest_first=True,
)

_preview = record_of(InvitationPreviewResult, FIND)
_result = record_of(ReceivedInvitationResult, RECEIVED)


class SqlReceivedInvitations:
    async def find(self, session: SqlSession, tenant_id: str, invitation_id: str) -> LinkedInvitation | None:
        row = await fetch_one(session, FIND, tenant_id=tenant_id, invitation_id=invitation_id)
        if row is None:
            return None
        return LinkedInvitation(
            preview=_preview(row),
            status=row.status,
            token_hash=row.token_hash,
            tenant_status=TenantStatus(row.tenant_status),
        )

    async def decline(
        self, session: SqlSession, tenant_id: str, invitation_id: str, now: datetime, *, actor: str
    ) -> None:
        await fetch_one(
            session, DECLINE, tenant_id=tenant_id, invitation_id=invitation_id, now=now, actor=actor
        )

    async def page(
        self, session: SqlSession, user_id: str, window: Window, *, now: datetime
    ) -> Slice[ReceivedInvitationResult]:
        return await RECEIVED.fetch(session, window, _result, user_id=user_id, now=now)

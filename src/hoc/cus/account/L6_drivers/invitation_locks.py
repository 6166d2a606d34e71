"""Locking an invitation, before it is decided what becomes of it."""

from sqlalchemy import select

from hoc.cus.account.L5_schemas.port_types import InvitationTerms
from hoc.cus.account.L5_schemas.values import Role, TenantStatus
from hoc.cus.account.L6_drivers.execution import AnyRow, SqlSession, fetch_one
from hoc.cus.account.L6_drivers.fragments import TENANT
from hoc.cus.account.L6_drivers.invitation_sending import INVITED_BY, RESULT, THIS
from hoc.cus.account.L6_drivers.tables import invitations, memberships, tenants

LOCK = (
    select(
        *RESULT,
        invitations.c.tenant_id,
        invitations.c.email_key,
        invitations.c.token_hash,
        invitations.c.accepted_user_id,
    )
    .where(THIS)
    .with_for_update()
)

# Read when the invitation is locked, so that both are as of now.
STANDING = (
    select(tenants.c.status, memberships.c.role)
    .select_from(
        tenants.outerjoin(
            memberships,
            (memberships.c.tenant_id == tenants.c.tenant_id)
            & (memberships.c.user_id == INVITED_BY)
            & memberships.c.is_active,
        )
    )
    .where(tenants.c.tenant_id == TENANT)
)


async def lock_invitation(session: SqlSession, tenant_id: str, invitation_id: str) -> InvitationTerms | None:
    """The invitation, locked until the transaction ends, and where its tenant and its inviter stand."""
    row = await fetch_one(session, LOCK, tenant_id=tenant_id, invitation_id=invitation_id)
    if row is None:
        return None
    standing = await fetch_one(session, STANDING, tenant_id=tenant_id, invited_by=row.invited_by)
    return None if standing is None else _terms(row, standing)


def _terms(row: AnyRow, standing: AnyRow) -> InvitationTerms:
    return InvitationTerms(
        tenant_id=row.tenant_id,
        tenant_status=TenantStatus(standing.status),
        invitation_id=row.id,
        email=row.email,
        email_key=row.email_key,
        role=Role(row.role),
        status=row.status,
        invited_by=row.invited_by,
        inviter_role=None if standing.role is None else Role(standing.role),
        expires_at=row.expires_at,
        token_hash=row.token_hash,
        accepted_user_id=row.accepted_user_id,
        delivery=row.delivery,
    )

"""Accepting an invitation, which makes it a membership."""

from datetime import datetime

from sqlalchemy import select, true, update
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.events import InvitationAcceptedEventData, MemberJoinedEventData
from hoc.cus.account.L5_schemas.port_types import InvitationTerms
from hoc.cus.account.L5_schemas.values import InvitationStatus, TenantStatus
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_one
from hoc.cus.account.L6_drivers.fragments import NOW, REQUEST_ENDED, TENANT, USER
from hoc.cus.account.L6_drivers.invitation_counts import count_closed
from hoc.cus.account.L6_drivers.invitation_locks import lock_invitation
from hoc.cus.account.L6_drivers.invitation_sending import IS_PENDING, THIS
from hoc.cus.account.L6_drivers.member_texts import NEW_MEMBER
from hoc.cus.account.L6_drivers.outbox import follows, recorded
from hoc.cus.account.L6_drivers.tables import invitations, member_counts, memberships, tenants

# Nobody gives or takes a seat, or suspends the tenant, until the transaction ends.
HOLD_TENANT = select(tenants.c.status).where(tenants.c.tenant_id == TENANT).with_for_update(read=True)


def _add_member() -> AnySelect:
    accepted = (
        update(invitations)
        .where(THIS, IS_PENDING)
        .values(status=InvitationStatus.ACCEPTED, accepted_at=NOW, updated_at=NOW, accepted_user_id=USER)
        .returning(
            invitations.c.tenant_id,
            invitations.c.invitation_id,
            invitations.c.role,
            invitations.c.invited_by,
            invitations.c.status,
            invitations.c.delivery,
        )
        .cte("accepted")
    )
    joined = (
        insert(memberships)
        .from_select(
            ["tenant_id", "user_id", "searched", "role", "invited_by", "joined_at", "updated_at"],
            select(
                accepted.c.tenant_id,
                *NEW_MEMBER.c,
                accepted.c.role,
                accepted.c.invited_by,
                NOW,
                NOW,
            ).join(NEW_MEMBER, true()),
        )
        .on_conflict_do_nothing()
        .returning(memberships.c.tenant_id, memberships.c.role, memberships.c.invited_by)
        .cte("joined")
    )
    counted = (
        update(member_counts)
        .where(member_counts.c.tenant_id == TENANT, member_counts.c.role == joined.c.role)
        .values(members=member_counts.c.members + 1)
        .cte("counted")
    )
    invitation_accepted = recorded(InvitationAcceptedEventData, accepted, actor=USER, user_id=USER)
    member_joined = recorded(
        MemberJoinedEventData, joined, follows(invitation_accepted), actor=USER, user_id=USER
    )
    return select(accepted.c.role).add_cte(
        joined, counted, *count_closed(accepted), REQUEST_ENDED, invitation_accepted, member_joined
    )


ADD_MEMBER = _add_member()


class SqlAcceptances:
    lock = staticmethod(lock_invitation)

    async def hold_tenant(self, session: SqlSession, tenant_id: str) -> TenantStatus | None:
        row = await fetch_one(session, HOLD_TENANT, tenant_id=tenant_id)
        return None if row is None else TenantStatus(row.status)

    async def add_member(
        self, session: SqlSession, terms: InvitationTerms, user_id: str, now: datetime
    ) -> None:
        await fetch_one(
            session,
            ADD_MEMBER,
            tenant_id=terms.tenant_id,
            invitation_id=terms.invitation_id,
            user_id=user_id,
            now=now,
        )

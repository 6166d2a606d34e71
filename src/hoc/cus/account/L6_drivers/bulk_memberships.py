"""Memberships in bulk: the standing of a tenant and of people, and new members by one statement a tenant.

People are locked before the tenant, as by whoever joins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import String, delete, func, null, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from hoc.cus.account.L5_schemas.events import MemberJoinedEventData
from hoc.cus.account.L5_schemas.values import Role, TenantStatus
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import LOCK_TENANT, NOW, TENANT, any_of, quota
from hoc.cus.account.L6_drivers.member_texts import SEARCHED
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.seats import seats
from hoc.cus.account.L6_drivers.tables import join_requests, member_counts, memberships, tenants, users

PEOPLE: Final = (
    select(users.c.user_id, users.c.is_active)
    .where(any_of(users.c.user_id, "user_ids"))
    .order_by(users.c.user_id)
)
LOCK_PEOPLE: Final = PEOPLE.with_for_update(read=True)
STANDING: Final = select(tenants.c.status, quota("max_members"), seats(TENANT).label("seats")).where(
    tenants.c.tenant_id == TENANT
)
MEMBERS: Final = select(memberships.c.user_id).where(
    memberships.c.tenant_id == TENANT, any_of(memberships.c.user_id, "user_ids")
)


def _add_members() -> AnySelect:
    given = (
        func.unnest(param("user_ids", ARRAY(String)), param("roles", ARRAY(String)))
        .table_valued("user_id", "role")
        .render_derived("given")
    )
    joined = (
        insert(memberships)
        .from_select(
            ["tenant_id", "user_id", "searched", "role", "joined_at", "updated_at"],
            select(TENANT, users.c.user_id, SEARCHED, given.c.role, NOW, NOW).join(
                users, users.c.user_id == given.c.user_id
            ),
        )
        .returning(
            memberships.c.tenant_id, memberships.c.user_id, memberships.c.role, memberships.c.invited_by
        )
        .cte("joined")
    )
    by_role = select(joined.c.role, func.count().label("members")).group_by(joined.c.role).cte("by_role")
    counted = (
        update(member_counts)
        .where(member_counts.c.tenant_id == TENANT, member_counts.c.role == by_role.c.role)
        .values(members=member_counts.c.members + by_role.c.members)
        .cte("counted")
    )
    requests_ended = (
        delete(join_requests)
        .where(join_requests.c.tenant_id == TENANT, any_of(join_requests.c.user_id, "user_ids"))
        .cte("requests_ended")
    )
    return select(joined.c.user_id).add_cte(
        counted, requests_ended, recorded(MemberJoinedEventData, joined, actor=null())
    )


ADD_MEMBERS: Final = _add_members()


@dataclass(frozen=True, slots=True)
class TenantStanding:
    """``free`` are the seats for further members. ``members`` are those asked for who are members."""

    status: TenantStatus
    free: int
    members: set[str]


async def people_of(session: SqlSession, user_ids: Sequence[str], *, locked: bool) -> dict[str, bool]:
    """Whether each of these accounts is active. An account that does not exist is not in the result."""
    rows = await fetch_all(session, LOCK_PEOPLE if locked else PEOPLE, user_ids=user_ids)
    return {row.user_id: row.is_active for row in rows}


async def standing_of(
    session: SqlSession, tenant_id: str, user_ids: Sequence[str], now: datetime, *, locked: bool
) -> TenantStanding | None:
    """None if there is no such tenant."""
    if locked:
        await fetch_one(session, LOCK_TENANT, tenant_id=tenant_id)
    row = await fetch_one(session, STANDING, tenant_id=tenant_id, now=now)
    if row is None:
        return None
    members = await fetch_all(session, MEMBERS, tenant_id=tenant_id, user_ids=user_ids)
    return TenantStanding(
        TenantStatus(row.status), row.max_members - row.seats, {member.user_id for member in members}
    )


async def add_members(session: SqlSession, tenant_id: str, roles: Mapping[str, Role], now: datetime) -> None:
    """Make members of people, with their roles by id. They and the tenant are locked; none is a member."""
    await fetch_all(
        session,
        ADD_MEMBERS,
        tenant_id=tenant_id,
        user_ids=list(roles),
        roles=[str(role) for role in roles.values()],
        now=now,
    )

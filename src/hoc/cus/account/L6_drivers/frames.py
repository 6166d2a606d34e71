"""The frame of a page in one statement: a subject's account, its memberships, its access to one tenant."""

from typing import Final

from sqlalchemy import String, case, func, literal_column, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by

from hoc.cus.account.L5_schemas.frames import Frame, FrameMembership
from hoc.cus.account.L5_schemas.port_types import Access, Subject
from hoc.cus.account.L5_schemas.values import Role, TenantStatus
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.fragments import TENANT, membership_of
from hoc.cus.account.L6_drivers.tables import linked_identities, memberships, tenants, users

SHOWN_MEMBERSHIPS: Final = 12
"""How many tenants the switch between them lists. All are on a page of their own."""


def _frame() -> AnySelect:
    """Each part finds the account by itself, as Citus plans one part after the other."""
    issuer, subject = param("issuer", String), param("subject", String)
    linked = (
        select(linked_identities.c.user_id)
        .where(linked_identities.c.issuer == issuer, linked_identities.c.subject == subject)
        .scalar_subquery()
    )
    user_id = func.coalesce(linked, case((issuer == literal_column("''"), subject)))
    person = select(user_id.label("user_id")).subquery("person")
    first = (
        select(
            memberships.c.tenant_id,
            tenants.c.name.label("tenant_name"),
            memberships.c.role,
            memberships.c.joined_at,
        )
        .join_from(memberships, tenants)
        .where(memberships.c.user_id == user_id, memberships.c.is_active)
        .order_by(memberships.c.joined_at, memberships.c.tenant_id)
        .limit(SHOWN_MEMBERSHIPS + 1)
        .subquery("first")
    )
    each = func.jsonb_build_array(first.c.tenant_id, first.c.tenant_name, first.c.role)
    in_order = func.jsonb_agg(aggregate_order_by(each, first.c.joined_at, first.c.tenant_id))
    listed = select(func.coalesce(in_order, func.jsonb_build_array()).label("memberships")).subquery("listed")
    one = membership_of(TENANT, user_id)
    here = (
        select(one.c.tenant_id, one.c.role, tenants.c.name, tenants.c.status)
        .join_from(one, tenants, tenants.c.tenant_id == one.c.tenant_id)
        .where(tenants.c.tenant_id == TENANT, one.c.is_active)
        .subquery("here")
    )
    return select(
        person.c.user_id,
        users.c.name,
        users.c.email,
        users.c.timezone,
        listed.c.memberships,
        here.c.tenant_id,
        here.c.role,
        here.c.name.label("tenant_name"),
        here.c.status,
    ).select_from(
        person.join(listed, true())
        .outerjoin(users, (users.c.user_id == person.c.user_id) & users.c.is_active)
        .outerjoin(here, true())
    )


FRAME = _frame()


class SqlFrames:
    async def find(self, session: SqlSession, subject: Subject, tenant_id: str | None) -> Frame:
        [row] = await fetch_all(
            session, FRAME, issuer=subject.issuer, subject=subject.id, tenant_id=tenant_id
        )
        listed = [FrameMembership(*each) for each in row.memberships]
        return Frame(
            user_id=row.user_id,
            name=row.name,
            email=row.email,
            timezone=row.timezone,
            memberships=listed[:SHOWN_MEMBERSHIPS],
            has_more=len(listed) > SHOWN_MEMBERSHIPS,
            access=None
            if row.tenant_id is None
            else Access(row.tenant_id, row.user_id, Role(row.role), TenantStatus(row.status)),
            tenant_name=row.tenant_name or "",
        )

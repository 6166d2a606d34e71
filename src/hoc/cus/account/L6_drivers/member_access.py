"""Reading who has access to a tenant."""

from sqlalchemy import ColumnElement, String, case, func, literal_column, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.selectable import LateralFromClause

from hoc.cus.account.L5_schemas.port_types import Access, Subject
from hoc.cus.account.L5_schemas.values import Role, TenantStatus
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, param, primary_of
from hoc.cus.account.L6_drivers.fragments import USER, any_of, held_membership
from hoc.cus.account.L6_drivers.tables import linked_identities, memberships, tenants


def _active_membership(tenant_id: ColumnElement[str], user_id: ColumnElement[str]) -> LateralFromClause:
    """As `fragments.membership_of`, with its tenant's status.

    Both tables name the tenants that are asked about, so that Citus reads only the shards of these.
    """
    found = (memberships.c.tenant_id, memberships.c.user_id, memberships.c.role, tenants.c.status)
    return (
        select(*found)
        .select_from(memberships.join(tenants))
        .where(
            memberships.c.tenant_id == tenant_id,
            memberships.c.user_id == user_id,
            memberships.c.is_active,
            any_of(memberships.c.tenant_id, "tenant_ids"),
            any_of(tenants.c.tenant_id, "tenant_ids"),
        )
        .group_by(*found, tenants.c.tenant_id)
        .lateral("one")
    )


def _access() -> AnySelect:
    asked = (
        func.unnest(param("tenant_ids", ARRAY(String)), param("user_ids", ARRAY(String)))
        .table_valued("tenant_id", "user_id")
        .render_derived("asked")
    )
    one = _active_membership(asked.c.tenant_id, asked.c.user_id)
    return select(one).join_from(asked, one, true())


ACCESS = _access()


def _access_of_subjects() -> AnySelect:
    asked = (
        func.unnest(
            param("tenant_ids", ARRAY(String)),
            param("issuers", ARRAY(String)),
            param("subjects", ARRAY(String)),
        )
        .table_valued("tenant_id", "issuer", "subject")
        .render_derived("asked")
    )
    linked = (linked_identities.c.issuer == asked.c.issuer) & (linked_identities.c.subject == asked.c.subject)
    own_id = case((asked.c.issuer == literal_column("''"), asked.c.subject))
    found = (
        select(asked, func.coalesce(linked_identities.c.user_id, own_id).label("user_id"))
        .select_from(asked.outerjoin(linked_identities, linked))
        .subquery("found")
    )
    one = _active_membership(found.c.tenant_id, found.c.user_id)
    return select(found.c.issuer, found.c.subject, one).join_from(found, one, true())


ACCESS_OF_SUBJECTS = _access_of_subjects()
_HELD = held_membership(USER)
HOLD_ACCESS = select(_HELD.c.role, _HELD.c.status)


async def read_access(session: SqlSession, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], Access]:
    """Read on the primary, also in a session on a replica: there, rights would be taken away late."""
    if (on_primary := primary_of(session)) is not None:
        async with on_primary() as primary:
            return await read_access(primary, pairs)
    rows = await fetch_all(
        session,
        ACCESS,
        tenant_ids=[tenant_id for tenant_id, _ in pairs],
        user_ids=[user_id for _, user_id in pairs],
    )
    return {
        (row.tenant_id, row.user_id): Access(
            row.tenant_id, row.user_id, Role(row.role), TenantStatus(row.status)
        )
        for row in rows
    }


async def read_access_of_subjects(
    session: SqlSession, asked: list[tuple[str, Subject]]
) -> dict[tuple[str, Subject], Access]:
    """The memberships of the accounts that subjects are linked to, or are the ids of."""
    rows = await fetch_all(
        session,
        ACCESS_OF_SUBJECTS,
        tenant_ids=[tenant_id for tenant_id, _ in asked],
        issuers=[subject.issuer for _, subject in asked],
        subjects=[subject.id for _, subject in asked],
    )
    return {
        (row.tenant_id, Subject(row.subject, row.issuer)): Access(
            row.tenant_id, row.user_id, Role(row.role), TenantStatus(row.status)
        )
        for row in rows
    }

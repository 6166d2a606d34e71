"""The statements that read who has access to a tenant."""

from sqlalchemy import String, case, func, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY

from hoc.cus.account.L6_drivers.execution import AnySelect, param
from hoc.cus.account.L6_drivers.fragments import USER, held_membership, membership_of
from hoc.cus.account.L6_drivers.tables import linked_identities, tenants


def _access() -> AnySelect:
    asked = (
        func.unnest(param("tenant_ids", ARRAY(String)), param("user_ids", ARRAY(String)))
        .table_valued("tenant_id", "user_id")
        .render_derived("asked")
    )
    one = membership_of(asked.c.tenant_id, asked.c.user_id)
    return (
        select(one.c.tenant_id, one.c.user_id, one.c.role, tenants.c.status)
        .select_from(asked)
        .join(one, (one.c.tenant_id == asked.c.tenant_id) & (one.c.user_id == asked.c.user_id))
        .join(tenants, tenants.c.tenant_id == one.c.tenant_id)
        .where(one.c.is_active)
    )


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
    one = membership_of(found.c.tenant_id, found.c.user_id)
    return (
        select(found.c.issuer, found.c.subject, one.c.tenant_id, one.c.user_id, one.c.role, tenants.c.status)
        .select_from(found)
        .join(one, (one.c.tenant_id == found.c.tenant_id) & (one.c.user_id == found.c.user_id))
        .join(tenants, tenants.c.tenant_id == one.c.tenant_id)
        .where(one.c.is_active)
    )


ACCESS_OF_SUBJECTS = _access_of_subjects()
_HELD = held_membership(USER)
HOLD_ACCESS = select(_HELD.c.role, _HELD.c.status)

"""To whom mails to a tenant's owners go."""

from sqlalchemy import select

from hoc.cus.account.L5_schemas.values import CLOSED_TENANT, Role
from hoc.cus.account.L6_drivers.execution import AnyRow, SqlSession, fetch_one
from hoc.cus.account.L6_drivers.fragments import TENANT, USER
from hoc.cus.account.L6_drivers.tables import memberships, tenants, users

OWNER = (
    select(users.c.email, users.c.locale, tenants.c.name.label("tenant_name"))
    .select_from(
        memberships.join(users, users.c.user_id == memberships.c.user_id).join(
            tenants, tenants.c.tenant_id == memberships.c.tenant_id
        )
    )
    .where(
        memberships.c.tenant_id == TENANT,
        memberships.c.user_id == USER,
        memberships.c.role == Role.OWNER,
        memberships.c.is_active,
        users.c.email_verified,
        users.c.email_key.is_not(None),
        tenants.c.status.not_in(CLOSED_TENANT),
    )
)


async def owner_of(session: SqlSession, tenant_id: str, user_id: str) -> AnyRow | None:
    """The address, its language and the tenant's name. None: no owner now, or no verified address."""
    return await fetch_one(session, OWNER, tenant_id=tenant_id, user_id=user_id)

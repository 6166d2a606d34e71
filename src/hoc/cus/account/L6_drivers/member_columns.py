"""What lists of members, and of an account's memberships, show of each."""

from sqlalchemy import String, case, literal

from hoc.cus.account.L6_drivers.execution import param
from hoc.cus.account.L6_drivers.tables import memberships, tenants, users

ROLE = param("role", String)
STATUS = case((users.c.is_active, literal("active")), else_=literal("inactive")).label("status")
SUMMARY = (
    memberships.c.user_id,
    users.c.email,
    users.c.name,
    memberships.c.role,
    STATUS,
    users.c.created_at,
    users.c.last_login_at,
)
MEMBERSHIP = (
    memberships.c.tenant_id,
    tenants.c.name.label("tenant_name"),
    tenants.c.status.label("tenant_status"),
    memberships.c.role,
    memberships.c.joined_at,
)

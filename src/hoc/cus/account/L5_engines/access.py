"""A caller's standing in a tenant, decided by the membership row on every request."""

from typing import Protocol

from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.errors import ForbiddenError, NotAMemberError, TenantNotActiveError
from hoc.cus.account.L5_schemas.records import Access
from hoc.cus.account.L5_schemas.values import TenantStatus


class AccessReader(Protocol):
    """Reads standings; also what concurrent requests share one read of."""

    async def access(self, session: Session, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], Access]:
        """The standing of each ``(tenant_id, user_id)`` that has one."""
        ...


async def access_of(reader: AccessReader, session: Session, tenant_id: str, user_id: str) -> Access | None:
    found = await reader.access(session, [(tenant_id, user_id)])
    return found.get((tenant_id, user_id))


def require_reader(access: Access | None) -> Access:
    """Refuse who is not an active member, or whose tenant is closed."""
    if access is None:
        raise NotAMemberError("You are not a member of this tenant.")
    if access.tenant_status in {TenantStatus.TERMINATED, TenantStatus.ARCHIVED}:
        raise TenantNotActiveError(f"This tenant is {access.tenant_status}.")
    return access


def require_writer(access: Access | None) -> Access:
    """Refuse who may not read, and anybody while the tenant is suspended."""
    reader = require_reader(access)
    if reader.tenant_status is not TenantStatus.ACTIVE:
        raise TenantNotActiveError("This tenant is suspended: it can be read but not changed.")
    return reader


def require(allowed: bool, action: str) -> None:
    if not allowed:
        raise ForbiddenError(f"Your role in this tenant does not let you {action}.")

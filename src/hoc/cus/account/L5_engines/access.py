"""A caller's access to a tenant, decided by the membership row on every request."""

from typing import Protocol

from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.errors import ForbiddenError, NotAMemberError, TenantNotActiveError
from hoc.cus.account.L5_schemas.port_types import Access
from hoc.cus.account.L5_schemas.values import CLOSED_TENANT, TenantStatus


class AccessReader(Protocol):
    async def access(self, session: Session, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], Access]:
        """The access of those ``(tenant_id, user_id)`` that are active members."""
        ...

    async def hold_access(self, session: Session, tenant_id: str, user_id: str) -> Access | None:
        """One access, which nobody ends or changes until the transaction ends.

        Call it after the last lock that a write waits for: rights may be lost during the wait. Whoever takes
        them away waits for the write from then on.
        """
        ...


async def access_of(reader: AccessReader, session: Session, tenant_id: str, user_id: str) -> Access | None:
    found = await reader.access(session, [(tenant_id, user_id)])
    return found.get((tenant_id, user_id))


def require_reader(access: Access | None) -> Access:
    """Return the access of a caller who may read. Raises NotAMemberError or TenantNotActiveError (closed)."""
    if access is None:
        raise NotAMemberError("You are not a member of this tenant.")
    if access.tenant_status in CLOSED_TENANT:
        raise TenantNotActiveError(f"This tenant is {access.tenant_status}.")
    return access


def require_writer(access: Access | None) -> Access:
    """Return the access of a caller who may write. Raises as `require_reader`, and for a suspended tenant."""
    reader = require_reader(access)
    if reader.tenant_status is not TenantStatus.ACTIVE:
        raise TenantNotActiveError("This tenant is suspended: it can be read but not changed.")
    return reader


def require(allowed: bool, action: str) -> None:
    """Raise ForbiddenError unless the caller's role allows the action."""
    if not allowed:
        raise ForbiddenError(f"Your role in this tenant does not let you {action}.")

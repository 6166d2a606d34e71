"""The role that the members of a SCIM client's group have. Owners set it, and no group makes an owner."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Protocol, Unpack

from hoc.cus.account.L5_engines.access import AccessReader, access_of, require, require_reader, require_writer
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.paging import CursorScope, PageArguments
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_engines.text import choice, clean_line
from hoc.cus.account.L5_schemas.errors import InvalidInputError, LimitExceededError, NotFoundError
from hoc.cus.account.L5_schemas.port_types import Page, Slice, Window
from hoc.cus.account.L5_schemas.scim import (
    ScimGroupRoleRemovedResult,
    ScimGroupRoleResult,
    ScimGroupRolesListResult,
)
from hoc.cus.account.L5_schemas.values import AnyRole, Role

MAX_GROUP_ROLES: Final = 500
"""Of a tenant. All are read whenever a group changes."""
_BY_POWER: Final = tuple(Role)


class ScimGroupRoleStore(Protocol):
    async def lock_tenant(self, session: Session, tenant_id: str) -> None: ...

    async def count(self, session: Session, tenant_id: str) -> int: ...

    async def put(
        self,
        session: Session,
        tenant_id: str,
        group: str,
        group_key: str,
        *,
        role: Role,
        now: datetime,
        actor: str,
    ) -> None:
        """Store the role of a group, and how its name is written now. No change leaves the row as it is."""
        ...

    async def remove(
        self, session: Session, tenant_id: str, group_key: str, now: datetime, *, actor: str
    ) -> None: ...

    async def page(self, session: Session, tenant_id: str, window: Window) -> Slice[ScimGroupRoleResult]:
        """The groups in the order in which they were added."""
        ...

    async def find(self, session: Session, tenant_id: str, group_key: str) -> ScimGroupRoleResult | None: ...

    async def roles_by_group(self, session: Session, tenant_id: str) -> Mapping[str, Role]:
        """The role of each group, by its key."""
        ...


class ScimGroupRoles:
    def __init__(
        self, group_roles: ScimGroupRoleStore, access: AccessReader, *, clock: Clock = utc_now
    ) -> None:
        self._group_roles = group_roles
        self._access = access
        self._clock = clock

    @records("scim.group_role_set")
    async def set(
        self, session: Session, tenant_id: str, caller_user_id: str, group: str, *, role: AnyRole
    ) -> ScimGroupRoleResult:
        """Give the members of a group a role, as an owner. Groups are compared without their case.

        The role counts from the next request of the SCIM client about the group or a member of it.

        Raises InvalidInputError (also for an owner's role), NotAMemberError, TenantNotActiveError,
        ForbiddenError or LimitExceededError (the tenant has 500 such groups).
        """
        name = clean_line("group", group)
        given = _role(role)
        await self._lock_for_owner(session, tenant_id, caller_user_id)
        key = group_key(name)
        is_new = await self._group_roles.find(session, tenant_id, key) is None
        if is_new and await self._group_roles.count(session, tenant_id) >= MAX_GROUP_ROLES:
            raise LimitExceededError(
                f"This tenant has roles for {MAX_GROUP_ROLES} groups, which is the limit. Remove one.",
                code="quota_exceeded",
            )
        await self._group_roles.put(
            session, tenant_id, name, key, role=given, now=self._clock(), actor=caller_user_id
        )
        return await self._require(session, tenant_id, key)

    @records("scim.group_role_removed")
    async def remove(
        self, session: Session, tenant_id: str, caller_user_id: str, group: str
    ) -> ScimGroupRoleRemovedResult:
        """Let a group give no role any more, as an owner. Memberships stay as they are until the next sync.

        Raises NotAMemberError, TenantNotActiveError, ForbiddenError or NotFoundError.
        """
        await self._lock_for_owner(session, tenant_id, caller_user_id)
        found = await self._require(session, tenant_id, _named(group))
        await self._group_roles.remove(
            session, tenant_id, group_key(found.group), self._clock(), actor=caller_user_id
        )
        return ScimGroupRoleRemovedResult("The group gives no role any more", found.group)

    async def list(
        self, session: Session, tenant_id: str, caller_user_id: str, **page: Unpack[PageArguments]
    ) -> Page[ScimGroupRolesListResult]:
        """The roles by group, in the order in which the groups were added, for owners.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError or ForbiddenError.
        """
        scope = CursorScope("scim_group_roles", tenant_id)
        window = scope.window(**page)
        access = require_reader(await access_of(self._access, session, tenant_id, caller_user_id))
        require(access.role is Role.OWNER, "see roles by group")
        rows = await self._group_roles.page(session, tenant_id, window)
        return Page(ScimGroupRolesListResult(rows.rows, rows.total), scope.next_cursor(rows))

    async def roles_by_group(self, session: Session, tenant_id: str) -> Mapping[str, Role]:
        """The role of each group, by `group_key` of its name, for `highest_role`. It checks no caller."""
        return await self._group_roles.roles_by_group(session, tenant_id)

    async def role_of(self, session: Session, tenant_id: str, groups: Iterable[str]) -> Role | None:
        """The highest role that one of these groups gives. It checks no caller. None: none gives a role."""
        return highest_role(await self.roles_by_group(session, tenant_id), groups)

    async def _lock_for_owner(self, session: Session, tenant_id: str, caller_user_id: str) -> None:
        await self._group_roles.lock_tenant(session, tenant_id)
        access = require_writer(await access_of(self._access, session, tenant_id, caller_user_id))
        require(access.role is Role.OWNER, "change roles by group")

    async def _require(self, session: Session, tenant_id: str, key: str) -> ScimGroupRoleResult:
        found = await self._group_roles.find(session, tenant_id, key)
        if found is None:
            raise _no_such_group()
        return found


def group_key(group: str) -> str:
    """The name by which groups are compared: without case, as RFC 7643 has a group's ``displayName``."""
    return group.strip().casefold()


def highest_role(by_group: Mapping[str, Role], groups: Iterable[str]) -> Role | None:
    """The highest of the roles that these groups give, None if none gives one."""
    given = (by_group.get(group_key(group)) for group in groups)
    return min((role for role in given if role is not None), key=_BY_POWER.index, default=None)


def _role(given: AnyRole) -> Role:
    role = choice("role", given, Role)
    if role is Role.OWNER:
        raise InvalidInputError.of("role", "must not be owner: owners are made by owners only")
    return role


def _named(group: str) -> str:
    """The key of a group that is looked for. Raises NotFoundError for what no stored name can be."""
    try:
        return group_key(clean_line("group", group))
    except InvalidInputError:
        raise _no_such_group() from None


def _no_such_group() -> NotFoundError:
    return NotFoundError("No role is set for a group of this name.")

"""Members of a tenant: lists, details, roles, removal, leaving."""

from typing import Protocol

from hoc.cus.account.L5_engines import policy
from hoc.cus.account.L5_engines.access import AccessReader, require, require_writer
from hoc.cus.account.L5_engines.paging import CursorScope
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_engines.text import choice, choice_filter
from hoc.cus.account.L5_schemas.errors import (
    LastOwnerError,
    NotFoundError,
    OwnMembershipError,
    StaleVersionError,
)
from hoc.cus.account.L5_schemas.records import Access, Page, Slice, Versioned, Window
from hoc.cus.account.L5_schemas.results import (
    MembershipResult,
    MembershipsListResult,
    TenantUserResult,
    TenantUsersListResult,
    UserDetailResult,
    UsersListResult,
    UserSummaryResult,
)
from hoc.cus.account.L5_schemas.values import Role, UserStatus


class MemberStore(AccessReader, Protocol):
    """Memberships, as rows. Every method but `memberships_of` sees one tenant only."""

    async def page(
        self, session: Session, tenant_id: str, window: Window, *, role: Role | None, is_active: bool
    ) -> Slice[UserSummaryResult]:
        """Members by joining time, then id; deleted accounts are in no list."""
        ...

    async def tenant_users_page(
        self, session: Session, tenant_id: str, window: Window
    ) -> Slice[TenantUserResult]: ...

    async def find(
        self, session: Session, tenant_id: str, user_id: str
    ) -> Versioned[UserDetailResult] | None: ...

    async def memberships_of(
        self, session: Session, user_id: str, window: Window
    ) -> Slice[MembershipResult]: ...

    async def lock_tenant(self, session: Session, tenant_id: str) -> None:
        """Serialise changes of who holds which role; what is read afterwards is current."""
        ...

    async def owner_count(self, session: Session, tenant_id: str) -> int: ...

    async def set_role(
        self, session: Session, tenant_id: str, user_id: str, role: Role, *, actor: str
    ) -> TenantUserResult | None: ...

    async def delete(self, session: Session, tenant_id: str, user_id: str, *, actor: str) -> bool:
        """Remove a member, or let them leave when they are the ``actor`` themselves."""
        ...


class Members:
    def __init__(self, members: MemberStore) -> None:
        self._members = members

    async def list_users(
        self,
        session: Session,
        tenant_id: str,
        *,
        role: str | None = None,
        status: str | None = None,
        limit: int = 50,
        offset: int = 0,
        cursor: str | None = None,
    ) -> Page[UsersListResult]:
        """Members in the order in which they joined; ``status`` defaults to active accounts."""
        role_filter = choice_filter("role", role, Role)
        status_filter = choice_filter("status", status, UserStatus)
        scope = CursorScope("users", tenant_id, role=role, status=status)
        rows = await self._members.page(
            session,
            tenant_id,
            scope.window(limit, offset, cursor),
            role=role_filter,
            is_active=status_filter is not UserStatus.INACTIVE,
        )
        applied = {"tenant_id": tenant_id} | {
            name: value for name, value in (("role", role), ("status", status)) if value is not None
        }
        result = UsersListResult(rows.rows, rows.total, rows.has_more, applied)
        return Page(result, scope.next_cursor(rows))

    async def list_tenant_users(
        self,
        session: Session,
        tenant_id: str,
        *,
        limit: int = 100,
        offset: int = 0,
        cursor: str | None = None,
    ) -> Page[TenantUsersListResult]:
        scope = CursorScope("tenant_users", tenant_id)
        rows = await self._members.tenant_users_page(session, tenant_id, scope.window(limit, offset, cursor))
        return Page(TenantUsersListResult(rows.rows, rows.total), scope.next_cursor(rows))

    async def get_user(
        self, session: Session, tenant_id: str, user_id: str
    ) -> Versioned[UserDetailResult] | None:
        return await self._members.find(session, tenant_id, user_id)

    async def list_memberships(
        self,
        session: Session,
        user_id: str,
        *,
        limit: int = 50,
        offset: int = 0,
        cursor: str | None = None,
    ) -> Page[MembershipsListResult]:
        """Every tenant an active account belongs to, in the order of joining."""
        scope = CursorScope("memberships", user_id)
        rows = await self._members.memberships_of(session, user_id, scope.window(limit, offset, cursor))
        return Page(MembershipsListResult(rows.rows, rows.total), scope.next_cursor(rows))

    async def change_role(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        target_user_id: str,
        new_role: str,
        *,
        expected_version: int | None = None,
    ) -> TenantUserResult:
        """Owners change roles, nobody their own; the role it already is changes nothing."""
        role = choice("role", new_role, Role)
        if caller_user_id == target_user_id:
            raise OwnMembershipError("You cannot change your own role; transfer ownership or leave instead.")
        caller, target = await self._lock_pair(session, tenant_id, caller_user_id, target_user_id)
        require(caller.role.can_change_roles, "change roles")
        if target is None:
            raise _no_such_member()
        await self._require_version(session, tenant_id, target_user_id, expected_version)
        if target.role is Role.OWNER and role is not Role.OWNER:
            await self._require_another_owner(session, tenant_id)
        changed = await self._members.set_role(session, tenant_id, target_user_id, role, actor=caller_user_id)
        if changed is None:
            raise _no_such_member()
        return changed

    async def remove(
        self, session: Session, tenant_id: str, caller_user_id: str, target_user_id: str
    ) -> dict[str, str]:
        """Owners and admins remove members, owners only by owners, nobody themselves."""
        if caller_user_id == target_user_id:
            raise OwnMembershipError("You cannot remove yourself; leave the tenant instead.")
        caller, target = await self._lock_pair(session, tenant_id, caller_user_id, target_user_id)
        require(caller.role.can_manage_users, "remove members")
        if target is None:
            raise _no_such_member()
        require(policy.can_remove(caller.role, target.role), "remove an owner")
        if target.role is Role.OWNER:
            await self._require_another_owner(session, tenant_id)
        await self._members.delete(session, tenant_id, target_user_id, actor=caller_user_id)
        return {"message": "User removed from tenant", "user_id": target_user_id}

    async def leave(self, session: Session, tenant_id: str, caller_user_id: str) -> dict[str, str]:
        """Give up one's own membership; the last owner hands the tenant over first."""
        caller, _ = await self._lock_pair(session, tenant_id, caller_user_id, caller_user_id)
        if caller.role is Role.OWNER:
            await self._require_another_owner(session, tenant_id)
        await self._members.delete(session, tenant_id, caller_user_id, actor=caller_user_id)
        return {"message": "You have left the tenant", "user_id": caller_user_id}

    async def _lock_pair(
        self, session: Session, tenant_id: str, caller_user_id: str, target_user_id: str
    ) -> tuple[Access, Access | None]:
        await self._members.lock_tenant(session, tenant_id)
        pairs = [(tenant_id, caller_user_id), (tenant_id, target_user_id)]
        found = await self._members.access(session, pairs)
        return require_writer(found.get(pairs[0])), found.get(pairs[1])

    async def _require_another_owner(self, session: Session, tenant_id: str) -> None:
        if await self._members.owner_count(session, tenant_id) <= 1:
            raise LastOwnerError("A tenant keeps at least one owner: make another member an owner first.")

    async def _require_version(
        self, session: Session, tenant_id: str, user_id: str, expected: int | None
    ) -> None:
        if expected is None:
            return
        current = await self._members.find(session, tenant_id, user_id)
        if current is None or current.version != expected:
            raise StaleVersionError("The member has changed since you read it; read it again.")


def _no_such_member() -> NotFoundError:
    return NotFoundError("There is no such user in this tenant.")

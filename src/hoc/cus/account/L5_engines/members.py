"""Members of a tenant: lists, details, roles, removal, leaving."""

from datetime import datetime
from typing import Any, Protocol, Unpack

from hoc.cus.account.L5_engines import policy
from hoc.cus.account.L5_engines.access import AccessReader, require, require_writer
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.merge_patches import MAX_DOCUMENT_BYTES, checked_patch, too_large
from hoc.cus.account.L5_engines.numbers import is_whole
from hoc.cus.account.L5_engines.paging import MAX_LIMIT, CursorScope, PageArguments
from hoc.cus.account.L5_engines.search_terms import member_term
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_engines.text import choice, choice_filter
from hoc.cus.account.L5_schemas.errors import (
    InvalidInputError,
    LastOwnerError,
    NotFoundError,
    OwnMembershipError,
    StaleVersionError,
)
from hoc.cus.account.L5_schemas.port_types import Access, Page, Slice, Versioned, Window
from hoc.cus.account.L5_schemas.results import (
    ExtendedUserDetailResult,
    ExtendedUsersListResult,
    MemberLeftResult,
    MembershipResult,
    MembershipsListResult,
    TenantUserResult,
    TenantUsersListResult,
    UserSummaryResult,
)
from hoc.cus.account.L5_schemas.values import AnyRole, AnyUserStatus, Role, UserStatus


class MemberStore(AccessReader, Protocol):
    """Memberships. Every method but `memberships_of` reads or changes one tenant only."""

    async def page(
        self, session: Session, tenant_id: str, window: Window, *, role: Role | None, is_active: bool
    ) -> Slice[UserSummaryResult]:
        """Members by the time of joining, then id. No list has deleted accounts."""
        ...

    async def search(
        self,
        session: Session,
        tenant_id: str,
        window: Window,
        *,
        term: str,
        role: Role | None,
        is_active: bool,
    ) -> tuple[Slice[UserSummaryResult], bool]:
        """The members whose name or address, after a space, contains a folded term.

        And whether the total counts only a part of them.
        """
        ...

    async def tenant_users_page(
        self, session: Session, tenant_id: str, window: Window, *, role: Role | None
    ) -> Slice[TenantUserResult]: ...

    async def find(
        self, session: Session, tenant_id: str, user_id: str
    ) -> Versioned[ExtendedUserDetailResult] | None: ...

    async def memberships_of(
        self, session: Session, user_id: str, window: Window, *, role: Role | None
    ) -> Slice[MembershipResult]: ...

    async def lock_tenant(self, session: Session, tenant_id: str) -> None:
        """Lock the tenant, so that its memberships do not change until the transaction ends."""
        ...

    async def owner_count(self, session: Session, tenant_id: str) -> int: ...

    async def set_role(
        self, session: Session, tenant_id: str, user_id: str, role: Role, now: datetime, *, actor: str
    ) -> TenantUserResult | None: ...

    async def merge_metadata(
        self,
        session: Session,
        tenant_id: str,
        user_id: str,
        patch: dict[str, Any],
        now: datetime,
        *,
        actor: str,
        max_bytes: int,
    ) -> bool:
        """Merge into the metadata of an active member. False: the metadata would be larger than that."""
        ...

    async def delete(
        self, session: Session, tenant_id: str, user_id: str, now: datetime, *, actor: str
    ) -> None:
        """End a membership. The event says that the member left if the member is the ``actor``."""
        ...


class Members:
    def __init__(self, members: MemberStore, *, clock: Clock = utc_now) -> None:
        self._members = members
        self._clock = clock

    async def list_users(
        self,
        session: Session,
        tenant_id: str,
        *,
        role: AnyRole | None = None,
        status: AnyUserStatus | None = None,
        search: str | None = None,
        **page: Unpack[PageArguments],
    ) -> Page[ExtendedUsersListResult]:
        """Members in the order in which they joined. ``status`` defaults to active accounts.

        ``search`` is a part of the name or address, in any case; one or two characters are the beginning of a
        word. A ``total_capped`` total of a common part counts the matches among the first 2,000 members.
        """
        role_filter = choice_filter("role", role, Role)
        status_filter = choice_filter("status", status, UserStatus)
        term = member_term("search", search)
        scope = CursorScope("users", tenant_id, role=role, status=status, search=term)
        window, is_active = scope.window(**page), status_filter is not UserStatus.INACTIVE
        capped = False
        if term is None:
            rows = await self._members.page(session, tenant_id, window, role=role_filter, is_active=is_active)
        else:
            rows, capped = await self._members.search(
                session, tenant_id, window, term=term, role=role_filter, is_active=is_active
            )
        given = {"tenant_id": tenant_id, "role": role, "status": status, "search": search}
        applied = {name: value for name, value in given.items() if value is not None}
        result = ExtendedUsersListResult(rows.rows, rows.total, rows.has_more, applied, capped)
        return Page(result, scope.next_cursor(rows))

    async def list_tenant_users(
        self,
        session: Session,
        tenant_id: str,
        *,
        role: AnyRole | None = None,
        **page: Unpack[PageArguments],
    ) -> Page[TenantUsersListResult]:
        """Members in the order in which they joined, 100 unless ``limit`` is given."""
        role_filter = choice_filter("role", role, Role)
        scope = CursorScope("tenant_users", tenant_id, role=role)
        page.setdefault("limit", MAX_LIMIT)
        window = scope.window(**page)
        rows = await self._members.tenant_users_page(session, tenant_id, window, role=role_filter)
        return Page(TenantUsersListResult(rows.rows, rows.total), scope.next_cursor(rows))

    async def get_user(
        self, session: Session, tenant_id: str, user_id: str
    ) -> Versioned[ExtendedUserDetailResult] | None:
        return await self._members.find(session, tenant_id, user_id)

    async def list_memberships(
        self,
        session: Session,
        user_id: str,
        *,
        role: AnyRole | None = None,
        **page: Unpack[PageArguments],
    ) -> Page[MembershipsListResult]:
        """The memberships of an active account, in the order of joining. Raises InvalidInputError."""
        role_filter = choice_filter("role", role, Role)
        scope = CursorScope("memberships", user_id, role=role)
        rows = await self._members.memberships_of(session, user_id, scope.window(**page), role=role_filter)
        return Page(MembershipsListResult(rows.rows, rows.total), scope.next_cursor(rows))

    @records("member.role_changed")
    async def change_role(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        target_user_id: str,
        new_role: AnyRole,
        *,
        expected_version: int | None = None,
    ) -> TenantUserResult:
        """Give another member another role; the same role changes nothing.

        Raises InvalidInputError, OwnMembershipError, NotAMemberError, TenantNotActiveError, NotFoundError,
        ForbiddenError (the caller is no owner), StaleVersionError or LastOwnerError.
        """
        _check_version(expected_version)
        role = choice("role", new_role, Role)
        if caller_user_id == target_user_id:
            raise OwnMembershipError("You cannot change your own role. Transfer ownership or leave instead.")
        caller, target = await self._lock_pair(session, tenant_id, caller_user_id, target_user_id)
        require(caller.role.can_change_roles, "change roles")
        if target is None:
            raise _no_such_member()
        await self._require_version(session, tenant_id, target_user_id, expected_version)
        if target.role is Role.OWNER and role is not Role.OWNER:
            await self._require_another_owner(session, tenant_id)
        changed = await self._members.set_role(
            session, tenant_id, target_user_id, role, self._clock(), actor=caller_user_id
        )
        if changed is None:
            raise _no_such_member()
        return changed

    @records("member.updated")
    async def update(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        target_user_id: str,
        *,
        metadata: dict[str, Any] | None = None,
        expected_version: int | None = None,
    ) -> Versioned[ExtendedUserDetailResult]:
        """Merge into the metadata of a membership (RFC 7396: null deletes a key), also of one's own.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError, NotFoundError, ForbiddenError (the
        caller is neither owner nor admin) or StaleVersionError.
        """
        _check_version(expected_version)
        patch = checked_patch("metadata", {} if metadata is None else metadata)
        caller, target = await self._lock_pair(session, tenant_id, caller_user_id, target_user_id)
        require(caller.role.can_manage_tenant, "change members")
        if target is None:
            raise _no_such_member()
        await self._require_version(session, tenant_id, target_user_id, expected_version)
        if not await self._members.merge_metadata(
            session,
            tenant_id,
            target_user_id,
            patch,
            self._clock(),
            actor=caller_user_id,
            max_bytes=MAX_DOCUMENT_BYTES,
        ):
            raise too_large("metadata")
        changed = await self._members.find(session, tenant_id, target_user_id)
        if changed is None:
            raise _no_such_member()
        return changed

    @records("member.removed")
    async def remove(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        target_user_id: str,
        *,
        expected_version: int | None = None,
    ) -> MemberLeftResult:
        """End another member's membership.

        Raises OwnMembershipError, NotAMemberError, TenantNotActiveError, NotFoundError, StaleVersionError,
        LastOwnerError or ForbiddenError: only owners and admins remove members, only owners remove owners.
        """
        if caller_user_id == target_user_id:
            raise OwnMembershipError("You cannot remove yourself. Leave the tenant instead.")
        caller, target = await self._lock_pair(session, tenant_id, caller_user_id, target_user_id)
        require(caller.role.can_manage_users, "remove members")
        if target is None:
            raise _no_such_member()
        require(policy.can_remove(caller.role, target.role), "remove an owner")
        await self._require_version(session, tenant_id, target_user_id, expected_version)
        if target.role is Role.OWNER:
            await self._require_another_owner(session, tenant_id)
        await self._members.delete(session, tenant_id, target_user_id, self._clock(), actor=caller_user_id)
        return MemberLeftResult("User removed from tenant", target_user_id)

    @records("member.left")
    async def leave(self, session: Session, tenant_id: str, caller_user_id: str) -> MemberLeftResult:
        """End one's own membership. Raises NotAMemberError, TenantNotActiveError or LastOwnerError."""
        caller, _ = await self._lock_pair(session, tenant_id, caller_user_id, caller_user_id)
        if caller.role is Role.OWNER:
            await self._require_another_owner(session, tenant_id)
        await self._members.delete(session, tenant_id, caller_user_id, self._clock(), actor=caller_user_id)
        return MemberLeftResult("You have left the tenant", caller_user_id)

    async def _lock_pair(
        self, session: Session, tenant_id: str, caller_user_id: str, target_user_id: str
    ) -> tuple[Access, Access | None]:
        await self._members.lock_tenant(session, tenant_id)
        pairs = [(tenant_id, caller_user_id), (tenant_id, target_user_id)]
        found = await self._members.access(session, pairs)
        return require_writer(found.get(pairs[0])), found.get(pairs[1])

    async def _require_another_owner(self, session: Session, tenant_id: str) -> None:
        if await self._members.owner_count(session, tenant_id) <= 1:
            raise LastOwnerError("A tenant keeps at least one owner. Make another member an owner first.")

    async def _require_version(
        self, session: Session, tenant_id: str, user_id: str, expected: int | None
    ) -> None:
        if expected is None:
            return
        current = await self._members.find(session, tenant_id, user_id)
        if current is None or current.version != expected:
            raise StaleVersionError("The member has changed since you read it. Read it again.")


def _check_version(expected: int | None) -> None:
    if expected is not None and not is_whole(expected):
        raise InvalidInputError.of("expected_version", "must be a whole number, an int")


def _no_such_member() -> NotFoundError:
    return NotFoundError("There is no such user in this tenant.")

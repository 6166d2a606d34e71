"""Memberships. A statement that changes a membership changes the member counts, too."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    ScalarSelect,
    case,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.events import (
    MemberLeftEventData,
    MemberRemovedEventData,
    MemberRoleChangedEventData,
)
from hoc.cus.account.L5_schemas.port_types import Access, Slice, Subject, Versioned, Window
from hoc.cus.account.L5_schemas.results import (
    ExtendedUserDetailResult,
    MembershipResult,
    TenantUserResult,
    UserSummaryResult,
)
from hoc.cus.account.L5_schemas.values import JoinRequestStatus, Role, TenantStatus
from hoc.cus.account.L6_drivers.execution import (
    AnyRow,
    AnySelect,
    SqlSession,
    fetch_one,
    param,
)
from hoc.cus.account.L6_drivers.fragments import (
    ACCOUNT,
    LOCK_TENANT,
    NOW,
    TENANT,
    USER,
)
from hoc.cus.account.L6_drivers.member_access import HOLD_ACCESS, read_access, read_access_of_subjects
from hoc.cus.account.L6_drivers.member_columns import MEMBERSHIP, ROLE, STATUS, SUMMARY
from hoc.cus.account.L6_drivers.member_search import search_members
from hoc.cus.account.L6_drivers.member_updates import UPDATE
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import join_requests, member_counts, memberships, tenants, users

IS_ACTIVE = param("is_active", Boolean)

MEMBER = (memberships.c.tenant_id == TENANT) & (memberships.c.user_id == USER)


def _count(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    counted = func.coalesce(func.sum(member_counts.c.members), 0)
    return select(counted).where(member_counts.c.tenant_id == TENANT, *conditions).scalar_subquery()


def _count_inactive(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    # Not a join: PostgreSQL would read all accounts of the deployment to hash them.
    deleted_at = select(users.c.deleted_at).where(users.c.user_id == memberships.c.user_id).scalar_subquery()
    listed = (memberships.c.tenant_id == TENANT, ~memberships.c.is_active, deleted_at.is_(None))
    return select(func.count()).select_from(memberships).where(*listed, *conditions).scalar_subquery()


def _page(*, by_role: bool, is_active: bool) -> Paged:
    conditions = [memberships.c.role == ROLE] if by_role else []
    if is_active:
        conditions.append(memberships.c.is_active)
        total = _count(*([member_counts.c.role == ROLE] if by_role else []))
    else:
        total = _count_inactive(*conditions)
        conditions += [~memberships.c.is_active, users.c.deleted_at.is_(None)]
    rows = (
        select(*SUMMARY)
        .select_from(memberships.join(users))
        .where(memberships.c.tenant_id == TENANT, *conditions)
    )
    return Paged(rows, at=memberships.c.joined_at, row_id=memberships.c.user_id, total=total)


PAGES = {
    (by_role, is_active): _page(by_role=by_role, is_active=is_active)
    for by_role in (False, True)
    for is_active in (False, True)
}


def _tenant_users(*, by_role: bool) -> Paged:
    listed = [memberships.c.role == ROLE] if by_role else []
    return Paged(
        select(
            memberships.c.user_id, users.c.email, users.c.name, memberships.c.role, memberships.c.joined_at
        )
        .select_from(memberships.join(users))
        .where(memberships.c.tenant_id == TENANT, memberships.c.is_active, *listed),
        at=memberships.c.joined_at,
        row_id=memberships.c.user_id,
        total=_count(*([member_counts.c.role == ROLE] if by_role else [])),
    )


TENANT_USERS = _tenant_users(by_role=False)
TENANT_USERS_BY_ROLE = _tenant_users(by_role=True)

FIND = (
    select(
        users.c.user_id,
        users.c.email,
        users.c.name,
        users.c.avatar_url,
        memberships.c.role,
        STATUS,
        users.c.email_verified,
        users.c.oauth_provider,
        memberships.c.joined_at,
        memberships.c.invited_by,
        users.c.created_at,
        func.greatest(users.c.updated_at, memberships.c.updated_at).label("updated_at"),
        users.c.last_login_at,
        memberships.c.metadata,
        (users.c.version + memberships.c.version).label("version"),
    )
    .select_from(memberships.join(users))
    .where(MEMBER, memberships.c.is_active)
)


# The only list that crosses tenants.
def _memberships_of(*conditions: ColumnElement[bool]) -> Paged:
    listed = (memberships.c.user_id == ACCOUNT, memberships.c.is_active, *conditions)
    return Paged(
        select(*MEMBERSHIP).select_from(memberships.join(tenants)).where(*listed),
        at=memberships.c.joined_at,
        row_id=memberships.c.tenant_id,
        total=select(func.count()).select_from(memberships).where(*listed).scalar_subquery(),
    )


MEMBERSHIPS_OF = _memberships_of()
MEMBERSHIPS_OF_BY_ROLE = _memberships_of(memberships.c.role == ROLE)


OWNER_COUNT = select(member_counts.c.members).where(
    member_counts.c.tenant_id == TENANT, member_counts.c.role == Role.OWNER
)


def _set_role() -> AnySelect:
    before = (
        select(memberships.c.tenant_id, memberships.c.user_id, memberships.c.role, memberships.c.joined_at)
        .where(MEMBER, memberships.c.is_active)
        .with_for_update()
        .cte("before")
    )
    changed = (
        update(memberships)
        .where(MEMBER, memberships.c.user_id == before.c.user_id, memberships.c.role != ROLE)
        .values(role=ROLE, version=memberships.c.version + 1, updated_at=NOW)
        .returning(
            memberships.c.tenant_id,
            memberships.c.user_id,
            before.c.role.label("old_role"),
            memberships.c.role,
        )
        .cte("changed")
    )
    counted = (
        update(member_counts)
        .where(
            member_counts.c.tenant_id == TENANT,
            member_counts.c.role.in_([changed.c.old_role, changed.c.role]),
        )
        .values(members=member_counts.c.members + case((member_counts.c.role == changed.c.role, 1), else_=-1))
        .cte("counted")
    )
    role_changed = recorded(MemberRoleChangedEventData, changed, previous_role=changed.c.old_role)
    return (
        select(users.c.user_id, users.c.email, users.c.name, ROLE.label("role"), before.c.joined_at)
        .select_from(before.join(users, users.c.user_id == before.c.user_id))
        .add_cte(changed, counted, role_changed)
    )


SET_ROLE = _set_role()


def _delete(*, leaving: bool) -> AnySelect:
    removed = (
        delete(memberships)
        .where(MEMBER, memberships.c.is_active)
        .returning(memberships.c.tenant_id, memberships.c.user_id, memberships.c.role)
        .cte("removed")
    )
    counted = (
        update(member_counts)
        .where(member_counts.c.tenant_id == TENANT, member_counts.c.role == removed.c.role)
        .values(members=member_counts.c.members - 1)
        .cte("counted")
    )
    ended = recorded(MemberLeftEventData if leaving else MemberRemovedEventData, removed)
    statement = select(removed.c.user_id).add_cte(counted, ended)
    return statement if leaving else statement.add_cte(_barred(removed))


def _barred(removed: CTE) -> CTE:
    """Have the person join by an address in the tenant's domain only when somebody grants it."""
    given = {"status": literal(JoinRequestStatus.REMOVED.value), "requested_at": NOW}
    return (
        insert(join_requests)
        .from_select(
            ["tenant_id", "user_id", *given], select(removed.c.tenant_id, removed.c.user_id, *given.values())
        )
        .on_conflict_do_update(
            index_elements=[join_requests.c.tenant_id, join_requests.c.user_id], set_=given
        )
        .cte("barred")
    )


REMOVE = _delete(leaving=False)
LEAVE = _delete(leaving=True)


_summary = record_of(UserSummaryResult, *PAGES.values())
_tenant_user = record_of(TenantUserResult, TENANT_USERS, TENANT_USERS_BY_ROLE, SET_ROLE)
_membership = record_of(MembershipResult, MEMBERSHIPS_OF, MEMBERSHIPS_OF_BY_ROLE)


class SqlMembers:
    async def page(
        self, session: SqlSession, tenant_id: str, window: Window, *, role: Role | None, is_active: bool
    ) -> Slice[UserSummaryResult]:
        values = {"tenant_id": tenant_id} | ({} if role is None else {"role": role})
        return await PAGES[role is not None, is_active].fetch(session, window, _summary, **values)

    async def search(
        self,
        session: SqlSession,
        tenant_id: str,
        window: Window,
        *,
        term: str,
        role: Role | None,
        is_active: bool,
    ) -> tuple[Slice[UserSummaryResult], bool]:
        return await search_members(session, tenant_id, window, term=term, role=role, is_active=is_active)

    async def tenant_users_page(
        self, session: SqlSession, tenant_id: str, window: Window, *, role: Role | None
    ) -> Slice[TenantUserResult]:
        if role is None:
            return await TENANT_USERS.fetch(session, window, _tenant_user, tenant_id=tenant_id)
        return await TENANT_USERS_BY_ROLE.fetch(session, window, _tenant_user, tenant_id=tenant_id, role=role)

    async def find(
        self, session: SqlSession, tenant_id: str, user_id: str
    ) -> Versioned[ExtendedUserDetailResult] | None:
        row = await fetch_one(session, FIND, tenant_id=tenant_id, user_id=user_id)
        return None if row is None else Versioned(_detail(row), row.version)

    async def memberships_of(
        self, session: SqlSession, user_id: str, window: Window, *, role: Role | None
    ) -> Slice[MembershipResult]:
        if role is None:
            return await MEMBERSHIPS_OF.fetch(session, window, _membership, user_id=user_id)
        return await MEMBERSHIPS_OF_BY_ROLE.fetch(session, window, _membership, user_id=user_id, role=role)

    async def access(
        self, session: SqlSession, pairs: list[tuple[str, str]]
    ) -> dict[tuple[str, str], Access]:
        return await read_access(session, pairs)

    async def access_of_subjects(
        self, session: SqlSession, asked: list[tuple[str, Subject]]
    ) -> dict[tuple[str, Subject], Access]:
        return await read_access_of_subjects(session, asked)

    async def hold_access(self, session: SqlSession, tenant_id: str, user_id: str) -> Access | None:
        row = await fetch_one(session, HOLD_ACCESS, tenant_id=tenant_id, user_id=user_id)
        return None if row is None else Access(tenant_id, user_id, Role(row.role), TenantStatus(row.status))

    async def lock_tenant(self, session: SqlSession, tenant_id: str) -> None:
        await fetch_one(session, LOCK_TENANT, tenant_id=tenant_id)

    async def owner_count(self, session: SqlSession, tenant_id: str) -> int:
        row = await fetch_one(session, OWNER_COUNT, tenant_id=tenant_id)
        return 0 if row is None else row.members

    async def set_role(
        self, session: SqlSession, tenant_id: str, user_id: str, role: Role, now: datetime, *, actor: str
    ) -> TenantUserResult | None:
        row = await fetch_one(
            session, SET_ROLE, tenant_id=tenant_id, user_id=user_id, role=role, now=now, actor=actor
        )
        return None if row is None else _tenant_user(row)

    async def merge_metadata(
        self,
        session: SqlSession,
        tenant_id: str,
        user_id: str,
        patch: dict[str, Any],
        now: datetime,
        *,
        actor: str,
        max_bytes: int,
    ) -> bool:
        row = await fetch_one(
            session,
            UPDATE,
            tenant_id=tenant_id,
            user_id=user_id,
            metadata=patch,
            now=now,
            actor=actor,
            max_bytes=max_bytes,
        )
        return row is None or not row.is_too_large

    async def delete(
        self, session: SqlSession, tenant_id: str, user_id: str, now: datetime, *, actor: str
    ) -> None:
        statement = LEAVE if actor == user_id else REMOVE
        await fetch_one(session, statement, tenant_id=tenant_id, user_id=user_id, now=now, actor=actor)


def _detail(row: AnyRow) -> ExtendedUserDetailResult:
    role = Role(row.role)
    return ExtendedUserDetailResult(
        user_id=row.user_id,
        email=row.email,
        name=row.name,
        avatar_url=row.avatar_url,
        role=role,
        status=row.status,
        email_verified=row.email_verified,
        oauth_provider=row.oauth_provider,
        membership_created_at=row.joined_at,
        invited_by=row.invited_by,
        can_manage_keys=role.can_manage_keys,
        can_run_workers=role.can_run_workers,
        can_view_runs=role.can_view_runs,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_login_at=row.last_login_at,
        metadata=row.metadata,
    )

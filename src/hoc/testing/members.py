"""Memberships. A membership is active while its account is."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from hoc.cus.account.L5_engines.email_address import fold
from hoc.cus.account.L5_schemas.events import (
    MemberLeftEventData,
    MemberRemovedEventData,
    MemberRoleChangedEventData,
    MemberUpdatedEventData,
)
from hoc.cus.account.L5_schemas.port_types import Access, Slice, SortKey, Versioned, Window
from hoc.cus.account.L5_schemas.results import (
    ExtendedUserDetailResult,
    MembershipResult,
    TenantUserResult,
    UserSummaryResult,
)
from hoc.cus.account.L5_schemas.values import JoinRequestStatus, Role, UserStatus
from hoc.testing.database import MemorySession
from hoc.testing.documents import merged, stored_size
from hoc.testing.rows import JoinRequestRow, MembershipRow, UserRow, combine
from hoc.testing.store import MemoryStore, slice_of
from hoc.testing.tables import Tables


class MemoryMembers(MemoryStore):
    async def page(
        self, session: MemorySession, tenant_id: str, window: Window, *, role: Role | None, is_active: bool
    ) -> Slice[UserSummaryResult]:
        return slice_of(
            (
                (SortKey(membership.joined_at, user.user_id), _summary(membership, user))
                for membership, user in _members(self.read(session), tenant_id)
                if user.is_active is is_active and user.deleted_at is None and role in {None, membership.role}
            ),
            window,
        )

    async def search(
        self,
        session: MemorySession,
        tenant_id: str,
        window: Window,
        *,
        term: str,
        role: Role | None,
        is_active: bool,
    ) -> tuple[Slice[UserSummaryResult], bool]:
        found = slice_of(
            (
                (SortKey(membership.joined_at, user.user_id), _summary(membership, user))
                for membership, user in _members(self.read(session), tenant_id)
                if user.is_active is is_active
                and user.deleted_at is None
                and role in {None, membership.role}
                and _is_found(user, term)
            ),
            window,
        )
        return found, False

    async def tenant_users_page(
        self, session: MemorySession, tenant_id: str, window: Window, *, role: Role | None
    ) -> Slice[TenantUserResult]:
        return slice_of(
            (
                (SortKey(membership.joined_at, user.user_id), _tenant_user(membership, user))
                for membership, user in _members(self.read(session), tenant_id)
                if user.is_active and role in {None, membership.role}
            ),
            window,
        )

    async def find(
        self, session: MemorySession, tenant_id: str, user_id: str
    ) -> Versioned[ExtendedUserDetailResult] | None:
        tables = self.read(session)
        membership = tables.active_membership(tenant_id, user_id)
        if membership is None:
            return None
        user = tables.users[user_id]
        return Versioned(_detail(membership, user), user.version + membership.version)

    async def memberships_of(
        self, session: MemorySession, user_id: str, window: Window, *, role: Role | None
    ) -> Slice[MembershipResult]:
        tables = self.read(session)
        user = tables.account(user_id)
        return slice_of(
            (
                (SortKey(membership.joined_at, tenant_id), _membership(tables, membership))
                for (tenant_id, member_id), membership in tables.memberships.items()
                if user is not None
                and user.is_active
                and member_id == user.user_id
                and role in {None, membership.role}
            ),
            window,
        )

    async def access(
        self, session: MemorySession, pairs: list[tuple[str, str]]
    ) -> dict[tuple[str, str], Access]:
        tables = self.read(session)
        found = ((pair, tables.active_membership(*pair)) for pair in pairs)
        return {
            pair: Access(*pair, role=membership.role, tenant_status=tables.tenants[pair[0]].status)
            for pair, membership in found
            if membership is not None
        }

    async def hold_access(self, session: MemorySession, tenant_id: str, user_id: str) -> Access | None:
        await self.write(session)
        return (await self.access(session, [(tenant_id, user_id)])).get((tenant_id, user_id))

    async def lock_tenant(self, session: MemorySession, tenant_id: str) -> None:  # noqa: ARG002 - one lock for all
        await self.write(session)

    async def owner_count(self, session: MemorySession, tenant_id: str) -> int:
        return sum(
            user.is_active and membership.role is Role.OWNER
            for membership, user in _members(self.read(session), tenant_id)
        )

    async def set_role(
        self, session: MemorySession, tenant_id: str, user_id: str, role: Role, now: datetime, *, actor: str
    ) -> TenantUserResult | None:
        tables = await self.write(session)
        membership = tables.active_membership(tenant_id, user_id)
        if membership is None:
            return None
        if membership.role is not role:
            previous = membership.role
            membership = replace(membership, role=role, version=membership.version + 1, updated_at=now)
            tables.memberships[tenant_id, user_id] = membership
            event = MemberRoleChangedEventData(tenant_id, user_id, role, previous, changed_at=now)
            tables.record(event, actor=actor, at=now)
        return _tenant_user(membership, tables.users[user_id])

    async def merge_metadata(
        self,
        session: MemorySession,
        tenant_id: str,
        user_id: str,
        patch: dict[str, Any],
        now: datetime,
        *,
        actor: str,
        max_bytes: int,
    ) -> bool:
        tables = await self.write(session)
        membership = tables.active_membership(tenant_id, user_id)
        if membership is None:
            return True
        metadata = merged(membership.metadata, patch)
        if stored_size(metadata) > max_bytes:
            return False
        if metadata != membership.metadata:
            tables.memberships[tenant_id, user_id] = replace(
                membership, metadata=metadata, version=membership.version + 1, updated_at=now
            )
            event = MemberUpdatedEventData(tenant_id, user_id, ["metadata"], updated_at=now)
            tables.record(event, actor=actor, at=now)
        return True

    async def delete(
        self, session: MemorySession, tenant_id: str, user_id: str, now: datetime, *, actor: str
    ) -> None:
        tables = await self.write(session)
        membership = tables.active_membership(tenant_id, user_id)
        if membership is None:
            return
        del tables.memberships[tenant_id, user_id]
        if actor != user_id:
            tables.join_requests[tenant_id, user_id] = JoinRequestRow(
                tenant_id, user_id, JoinRequestStatus.REMOVED, now
            )
        event = (
            MemberLeftEventData(tenant_id, user_id, membership.role, left_at=now)
            if actor == user_id
            else MemberRemovedEventData(tenant_id, user_id, membership.role, removed_at=now)
        )
        tables.record(event, actor=actor, at=now)


def _is_found(user: UserRow, term: str) -> bool:
    texts = (user.email_key or user.email.lower(), fold(user.name or ""), user.email)
    return any(term in f" {text}" for text in texts)


def _members(tables: Tables, tenant_id: str) -> Iterator[tuple[MembershipRow, UserRow]]:
    return (
        (membership, tables.users[user_id])
        for (owner_id, user_id), membership in tables.memberships.items()
        if owner_id == tenant_id
    )


def _summary(membership: MembershipRow, user: UserRow) -> UserSummaryResult:
    status = UserStatus.ACTIVE if user.is_active else UserStatus.INACTIVE
    return combine(UserSummaryResult, user, membership, status=status)


def _detail(membership: MembershipRow, user: UserRow) -> ExtendedUserDetailResult:
    return combine(
        ExtendedUserDetailResult,
        user,
        membership,
        membership.role,
        status=UserStatus.ACTIVE,
        metadata=orjson.loads(membership.metadata),
        membership_created_at=membership.joined_at,
        updated_at=max(user.updated_at, membership.updated_at),
    )


def _tenant_user(membership: MembershipRow, user: UserRow) -> TenantUserResult:
    return combine(TenantUserResult, user, membership)


def _membership(tables: Tables, membership: MembershipRow) -> MembershipResult:
    tenant = tables.tenants[membership.tenant_id]
    return combine(MembershipResult, membership, tenant_name=tenant.name, tenant_status=tenant.status)

"""Joining by a verified domain."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.domains import (
    JoinableTenantResult,
    JoiningAccount,
    JoiningTerms,
    JoinRequestResult,
    JoinStanding,
)
from hoc.cus.account.L5_schemas.events import (
    JoinRefusedEventData,
    JoinRequestedEventData,
    MemberJoinedEventData,
)
from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, Window
from hoc.cus.account.L5_schemas.values import (
    SEAT_KEPT,
    DomainJoining,
    InvitationStatus,
    JoinRequestStatus,
    Role,
    TenantStatus,
)
from hoc.testing.database import MemorySession
from hoc.testing.rows import JoinRequestRow, MembershipRow, combine
from hoc.testing.store import MemoryStore, slice_of
from hoc.testing.tables import Tables


class MemoryJoining(MemoryStore):
    async def lock_account(self, session: MemorySession, user_id: str) -> JoiningAccount | None:
        return _account(await self.write(session), user_id)

    async def lock_domain(self, session: MemorySession, tenant_id: str, domain: str) -> JoiningTerms | None:
        tables = await self.write(session)
        if not tables.has_domain(tenant_id, domain):
            return None
        row = tables.domains[tenant_id, domain]
        return JoiningTerms(row.joining, row.join_role)

    async def lock_tenant(
        self, session: MemorySession, tenant_id: str, account: JoiningAccount, now: datetime
    ) -> JoinStanding | None:
        tables = await self.write(session)
        tenant = tables.tenants.get(tenant_id)
        if tenant is None:
            return None
        key = (tenant_id, account.user_id)
        membership, request = tables.memberships.get(key), tables.join_requests.get(key)
        return JoinStanding(
            tenant.status,
            tenant.quota("max_members"),
            tables.seats(tenant_id, now, but_of=account.email_key),
            None if membership is None else membership.role,
            any(
                (row.tenant_id, row.email_key) == (tenant_id, account.email_key)
                and row.status == InvitationStatus.PENDING
                and row.expires_at > now - SEAT_KEPT
                for row in tables.invitations.values()
            ),
            None if request is None else request.status,
        )

    async def add_member(
        self,
        session: MemorySession,
        tenant_id: str,
        user_id: str,
        role: Role,
        now: datetime,
        *,
        invited_by: str | None,
    ) -> None:
        tables = await self.write(session)
        tables.join_requests.pop((tenant_id, user_id), None)
        tables.memberships[tenant_id, user_id] = MembershipRow(
            tenant_id, user_id, role, invited_by, joined_at=now, updated_at=now
        )
        joined = MemberJoinedEventData(tenant_id, user_id, role, invited_by, joined_at=now)
        tables.record(joined, actor=invited_by or user_id, at=now)

    async def ask(
        self, session: MemorySession, tenant_id: str, user_id: str, domain: str, now: datetime
    ) -> None:
        tables = await self.write(session)
        tables.join_requests[tenant_id, user_id] = JoinRequestRow(
            tenant_id, user_id, JoinRequestStatus.PENDING, now
        )
        event = JoinRequestedEventData(tenant_id, user_id, domain, requested_at=now)
        tables.record(event, actor=user_id, at=now)

    async def refuse(
        self, session: MemorySession, tenant_id: str, user_id: str, now: datetime, *, actor: str
    ) -> bool:
        tables = await self.write(session)
        row = tables.join_requests.get((tenant_id, user_id))
        if row is None or row.status is not JoinRequestStatus.PENDING:
            return False
        tables.join_requests[tenant_id, user_id] = replace(row, status=JoinRequestStatus.REFUSED)
        tables.record(JoinRefusedEventData(tenant_id, user_id, refused_at=now), actor=actor, at=now)
        return True

    async def page(
        self, session: MemorySession, tenant_id: str, window: Window, *, status: JoinRequestStatus
    ) -> Slice[JoinRequestResult]:
        tables = self.read(session)
        return slice_of(
            (
                (
                    SortKey(row.requested_at, row.user_id),
                    combine(JoinRequestResult, row, tables.users[row.user_id]),
                )
                for row in tables.join_requests.values()
                if (row.tenant_id, row.status) == (tenant_id, status) and tables.users[row.user_id].is_active
            ),
            window,
        )

    async def joinable(
        self, session: MemorySession, user_id: str, window: Window
    ) -> Slice[JoinableTenantResult]:
        tables = self.read(session)
        account = _account(tables, user_id)
        return slice_of(
            (
                (SortKey(row.created_at, row.tenant_id), _joinable(tables, row.tenant_id, account))
                for row in tables.domains.values()
                if account is not None
                and row.domain == account.domain
                and tables.has_domain(row.tenant_id, row.domain)
                and row.joining is not DomainJoining.CLOSED
                and tables.tenants[row.tenant_id].status is TenantStatus.ACTIVE
                and (row.tenant_id, account.user_id) not in tables.memberships
            ),
            window,
        )


def _account(tables: Tables, user_id: str) -> JoiningAccount | None:
    user = tables.account(user_id)
    if user is None or user.email_key is None or not (user.is_active and user.email_verified):
        return None
    return JoiningAccount(user.user_id, user.email_key)


def _joinable(tables: Tables, tenant_id: str, account: JoiningAccount) -> JoinableTenantResult:
    domain = tables.domains[tenant_id, account.domain]
    request = tables.join_requests.get((tenant_id, account.user_id))
    return combine(
        JoinableTenantResult,
        domain,
        tenant_name=tables.tenants[tenant_id].name,
        role=domain.join_role,
        request=None if request is None else request.status,
    )

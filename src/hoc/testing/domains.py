"""Domains that tenants have claimed, and the results of their checks."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from hoc.cus.account.L5_schemas.domains import (
    RECORD_PREFIX,
    VALUE_PREFIX,
    CheckedDomain,
    DomainResult,
    JoiningTerms,
)
from hoc.cus.account.L5_schemas.events import (
    DomainChangedEventData,
    DomainClaimedEventData,
    DomainFailingEventData,
    DomainLostEventData,
    DomainRemovedEventData,
    DomainVerifiedEventData,
)
from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, Versioned, Window
from hoc.cus.account.L5_schemas.values import DomainProblem, DomainStatus, Role
from hoc.testing.database import MemorySession
from hoc.testing.rows import DomainRow, combine
from hoc.testing.store import MemoryStore, slice_of
from hoc.testing.tables import Tables


class MemoryDomains(MemoryStore):
    async def lock_tenant(self, session: MemorySession, tenant_id: str) -> None:  # noqa: ARG002 - one lock for all
        await self.write(session)

    async def count(self, session: MemorySession, tenant_id: str) -> int:
        return sum(owner_id == tenant_id for owner_id, _ in self.read(session).domains)

    async def claim(
        self,
        session: MemorySession,
        tenant_id: str,
        domain: str,
        token: str,
        now: datetime,
        *,
        actor: str,
        due_at: datetime,
    ) -> bool:
        tables = await self.write(session)
        if (tenant_id, domain) in tables.domains:
            return False
        tables.domains[tenant_id, domain] = DomainRow(tenant_id, domain, token, now, next_check_at=due_at)
        tables.record(DomainClaimedEventData(tenant_id, domain, claimed_at=now), actor=actor, at=now)
        return True

    async def page(
        self, session: MemorySession, tenant_id: str, window: Window, *, status: DomainStatus | None
    ) -> Slice[DomainResult]:
        return slice_of(
            (
                (SortKey(row.created_at, row.domain), _result(row))
                for row in self.read(session).domains.values()
                if row.tenant_id == tenant_id and status in {None, row.status}
            ),
            window,
        )

    async def find(
        self, session: MemorySession, tenant_id: str, domain: str
    ) -> Versioned[DomainResult] | None:
        row = self.read(session).domains.get((tenant_id, domain))
        return None if row is None else Versioned(_result(row), row.version)

    async def lock(self, session: MemorySession, tenant_id: str, domain: str) -> None:  # noqa: ARG002 - one lock for all
        await self.write(session)

    async def change(
        self,
        session: MemorySession,
        tenant_id: str,
        domain: str,
        terms: JoiningTerms,
        now: datetime,
        *,
        actor: str,
    ) -> None:
        tables = await self.write(session)
        row = tables.domains[tenant_id, domain]
        if JoiningTerms(row.joining, row.join_role) == terms:
            return
        _store(tables, row, joining=terms.joining, join_role=terms.role, version=row.version + 1)
        event = DomainChangedEventData(tenant_id, domain, terms.joining, terms.role, changed_at=now)
        tables.record(event, actor=actor, at=now)

    async def remove(
        self, session: MemorySession, tenant_id: str, domain: str, now: datetime, *, actor: str
    ) -> None:
        tables = await self.write(session)
        del tables.domains[tenant_id, domain]
        tables.record(DomainRemovedEventData(tenant_id, domain, removed_at=now), actor=actor, at=now)

    async def check_at(self, session: MemorySession, tenant_id: str, domain: str, due_at: datetime) -> None:
        tables = await self.write(session)
        _store(tables, tables.domains[tenant_id, domain], next_check_at=due_at)


class MemoryDomainChecks(MemoryStore):
    async def lock(self, session: MemorySession, tenant_id: str, domain: str) -> CheckedDomain | None:
        tables = await self.write(session)
        row = tables.domains.get((tenant_id, domain))
        if row is None:
            return None
        return combine(CheckedDomain, row, tenant_status=tables.tenants[tenant_id].status)

    async def settle(
        self,
        session: MemorySession,
        tenant_id: str,
        domain: str,
        problem: DomainProblem | None,
        now: datetime,
        *,
        due_at: datetime | None,
    ) -> None:
        tables = await self.write(session)
        row = tables.domains[tenant_id, domain]
        found = {"found_at": now, "failing_since": None} if problem is None else {}
        _store(tables, row, checked_at=now, problem=problem, next_check_at=due_at, **found)

    async def verify(
        self, session: MemorySession, tenant_id: str, domain: str, now: datetime, *, due_at: datetime
    ) -> bool:
        tables = await self.write(session)
        if any(tables.has_domain(owner_id, domain) for owner_id, _ in tables.domains):
            return False
        row = tables.domains[tenant_id, domain]
        _store(
            tables,
            row,
            status=DomainStatus.VERIFIED,
            verified_at=now,
            checked_at=now,
            found_at=now,
            failing_since=None,
            problem=None,
            next_check_at=due_at,
            version=row.version + 1,
        )
        tables.record(DomainVerifiedEventData(tenant_id, domain, verified_at=now), actor=None, at=now)
        return True

    async def fail(
        self,
        session: MemorySession,
        tenant_id: str,
        domain: str,
        problem: DomainProblem,
        now: datetime,
        *,
        due_at: datetime,
        lost_at: datetime,
    ) -> None:
        tables = await self.write(session)
        row = tables.domains[tenant_id, domain]
        _store(
            tables,
            row,
            checked_at=now,
            failing_since=now,
            problem=problem,
            next_check_at=due_at,
            version=row.version + 1,
        )
        event = DomainFailingEventData(tenant_id, domain, lost_at=lost_at, failing_since=now)
        tables.record(event, actor=None, at=now)

    async def lose(
        self,
        session: MemorySession,
        tenant_id: str,
        domain: str,
        problem: DomainProblem | None,
        now: datetime,
    ) -> None:
        tables = await self.write(session)
        row = tables.domains[tenant_id, domain]
        _store(
            tables,
            row,
            status=DomainStatus.PENDING,
            verified_at=None,
            checked_at=now,
            failing_since=None,
            problem=problem,
            next_check_at=None,
            version=row.version + 1,
        )
        tables.record(DomainLostEventData(tenant_id, domain, lost_at=now), actor=None, at=now)

    async def queue_mails(
        self,
        session: MemorySession,
        tenant_id: str,
        domain: str,
        now: datetime,  # noqa: ARG002 - nothing sends these
        *,
        is_lost: bool,
    ) -> None:
        tables = await self.write(session)
        for row in tables.memberships.values():
            is_owner = row.tenant_id == tenant_id and row.role is Role.OWNER
            if is_owner and tables.users[row.user_id].is_active:
                tables.domain_mails[tenant_id, domain, row.user_id] = is_lost


def _store(tables: Tables, row: DomainRow, **changed: Any) -> None:  # noqa: ANN401 - values of the row's columns
    tables.domains[row.tenant_id, row.domain] = replace(row, **changed)


def _result(row: DomainRow) -> DomainResult:
    return combine(
        DomainResult, row, record_name=RECORD_PREFIX + row.domain, record_value=VALUE_PREFIX + row.token
    )

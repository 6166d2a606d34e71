"""Tenants, read as projects."""

from dataclasses import replace
from datetime import date, datetime

import orjson

from hoc.cus.account.L5_schemas.events import (
    MemberJoinedEventData,
    TenantCreatedEventData,
    TenantOnboardingAdvancedEventData,
    TenantQuotasChangedEventData,
    TenantStatusChangedEventData,
    TenantUpdatedEventData,
)
from hoc.cus.account.L5_schemas.port_types import (
    TENANT_UPDATABLE,
    NewTenant,
    PatchRefusal,
    Slice,
    SortKey,
    TenantPatch,
    Versioned,
    Window,
)
from hoc.cus.account.L5_schemas.results import ExtendedProjectDetailResult, ProjectSummaryResult
from hoc.cus.account.L5_schemas.values import QUOTAS, LeasedQuota, Onboarding, Role, TenantStatus
from hoc.testing.database import MemorySession
from hoc.testing.documents import merged, stored_size
from hoc.testing.leases import held_leases
from hoc.testing.rows import MembershipRow, TenantRow, combine
from hoc.testing.store import MemoryStore, slice_of
from hoc.testing.tables import Tables
from hoc.testing.usage import usage_of


class MemoryTenants(MemoryStore):
    async def page(
        self, session: MemorySession, tenant_id: str, window: Window, *, status: TenantStatus | None
    ) -> Slice[ProjectSummaryResult]:
        tenant = self.read(session).tenants.get(tenant_id)
        found = [tenant] if tenant is not None and status in {None, tenant.status} else []
        return slice_of(((SortKey(row.created_at, row.tenant_id), _summary(row)) for row in found), window)

    async def find(
        self, session: MemorySession, tenant_id: str, project_id: str, now: datetime
    ) -> Versioned[ExtendedProjectDetailResult] | None:
        tables = self.read(session)
        tenant = tables.tenants.get(tenant_id) if tenant_id == project_id else None
        if tenant is None:
            return None
        usage = usage_of(tables, tenant, now.date())
        detail = combine(
            ExtendedProjectDetailResult,
            tenant,
            usage,
            project_id=tenant.tenant_id,
            **{name: tenant.quota(name) for name in QUOTAS},
            seats=tables.seats(tenant_id, now),
            **{
                quota.removeprefix("max_"): len(held_leases(tables, tenant_id, quota))
                for quota in LeasedQuota
            },
            metadata=orjson.loads(tenant.metadata),
            onboarding_state=int(tenant.onboarding_state),
            onboarding_complete=tenant.onboarding_state is Onboarding.COMPLETE,
        )
        return Versioned(detail, tenant.version)

    async def is_active_account(self, session: MemorySession, user_id: str) -> bool:
        user = self.read(session).users.get(user_id)
        return user is not None and user.is_active

    async def create(
        self, session: MemorySession, tenant: NewTenant, owner_user_id: str, *, per_user_per_day: int
    ) -> bool:
        tables = await self.write(session)
        is_taken = any(other.slug == tenant.slug for other in tables.tenants.values())
        owner = tables.users.get(owner_user_id)
        if is_taken or owner is None or not owner.is_active:
            return False
        now = tenant.created_at
        key = (owner_user_id, now.date())
        created_today = tables.tenant_creations.get(key, 0)
        if created_today >= per_user_per_day:
            return False
        tables.tenant_creations[key] = created_today + 1
        tables.tenants[tenant.tenant_id] = TenantRow(
            tenant.tenant_id, tenant.name, tenant.slug, tenant.description, created_at=now, updated_at=now
        )
        tables.memberships[tenant.tenant_id, owner_user_id] = MembershipRow(
            tenant.tenant_id, owner_user_id, Role.OWNER, invited_by=None, joined_at=now, updated_at=now
        )
        created = TenantCreatedEventData(
            tenant.tenant_id, tenant.name, tenant.slug, owner_user_id, created_at=now
        )
        joined = MemberJoinedEventData(
            tenant.tenant_id, owner_user_id, Role.OWNER, invited_by=None, joined_at=now
        )
        tables.record(created, actor=owner_user_id, at=now, about_user=owner_user_id)
        tables.record(joined, actor=owner_user_id, at=now)
        return True

    async def created_on(self, session: MemorySession, user_id: str, day: date) -> int:
        return self.read(session).tenant_creations.get((user_id, day), 0)

    async def lock(self, session: MemorySession, tenant_id: str) -> None:  # noqa: ARG002 - one lock for all
        await self.write(session)

    async def update(
        self,
        session: MemorySession,
        tenant_id: str,
        patch: TenantPatch,
        now: datetime,
        *,
        actor: str | None,
        expected_version: int | None,
        max_metadata_bytes: int,
    ) -> PatchRefusal | None:
        tables = await self.write(session)
        tenant = tables.tenants.get(tenant_id)
        if tenant is None:
            return None
        if expected_version not in {None, tenant.version}:
            return PatchRefusal.STALE
        patched = _patched(tenant, patch)
        if stored_size(patched.metadata) > max_metadata_bytes:
            return PatchRefusal.TOO_LARGE
        if any(
            other.slug == patched.slug and other.tenant_id != tenant_id for other in tables.tenants.values()
        ):
            return PatchRefusal.TAKEN
        updated = [name for name in TENANT_UPDATABLE if getattr(patched, name) != getattr(tenant, name)]
        if updated:
            _store(tables, patched, now)
            event = TenantUpdatedEventData(tenant_id, patched.name, patched.slug, updated, updated_at=now)
            tables.record(event, actor=actor, at=now)
        return None

    async def set_status(
        self,
        session: MemorySession,
        tenant_id: str,
        status: TenantStatus,
        come_from: list[str],
        now: datetime,
        *,
        actor: str | None,
    ) -> bool:
        tables = await self.write(session)
        tenant = tables.tenants.get(tenant_id)
        if tenant is None or tenant.status not in come_from:
            return False
        _store(tables, replace(tenant, status=status), now)
        event = TenantStatusChangedEventData(tenant_id, status, changed_at=now)
        tables.record(event, actor=actor, at=now)
        return True

    async def advance_onboarding(
        self, session: MemorySession, tenant_id: str, state: Onboarding, now: datetime, *, actor: str | None
    ) -> None:
        tables = await self.write(session)
        tenant = tables.tenants.get(tenant_id)
        if tenant is None or tenant.onboarding_state >= state:
            return
        _store(tables, replace(tenant, onboarding_state=state), now)
        event = TenantOnboardingAdvancedEventData(tenant_id, int(state), changed_at=now)
        tables.record(event, actor=actor, at=now)

    async def set_quotas(
        self,
        session: MemorySession,
        tenant_id: str,
        quotas: dict[str, int | None],
        now: datetime,
        *,
        actor: str | None,
    ) -> None:
        tables = await self.write(session)
        tenant = tables.tenants.get(tenant_id)
        if tenant is None:
            return
        given = {**tenant.quotas, **quotas}
        own = {name: value for name, value in given.items() if value is not None}
        if own == tenant.quotas:
            return
        _store(tables, replace(tenant, quotas=own), now)
        event = TenantQuotasChangedEventData(
            tenant_id=tenant_id, **{name: own.get(name) for name in QUOTAS}, changed_at=now
        )
        tables.record(event, actor=actor, at=now)


def _patched(tenant: TenantRow, patch: TenantPatch) -> TenantRow:
    return replace(
        tenant,
        name=patch.name or tenant.name,
        slug=patch.slug or tenant.slug,
        description=tenant.description if patch.description is None else patch.description or None,
        metadata=merged(tenant.metadata, patch.metadata),
        invitations_only_to_domains=tenant.invitations_only_to_domains
        if patch.invitations_only_to_domains is None
        else patch.invitations_only_to_domains,
    )


def _store(tables: Tables, tenant: TenantRow, now: datetime) -> None:
    """Store a changed row."""
    tables.tenants[tenant.tenant_id] = replace(tenant, version=tenant.version + 1, updated_at=now)


def _summary(tenant: TenantRow) -> ProjectSummaryResult:
    return combine(ProjectSummaryResult, tenant, project_id=tenant.tenant_id)

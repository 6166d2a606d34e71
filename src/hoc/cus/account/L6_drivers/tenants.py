"""Tenants, read as projects."""

from datetime import date, datetime

from sqlalchemy import (
    SmallInteger,
    String,
    delete,
    func,
    or_,
    select,
    true,
    update,
)

from hoc.cus.account.L5_schemas.events import (
    TenantOnboardingAdvancedEventData,
    TenantQuotasChangedEventData,
    TenantStatusChangedEventData,
)
from hoc.cus.account.L5_schemas.port_types import (
    NewTenant,
    PatchRefusal,
    Slice,
    TenantPatch,
    Versioned,
    Window,
)
from hoc.cus.account.L5_schemas.results import ExtendedProjectDetailResult, ProjectSummaryResult
from hoc.cus.account.L5_schemas.values import CLOSED_TENANT, QUOTAS, Onboarding, TenantStatus
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import LOCK_TENANT, NOW, TENANT, USER, any_of, quota
from hoc.cus.account.L6_drivers.leases import HELD_LEASES
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.paging import Paged
from hoc.cus.account.L6_drivers.quota_counters import LEASE_COUNTERS, USAGE, USED
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.seats import seats
from hoc.cus.account.L6_drivers.tables import (
    member_counts,
    tenant_creations,
    tenants,
    users,
)
from hoc.cus.account.L6_drivers.tenant_inserts import CREATE, DAY
from hoc.cus.account.L6_drivers.tenant_updates import UPDATE

STATUS = param("status", String)
ONBOARDING = param("state", SmallInteger)


def _page(*, by_status: bool) -> Paged:
    conditions = [tenants.c.tenant_id == TENANT] + ([tenants.c.status == STATUS] if by_status else [])
    rows = select(
        tenants.c.tenant_id.label("project_id"),
        tenants.c.name,
        tenants.c.description,
        tenants.c.status,
        tenants.c.plan,
        tenants.c.created_at,
        tenants.c.updated_at,
    ).where(*conditions)
    total = select(func.count()).select_from(tenants).where(*conditions).scalar_subquery()
    return Paged(rows, at=tenants.c.created_at, row_id=tenants.c.tenant_id, total=total)


PAGES = {by_status: _page(by_status=by_status) for by_status in (False, True)}

FIND = (
    select(
        tenants.c.tenant_id.label("project_id"),
        tenants.c.name,
        tenants.c.slug,
        tenants.c.description,
        tenants.c.status,
        tenants.c.plan,
        *(quota(name) for name in QUOTAS if name != "max_members"),
        *USAGE,
        tenants.c.onboarding_state,
        (tenants.c.onboarding_state == Onboarding.COMPLETE).label("onboarding_complete"),
        tenants.c.created_at,
        tenants.c.updated_at,
        quota("max_members"),
        seats(TENANT).label("seats"),
        *(HELD_LEASES.c[name] for name in LEASE_COUNTERS),
        tenants.c.metadata,
        tenants.c.invitations_only_to_domains,
        tenants.c.version,
    )
    .select_from(tenants.join(USED, true()).join(HELD_LEASES, true()))
    .where(tenants.c.tenant_id == TENANT, tenants.c.tenant_id == param("project_id", String))
)

IS_ACTIVE_ACCOUNT = select(users.c.user_id).where(users.c.user_id == USER, users.c.is_active)


CREATED_ON = select(tenant_creations.c.created).where(
    tenant_creations.c.user_id == USER, tenant_creations.c.day == DAY
)


def _set_status() -> AnySelect:
    new_status = param("new_status", String)
    moved = (
        update(tenants)
        .where(tenants.c.tenant_id == TENANT, any_of(tenants.c.status, "come_from"))
        .values(status=new_status, version=tenants.c.version + 1, updated_at=NOW)
        .returning(tenants.c.tenant_id, tenants.c.status)
        .cte("moved")
    )
    # A closed tenant needs no owner: with its counts, the account of its last owner could not be deleted.
    uncounted = (
        delete(member_counts)
        .where(
            member_counts.c.tenant_id == TENANT,
            member_counts.c.tenant_id == moved.c.tenant_id,
            new_status.in_(CLOSED_TENANT),
        )
        .cte("uncounted")
    )
    status_changed = recorded(TenantStatusChangedEventData, moved)
    return select(moved.c.tenant_id).add_cte(uncounted, status_changed)


SET_STATUS = _set_status()


def _advance_onboarding() -> AnySelect:
    advanced = (
        update(tenants)
        .where(tenants.c.tenant_id == TENANT, tenants.c.onboarding_state < ONBOARDING)
        .values(onboarding_state=ONBOARDING, version=tenants.c.version + 1, updated_at=NOW)
        .returning(tenants.c.tenant_id, tenants.c.onboarding_state)
        .cte("advanced")
    )
    onboarding_advanced = recorded(TenantOnboardingAdvancedEventData, advanced)
    return select(advanced.c.tenant_id).add_cte(onboarding_advanced)


ADVANCE_ONBOARDING = _advance_onboarding()


def _set_quotas(quotas: dict[str, int | None]) -> AnySelect:
    changed = (
        update(tenants)
        .where(
            tenants.c.tenant_id == TENANT,
            or_(*(tenants.c[name].is_distinct_from(value) for name, value in quotas.items())),
        )
        .values(**quotas, version=tenants.c.version + 1, updated_at=NOW)
        .returning(tenants.c.tenant_id, *(tenants.c[name] for name in QUOTAS))
        .cte("changed")
    )
    quotas_changed = recorded(
        TenantQuotasChangedEventData, changed, **{name: changed.c[name] for name in QUOTAS}
    )
    return select(changed.c.tenant_id).add_cte(quotas_changed)


_summary = record_of(ProjectSummaryResult, *PAGES.values())
_detail = record_of(ExtendedProjectDetailResult, FIND)


class SqlTenants:
    async def page(
        self, session: SqlSession, tenant_id: str, window: Window, *, status: TenantStatus | None
    ) -> Slice[ProjectSummaryResult]:
        values = {"tenant_id": tenant_id} | ({} if status is None else {"status": status})
        return await PAGES[status is not None].fetch(session, window, _summary, **values)

    async def find(
        self, session: SqlSession, tenant_id: str, project_id: str, now: datetime
    ) -> Versioned[ExtendedProjectDetailResult] | None:
        row = await fetch_one(
            session, FIND, tenant_id=tenant_id, project_id=project_id, now=now, day=now.date()
        )
        return None if row is None else Versioned(_detail(row), row.version)

    async def is_active_account(self, session: SqlSession, user_id: str) -> bool:
        return await fetch_one(session, IS_ACTIVE_ACCOUNT, user_id=user_id) is not None

    async def create(
        self, session: SqlSession, tenant: NewTenant, owner_user_id: str, *, per_user_per_day: int
    ) -> bool:
        row = await fetch_one(
            session,
            CREATE,
            tenant_id=tenant.tenant_id,
            name=tenant.name,
            slug=tenant.slug,
            description=tenant.description,
            user_id=owner_user_id,
            now=tenant.created_at,
            day=tenant.created_at.date(),
            per_user=per_user_per_day,
        )
        return row is not None

    async def created_on(self, session: SqlSession, user_id: str, day: date) -> int:
        row = await fetch_one(session, CREATED_ON, user_id=user_id, day=day)
        return 0 if row is None else row.created

    async def lock(self, session: SqlSession, tenant_id: str) -> None:
        await fetch_one(session, LOCK_TENANT, tenant_id=tenant_id)

    async def update(
        self,
        session: SqlSession,
        tenant_id: str,
        patch: TenantPatch,
        now: datetime,
        *,
        actor: str | None,
        expected_version: int | None,
        max_metadata_bytes: int,
    ) -> PatchRefusal | None:
        row = await fetch_one(
            session,
            UPDATE,
            tenant_id=tenant_id,
            now=now,
            actor=actor,
            expected_version=expected_version,
            max_bytes=max_metadata_bytes,
            **vars(patch),
        )
        if row is None:
            return None
        if row.is_stale:
            return PatchRefusal.STALE
        if row.is_too_large:
            return PatchRefusal.TOO_LARGE
        return PatchRefusal.TAKEN if row.is_taken else None

    async def set_status(
        self,
        session: SqlSession,
        tenant_id: str,
        status: TenantStatus,
        come_from: list[str],
        now: datetime,
        *,
        actor: str | None,
    ) -> bool:
        row = await fetch_one(
            session,
            SET_STATUS,
            tenant_id=tenant_id,
            new_status=status,
            come_from=come_from,
            now=now,
            actor=actor,
        )
        return row is not None

    async def advance_onboarding(
        self, session: SqlSession, tenant_id: str, state: Onboarding, now: datetime, *, actor: str | None
    ) -> None:
        await fetch_one(session, ADVANCE_ONBOARDING, tenant_id=tenant_id, state=state, now=now, actor=actor)

    async def set_quotas(
        self,
        session: SqlSession,
        tenant_id: str,
        quotas: dict[str, int | None],
        now: datetime,
        *,
        actor: str | None,
    ) -> None:
        if quotas:
            await fetch_one(session, _set_quotas(quotas), tenant_id=tenant_id, now=now, actor=actor)

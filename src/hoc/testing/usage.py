"""Usage counters. A later day or month starts from zero."""

from datetime import date, timedelta

from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.port_types import QuotaRefusal
from hoc.cus.account.L5_schemas.results import UsageResult
from hoc.cus.account.L5_schemas.usage_days import UsageDayResult
from hoc.cus.account.L5_schemas.values import TenantStatus
from hoc.testing.database import MemorySession
from hoc.testing.rows import TenantRow, UsageRow
from hoc.testing.store import MemoryStore
from hoc.testing.tables import Tables


class MemoryUsage(MemoryStore):
    async def add(
        self, session: MemorySession, tenant_id: str, *, runs: int, tokens: int, day: date
    ) -> UsageResult | QuotaRefusal | None:
        tables = await self.write(session)
        tenant = _active(tables, tenant_id)
        if tenant is None:
            return None
        before = usage_of(tables, tenant, day)
        # A call without runs is not refused for the runs' quota, nor one without tokens for the tokens'.
        if runs and before.runs_today + runs > before.max_runs_per_day:
            return QuotaRefusal("max_runs_per_day", before.max_runs_per_day)
        if tokens and before.tokens_this_month + tokens > before.max_tokens_per_month:
            return QuotaRefusal("max_tokens_per_month", before.max_tokens_per_month)
        counted = tables.usage.get(tenant_id)
        day = _bounded(day)
        tables.usage[tenant_id] = UsageRow(
            day=day if counted is None else max(day, counted.day),
            runs_today=before.runs_today + runs,
            runs_this_month=before.runs_this_month + runs,
            tokens_this_month=before.tokens_this_month + tokens,
        )
        counted_on = tables.usage[tenant_id].day
        that_day = tables.usage_days.get((tenant_id, counted_on), UsageDayResult(counted_on, 0, 0))
        tables.usage_days[tenant_id, counted_on] = UsageDayResult(
            counted_on, that_day.runs + runs, that_day.tokens + tokens
        )
        return usage_of(tables, tenant, day)

    async def by_day(
        self, session: MemorySession, tenant_id: str, first: date, last: date
    ) -> dict[date, UsageDayResult]:
        return {
            day: row
            for (owner_id, day), row in self.read(session).usage_days.items()
            if owner_id == tenant_id and first <= day <= last
        }

    async def current(self, session: MemorySession, tenant_id: str, day: date) -> UsageResult | None:
        tables = self.read(session)
        tenant = _active(tables, tenant_id)
        return None if tenant is None else usage_of(tables, tenant, day)


def usage_of(tables: Tables, tenant: TenantRow, day: date) -> UsageResult:
    """The tenant's counters on a day, and their quotas."""
    row = tables.usage.get(tenant.tenant_id, UsageRow(date.min, 0, 0, 0))
    day = _bounded(day)
    # A stored later day counts as this day: another server's clock may already be past midnight.
    is_same_month = (row.day.year, row.day.month) >= (day.year, day.month)
    return UsageResult(
        runs_today=row.runs_today if row.day >= day else 0,
        runs_this_month=row.runs_this_month if is_same_month else 0,
        tokens_this_month=row.tokens_this_month if is_same_month else 0,
        max_runs_per_day=tenant.quota("max_runs_per_day"),
        max_tokens_per_month=tenant.quota("max_tokens_per_month"),
    )


def _bounded(day: date) -> date:
    """At most a day ahead of the time of day, as PostgreSQL's clock bounds the days of an engine's."""
    return min(day, utc_now().date() + timedelta(days=1))


def _active(tables: Tables, tenant_id: str) -> TenantRow | None:
    tenant = tables.tenants.get(tenant_id)
    return tenant if tenant is not None and tenant.status is TenantStatus.ACTIVE else None

"""Metering: usage is counted on one of the tenant's rows of counters."""

from datetime import date
from typing import Any

from sqlalchemy import BigInteger, select, true

from hoc.cus.account.L5_schemas.port_types import QuotaRefusal
from hoc.cus.account.L5_schemas.results import UsageResult
from hoc.cus.account.L5_schemas.values import TenantStatus
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import TENANT, quota
from hoc.cus.account.L6_drivers.quota_counters import (
    TODAY,
    USAGE,
    USAGE_COUNTERS,
    USED,
    Counting,
    counting,
    used,
)
from hoc.cus.account.L6_drivers.quota_division import count
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import quota_counters, tenants
from hoc.cus.account.L6_drivers.usage_days import archived

RUNS = param("runs", BigInteger)
TOKENS = param("tokens", BigInteger)

LIMITS = (quota("max_runs_per_day"), quota("max_tokens_per_month"))

WANTED = {
    "runs_today": RUNS,
    "tokens_today": TOKENS,
    "runs_this_month": RUNS,
    "tokens_this_month": TOKENS,
}
PARTS = counting(WANTED)


def _add(parts: Counting) -> AnySelect:
    counted = parts.counted()
    others = used(quota_counters.c.slot != select(counted.c.slot).scalar_subquery(), name="others")
    return (
        select(
            *((counted.c[name] + others.c[name]).label(name) for name in USAGE_COUNTERS),
            parts.tenant.c.max_runs_per_day,
            parts.tenant.c.max_tokens_per_month,
        )
        .select_from(counted.join(others, true()).join(parts.tenant, true()))
        .add_cte(archived(parts.picked, parts.picked.c.day < TODAY).cte("archived"))
    )


ADD = _add(PARTS)
ADD_TO_AMPLE = _add(counting(WANTED, ample=True))

CURRENT = (
    select(*USAGE, *LIMITS)
    .select_from(tenants.join(USED, true()))
    .where(tenants.c.tenant_id == TENANT, tenants.c.status == TenantStatus.ACTIVE)
)

_usage = record_of(UsageResult, ADD, ADD_TO_AMPLE, CURRENT)


class SqlUsage:
    async def add(
        self, session: SqlSession, tenant_id: str, *, runs: int, tokens: int, day: date
    ) -> UsageResult | QuotaRefusal | None:
        values: dict[str, Any] = {"tenant_id": tenant_id, "runs": runs, "tokens": tokens, "day": day}
        row = await fetch_one(session, ADD_TO_AMPLE, **values)
        if row is not None:
            return _usage(row)
        wanted = {"runs_today": runs, "tokens_this_month": tokens}
        counted = await count(session, ADD, PARTS, wanted, **values)
        return counted if counted is None or isinstance(counted, QuotaRefusal) else _usage(counted)

    async def current(self, session: SqlSession, tenant_id: str, day: date) -> UsageResult | None:
        row = await fetch_one(session, CURRENT, tenant_id=tenant_id, day=day)
        return None if row is None else _usage(row)

"""Usage counters: one row for each tenant, and the day that it counts. A later day or month starts from zero.

The day is the engine's, and a stored later day counts as that day: another server's clock may already be past
midnight. This is the one place where a time of another operation is taken for the present.
"""

from datetime import date
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Date, case, func, select, true, tuple_
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.results import UsageResult
from hoc.cus.account.L5_schemas.values import TenantStatus
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import TENANT, quota
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import tenants, usage_counters

DAY = param("day", Date)
RUNS = param("runs", BigInteger)
TOKENS = param("tokens", BigInteger)


def _month(day: ColumnElement[date]) -> ColumnElement[Any]:
    return tuple_(func.extract("year", day), func.extract("month", day))


_SAME_DAY = usage_counters.c.day >= DAY
_SAME_MONTH = _month(usage_counters.c.day) >= _month(DAY)


def _counted(counter: ColumnElement[int], is_current: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(case((is_current, counter), else_=0), 0)


RUNS_TODAY = _counted(usage_counters.c.runs_today, _SAME_DAY)
RUNS_THIS_MONTH = _counted(usage_counters.c.runs_this_month, _SAME_MONTH)
TOKENS_THIS_MONTH = _counted(usage_counters.c.tokens_this_month, _SAME_MONTH)

USAGE = (
    RUNS_TODAY.label("runs_today"),
    RUNS_THIS_MONTH.label("runs_this_month"),
    TOKENS_THIS_MONTH.label("tokens_this_month"),
)

LIMITS = (quota("max_runs_per_day"), quota("max_tokens_per_month"))


def _add() -> AnySelect:
    tenant = (
        select(tenants.c.tenant_id, *LIMITS)
        .where(tenants.c.tenant_id == TENANT, tenants.c.status == TenantStatus.ACTIVE)
        .cte("tenant")
    )
    fits = (tenant.c.max_runs_per_day >= RUNS) & (tenant.c.max_tokens_per_month >= TOKENS)
    limit = select(tenant.c.max_runs_per_day).scalar_subquery()
    token_limit = select(tenant.c.max_tokens_per_month).scalar_subquery()
    first = insert(usage_counters).from_select(
        ["tenant_id", "day", "runs_today", "runs_this_month", "tokens_this_month"],
        select(tenant.c.tenant_id, DAY, RUNS, RUNS, TOKENS).where(fits),
    )
    counted = (
        first.on_conflict_do_update(
            index_elements=[usage_counters.c.tenant_id],
            set_={
                "day": func.greatest(usage_counters.c.day, DAY),
                "runs_today": RUNS_TODAY + RUNS,
                "runs_this_month": RUNS_THIS_MONTH + RUNS,
                "tokens_this_month": TOKENS_THIS_MONTH + TOKENS,
            },
            # A call without runs is not refused for the runs' quota, nor one without tokens for the tokens'.
            where=((RUNS == 0) | (limit >= RUNS_TODAY + RUNS))
            & ((TOKENS == 0) | (token_limit >= TOKENS_THIS_MONTH + TOKENS)),
        )
        .returning(
            usage_counters.c.runs_today,
            usage_counters.c.runs_this_month,
            usage_counters.c.tokens_this_month,
        )
        .cte("counted")
    )
    return select(
        counted.c.runs_today,
        counted.c.runs_this_month,
        counted.c.tokens_this_month,
        tenant.c.max_runs_per_day,
        tenant.c.max_tokens_per_month,
    ).join(tenant, true())


ADD = _add()

CURRENT = (
    select(*USAGE, *LIMITS)
    .select_from(tenants.outerjoin(usage_counters))
    .where(tenants.c.tenant_id == TENANT, tenants.c.status == TenantStatus.ACTIVE)
)


_usage = record_of(UsageResult, ADD, CURRENT)


class SqlUsage:
    async def add(
        self, session: SqlSession, tenant_id: str, *, runs: int, tokens: int, day: date
    ) -> UsageResult | None:
        row = await fetch_one(session, ADD, tenant_id=tenant_id, runs=runs, tokens=tokens, day=day)
        return None if row is None else _usage(row)

    async def current(self, session: SqlSession, tenant_id: str, day: date) -> UsageResult | None:
        row = await fetch_one(session, CURRENT, tenant_id=tenant_id, day=day)
        return None if row is None else _usage(row)

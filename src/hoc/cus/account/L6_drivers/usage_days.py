"""A tenant's usage by day: a row of counters has the latest day on which it was used.

The first count of a later day adds that day to a row of its own, so that nobody waits here. Housekeeping
merges the rows of past days.
"""

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Executable,
    FromClause,
    Integer,
    Select,
    SmallInteger,
    Table,
    cast,
    delete,
    func,
    literal,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningInsert

from hoc.cus.account.L5_schemas.usage_days import UsageDayResult
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.fragments import TENANT
from hoc.cus.account.L6_drivers.tables import quota_counters, usage_days

_KEY = tuple(usage_days.primary_key)


def archived(rows: FromClause, *conditions: ColumnElement[bool]) -> ReturningInsert[*tuple[Any, ...]]:
    """Stores the days of these rows of counters, which the transaction has locked."""
    counted = rows.c
    days = select(TENANT, counted.day, counted.slot, counted.runs_today, counted.tokens_today).where(
        counted.runs_today + counted.tokens_today > literal_column("0"), *conditions
    )
    put = insert(usage_days).from_select([*(column.name for column in usage_days.c)], days)
    return put.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={
            "runs": usage_days.c.runs + put.excluded.runs,
            "tokens": usage_days.c.tokens + put.excluded.tokens,
        },
    ).returning(usage_days.c.day)


ARCHIVE = archived(
    quota_counters, quota_counters.c.tenant_id == TENANT, quota_counters.c.day < param("day", Date)
)


def _sum(counter: ColumnElement[int]) -> ColumnElement[int]:
    return cast(func.sum(counter), BigInteger)


def _within(table: Table, runs: str, tokens: str) -> Select[*tuple[Any, ...]]:
    in_range = table.c.day.between(param("first", Date), param("last", Date))
    columns = (table.c.day, table.c[runs].label("runs"), table.c[tokens].label("tokens"))
    return select(*columns).where(table.c.tenant_id == TENANT, in_range)


_COUNTED = union_all(
    _within(usage_days, "runs", "tokens"), _within(quota_counters, "runs_today", "tokens_today")
).subquery("counted")

BY_DAY = select(
    _COUNTED.c.day, _sum(_COUNTED.c.runs).label("runs"), _sum(_COUNTED.c.tokens).label("tokens")
).group_by(_COUNTED.c.day)


def _fold() -> Executable:
    """Merges rows of days that no statement changes any more into the day's first row."""
    is_apart = (usage_days.c.slot != literal_column("0")) & (usage_days.c.day < param("before", Date))
    some = select(*_KEY).where(is_apart).limit(param("batch", Integer))
    apart = delete(usage_days).where(tuple_(*_KEY).in_(some)).returning(usage_days).cte("apart")
    sums = select(
        apart.c.tenant_id, apart.c.day, literal(0, SmallInteger), _sum(apart.c.runs), _sum(apart.c.tokens)
    ).group_by(apart.c.tenant_id, apart.c.day)
    together = insert(usage_days).from_select([*(column.name for column in usage_days.c)], sums)
    merged = together.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={
            "runs": usage_days.c.runs + together.excluded.runs,
            "tokens": usage_days.c.tokens + together.excluded.tokens,
        },
    ).cte("merged")
    return select(apart.c.day).add_cte(merged)


FOLD = _fold()


class SqlUsageDays:
    async def by_day(
        self, session: SqlSession, tenant_id: str, first: date, last: date
    ) -> dict[date, UsageDayResult]:
        """The days with usage."""
        rows = await fetch_all(session, BY_DAY, tenant_id=tenant_id, first=first, last=last)
        return {row.day: UsageDayResult(row.day, row.runs, row.tokens) for row in rows}


async def fold_usage_days(session: SqlSession, *, now: datetime, limit: int) -> int:
    """Merge up to ``limit`` rows of days before yesterday. Returns how many."""
    before = (now - timedelta(days=1)).date()
    return len(await fetch_all(session, FOLD, before=before, batch=limit))

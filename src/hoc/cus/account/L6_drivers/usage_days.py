"""A tenant's usage by day: each of its rows of counters adds to a row of its own, so that nobody waits here.

Housekeeping merges the rows of past days.
"""

from datetime import date, datetime, timedelta

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Date,
    Executable,
    Integer,
    SmallInteger,
    cast,
    delete,
    func,
    literal,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.usage_days import UsageDayResult
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, param
from hoc.cus.account.L6_drivers.fragments import TENANT
from hoc.cus.account.L6_drivers.tables import usage_days

_KEY = tuple(usage_days.primary_key)


def added(counted: CTE, runs: ColumnElement[int], tokens: ColumnElement[int]) -> CTE:
    """Adds to the day of the row of counters that ``counted`` is, which the transaction has locked."""
    given = {"day": counted.c.day, "slot": counted.c.slot, "runs": runs, "tokens": tokens}
    put = insert(usage_days).from_select(["tenant_id", *given], select(TENANT, *given.values()))
    return put.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={
            "runs": usage_days.c.runs + put.excluded.runs,
            "tokens": usage_days.c.tokens + put.excluded.tokens,
        },
    ).cte("added")


def _sum(counter: ColumnElement[int]) -> ColumnElement[int]:
    return cast(func.sum(counter), BigInteger)


BY_DAY = (
    select(usage_days.c.day, _sum(usage_days.c.runs).label("runs"), _sum(usage_days.c.tokens).label("tokens"))
    .where(
        usage_days.c.tenant_id == TENANT,
        usage_days.c.day.between(param("first", Date), param("last", Date)),
    )
    .group_by(usage_days.c.day)
)


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

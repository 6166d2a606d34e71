"""How much of its quotas a tenant uses, counted over several rows: its transactions do not queue at one.

Each row has a part of every quota. A transaction counts on a row that nobody else has locked and whose part
has room. Only when there is none does it wait, or lock all rows and divide anew what is used. So the sum over
the rows never exceeds a quota, and a refusal is certain: whoever refuses has locked all rows, and no open
transaction of others can still free room.

A row knows the quotas that were divided. When one of them is no longer the tenant's, nobody counts on the row
until all rows are divided anew.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Date,
    DateTime,
    Executable,
    SmallInteger,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.port_types import QuotaRefusal
from hoc.cus.account.L5_schemas.values import TenantStatus
from hoc.cus.account.L6_drivers.execution import AnyRow, AnySelect, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import TENANT, quota
from hoc.cus.account.L6_drivers.tables import quota_counters, tenants
from hoc.cus.account.L6_drivers.usage_days import ARCHIVE

MAX_ROWS = 64
GROWTH = 4
AMPLE = 8

COUNTED_QUOTAS = {
    "runs_today": "max_runs_per_day",
    "tokens_this_month": "max_tokens_per_month",
    "workers": "max_workers",
    "concurrent_runs": "max_concurrent_runs",
    "api_keys": "max_api_keys",
}
"""The quotas, by the counter that they limit."""
USAGE_COUNTERS = ("runs_today", "runs_this_month", "tokens_this_month")
_OF_DAY = ("runs_today", "tokens_today")
_OF_MONTH = USAGE_COUNTERS[1:]
LEASE_COUNTERS = ("workers", "concurrent_runs", "api_keys")
COUNTERS = (*USAGE_COUNTERS, "tokens_today", *LEASE_COUNTERS)

# Not parameters: a statement would have forty more of them to send.
_ZERO, _ONE = literal_column("0", BigInteger), literal_column("1", BigInteger)
_ROW = quota_counters.c
_OF_TENANT = _ROW.tenant_id == TENANT

# A clock that is far ahead would end the month for the tenant. At most a day ahead of the database's counts.
TODAY = func.least(param("day", Date), cast(func.timezone("UTC", func.now()), Date) + literal_column("1"))


_MONTH = cast(func.date_trunc(literal_column("'month'"), cast(TODAY, DateTime)), Date)
"""The first day of this month."""

# A stored later day counts as this day: another server's clock may already be past midnight.
# Subqueries, so that a statement computes each day once and not for each row.
_IS_CURRENT = {
    **dict.fromkeys(_OF_DAY, _ROW.day >= select(TODAY).scalar_subquery()),
    **dict.fromkeys(_OF_MONTH, _ROW.day >= select(_MONTH).scalar_subquery()),
}


def _current(counter: str) -> ColumnElement[int]:
    """The row's count; a later day or month starts from zero."""
    if counter not in _IS_CURRENT:
        return _ROW[counter]
    return case((_IS_CURRENT[counter], _ROW[counter]), else_=_ZERO)


def _even(total: ColumnElement[int], row: ColumnElement[int], rows: ColumnElement[int]) -> ColumnElement[int]:
    """The row's part of a total that is divided evenly. The first rows have the remainder."""
    return total // rows + case((row < total % rows, _ONE), else_=_ZERO)


def _room(counter: str) -> ColumnElement[int]:
    """How much fits into the row's part of the quota."""
    return _even(_ROW[COUNTED_QUOTAS[counter]], _ROW.slot, _ROW.slots) - _current(counter)


def _sum(counts: ColumnElement[int]) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(counts), 0), BigInteger)


def used(*conditions: ColumnElement[bool], name: str) -> Subquery:
    """One row, to be joined: the tenant's usage."""
    return (
        select(*(_sum(_current(each)).label(each) for each in USAGE_COUNTERS))
        .where(_OF_TENANT, *conditions)
        .subquery(name)
    )


USED = used(name="used")
USAGE = tuple(USED.c[name] for name in USAGE_COUNTERS)


_OWN_FIRST = (_ROW.slot == func.pg_backend_pid() % _ROW.slots).desc()
"""A transaction comes back to the row that it has counted on before."""


@dataclass(frozen=True, slots=True)
class Counting:
    """Parts of a statement that counts in one round trip if a row is free and has room: ``picked``.

    ``values`` are what it is to count. ``fitting`` reads whether there would be such a row if all were free.
    """

    tenant: CTE
    picked: CTE
    values: Mapping[str, ColumnElement[int]]
    fitting: AnySelect

    def counted(self, *conditions: ColumnElement[bool]) -> CTE:
        """The row as it is counted on, under these conditions. Usage is of a day, and leases are not."""
        day = {"day": func.greatest(_ROW.day, TODAY)} if set(USAGE_COUNTERS) <= set(self.values) else {}
        return (
            update(quota_counters)
            # A scalar subquery is not run again when the row has changed since the statement's start.
            .where(_OF_TENANT, select(self.picked.c.slot).scalar_subquery() == _ROW.slot, *conditions)
            .values(**self.values, **day)
            .returning(_ROW.slot, _ROW.day, *(_ROW[name] for name in USAGE_COUNTERS))
            .cte("counted")
        )


def counting(
    wanted: Mapping[str, ColumnElement[int]], *conditions: ColumnElement[bool], ample: bool = False
) -> Counting:
    """Count ``wanted``, by counter, on one of the tenant's rows, under these conditions.

    A row that has no room any more once it is locked stays locked, and whoever holds a lock must not wait for
    all rows: so the statement belongs in a savepoint, which costs two round trips. With ``ample`` it needs
    none: a row that had room for many more when the statement began still has room for this one.
    """
    limited = [name for name in wanted if name in COUNTED_QUOTAS]
    tenant = (
        select(*(quota(COUNTED_QUOTAS[name]) for name in limited))
        .where(tenants.c.tenant_id == TENANT, tenants.c.status == TenantStatus.ACTIVE)
        .cte("tenant")
    )

    def fits(times: ColumnElement[int]) -> ColumnElement[bool]:
        limits = {name: select(tenant.c[COUNTED_QUOTAS[name]]).scalar_subquery() for name in limited}
        return and_(
            _OF_TENANT,
            *(_ROW[COUNTED_QUOTAS[name]] == limits[name] for name in limited),
            # What is not asked for is not refused.
            *(or_(wanted[name] == _ZERO, _room(name) >= wanted[name] * times) for name in limited),
        )

    # After the own row the one with the most room, so that all are used up at about the same time.
    order = (_OWN_FIRST, _room(limited[0]).desc(), _ROW.slot)
    row = select(_ROW.slot).where(fits(_ONE)).order_by(*order).limit(_ONE)
    picked = row.add_columns(_ROW.day, *(_ROW[name] for name in _OF_DAY))
    # A row's lock checks its own columns again, and not this.
    roomy = (
        select(_ROW.slot)
        .where(fits(literal_column(str(AMPLE), BigInteger)))
        .correlate(None)
        .scalar_subquery()
    )
    at_start = [_ROW.slot == func.any(func.array(roomy))] if ample else []
    return Counting(
        tenant,
        picked.where(*at_start, *conditions).with_for_update(skip_locked=True, key_share=True).cte("picked"),
        {name: _current(name) + wanted[name] for name in wanted},
        select(
            tenant,
            row.scalar_subquery().label("fitting"),
            select(_ROW.slots).where(_OF_TENANT, _ROW.slot == 0).scalar_subquery().label("slots"),
            *(
                (
                    tenant.c[COUNTED_QUOTAS[name]]
                    - select(_sum(_current(name))).where(_OF_TENANT).scalar_subquery()
                ).label(f"room_{name}")
                for name in limited
            ),
        ),
    )


def uncounted(counter: str, *conditions: ColumnElement[bool]) -> CTE:
    """One of the tenant's rows with one less, under these conditions, if one is free.

    If none is, too much is counted until all rows are divided anew.
    """
    free = (
        select(_ROW.slot)
        .where(_OF_TENANT, *conditions)
        .order_by(_OWN_FIRST, _ROW.slot)
        .limit(_ONE)
        .with_for_update(skip_locked=True, key_share=True)
        .cte("free")
    )
    return (
        update(quota_counters)
        .where(_OF_TENANT, select(free.c.slot).scalar_subquery() == _ROW.slot)
        .values({counter: _ROW[counter] - 1})
        .cte("uncounted")
    )


WAIT = (
    select(_ROW.slot).where(_OF_TENANT, _ROW.slot == param("slot", SmallInteger)).with_for_update(read=True)
)

CREATE = (
    insert(quota_counters)
    .from_select(
        ["tenant_id", "slot", "slots", "day"],
        select(tenants.c.tenant_id, literal(0), literal(1), TODAY).where(tenants.c.tenant_id == TENANT),
    )
    .on_conflict_do_nothing()
    .returning(_ROW.slot)
)

GATE = select(_ROW.slot).where(_OF_TENANT, _ROW.slot == 0).with_for_update()

LOCK_ALL = (
    select(TODAY.label("today"), _ROW.day, *(_ROW[name] for name in COUNTERS))
    .where(_OF_TENANT)
    .order_by(_ROW.slot)
    .with_for_update()
)

LIMITS = select(*(quota(name) for name in COUNTED_QUOTAS.values())).where(tenants.c.tenant_id == TENANT)


def _divide() -> Executable:
    rows, slot = param("slots", SmallInteger), literal_column("slot", SmallInteger)

    def part(name: str) -> ColumnElement[int]:
        wanted = param(f"wanted_{name}", BigInteger)
        return _even(param(name, BigInteger) + wanted, slot, rows) - case((slot == 0, wanted), else_=0)

    given: dict[str, ColumnElement[Any]] = {
        "slots": rows,
        "day": param("day", Date),
        **{name: part(name) for name in COUNTERS},
        **{name: param(name, BigInteger) for name in COUNTED_QUOTAS.values()},
    }
    slots = func.generate_series(0, rows - literal_column("1")).table_valued("slot").render_derived("rows")
    divided = insert(quota_counters).from_select(
        ["tenant_id", "slot", *given], select(TENANT, slot, *given.values()).select_from(slots)
    )
    return divided.on_conflict_do_update(
        index_elements=[_ROW.tenant_id, _ROW.slot],
        set_={name: divided.excluded[name] for name in given},
    ).returning(_ROW.slot)


DIVIDE = _divide()
"""Divides evenly what is used and what is wanted. The first row's count lacks the latter: it fits."""


Recount: TypeAlias = Callable[[], Awaitable[Mapping[str, int]]]
"""What is really in use of some counters, when nobody else is changing them."""


async def count(
    session: SqlSession,
    statement: Executable,
    parts: Counting,
    wanted: Mapping[str, int],
    *,
    recount: Recount | None = None,
    **values: Any,  # noqa: ANN401 - bind values are of any type
) -> AnyRow | QuotaRefusal | None:
    """Run the statement, made of these parts, until it has counted what is wanted. Waits for room if need be.

    Returns:
        The statement's row. None: the tenant does not exist, or is not active.
    """
    while True:
        if (row := await _attempt(session, statement, values)) is not None:
            return row
        found = await fetch_one(session, parts.fitting, **values)
        if found is None:
            return None
        refused = _beyond(found, wanted)
        if refused is None and found.fitting is not None and not _could_grow(found, wanted):
            await _wait(session, values["tenant_id"], found.fitting)
        elif refused is None:
            refused = await _make_room(session, parts, wanted, found, recount=recount, values=values)
        if refused is not None:
            # While this waited, another may have done what the statement does.
            return await _attempt(session, statement, values) or refused


async def _attempt(session: SqlSession, statement: Executable, values: Mapping[str, Any]) -> AnyRow | None:
    """Run the statement. If it returns no row, nothing stays locked."""
    async with session.begin_nested() as savepoint:
        row = await fetch_one(session, statement, **values)
        if row is None:
            await savepoint.rollback()
    return row


def _could_grow(found: AnyRow, wanted: Mapping[str, int]) -> bool:
    """Whether more rows would each have room for what is wanted."""
    rows = found.slots * GROWTH
    return rows <= MAX_ROWS and all(getattr(found, f"room_{name}") >= n * rows for name, n in wanted.items())


async def _wait(session: SqlSession, tenant_id: str, slot: int) -> None:
    """Wait until nobody has locked the row, without locking it, so that all who wait go on at once."""
    async with session.begin_nested() as savepoint:
        await fetch_one(session, WAIT, tenant_id=tenant_id, slot=slot)
        await savepoint.rollback()


async def _make_room(
    session: SqlSession,
    parts: Counting,
    wanted: Mapping[str, int],
    before: AnyRow,
    *,
    recount: Recount | None,
    values: Mapping[str, Any],
) -> QuotaRefusal | None:
    """Lock all rows, and divide what is used anew, over more rows if all with room were locked.

    None: there may be room now, by this or by another transaction's doing.
    """
    tenant_id, day = values["tenant_id"], values["day"]
    async with session.begin_nested() as savepoint:
        if before.slots is None:
            await fetch_one(session, CREATE, tenant_id=tenant_id, day=day)
        await fetch_one(session, GATE, tenant_id=tenant_id)
        now = await fetch_one(session, parts.fitting, **values)
        # While this waited, another may have made room.
        is_stale = now is None or (
            now.fitting is not None and (before.fitting is None or now.slots != before.slots)
        )
        if is_stale:
            await savepoint.rollback()
            return None
        rows = await fetch_all(session, LOCK_ALL, tenant_id=tenant_id, day=day)
        used = {**_totals(rows), **(await recount() if recount is not None else {})}
        latest = max(rows[0].today, *(row.day for row in rows))
        limits = await fetch_one(session, LIMITS, tenant_id=tenant_id)
        assert limits is not None  # noqa: S101 - tenants are not deleted
        refused = _beyond(limits, {name: used[name] + n for name, n in wanted.items() if n})
        if refused is not None:
            await savepoint.rollback()
            return refused
        await fetch_one(session, ARCHIVE, tenant_id=tenant_id, day=latest)
        await fetch_one(
            session,
            DIVIDE,
            tenant_id=tenant_id,
            day=latest,
            slots=len(rows) * (1 if before.fitting is None else GROWTH),
            **used,
            **{f"wanted_{name}": wanted.get(name, 0) for name in COUNTERS},
            **{name: getattr(limits, name) for name in COUNTED_QUOTAS.values()},
        )
    return None


def _beyond(limits: AnyRow, counts: Mapping[str, int]) -> QuotaRefusal | None:
    for name, quota_name in COUNTED_QUOTAS.items():
        limit = getattr(limits, quota_name, 0)
        if counts.get(name, 0) > limit:
            return QuotaRefusal(quota_name, limit)
    return None


def _totals(rows: list[AnyRow]) -> dict[str, int]:
    """The sums of the rows' counts. A row of a day or month before the latest has none of it."""
    latest = max(rows[0].today, *(row.day for row in rows))
    of_day = [row for row in rows if row.day == latest]
    of_month = [row for row in rows if (row.day.year, row.day.month) == (latest.year, latest.month)]
    counted = dict.fromkeys(COUNTERS, rows)
    counted |= dict.fromkeys(_OF_DAY, of_day) | dict.fromkeys(_OF_MONTH, of_month)
    return {name: sum(getattr(row, name) for row in counted[name]) for name in COUNTERS}

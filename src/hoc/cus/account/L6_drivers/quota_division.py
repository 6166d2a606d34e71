"""Counting on a tenant's rows until there is room or a certain refusal: waiting, and dividing the rows anew.

Only when no row is free and has room, a transaction waits, or locks all rows and divides anew what is used.
So the sum over the rows never exceeds a quota, and a refusal is certain: whoever refuses has locked all rows,
and no open transaction of others can still free room.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Executable,
    SmallInteger,
    case,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.port_types import QuotaRefusal
from hoc.cus.account.L6_drivers.execution import AnyRow, SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import TENANT, quota
from hoc.cus.account.L6_drivers.quota_counters import (
    COUNTED_QUOTAS,
    COUNTERS,
    OF_DAY,
    OF_MONTH,
    TODAY,
    Counting,
    even_part,
)
from hoc.cus.account.L6_drivers.tables import quota_counters, tenants
from hoc.cus.account.L6_drivers.usage_days import ARCHIVE

MAX_ROWS = 64
GROWTH = 4

_ROW = quota_counters.c
_OF_TENANT = _ROW.tenant_id == TENANT

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
        return even_part(param(name, BigInteger) + wanted, slot, rows) - case((slot == 0, wanted), else_=0)

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
    counted |= dict.fromkeys(OF_DAY, of_day) | dict.fromkeys(OF_MONTH, of_month)
    return {name: sum(getattr(row, name) for row in counted[name]) for name in COUNTERS}

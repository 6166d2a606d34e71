"""How much of its quotas a tenant uses, counted over several rows: its transactions do not queue at one.

Each row has a part of every quota. A transaction counts on a row that nobody else has locked and whose part
has room. `quota_division` is for when there is none.

A row knows the quotas that were divided. When one of them is no longer the tenant's, nobody counts on the row
until all rows are divided anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Date,
    DateTime,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
    update,
)

from hoc.cus.account.L5_schemas.values import TenantStatus
from hoc.cus.account.L6_drivers.execution import AnySelect, param
from hoc.cus.account.L6_drivers.fragments import TENANT, quota
from hoc.cus.account.L6_drivers.tables import quota_counters, tenants

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
OF_DAY = ("runs_today", "tokens_today")
OF_MONTH = USAGE_COUNTERS[1:]
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
    **dict.fromkeys(OF_DAY, _ROW.day >= select(TODAY).scalar_subquery()),
    **dict.fromkeys(OF_MONTH, _ROW.day >= select(_MONTH).scalar_subquery()),
}


def _current(counter: str) -> ColumnElement[int]:
    """The row's count; a later day or month starts from zero."""
    if counter not in _IS_CURRENT:
        return _ROW[counter]
    return case((_IS_CURRENT[counter], _ROW[counter]), else_=_ZERO)


def even_part(
    total: ColumnElement[int], row: ColumnElement[int], rows: ColumnElement[int]
) -> ColumnElement[int]:
    """The row's part of a total that is divided evenly. The first rows have the remainder."""
    return total // rows + case((row < total % rows, _ONE), else_=_ZERO)


def _room(counter: str) -> ColumnElement[int]:
    """How much fits into the row's part of the quota."""
    return even_part(_ROW[COUNTED_QUOTAS[counter]], _ROW.slot, _ROW.slots) - _current(counter)


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
    picked = row.add_columns(_ROW.day, *(_ROW[name] for name in OF_DAY))
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

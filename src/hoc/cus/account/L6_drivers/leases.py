"""Leases, counted on one of the tenant's rows of counters.

A lease that has expired stays counted until the quota has no room. Then what is really held is counted anew.
The database's clock decides what has expired, so that servers with other clocks agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Self

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    String,
    Subquery,
    delete,
    exists,
    func,
    literal,
    literal_column,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from hoc.cus.account.L5_schemas.port_types import QuotaRefusal
from hoc.cus.account.L5_schemas.results import LeaseResult
from hoc.cus.account.L5_schemas.values import LeasedQuota, TenantStatus
from hoc.cus.account.L6_drivers.execution import SqlSession, fetch_all, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import TENANT
from hoc.cus.account.L6_drivers.quota_counters import (
    COUNTED_QUOTAS,
    LEASE_COUNTERS,
    Counting,
    counting,
    uncounted,
)
from hoc.cus.account.L6_drivers.quota_division import count
from hoc.cus.account.L6_drivers.row_mapping import record_of
from hoc.cus.account.L6_drivers.tables import leases, tenants

QUOTA = param("quota", String)
LEASE = param("lease_id", String)
NOW = func.statement_timestamp()
EXPIRES_AT = NOW + func.make_interval(0, 0, 0, 0, 0, 0, param("seconds", Integer))

OF_QUOTA = (leases.c.tenant_id == TENANT) & (leases.c.quota == QUOTA)
THIS = OF_QUOTA & (leases.c.lease_id == LEASE)
IS_HELD = leases.c.expires_at.is_(None) | (leases.c.expires_at > NOW)
TENANT_IS_ACTIVE = (
    exists()
    .where(tenants.c.tenant_id == TENANT, tenants.c.status == TenantStatus.ACTIVE)
    .correlate_except(tenants)
)

# Leases begin no new day of usage.
_NO_DAY = date.min

RESULT = (leases.c.quota, leases.c.lease_id, leases.c.expires_at)

RENEW = update(leases).where(THIS, IS_HELD, TENANT_IS_ACTIVE).values(expires_at=EXPIRES_AT).returning(*RESULT)

RECLAIM = delete(leases).where(OF_QUOTA, leases.c.expires_at <= NOW).returning(leases.c.lease_id)

# Waits for open transactions that are releasing.
_LOCKED = (
    select(leases.c.lease_id).where(OF_QUOTA).with_for_update(read=True, key_share=True).subquery("held")
)
HELD = select(func.count().label("held")).select_from(_LOCKED)


def _held_leases() -> Subquery:
    """One row, to be joined: how many leases of each quota are held, by counter."""
    held = {name: leases.c.quota == literal_column(f"'{COUNTED_QUOTAS[name]}'") for name in LEASE_COUNTERS}
    return (
        select(*(func.count().filter(of_quota).label(name) for name, of_quota in held.items()))
        .where(leases.c.tenant_id == TENANT, IS_HELD)
        .subquery("held_leases")
    )


HELD_LEASES = _held_leases()


@dataclass(frozen=True, slots=True)
class Leasing:
    """The statements of one quota."""

    counter: str
    parts: Counting
    acquire: Executable
    release: Executable

    @classmethod
    def of(cls, quota: LeasedQuota) -> Self:
        [counter] = [name for name, of in COUNTED_QUOTAS.items() if of == quota]
        renewed = RENEW.cte("renewed")
        parts = counting({counter: literal(1)}, ~exists().select_from(renewed))
        given: dict[str, ColumnElement[object]] = {
            "quota": QUOTA,
            "lease_id": LEASE,
            "expires_at": EXPIRES_AT,
        }
        # One after the other, not an ON CONFLICT DO UPDATE, in which Citus reads no clock.
        revived = (
            update(leases)
            .where(THIS, leases.c.expires_at <= NOW, exists().select_from(parts.picked))
            .values(expires_at=EXPIRES_AT)
            .returning(*RESULT)
            .cte("revived")
        )
        acquired = (
            insert(leases)
            .from_select(
                ["tenant_id", *given],
                select(TENANT, *given.values())
                .select_from(parts.picked)
                .where(~exists().select_from(revived)),
            )
            .on_conflict_do_nothing()
            .returning(*RESULT)
            .cte("acquired")
        )
        obtained = union_all(select(*revived.c), select(*acquired.c)).cte("obtained")
        counted = parts.counted(exists().select_from(obtained))
        released = delete(leases).where(THIS).returning(leases.c.lease_id).cte("released")
        return cls(
            counter,
            parts,
            select(*renewed.c).union_all(select(*obtained.c)).add_cte(counted),
            select(released.c.lease_id).add_cte(uncounted(counter, exists().select_from(released))),
        )


LEASING = {quota: Leasing.of(quota) for quota in LeasedQuota}

_lease = record_of(LeaseResult, select(*RESULT))


class SqlLeases:
    async def acquire(
        self, session: SqlSession, tenant_id: str, quota: LeasedQuota, lease_id: str, *, seconds: int | None
    ) -> LeaseResult | QuotaRefusal | None:
        leasing = LEASING[quota]

        async def held() -> Mapping[str, int]:
            await fetch_all(session, RECLAIM, tenant_id=tenant_id, quota=quota)
            row = await fetch_one(session, HELD, tenant_id=tenant_id, quota=quota)
            return {leasing.counter: row.held if row is not None else 0}

        row = await count(
            session,
            leasing.acquire,
            leasing.parts,
            {leasing.counter: 1},
            recount=held,
            tenant_id=tenant_id,
            quota=quota,
            lease_id=lease_id,
            seconds=seconds,
            day=_NO_DAY,
        )
        return row if row is None or isinstance(row, QuotaRefusal) else _lease(row)

    async def renew(
        self, session: SqlSession, tenant_id: str, quota: LeasedQuota, lease_id: str, *, seconds: int
    ) -> LeaseResult | None:
        row = await fetch_one(
            session, RENEW, tenant_id=tenant_id, quota=quota, lease_id=lease_id, seconds=seconds
        )
        return None if row is None else _lease(row)

    async def release(self, session: SqlSession, tenant_id: str, quota: LeasedQuota, lease_id: str) -> None:
        await fetch_one(session, LEASING[quota].release, tenant_id=tenant_id, quota=quota, lease_id=lease_id)

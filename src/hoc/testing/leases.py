"""Leases. The time of day, and not an engine's clock, ends them, as PostgreSQL's clock does."""

from datetime import timedelta

from hoc.cus.account.L5_engines.session import utc_now
from hoc.cus.account.L5_schemas.port_types import QuotaRefusal
from hoc.cus.account.L5_schemas.results import LeaseResult
from hoc.cus.account.L5_schemas.values import LeasedQuota, TenantStatus
from hoc.testing.database import MemorySession
from hoc.testing.store import MemoryStore
from hoc.testing.tables import Tables


class MemoryLeases(MemoryStore):
    async def acquire(
        self,
        session: MemorySession,
        tenant_id: str,
        quota: LeasedQuota,
        lease_id: str,
        *,
        seconds: int | None,
    ) -> LeaseResult | QuotaRefusal | None:
        tables = await self.write(session)
        tenant = tables.tenants.get(tenant_id)
        if tenant is None or tenant.status is not TenantStatus.ACTIVE:
            return None
        held, limit = held_leases(tables, tenant_id, quota), tenant.quota(quota)
        if lease_id not in held and len(held) >= limit:
            return QuotaRefusal(quota, limit)
        return _stored(tables, tenant_id, quota, lease_id, seconds)

    async def renew(
        self, session: MemorySession, tenant_id: str, quota: LeasedQuota, lease_id: str, *, seconds: int
    ) -> LeaseResult | None:
        tables = await self.write(session)
        if lease_id not in held_leases(tables, tenant_id, quota):
            return None
        if tables.tenants[tenant_id].status is not TenantStatus.ACTIVE:
            return None
        return _stored(tables, tenant_id, quota, lease_id, seconds)

    async def release(
        self, session: MemorySession, tenant_id: str, quota: LeasedQuota, lease_id: str
    ) -> None:
        tables = await self.write(session)
        tables.leases.pop((tenant_id, quota, lease_id), None)


def held_leases(tables: Tables, tenant_id: str, quota: str) -> set[str]:
    """The ids of the tenant's leases of a quota that have not expired."""
    now = utc_now()
    return {
        lease.lease_id
        for (owner_id, of_quota, _), lease in tables.leases.items()
        if (owner_id, of_quota) == (tenant_id, quota) and (lease.expires_at is None or lease.expires_at > now)
    }


def _stored(
    tables: Tables, tenant_id: str, quota: LeasedQuota, lease_id: str, seconds: int | None
) -> LeaseResult:
    expires_at = None if seconds is None else utc_now() + timedelta(seconds=seconds)
    lease = LeaseResult(quota, lease_id, expires_at)
    tables.leases[tenant_id, quota, lease_id] = lease
    return lease

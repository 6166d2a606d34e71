"""Erasing a tenant that has ended: all its rows but one, which keeps the id."""

from datetime import datetime
from typing import Final

from sqlalchemy import Text, delete, literal_column, select, update
from sqlalchemy.dialects.postgresql import JSONB

from hoc.cus.account.L5_schemas.erasure import ErasedTenant, LockedTenant
from hoc.cus.account.L5_schemas.events import TenantErasedEventData
from hoc.cus.account.L5_schemas.values import TenantStatus
from hoc.cus.account.L6_drivers.event_blanking import blank_events_of_tenant, hold_sequencing
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_all, fetch_one
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.tables import events, metadata, outbox, tenants

LOCK = (
    select(tenants.c.tenant_id, tenants.c.status, tenants.c.erased_at)
    .where(tenants.c.tenant_id == TENANT)
    .with_for_update(key_share=True)
)

_KEPT: Final = {tenants, outbox, events}
# Of whatever table has a tenant's rows, and those that refer to another's first.
DROP = {
    table.name: delete(table).where(table.c.tenant_id == TENANT).returning(table.c.tenant_id)
    for table in reversed(metadata.sorted_tables)
    if "tenant_id" in table.c and table not in _KEPT
}


def _empty() -> AnySelect:
    emptied = (
        update(tenants)
        .where(tenants.c.tenant_id == TENANT, tenants.c.erased_at.is_(None))
        .values(
            name=literal_column("''", Text),
            slug=literal_column("''", Text),
            description=None,
            metadata=literal_column("'{}'::jsonb", JSONB),
            status=TenantStatus.ARCHIVED,
            erased_at=NOW,
            version=tenants.c.version + 1,
            updated_at=NOW,
        )
        .returning(tenants.c.tenant_id, tenants.c.erased_at)
        .cte("emptied")
    )
    return select(emptied.c.tenant_id).add_cte(recorded(TenantErasedEventData, emptied))


EMPTY = _empty()

ERASED = (
    select(tenants.c.tenant_id, tenants.c.erased_at)
    .where(tenants.c.erased_at.is_not(None))
    .order_by(tenants.c.erased_at, tenants.c.tenant_id)
)


class SqlTenantErasure:
    """In the caller's transaction."""

    async def lock(self, session: SqlSession, tenant_id: str) -> LockedTenant | None:
        row = await fetch_one(session, LOCK, tenant_id=tenant_id)
        return None if row is None else LockedTenant(TenantStatus(row.status), row.erased_at)

    async def erase(self, session: SqlSession, tenant_id: str, now: datetime, *, actor: str | None) -> None:
        """Erase a locked tenant. Of one that was erased before, only what has come up since is erased."""
        for statement in DROP.values():
            await fetch_all(session, statement, tenant_id=tenant_id)
        await hold_sequencing(session)
        await blank_events_of_tenant(session, tenant_id)
        await fetch_one(session, EMPTY, tenant_id=tenant_id, now=now, actor=actor)

    async def erased(self, session: SqlSession) -> list[ErasedTenant]:
        """All tenants that were erased, in the order of the erasures."""
        return [ErasedTenant(row.tenant_id, row.erased_at) for row in await fetch_all(session, ERASED)]

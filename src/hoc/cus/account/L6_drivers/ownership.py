"""Open ownership transfers, at most one a tenant."""

from datetime import datetime

from sqlalchemy import String, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.results import OwnershipTransferResult
from hoc.cus.account.L6_drivers.statements import NOW, TENANT, AnyRow, SqlSession, fetch_one, param
from hoc.cus.account.L6_drivers.tables import ownership_transfers

COLUMNS = tuple(ownership_transfers.c)

GIVEN = {
    "from_user_id": param("from_user_id", String),
    "to_user_id": param("to_user_id", String),
    "created_at": NOW,
    "expires_at": param("expires_at", DateTime(timezone=True)),
}

OPEN = (
    insert(ownership_transfers)
    .values(tenant_id=TENANT, **GIVEN)
    .on_conflict_do_update(
        index_elements=[ownership_transfers.c.tenant_id],
        set_=GIVEN,
        where=ownership_transfers.c.expires_at <= NOW,
    )
    .returning(*COLUMNS)
)

FIND = select(*COLUMNS).where(ownership_transfers.c.tenant_id == TENANT)

CLOSE = (
    delete(ownership_transfers)
    .where(ownership_transfers.c.tenant_id == TENANT)
    .returning(ownership_transfers.c.tenant_id)
)


class SqlOwnershipTransfers:
    async def open(
        self, session: SqlSession, transfer: OwnershipTransferResult, now: datetime
    ) -> OwnershipTransferResult | None:
        row = await fetch_one(
            session,
            OPEN,
            tenant_id=transfer.tenant_id,
            from_user_id=transfer.from_user_id,
            to_user_id=transfer.to_user_id,
            now=now,
            expires_at=transfer.expires_at,
        )
        return None if row is None else _transfer(row)

    async def find(self, session: SqlSession, tenant_id: str) -> OwnershipTransferResult | None:
        row = await fetch_one(session, FIND, tenant_id=tenant_id)
        return None if row is None else _transfer(row)

    async def close(self, session: SqlSession, tenant_id: str) -> None:
        await fetch_one(session, CLOSE, tenant_id=tenant_id)


def _transfer(row: AnyRow) -> OwnershipTransferResult:
    return OwnershipTransferResult(
        tenant_id=row.tenant_id,
        from_user_id=row.from_user_id,
        to_user_id=row.to_user_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )

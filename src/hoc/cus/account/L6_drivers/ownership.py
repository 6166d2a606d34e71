"""Open ownership transfers, at most one a tenant."""

from datetime import datetime

from sqlalchemy import String, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import DateTime

from hoc.cus.account.L5_schemas.events import (
    TenantTransferAcceptedEventData,
    TenantTransferCanceledEventData,
    TenantTransferOfferedEventData,
)
from hoc.cus.account.L5_schemas.results import OwnershipTransferResult
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.statements import (
    NOW,
    TENANT,
    AnyRow,
    AnySelect,
    SqlSession,
    fetch_one,
    param,
)
from hoc.cus.account.L6_drivers.tables import ownership_transfers

COLUMNS = tuple(ownership_transfers.c)

GIVEN = {
    "from_user_id": param("from_user_id", String),
    "to_user_id": param("to_user_id", String),
    "created_at": NOW,
    "expires_at": param("expires_at", DateTime(timezone=True)),
}


def _open() -> AnySelect:
    opened = (
        insert(ownership_transfers)
        .values(tenant_id=TENANT, **GIVEN)
        .on_conflict_do_update(
            index_elements=[ownership_transfers.c.tenant_id],
            set_=GIVEN,
            where=ownership_transfers.c.expires_at <= NOW,
        )
        .returning(*COLUMNS)
        .cte("opened")
    )
    told = recorded(
        TenantTransferOfferedEventData,
        opened,
        at=NOW,
        actor=opened.c.from_user_id,
        about_user=opened.c.to_user_id,
        tenant_id=opened.c.tenant_id,
        from_user_id=opened.c.from_user_id,
        to_user_id=opened.c.to_user_id,
        offered_at=opened.c.created_at,
        expires_at=opened.c.expires_at,
    )
    return select(opened).add_cte(told)


OPEN = _open()

FIND = select(*COLUMNS).where(ownership_transfers.c.tenant_id == TENANT)


def _close(*, accepting: bool) -> AnySelect:
    closed = (
        delete(ownership_transfers)
        .where(ownership_transfers.c.tenant_id == TENANT)
        .returning(*COLUMNS)
        .cte("closed")
    )
    about = {
        "at": NOW,
        "about_user": closed.c.to_user_id,
        "tenant_id": closed.c.tenant_id,
        "from_user_id": closed.c.from_user_id,
        "to_user_id": closed.c.to_user_id,
    }
    told = (
        recorded(TenantTransferAcceptedEventData, closed, **about, accepted_at=NOW)
        if accepting
        else recorded(TenantTransferCanceledEventData, closed, **about, canceled_at=NOW)
    )
    return select(closed.c.tenant_id).add_cte(told)


ACCEPT = _close(accepting=True)
CANCEL = _close(accepting=False)


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

    async def close(
        self, session: SqlSession, tenant_id: str, *, accepted: bool, actor: str, now: datetime
    ) -> None:
        await fetch_one(session, ACCEPT if accepted else CANCEL, tenant_id=tenant_id, actor=actor, now=now)


def _transfer(row: AnyRow) -> OwnershipTransferResult:
    return OwnershipTransferResult(
        tenant_id=row.tenant_id,
        from_user_id=row.from_user_id,
        to_user_id=row.to_user_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )

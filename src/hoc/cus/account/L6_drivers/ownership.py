"""Offers of ownership, at most one for each tenant."""

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
from hoc.cus.account.L6_drivers.execution import AnySelect, SqlSession, fetch_one, param
from hoc.cus.account.L6_drivers.fragments import NOW, TENANT
from hoc.cus.account.L6_drivers.outbox import recorded
from hoc.cus.account.L6_drivers.row_mapping import record_of
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
    offered = recorded(
        TenantTransferOfferedEventData,
        opened,
        actor=opened.c.from_user_id,
        about_user=opened.c.to_user_id,
    )
    return select(opened).add_cte(offered)


OPEN = _open()

FIND = select(*COLUMNS).where(ownership_transfers.c.tenant_id == TENANT)


def _close(*, accepting: bool) -> AnySelect:
    closed = (
        delete(ownership_transfers)
        .where(ownership_transfers.c.tenant_id == TENANT)
        .returning(*COLUMNS)
        .cte("closed")
    )
    event = TenantTransferAcceptedEventData if accepting else TenantTransferCanceledEventData
    ended = recorded(event, closed, about_user=closed.c.to_user_id)
    return select(closed.c.tenant_id).add_cte(ended)


ACCEPT = _close(accepting=True)
CANCEL = _close(accepting=False)


_transfer = record_of(OwnershipTransferResult, OPEN, FIND)


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

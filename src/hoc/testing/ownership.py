"""Offers of ownership, at most one for each tenant."""

from datetime import datetime

from hoc.cus.account.L5_schemas.events import (
    TenantTransferAcceptedEventData,
    TenantTransferCanceledEventData,
    TenantTransferOfferedEventData,
)
from hoc.cus.account.L5_schemas.results import OwnershipTransferResult
from hoc.testing.database import MemorySession
from hoc.testing.rows import combine
from hoc.testing.store import MemoryStore


class MemoryOwnershipTransfers(MemoryStore):
    async def open(
        self, session: MemorySession, transfer: OwnershipTransferResult, now: datetime
    ) -> OwnershipTransferResult | None:
        tables = await self.write(session)
        other = tables.transfers.get(transfer.tenant_id)
        if other is not None and other.expires_at > now:
            return None
        tables.transfers[transfer.tenant_id] = transfer
        event = combine(TenantTransferOfferedEventData, transfer, offered_at=transfer.created_at)
        tables.record(event, actor=transfer.from_user_id, at=now, about_user=transfer.to_user_id)
        return transfer

    async def find(self, session: MemorySession, tenant_id: str) -> OwnershipTransferResult | None:
        return self.read(session).transfers.get(tenant_id)

    async def close(
        self, session: MemorySession, tenant_id: str, *, accepted: bool, actor: str, now: datetime
    ) -> None:
        tables = await self.write(session)
        closed = tables.transfers.pop(tenant_id, None)
        if closed is None:
            return
        parties = (closed.from_user_id, closed.to_user_id)
        event = (
            TenantTransferAcceptedEventData(tenant_id, *parties, accepted_at=now)
            if accepted
            else TenantTransferCanceledEventData(tenant_id, *parties, canceled_at=now)
        )
        tables.record(event, actor=actor, at=now, about_user=closed.to_user_id)

"""Open ownership transfers, at most one a tenant."""

from datetime import datetime

from hoc.cus.account.L5_schemas.results import OwnershipTransferResult
from hoc.testing.database import MemorySession
from hoc.testing.store import MemoryStore


class MemoryOwnershipTransfers(MemoryStore):
    async def open(
        self, session: MemorySession, transfer: OwnershipTransferResult, now: datetime
    ) -> OwnershipTransferResult | None:
        transfers = (await self.write(session)).transfers
        other = transfers.get(transfer.tenant_id)
        if other is not None and other.expires_at > now:
            return None
        transfers[transfer.tenant_id] = transfer
        return transfer

    async def find(self, session: MemorySession, tenant_id: str) -> OwnershipTransferResult | None:
        return self.read(session).transfers.get(tenant_id)

    async def close(self, session: MemorySession, tenant_id: str) -> None:
        (await self.write(session)).transfers.pop(tenant_id, None)

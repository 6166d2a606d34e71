"""Support tickets."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.records import Slice, SortKey, Window
from hoc.cus.account.L5_schemas.results import SupportTicketResult
from hoc.cus.account.L5_schemas.values import TenantStatus, TicketStatus
from hoc.testing.database import MemorySession
from hoc.testing.store import MemoryStore, slice_of

_DONE = {TicketStatus.RESOLVED, TicketStatus.CLOSED}


class MemoryTickets(MemoryStore):
    async def create(
        self, session: MemorySession, tenant_id: str, user_id: str, ticket: SupportTicketResult
    ) -> bool:
        tables = await self.write(session)
        if tables.active_membership(tenant_id, user_id) is None:
            return False
        if tables.tenants[tenant_id].status is not TenantStatus.ACTIVE:
            return False
        tables.tickets[tenant_id, ticket.id] = ticket
        return True

    async def page(
        self, session: MemorySession, tenant_id: str, window: Window, *, status: TicketStatus | None
    ) -> Slice[SupportTicketResult]:
        return slice_of(
            (
                (SortKey(ticket.created_at, ticket.id), ticket)
                for (owner_id, _), ticket in self.read(session).tickets.items()
                if owner_id == tenant_id and status in {None, ticket.status}
            ),
            window,
            newest_first=True,
        )

    async def set_status(
        self,
        session: MemorySession,
        tenant_id: str,
        ticket_id: str,
        *,
        status: TicketStatus,
        resolution: str | None,
        now: datetime,
    ) -> SupportTicketResult | None:
        tickets = (await self.write(session)).tickets
        ticket = tickets.get((tenant_id, ticket_id))
        if ticket is None:
            return None
        changed = replace(
            ticket,
            status=status,
            resolution=ticket.resolution if resolution is None else resolution,
            resolved_at=(ticket.resolved_at or now) if status in _DONE else None,
        )
        if changed != ticket:
            changed = replace(changed, updated_at=now)
        tickets[tenant_id, ticket_id] = changed
        return changed

"""Support tickets."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.events import TicketCreatedEventData, TicketUpdatedEventData
from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, Window
from hoc.cus.account.L5_schemas.results import SupportTicketResult
from hoc.cus.account.L5_schemas.values import (
    RESOLVED_TICKET,
    TenantStatus,
    TicketStatus,
)
from hoc.testing.database import MemorySession
from hoc.testing.rows import TicketRow, combine
from hoc.testing.store import MemoryStore, slice_of


class MemoryTickets(MemoryStore):
    async def create(
        self, session: MemorySession, tenant_id: str, user_id: str, ticket: SupportTicketResult
    ) -> bool:
        tables = await self.write(session)
        if tables.active_membership(tenant_id, user_id) is None:
            return False
        if tables.tenants[tenant_id].status is not TenantStatus.ACTIVE:
            return False
        tables.tickets[tenant_id, ticket.id] = TicketRow(user_id, ticket)
        event = combine(
            TicketCreatedEventData, ticket, tenant_id=tenant_id, ticket_id=ticket.id, user_id=user_id
        )
        tables.record(event, actor=user_id, at=ticket.created_at)
        return True

    async def page(
        self, session: MemorySession, tenant_id: str, window: Window, *, status: TicketStatus | None
    ) -> Slice[SupportTicketResult]:
        return slice_of(
            (
                (SortKey(row.ticket.created_at, row.ticket.id), row.ticket)
                for (owner_id, _), row in self.read(session).tickets.items()
                if owner_id == tenant_id and status in {None, row.ticket.status}
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
        actor: str | None,
    ) -> SupportTicketResult | None:
        tables = await self.write(session)
        row = tables.tickets.get((tenant_id, ticket_id))
        if row is None:
            return None
        ticket = row.ticket
        changed = replace(
            ticket,
            status=status,
            resolution=ticket.resolution if resolution is None else resolution,
            resolved_at=(ticket.resolved_at or now) if status in RESOLVED_TICKET else None,
        )
        if changed == ticket:
            return ticket
        changed = replace(changed, updated_at=now)
        tables.tickets[tenant_id, ticket_id] = replace(row, ticket=changed)
        event = combine(TicketUpdatedEventData, changed, row, tenant_id=tenant_id, ticket_id=ticket_id)
        tables.record(event, actor=actor, at=now)
        return changed

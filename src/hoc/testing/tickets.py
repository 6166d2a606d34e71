"""Support tickets and their threads."""

from dataclasses import replace
from datetime import datetime

from hoc.cus.account.L5_schemas.events import (
    EventData,
    TicketCreatedEventData,
    TicketReopenedEventData,
    TicketRepliedEventData,
    TicketResolvedEventData,
    TicketUpdatedEventData,
)
from hoc.cus.account.L5_schemas.port_types import Slice, SortKey, UncountedSlice, Window
from hoc.cus.account.L5_schemas.tickets import (
    ExtendedTicketResult,
    NewReply,
    TenantTicketResult,
    TicketFilter,
    TicketReplyResult,
)
from hoc.cus.account.L5_schemas.values import RESOLVED_TICKET, TenantStatus, TicketStatus
from hoc.testing.database import MemorySession
from hoc.testing.rows import TicketReplyRow, combine
from hoc.testing.store import MemoryStore, slice_of
from hoc.testing.tables import Tables


class MemoryTickets(MemoryStore):
    async def create(self, session: MemorySession, tenant_id: str, ticket: ExtendedTicketResult) -> bool:
        tables = await self.write(session)
        if tables.active_membership(tenant_id, ticket.user_id) is None:
            return False
        if tables.tenants[tenant_id].status is not TenantStatus.ACTIVE:
            return False
        tables.tickets[tenant_id, ticket.id] = ticket
        event = combine(TicketCreatedEventData, ticket, tenant_id=tenant_id, ticket_id=ticket.id)
        tables.record(event, actor=ticket.user_id, at=ticket.created_at)
        return True

    async def page(
        self, session: MemorySession, tenant_id: str, window: Window, wanted: TicketFilter
    ) -> Slice[ExtendedTicketResult]:
        return slice_of(
            (
                (SortKey(ticket.created_at, ticket.id), ticket)
                for (owner_id, _), ticket in self.read(session).tickets.items()
                if owner_id == tenant_id and _is_wanted(ticket, wanted)
            ),
            window,
            newest_first=True,
        )

    async def page_of_all(
        self, session: MemorySession, window: Window, wanted: TicketFilter
    ) -> UncountedSlice[TenantTicketResult]:
        tables = self.read(session)
        found = slice_of(
            (
                (
                    SortKey(ticket.created_at, ticket.id),
                    combine(
                        TenantTicketResult,
                        ticket,
                        tenant_id=tenant_id,
                        tenant_name=tables.tenants[tenant_id].name,
                    ),
                )
                for (tenant_id, _), ticket in tables.tickets.items()
                if _is_wanted(ticket, wanted)
            ),
            window,
            newest_first=True,
        )
        return UncountedSlice(found.rows, found.last_key, found.has_more)

    async def find(
        self, session: MemorySession, tenant_id: str, ticket_id: str, *, lock: bool = False
    ) -> ExtendedTicketResult | None:
        tables = await self.write(session) if lock else self.read(session)
        return tables.tickets.get((tenant_id, ticket_id))

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
    ) -> ExtendedTicketResult | None:
        tables = await self.write(session)
        ticket = tables.tickets.get((tenant_id, ticket_id))
        if ticket is None:
            return None
        changed = replace(
            ticket,
            status=status,
            resolution=ticket.resolution if resolution is None else resolution,
            resolved_at=(ticket.resolved_at or now) if status in RESOLVED_TICKET else None,
        )
        if changed == ticket:
            return ticket
        changed = replace(changed, updated_at=now)
        tables.tickets[tenant_id, ticket_id] = changed
        tables.record(_change(tenant_id, ticket, changed), actor=actor, at=now)
        return changed


def _change(tenant_id: str, before: ExtendedTicketResult, after: ExtendedTicketResult) -> EventData:
    keys = {"tenant_id": tenant_id, "ticket_id": after.id}
    if (before.status in RESOLVED_TICKET) == (after.status in RESOLVED_TICKET):
        return combine(TicketUpdatedEventData, after, **keys)
    if after.status in RESOLVED_TICKET:
        return combine(TicketResolvedEventData, after, **keys)
    return combine(TicketReopenedEventData, after, **keys, reopened_at=after.updated_at)


class MemoryTicketReplies(MemoryStore):
    async def add(
        self, session: MemorySession, tenant_id: str, ticket_id: str, reply: NewReply
    ) -> TicketReplyResult:
        tables = await self.write(session)
        ticket = tables.tickets[tenant_id, ticket_id]
        is_taken_up = reply.is_support and ticket.status == TicketStatus.OPEN
        ticket = replace(
            ticket,
            status=TicketStatus.IN_PROGRESS if is_taken_up else ticket.status,
            updated_at=reply.created_at,
        )
        tables.tickets[tenant_id, ticket_id] = ticket
        tables.ticket_replies[tenant_id, reply.id] = TicketReplyRow(tenant_id, ticket_id, reply)
        event = combine(
            TicketRepliedEventData,
            ticket,
            reply,
            tenant_id=tenant_id,
            ticket_id=ticket_id,
            reply_id=reply.id,
            replied_at=reply.created_at,
        )
        tables.record(event, actor=reply.author_id, at=reply.created_at)
        return _result(tables, reply)

    async def page(
        self, session: MemorySession, tenant_id: str, ticket_id: str, window: Window
    ) -> Slice[TicketReplyResult]:
        tables = self.read(session)
        return slice_of(
            (
                (SortKey(row.reply.created_at, row.reply.id), _result(tables, row.reply))
                for row in tables.ticket_replies.values()
                if (row.tenant_id, row.ticket_id) == (tenant_id, ticket_id)
            ),
            window,
        )

    async def queue_mail(self, session: MemorySession, tenant_id: str, ticket_id: str, now: datetime) -> None:
        (await self.write(session)).ticket_mails[tenant_id, ticket_id] = now


def _result(tables: Tables, reply: NewReply) -> TicketReplyResult:
    author = tables.users.get(reply.author_id)
    return combine(TicketReplyResult, reply, author_name=None if author is None else author.name)


def _is_wanted(ticket: ExtendedTicketResult, wanted: TicketFilter) -> bool:
    return (
        wanted.status in {None, ticket.status}
        and wanted.priority in {None, ticket.priority}
        and wanted.category in {None, ticket.category}
    )

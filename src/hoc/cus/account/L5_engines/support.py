"""Support contact and tickets."""

from datetime import datetime
from typing import Protocol, Unpack

from hoc.cus.account.L5_engines.access import AccessReader, access_of, require_writer
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.paging import CursorScope, PageArguments
from hoc.cus.account.L5_engines.session import Clock, Session, new_id, utc_now
from hoc.cus.account.L5_engines.text import choice, choice_filter, clean_line, clean_text
from hoc.cus.account.L5_schemas.errors import ConflictError, NotFoundError
from hoc.cus.account.L5_schemas.port_types import Page, Slice, Window
from hoc.cus.account.L5_schemas.results import (
    SupportContactResult,
    SupportTicketListResult,
    SupportTicketResult,
)
from hoc.cus.account.L5_schemas.values import (
    AnyTicketCategory,
    AnyTicketPriority,
    AnyTicketStatus,
    TicketCategory,
    TicketPriority,
    TicketStatus,
)


class TicketStore(Protocol):
    async def create(
        self, session: Session, tenant_id: str, user_id: str, ticket: SupportTicketResult
    ) -> bool:
        """Store the ticket. False: the user is not an active member of an active tenant."""
        ...

    async def page(
        self, session: Session, tenant_id: str, window: Window, *, status: TicketStatus | None
    ) -> Slice[SupportTicketResult]:
        """Newest first."""
        ...

    async def set_status(
        self,
        session: Session,
        tenant_id: str,
        ticket_id: str,
        *,
        status: TicketStatus,
        resolution: str | None,
        now: datetime,
        actor: str | None,
    ) -> SupportTicketResult | None: ...


class Support:
    def __init__(
        self,
        tickets: TicketStore,
        access: AccessReader,
        contact: SupportContactResult,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._tickets = tickets
        self._access = access
        self._contact = contact
        self._clock = clock

    def contact(self) -> SupportContactResult:
        return self._contact

    @records("ticket.created")
    async def create_ticket(
        self,
        session: Session,
        tenant_id: str,
        user_id: str,
        *,
        subject: str,
        description: str,
        category: AnyTicketCategory = TicketCategory.GENERAL,
        priority: AnyTicketPriority = TicketPriority.MEDIUM,
    ) -> SupportTicketResult:
        """Open a ticket. Raises InvalidInputError, NotAMemberError or TenantNotActiveError."""
        now = self._clock()
        ticket = SupportTicketResult(
            id=new_id("tkt"),
            subject=clean_line("subject", subject, max_length=200),
            description=clean_text("description", description, max_length=10_000),
            category=choice("category", category, TicketCategory),
            priority=choice("priority", priority, TicketPriority),
            status=TicketStatus.OPEN,
            created_at=now,
            updated_at=now,
            resolution=None,
            resolved_at=None,
        )
        if await self._tickets.create(session, tenant_id, user_id, ticket):
            return ticket
        require_writer(await access_of(self._access, session, tenant_id, user_id))
        raise ConflictError("Your membership changed while your request was processed. Try again.")

    async def list_tickets(
        self,
        session: Session,
        tenant_id: str,
        *,
        status: AnyTicketStatus | None = None,
        **page: Unpack[PageArguments],
    ) -> Page[SupportTicketListResult]:
        """The tenant's tickets, newest first. Raises InvalidInputError."""
        status_filter = choice_filter("status", status, TicketStatus)
        scope = CursorScope("tickets", tenant_id, status=status)
        window = scope.window(**page)
        rows = await self._tickets.page(session, tenant_id, window, status=status_filter)
        return Page(SupportTicketListResult(rows.rows, rows.total), scope.next_cursor(rows))

    @records("ticket.updated")
    async def change_ticket_status(
        self,
        session: Session,
        tenant_id: str,
        ticket_id: str,
        *,
        status: AnyTicketStatus,
        resolution: str | None = None,
        actor: str | None = None,
    ) -> SupportTicketResult:
        """Change a ticket's status, and its resolution if one is given. For the support desk.

        Raises InvalidInputError or NotFoundError.
        """
        changed = await self._tickets.set_status(
            session,
            tenant_id,
            ticket_id,
            status=choice("status", status, TicketStatus),
            resolution=None
            if resolution is None
            else clean_text("resolution", resolution, max_length=10_000),
            now=self._clock(),
            actor=actor,
        )
        if changed is None:
            raise NotFoundError("There is no such ticket in this tenant.")
        return changed

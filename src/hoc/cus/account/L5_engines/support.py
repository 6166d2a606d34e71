"""Support contact, and tickets with their threads."""

from datetime import datetime
from typing import Protocol, Unpack

from hoc.cus.account.L5_engines.access import AccessReader, access_of, require, require_writer
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.paging import CursorScope, PageArguments
from hoc.cus.account.L5_engines.session import Clock, Session, new_id, utc_now
from hoc.cus.account.L5_engines.text import choice, choice_filter, clean_line, clean_text
from hoc.cus.account.L5_schemas.errors import ConflictError, NotFoundError
from hoc.cus.account.L5_schemas.port_types import Page, Slice, UncountedSlice, Window
from hoc.cus.account.L5_schemas.results import SupportContactResult
from hoc.cus.account.L5_schemas.tickets import (
    ExtendedTicketListResult,
    ExtendedTicketResult,
    NewReply,
    TenantTicketListResult,
    TenantTicketResult,
    TicketFilter,
    TicketReplyListResult,
    TicketReplyResult,
)
from hoc.cus.account.L5_schemas.values import (
    RESOLVED_TICKET,
    AnyTicketCategory,
    AnyTicketPriority,
    AnyTicketStatus,
    TicketCategory,
    TicketPriority,
    TicketStatus,
)

MAX_TEXT_LENGTH = 10_000


class TicketStore(Protocol):
    async def create(self, session: Session, tenant_id: str, ticket: ExtendedTicketResult) -> bool:
        """Store the ticket. False: its user is not an active member of an active tenant."""
        ...

    async def page(
        self, session: Session, tenant_id: str, window: Window, wanted: TicketFilter
    ) -> Slice[ExtendedTicketResult]:
        """Newest first."""
        ...

    async def page_of_all(
        self, session: Session, window: Window, wanted: TicketFilter
    ) -> UncountedSlice[TenantTicketResult]:
        """The tickets of all tenants, newest first. The window has no offset."""
        ...

    async def find(
        self, session: Session, tenant_id: str, ticket_id: str, *, lock: bool = False
    ) -> ExtendedTicketResult | None:
        """One ticket. With ``lock``, it does not change until the transaction ends."""
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
    ) -> ExtendedTicketResult | None: ...


class TicketReplyStore(Protocol):
    async def add(
        self, session: Session, tenant_id: str, ticket_id: str, reply: NewReply
    ) -> TicketReplyResult:
        """Store a reply to a locked ticket. An open ticket is in progress after support's reply."""
        ...

    async def page(
        self, session: Session, tenant_id: str, ticket_id: str, window: Window
    ) -> Slice[TicketReplyResult]:
        """Oldest first."""
        ...

    async def queue_mail(self, session: Session, tenant_id: str, ticket_id: str, now: datetime) -> None:
        """Have the member who opened the ticket told of support's answer, in place of a mail still queued."""
        ...


class Support:
    """Any member reads the tenant's tickets. Who opened a ticket, owners and admins answer for the tenant.

    The deployment's support staff answers in any tenant, with ``as_support``: no membership binds it, so the
    caller of these methods decides who is of the staff.
    """

    def __init__(
        self,
        tickets: TicketStore,
        replies: TicketReplyStore,
        access: AccessReader,
        contact: SupportContactResult,
        *,
        sends_mail: bool,
        clock: Clock = utc_now,
    ) -> None:
        self._tickets = tickets
        self._replies = replies
        self._access = access
        self._contact = contact
        self._sends_mail = sends_mail
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
    ) -> ExtendedTicketResult:
        """Open a ticket. Raises InvalidInputError, NotAMemberError or TenantNotActiveError."""
        now = self._clock()
        ticket = ExtendedTicketResult(
            id=new_id("tkt"),
            subject=clean_line("subject", subject, max_length=200),
            description=clean_text("description", description, max_length=MAX_TEXT_LENGTH),
            category=choice("category", category, TicketCategory),
            priority=choice("priority", priority, TicketPriority),
            status=TicketStatus.OPEN,
            created_at=now,
            updated_at=now,
            resolution=None,
            resolved_at=None,
            user_id=user_id,
        )
        if await self._tickets.create(session, tenant_id, ticket):
            return ticket
        require_writer(await access_of(self._access, session, tenant_id, user_id))
        raise ConflictError("Your membership changed while your request was processed. Try again.")

    async def list_tickets(
        self,
        session: Session,
        tenant_id: str,
        *,
        status: AnyTicketStatus | None = None,
        priority: AnyTicketPriority | None = None,
        category: AnyTicketCategory | None = None,
        **page: Unpack[PageArguments],
    ) -> Page[ExtendedTicketListResult]:
        """The tenant's tickets, newest first. Raises InvalidInputError."""
        wanted = _filter(status, priority, category)
        scope = CursorScope("tickets", tenant_id, status=status, priority=priority, category=category)
        rows = await self._tickets.page(session, tenant_id, scope.window(**page), wanted)
        return Page(ExtendedTicketListResult(rows.rows, rows.total), scope.next_cursor(rows))

    async def list_all_tickets(
        self,
        session: Session,
        *,
        status: AnyTicketStatus | None = None,
        priority: AnyTicketPriority | None = None,
        category: AnyTicketCategory | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[TenantTicketListResult]:
        """The tickets of all tenants, newest first, for the support staff. Raises InvalidInputError."""
        wanted = _filter(status, priority, category)
        scope = CursorScope("all tickets", "", status=status, priority=priority, category=category)
        rows = await self._tickets.page_of_all(session, scope.window(limit, cursor=cursor), wanted)
        return Page(TenantTicketListResult(rows.rows), scope.next_cursor(rows))

    async def get_ticket(self, session: Session, tenant_id: str, ticket_id: str) -> ExtendedTicketResult:
        """One ticket. Raises NotFoundError, also for another tenant's."""
        return _require_ticket(await self._tickets.find(session, tenant_id, ticket_id))

    async def list_replies(
        self, session: Session, tenant_id: str, ticket_id: str, **page: Unpack[PageArguments]
    ) -> Page[TicketReplyListResult]:
        """A ticket's replies, oldest first. Raises InvalidInputError or NotFoundError."""
        scope = CursorScope("ticket_replies", tenant_id, ticket_id=ticket_id)
        rows = await self._replies.page(session, tenant_id, ticket_id, scope.window(**page))
        if not rows.total:
            await self.get_ticket(session, tenant_id, ticket_id)
        return Page(TicketReplyListResult(rows.rows, rows.total), scope.next_cursor(rows))

    @records("ticket.replied")
    async def reply(
        self,
        session: Session,
        tenant_id: str,
        ticket_id: str,
        user_id: str,
        *,
        text: str,
        as_support: bool = False,
    ) -> TicketReplyResult:
        """Reply to a ticket that is not resolved. Support's first reply puts an open ticket in progress.

        Raises InvalidInputError, NotFoundError, ForbiddenError or ConflictError (`ticket_resolved`).
        """
        text = clean_text("text", text, max_length=MAX_TEXT_LENGTH)
        now = self._clock()
        ticket = await self._locked(session, tenant_id, ticket_id, user_id, as_support=as_support)
        if ticket.status in RESOLVED_TICKET:
            raise _resolved(ticket)
        reply = NewReply(new_id("rpl"), user_id, as_support, text, now)
        stored = await self._replies.add(session, tenant_id, ticket_id, reply)
        if as_support:
            await self._queue_mail(session, tenant_id, ticket_id, now)
        return stored

    @records("ticket.resolved")
    async def resolve(
        self,
        session: Session,
        tenant_id: str,
        ticket_id: str,
        user_id: str,
        *,
        resolution: str | None = None,
        as_support: bool = False,
    ) -> ExtendedTicketResult:
        """Resolve a ticket. Without a ``resolution``, an earlier one stays. Nothing changes a second time.

        Raises InvalidInputError, NotFoundError, ForbiddenError or ConflictError (`ticket_resolved`: with
        another resolution).
        """
        resolution = _resolution(resolution)
        now = self._clock()
        ticket = await self._locked(session, tenant_id, ticket_id, user_id, as_support=as_support)
        if ticket.status in RESOLVED_TICKET:
            if resolution in {None, ticket.resolution}:
                return ticket
            raise _resolved(ticket)
        resolved = await self._tickets.set_status(
            session,
            tenant_id,
            ticket_id,
            status=TicketStatus.RESOLVED,
            resolution=resolution,
            now=now,
            actor=user_id,
        )
        if as_support:
            await self._queue_mail(session, tenant_id, ticket_id, now)
        return _require_ticket(resolved)

    @records("ticket.reopened")
    async def reopen(
        self, session: Session, tenant_id: str, ticket_id: str, user_id: str, *, as_support: bool = False
    ) -> ExtendedTicketResult:
        """Open a resolved or closed ticket again; its resolution stays. Any other one stays as it is.

        Raises NotFoundError or ForbiddenError.
        """
        now = self._clock()
        ticket = await self._locked(session, tenant_id, ticket_id, user_id, as_support=as_support)
        if ticket.status not in RESOLVED_TICKET:
            return ticket
        reopened = await self._tickets.set_status(
            session, tenant_id, ticket_id, status=TicketStatus.OPEN, resolution=None, now=now, actor=user_id
        )
        return _require_ticket(reopened)

    @records("ticket.updated", "ticket.resolved", "ticket.reopened")
    async def change_ticket_status(
        self,
        session: Session,
        tenant_id: str,
        ticket_id: str,
        *,
        status: AnyTicketStatus,
        resolution: str | None = None,
        actor: str | None = None,
    ) -> ExtendedTicketResult:
        """Change a ticket's status, and its resolution if one is given. For the support desk.

        Raises InvalidInputError or NotFoundError.
        """
        changed = await self._tickets.set_status(
            session,
            tenant_id,
            ticket_id,
            status=choice("status", status, TicketStatus),
            resolution=_resolution(resolution),
            now=self._clock(),
            actor=actor,
        )
        return _require_ticket(changed)

    async def _locked(
        self, session: Session, tenant_id: str, ticket_id: str, user_id: str, *, as_support: bool
    ) -> ExtendedTicketResult:
        """The ticket, locked, which the caller may answer."""
        ticket = await self._tickets.find(session, tenant_id, ticket_id, lock=True)
        if as_support:
            return _require_ticket(ticket)
        access = require_writer(await self._access.hold_access(session, tenant_id, user_id))
        ticket = _require_ticket(ticket)
        is_theirs = ticket.user_id == access.user_id or access.role.can_manage_users
        require(is_theirs, "answer a ticket that another member opened")
        return ticket

    async def _queue_mail(self, session: Session, tenant_id: str, ticket_id: str, now: datetime) -> None:
        if self._sends_mail:
            await self._replies.queue_mail(session, tenant_id, ticket_id, now)


def _resolution(given: str | None) -> str | None:
    return None if given is None else clean_text("resolution", given, max_length=MAX_TEXT_LENGTH)


def _require_ticket(ticket: ExtendedTicketResult | None) -> ExtendedTicketResult:
    if ticket is None:
        raise NotFoundError("There is no such ticket in this tenant.")
    return ticket


def _resolved(ticket: ExtendedTicketResult) -> ConflictError:
    return ConflictError(f"This ticket is {ticket.status}. Reopen it first.", code="ticket_resolved")


def _filter(
    status: AnyTicketStatus | None, priority: AnyTicketPriority | None, category: AnyTicketCategory | None
) -> TicketFilter:
    return TicketFilter(
        choice_filter("status", status, TicketStatus),
        choice_filter("priority", priority, TicketPriority),
        choice_filter("category", category, TicketCategory),
    )

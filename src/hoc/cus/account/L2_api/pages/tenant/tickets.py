"""Support tickets: the list, opening one, its thread, resolving and reopening."""

from functools import partial

from hoc.cus.account.L2_api.bodies import (
    CreateTicket,
    Offset,
    Query,
    ReplyToTicket,
    ResolveTicket,
    TicketsQuery,
)
from hoc.cus.account.L2_api.operations import TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page
from hoc.cus.account.L2_api.pages.view import Answer, AnyView, View
from hoc.cus.account.L5_engines.paging import MAX_OFFSET
from hoc.cus.account.L5_schemas.tickets import TicketReplyListResult
from hoc.cus.account.L5_schemas.values import RESOLVED_TICKET, TicketCategory, TicketPriority, TicketStatus

SHOWN_REPLIES = 50


class ThreadQuery(Query):
    """``offset`` replies are before those that are shown. Without it, the last ones are shown."""

    offset: Offset | None = None


@Page("GET", "/tickets", query=TicketsQuery, nav=Nav("Support", "help"))
async def tickets(view: View[None, TicketsQuery]) -> Answer:
    query = view.query
    page = await view.accounts.support.list_tickets(view.session, view.tenant_id, **query.given())
    return view.show(
        "tickets.html",
        "Support",
        page=page.value,
        contact=view.accounts.get_support_contact(),
        query=query,
        asked=query.model_dump(include={"status", "priority", "category"}, exclude_none=True),
        next_cursor=page.next_cursor,
        statuses=list(TicketStatus),
        priorities=list(TicketPriority),
        categories=list(TicketCategory),
    )


@Page("GET", "/tickets/new")
async def new_ticket(view: View) -> Answer:
    return view.show(
        "ticket_new.html", "New ticket", categories=list(TicketCategory), priorities=list(TicketPriority)
    )


@Page("POST", "/tickets", opens=TRANSACTION, body=CreateTicket, again=new_ticket)
async def open_ticket(view: View[CreateTicket]) -> Answer:
    opened = await view.accounts.support.create_ticket(
        view.session, view.tenant_id, view.caller_id, **view.body.model_dump()
    )
    return view.go(view.path_of("tickets", opened.id), "Your ticket is open. Support answers here.")


@Page("GET", "/tickets/{ticket_id}", query=ThreadQuery)
async def ticket(view: View[None, ThreadQuery]) -> Answer:
    ticket_id = view.path["ticket_id"]
    found = await view.accounts.support.get_ticket(view.session, view.tenant_id, ticket_id)
    offset, thread = await _replies(view, ticket_id, view.query.offset)
    following = offset + len(thread.replies)
    return view.show(
        "ticket.html",
        found.subject or "Erased ticket",
        ticket=found,
        opened_by=await _name(view, found.user_id),
        replies=thread.replies,
        earlier=max(0, offset - SHOWN_REPLIES) if offset else None,
        later=following if following < thread.total else None,
        may_answer=found.user_id == view.caller_id or view.role.can_manage_users,
        is_resolved=found.status in RESOLVED_TICKET,
    )


async def _replies(view: AnyView, ticket_id: str, offset: int | None) -> tuple[int, TicketReplyListResult]:
    """Replies from ``offset`` on, or the last ones, and how many are before them."""
    read = partial(
        view.accounts.support.list_replies, view.session, view.tenant_id, ticket_id, limit=SHOWN_REPLIES
    )
    thread = (await read(offset=offset or 0)).value
    if offset is not None or thread.total <= SHOWN_REPLIES:
        return offset or 0, thread
    last = min(thread.total - SHOWN_REPLIES, MAX_OFFSET)
    return last, (await read(offset=last)).value


async def _name(view: AnyView, user_id: str) -> str:
    """What to call a member, who may have left."""
    if user_id == view.caller_id:
        return "You"
    found = await view.accounts.members.get_user(view.session, view.tenant_id, user_id)
    return "A former member" if found is None else found.value.name or found.value.email


@Page("POST", "/tickets/{ticket_id}/replies", opens=TRANSACTION, body=ReplyToTicket, again=ticket)
async def reply(view: View[ReplyToTicket]) -> Answer:
    ticket_id = view.path["ticket_id"]
    await view.accounts.support.reply(
        view.session, view.tenant_id, ticket_id, view.caller_id, text=view.body.text
    )
    return view.go(view.path_of("tickets", ticket_id), "Your answer was added.")


@Page("POST", "/tickets/{ticket_id}/resolve", opens=TRANSACTION, body=ResolveTicket, again=ticket)
async def resolve(view: View[ResolveTicket]) -> Answer:
    ticket_id = view.path["ticket_id"]
    await view.accounts.support.resolve(
        view.session, view.tenant_id, ticket_id, view.caller_id, resolution=view.body.resolution
    )
    return view.go(view.path_of("tickets", ticket_id), "The ticket is resolved.")


@Page("POST", "/tickets/{ticket_id}/reopen", opens=TRANSACTION, again=ticket)
async def reopen(view: View) -> Answer:
    ticket_id = view.path["ticket_id"]
    await view.accounts.support.reopen(view.session, view.tenant_id, ticket_id, view.caller_id)
    return view.go(view.path_of("tickets", ticket_id), "The ticket is open again.")


TICKETS: list[AnyPage] = [tickets, new_ticket, open_ticket, ticket, reply, resolve, reopen]

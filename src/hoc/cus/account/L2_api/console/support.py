"""Support contact, and a tenant's tickets with their threads."""

from hoc.cus.account.L2_api.bodies import CreateTicket, PageQuery, ReplyToTicket, ResolveTicket, TicketsQuery
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import (
    MEMBER,
    READ,
    REPLICA,
    STATEMENT,
    TENANT,
    TRANSACTION,
    AnyOperation,
    Operation,
)
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.port_types import Page
from hoc.cus.account.L5_schemas.results import SupportContactResult
from hoc.cus.account.L5_schemas.tickets import (
    ExtendedTicketListResult,
    ExtendedTicketResult,
    TicketReplyListResult,
    TicketReplyResult,
)


@Operation("GET", "/support", SupportContactResult, requires=MEMBER)
async def get_support_contact(accounts: AccountsFacade, call: Call) -> SupportContactResult:  # noqa: ARG001 - it is the same for every call
    """Read whom to write to."""
    return accounts.get_support_contact()


@Operation(
    "POST",
    "/support/tickets",
    ExtendedTicketResult,
    requires=TENANT,
    opens=STATEMENT,
    status=201,
    body=CreateTicket,
    idempotent=True,
)
async def create_ticket(accounts: AccountsFacade, call: Call[CreateTicket]) -> ExtendedTicketResult:
    """Open a support ticket."""
    return await accounts.support.create_ticket(
        call.session, call.tenant_id, call.caller_id, **call.body.model_dump()
    )


@Operation(
    "GET",
    "/support/tickets",
    Page[ExtendedTicketListResult],
    requires=MEMBER,
    opens=REPLICA,
    query=TicketsQuery,
)
async def list_tickets(
    accounts: AccountsFacade, call: Call[None, TicketsQuery]
) -> Page[ExtendedTicketListResult]:
    """List support tickets, newest first."""
    return await accounts.support.list_tickets(call.session, call.tenant_id, **call.query.given())


@Operation(
    "GET", "/support/tickets/{ticket_id}", ExtendedTicketResult, requires=MEMBER, opens=READ, errors=(404,)
)
async def get_ticket(accounts: AccountsFacade, call: Call) -> ExtendedTicketResult:
    """Read a support ticket."""
    return await accounts.support.get_ticket(call.session, call.tenant_id, call.path["ticket_id"])


@Operation(
    "GET",
    "/support/tickets/{ticket_id}/replies",
    Page[TicketReplyListResult],
    requires=MEMBER,
    opens=READ,
    query=PageQuery,
    errors=(404,),
)
async def list_ticket_replies(
    accounts: AccountsFacade, call: Call[None, PageQuery]
) -> Page[TicketReplyListResult]:
    """List the replies to a support ticket, oldest first."""
    return await accounts.support.list_replies(
        call.session, call.tenant_id, call.path["ticket_id"], **call.query.given()
    )


@Operation(
    "POST",
    "/support/tickets/{ticket_id}/replies",
    TicketReplyResult,
    requires=TENANT,
    opens=TRANSACTION,
    status=201,
    body=ReplyToTicket,
    errors=(404, 409),
    idempotent=True,
)
async def reply_to_ticket(accounts: AccountsFacade, call: Call[ReplyToTicket]) -> TicketReplyResult:
    """Reply to a support ticket."""
    return await accounts.support.reply(
        call.session, call.tenant_id, call.path["ticket_id"], call.caller_id, text=call.body.text
    )


@Operation(
    "POST",
    "/support/tickets/{ticket_id}/resolve",
    ExtendedTicketResult,
    requires=TENANT,
    opens=TRANSACTION,
    body=ResolveTicket,
    body_optional=True,
    errors=(404, 409),
)
async def resolve_ticket(accounts: AccountsFacade, call: Call[ResolveTicket]) -> ExtendedTicketResult:
    """Mark a support ticket as resolved."""
    return await accounts.support.resolve(
        call.session, call.tenant_id, call.path["ticket_id"], call.caller_id, resolution=call.body.resolution
    )


@Operation(
    "POST",
    "/support/tickets/{ticket_id}/reopen",
    ExtendedTicketResult,
    requires=TENANT,
    opens=TRANSACTION,
    errors=(404,),
)
async def reopen_ticket(accounts: AccountsFacade, call: Call) -> ExtendedTicketResult:
    """Open a resolved support ticket again."""
    return await accounts.support.reopen(call.session, call.tenant_id, call.path["ticket_id"], call.caller_id)


SUPPORT: list[AnyOperation] = [
    get_support_contact,
    create_ticket,
    list_tickets,
    get_ticket,
    list_ticket_replies,
    reply_to_ticket,
    resolve_ticket,
    reopen_ticket,
]

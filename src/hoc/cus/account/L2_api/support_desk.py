"""The support desk: the deployment's support staff answers the tickets of any tenant. Mounted at ``/api/v1``.

The console has the same operations for a tenant's members.
"""

from hoc.cus.account.L2_api.bodies import (
    AllTicketsQuery,
    PageQuery,
    ReplyToTicket,
    ResolveTicket,
    TicketsQuery,
)
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import READ, REPLICA, TRANSACTION, AnyOperation, Operation
from hoc.cus.account.L2_api.scopes import SUPPORTERS
from hoc.cus.account.L2_api.tenants import require_tenant
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.port_types import Page
from hoc.cus.account.L5_schemas.tickets import (
    ExtendedTicketListResult,
    ExtendedTicketResult,
    TenantTicketListResult,
    TicketReplyListResult,
    TicketReplyResult,
)

_TICKETS = "/tenants/{tenant_id}/tickets"
_TICKET = f"{_TICKETS}/{{ticket_id}}"


@Operation(
    "GET",
    "/tickets",
    Page[TenantTicketListResult],
    opens=REPLICA,
    scopes=SUPPORTERS,
    query=AllTicketsQuery,
)
async def list_all_tickets(
    accounts: AccountsFacade, call: Call[None, AllTicketsQuery]
) -> Page[TenantTicketListResult]:
    """List the support tickets of all tenants, newest first."""
    return await accounts.support.list_all_tickets(call.session, **call.query.given())


@Operation(
    "GET",
    _TICKETS,
    Page[ExtendedTicketListResult],
    opens=REPLICA,
    scopes=SUPPORTERS,
    query=TicketsQuery,
    errors=(404,),
)
async def list_tickets_of_tenant(
    accounts: AccountsFacade, call: Call[None, TicketsQuery]
) -> Page[ExtendedTicketListResult]:
    """List a tenant's support tickets, newest first."""
    tenant_id = call.path["tenant_id"]
    tickets = await accounts.support.list_tickets(call.session, tenant_id, **call.query.given())
    if not tickets.value.total:
        await require_tenant(accounts, call.session, tenant_id)
    return tickets


@Operation("GET", _TICKET, ExtendedTicketResult, opens=READ, scopes=SUPPORTERS, errors=(404,))
async def get_ticket_of_tenant(accounts: AccountsFacade, call: Call) -> ExtendedTicketResult:
    """Read a tenant's support ticket."""
    return await accounts.support.get_ticket(call.session, *_ticket(call.path))


@Operation(
    "GET",
    f"{_TICKET}/replies",
    Page[TicketReplyListResult],
    opens=READ,
    scopes=SUPPORTERS,
    query=PageQuery,
    errors=(404,),
)
async def list_replies_to_tenant(
    accounts: AccountsFacade, call: Call[None, PageQuery]
) -> Page[TicketReplyListResult]:
    """List the replies to a tenant's support ticket, oldest first."""
    return await accounts.support.list_replies(call.session, *_ticket(call.path), **call.query.given())


@Operation(
    "POST",
    f"{_TICKET}/replies",
    TicketReplyResult,
    opens=TRANSACTION,
    scopes=SUPPORTERS,
    status=201,
    body=ReplyToTicket,
    errors=(404, 409),
    idempotent=True,
    queues_work=True,
)
async def reply_to_tenant(accounts: AccountsFacade, call: Call[ReplyToTicket]) -> TicketReplyResult:
    """Reply to a tenant's support ticket as the support staff."""
    return await accounts.support.reply(
        call.session, *_ticket(call.path), call.caller_id, text=call.body.text, as_support=True
    )


@Operation(
    "POST",
    f"{_TICKET}/resolve",
    ExtendedTicketResult,
    opens=TRANSACTION,
    scopes=SUPPORTERS,
    body=ResolveTicket,
    body_optional=True,
    errors=(404, 409),
    queues_work=True,
)
async def resolve_ticket_of_tenant(
    accounts: AccountsFacade, call: Call[ResolveTicket]
) -> ExtendedTicketResult:
    """Mark a tenant's support ticket as resolved."""
    return await accounts.support.resolve(
        call.session, *_ticket(call.path), call.caller_id, resolution=call.body.resolution, as_support=True
    )


@Operation(
    "POST", f"{_TICKET}/reopen", ExtendedTicketResult, opens=TRANSACTION, scopes=SUPPORTERS, errors=(404,)
)
async def reopen_ticket_of_tenant(accounts: AccountsFacade, call: Call) -> ExtendedTicketResult:
    """Open a tenant's resolved support ticket again."""
    return await accounts.support.reopen(call.session, *_ticket(call.path), call.caller_id, as_support=True)


def _ticket(path: dict[str, str]) -> tuple[str, str]:
    return path["tenant_id"], path["ticket_id"]


SUPPORT_DESK_OPERATIONS: list[AnyOperation] = [
    list_all_tickets,
    list_tickets_of_tenant,
    get_ticket_of_tenant,
    list_replies_to_tenant,
    reply_to_tenant,
    resolve_ticket_of_tenant,
    reopen_ticket_of_tenant,
]

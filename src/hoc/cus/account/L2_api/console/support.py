"""Support contact and tickets."""

from hoc.cus.account.L2_api.bodies import CreateTicket, StatusQuery
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import MEMBER, READ, STATEMENT, TENANT, AnyOperation, Operation
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.port_types import Page
from hoc.cus.account.L5_schemas.results import (
    SupportContactResult,
    SupportTicketListResult,
    SupportTicketResult,
)


@Operation("GET", "/support", SupportContactResult, requires=MEMBER)
async def get_support_contact(accounts: AccountsFacade, call: Call) -> SupportContactResult:  # noqa: ARG001 - it is the same for every call
    """Read whom to write to."""
    return accounts.get_support_contact()


@Operation(
    "POST",
    "/support/tickets",
    SupportTicketResult,
    requires=TENANT,
    opens=STATEMENT,
    status=201,
    body=CreateTicket,
    idempotent=True,
)
async def create_ticket(accounts: AccountsFacade, call: Call[CreateTicket]) -> SupportTicketResult:
    """Open a support ticket."""
    return await accounts.support.create_ticket(
        call.session, call.tenant_id, call.caller_id, **call.body.model_dump()
    )


@Operation(
    "GET", "/support/tickets", Page[SupportTicketListResult], requires=MEMBER, opens=READ, query=StatusQuery
)
async def list_tickets(
    accounts: AccountsFacade, call: Call[None, StatusQuery]
) -> Page[SupportTicketListResult]:
    """List support tickets, newest first."""
    return await accounts.support.list_tickets(call.session, call.tenant_id, **call.query.given())


SUPPORT: list[AnyOperation] = [get_support_contact, create_ticket, list_tickets]

"""Support contact and tickets."""

from starlette.responses import Response

from hoc.cus.account.L2_api.bodies import CreateTicket, StatusQuery
from hoc.cus.account.L2_api.calls import Call, answer
from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_engines.support import Support
from hoc.cus.account.L5_schemas.results import (
    SupportContactResult,
    SupportTicketListResult,
    SupportTicketResult,
)


class SupportRoutes:
    def __init__(self, support: Support) -> None:
        self._support = support

    def operations(self) -> list[Operation]:
        return [
            Operation("GET", "/support", self.get_support_contact, "Whom to write to", SupportContactResult),
            Operation(
                "POST",
                "/support/tickets",
                self.create_ticket,
                "Open a support ticket",
                SupportTicketResult,
                status=201,
                body=CreateTicket,
                idempotent=True,
            ),
            Operation(
                "GET",
                "/support/tickets",
                self.list_tickets,
                "List support tickets, newest first",
                SupportTicketListResult,
                query=StatusQuery,
            ),
        ]

    async def get_support_contact(self, call: Call) -> Response:
        await call.member()
        return answer(self._support.contact())

    async def create_ticket(self, call: Call) -> Response:
        tenant_id, caller_id = call.tenant_id, call.caller.user_id
        body = await call.body(CreateTicket)
        return await call.write(
            lambda session: self._support.create_ticket(session, tenant_id, caller_id, **body.model_dump()),
            status=201,
            idempotent_in=tenant_id,
        )

    async def list_tickets(self, call: Call) -> Response:
        member = await call.member()
        return await call.page(StatusQuery, self._support.list_tickets, member.tenant_id)

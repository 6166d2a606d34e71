"""Billing summary and invoices."""

from starlette.responses import Response

from hoc.cus.account.L2_api.bodies import PageQuery
from hoc.cus.account.L2_api.calls import Call, answer
from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_engines.billing import Billing
from hoc.cus.account.L5_schemas.results import BillingSummaryResult, InvoiceListResult


class BillingRoutes:
    def __init__(self, billing: Billing) -> None:
        self._billing = billing

    def operations(self) -> list[Operation]:
        return [
            Operation("GET", "/billing", self.get_billing, "Read the billing summary", BillingSummaryResult),
            Operation(
                "GET",
                "/billing/invoices",
                self.list_invoices,
                "List invoices, newest period first",
                InvoiceListResult,
                query=PageQuery,
            ),
        ]

    async def get_billing(self, call: Call) -> Response:
        member = await call.member()
        return answer(await call.read(lambda session: self._billing.summary(session, member.tenant_id)))

    async def list_invoices(self, call: Call) -> Response:
        member = await call.member()
        return await call.page(PageQuery, self._billing.list_invoices, member.tenant_id)

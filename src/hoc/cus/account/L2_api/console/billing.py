"""Billing summary, invoices, and usage by day."""

from hoc.cus.account.L2_api.bodies import StatusQuery
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import MEMBER, READ, REPLICA, AnyOperation, Operation
from hoc.cus.account.L2_api.usage_query import UsageDaysQuery
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.port_types import Page
from hoc.cus.account.L5_schemas.results import ExtendedBillingSummaryResult, ExtendedInvoiceListResult
from hoc.cus.account.L5_schemas.usage_days import UsageDaysResult


@Operation("GET", "/billing", ExtendedBillingSummaryResult, requires=MEMBER, opens=READ)
async def get_billing(accounts: AccountsFacade, call: Call) -> ExtendedBillingSummaryResult:
    """Read the billing summary."""
    return await accounts.billing.summary(call.session, call.tenant_id, call.caller_id)


@Operation(
    "GET",
    "/billing/invoices",
    Page[ExtendedInvoiceListResult],
    requires=MEMBER,
    opens=REPLICA,
    query=StatusQuery,
)
async def list_invoices(
    accounts: AccountsFacade, call: Call[None, StatusQuery]
) -> Page[ExtendedInvoiceListResult]:
    """List invoices, newest period first."""
    return await accounts.billing.list_invoices(call.session, call.tenant_id, **call.query.given())


@Operation("GET", "/billing/usage", UsageDaysResult, requires=MEMBER, opens=REPLICA, query=UsageDaysQuery)
async def get_usage_by_day(accounts: AccountsFacade, call: Call[None, UsageDaysQuery]) -> UsageDaysResult:
    """Read what was used on each day."""
    given = call.query.given()
    return await accounts.usage.by_day(
        call.session, call.tenant_id, first=given.get("from"), last=given.get("to")
    )


BILLING: list[AnyOperation] = [get_billing, list_invoices, get_usage_by_day]

"""Usage and billing: the plan, what is used of it, invoices."""

from hoc.cus.account.L2_api.bodies import StatusQuery
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page
from hoc.cus.account.L2_api.pages.view import Answer, View
from hoc.cus.account.L5_schemas.values import InvoiceStatus


@Page("GET", "/billing", query=StatusQuery, nav=Nav("Usage and billing", "card"))
async def billing(view: View[None, StatusQuery]) -> Answer:
    summary = await view.accounts.billing.summary(view.session, view.tenant_id, view.caller_id)
    page = await view.accounts.billing.list_invoices(view.session, view.tenant_id, **view.query.given())
    usage = await view.accounts.usage.by_day(view.session, view.tenant_id)
    return view.show(
        "billing.html",
        "Usage and billing",
        summary=summary,
        runs=[(each.day, each.runs) for each in usage.days],
        tokens=[(each.day, each.tokens) for each in usage.days],
        page=page.value,
        query=view.query,
        statuses=list(InvoiceStatus),
        next_cursor=page.next_cursor,
        is_first=not view.query.cursor,
    )


BILLING: list[AnyPage] = [billing]

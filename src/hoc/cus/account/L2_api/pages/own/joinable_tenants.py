"""The projects that the caller's verified address lets them join, or ask to."""

from hoc.cus.account.L2_api.bodies import PageQuery
from hoc.cus.account.L2_api.operations import CALLER, TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page
from hoc.cus.account.L2_api.pages.view import Answer, View, path_to


@Page(
    "GET",
    "/joinable-tenants",
    requires=CALLER,
    query=PageQuery,
    nav=Nav("Projects to join", "plus"),
)
async def joinable_tenants(view: View[None, PageQuery]) -> Answer:
    page = await view.accounts.joining.list_joinable(view.session, view.caller_id, **view.query.given())
    return view.show("joinable_tenants.html", "Projects to join", page=page.value)


@Page(
    "POST",
    "/joinable-tenants/{tenant_id}/join",
    requires=CALLER,
    opens=TRANSACTION,
    again=joinable_tenants,
)
async def join_tenant(view: View) -> Answer:
    joined = await view.accounts.joining.join(view.session, view.caller_id, view.path["tenant_id"])
    if joined.role is None:
        return view.go(path_to("joinable-tenants"), "You have asked to join. An owner or admin decides.")
    return view.go(view.tenant_path(joined.tenant_id), f"You have joined with the role {joined.role}.")


JOINABLE_TENANTS: list[AnyPage] = [joinable_tenants, join_tenant]
"""There with `Settings.domains`, as the operations are."""

"""The page that leads to a tenant, or says what to do without one."""

from hoc.cus.account.L2_api.operations import CALLER
from hoc.cus.account.L2_api.pages.page import AnyPage, Page
from hoc.cus.account.L2_api.pages.view import Answer, View, path_to


@Page("GET", "/", requires=CALLER)
async def home(view: View) -> Answer:
    """The tenant that the credentials select, else the first one."""
    memberships = view.frame.memberships if view.frame else ()
    ids = [each.tenant_id for each in memberships]
    chosen = view.caller.tenant_id if view.caller.tenant_id in ids else next(iter(ids), None)
    if chosen is not None:
        return view.go(path_to("projects", chosen, "members"))
    return view.show("welcome.html", "Welcome")


HOME: list[AnyPage] = [home]

"""How many accounts there are, and how many came on each day."""

from hoc.cus.account.L2_api.operations import CALLER
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page
from hoc.cus.account.L2_api.pages.view import Answer, View
from hoc.cus.account.L2_api.scopes import ADMINS


@Page("GET", "/admin/registrations", requires=CALLER, scopes=ADMINS, nav=Nav("Registrations", "chart"))
async def registrations(view: View) -> Answer:
    found = await view.accounts.operators.get_statistics(view.session)
    return view.show(
        "admin_registrations.html",
        "Registrations",
        stats=found.stats,
        days=[(each.day, each.accounts) for each in found.days],
    )


REGISTRATIONS: list[AnyPage] = [registrations]

"""The open invitations to one's own address."""

from hoc.cus.account.L2_api.bodies import PageQuery
from hoc.cus.account.L2_api.operations import CALLER, NO_SESSION, TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page
from hoc.cus.account.L2_api.pages.view import Answer, View, path_to

_PATH = "/received-invitations/{tenant_id}/{invitation_id}"


@Page("GET", "/received-invitations", requires=CALLER, query=PageQuery, nav=Nav("Your invitations", "mail"))
async def received_invitations(view: View[None, PageQuery]) -> Answer:
    query = view.query
    page = await view.accounts.received_invitations.list(view.session, view.caller_id, **query.given())
    return view.show(
        "received_invitations.html",
        "Your invitations",
        page=page.value,
        next=page.next_cursor and path_to("received-invitations", cursor=page.next_cursor),
        first=query.cursor and path_to("received-invitations"),
    )


@Page("POST", f"{_PATH}/accept", requires=CALLER, opens=TRANSACTION, again=received_invitations)
async def accept_received(view: View) -> Answer:
    tenant_id = view.path["tenant_id"]
    joined = await view.accounts.acceptances.accept_received(
        view.session, view.caller_id, tenant_id, view.path["invitation_id"]
    )
    return view.go(view.tenant_path(tenant_id), f"You have joined with the role {joined.role}.")


@Page("GET", f"{_PATH}/decline", requires=CALLER, opens=NO_SESSION)
async def ask_to_decline(view: View) -> Answer:
    return view.confirm(
        "Decline this invitation?",
        "The person who invited you sees that you declined. To join later, you need a new invitation.",
        action=path_to("received-invitations", view.path["tenant_id"], view.path["invitation_id"], "decline"),
        label="Decline invitation",
        back="/received-invitations",
    )


@Page("POST", f"{_PATH}/decline", requires=CALLER, opens=TRANSACTION, again=received_invitations)
async def decline_received(view: View) -> Answer:
    await view.accounts.received_invitations.decline_received(
        view.session, view.caller_id, view.path["tenant_id"], view.path["invitation_id"]
    )
    return view.go("/received-invitations", "You have declined the invitation.")


RECEIVED_INVITATIONS: list[AnyPage] = [
    received_invitations,
    accept_received,
    ask_to_decline,
    decline_received,
]

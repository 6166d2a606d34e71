"""Invitations: the list with what became of each mail, inviting, sending again, revoking."""

from hoc.cus.account.L2_api.bodies import InviteUser, StatusQuery
from hoc.cus.account.L2_api.operations import TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page, managers
from hoc.cus.account.L2_api.pages.view import Answer, View
from hoc.cus.account.L5_engines import policy
from hoc.cus.account.L5_schemas.values import InvitationStatus, Role


@Page("GET", "/invitations", query=StatusQuery, nav=Nav("Invitations", "mail", managers))
async def invitations(view: View[None, StatusQuery]) -> Answer:
    query = view.query
    page = await view.accounts.invitations.list(view.session, view.tenant_id, view.caller_id, **query.given())
    return view.show(
        "invitations.html",
        "Invitations",
        page=page.value,
        next=page.next_cursor and view.path_of("invitations", status=query.status, cursor=page.next_cursor),
        first=query.cursor and view.path_of("invitations", status=query.status),
        query=query,
        statuses=list(InvitationStatus),
        again={InvitationStatus.PENDING, InvitationStatus.EXPIRED},
    )


@Page("GET", "/invitations/new")
async def new_invitation(view: View) -> Answer:
    roles = [role for role in Role if policy.can_grant(view.role, role)]
    return view.show("invitation_new.html", "Invite someone", roles=roles)


@Page("POST", "/invitations", opens=TRANSACTION, body=InviteUser, again=new_invitation, queues_mail=True)
async def invite(view: View[InviteUser]) -> Answer:
    invited = await view.accounts.invitations.invite(
        view.session, view.tenant_id, view.caller_id, **view.body.model_dump()
    )
    return view.go(view.path_of("invitations"), f"{invited.email} is invited.")


@Page("POST", "/invitations/{invitation_id}/resend", opens=TRANSACTION, again=invitations, queues_mail=True)
async def resend(view: View) -> Answer:
    sent = await view.accounts.invitations.resend(
        view.session, view.tenant_id, view.caller_id, view.path["invitation_id"]
    )
    return view.go(
        view.path_of("invitations"),
        f"A new link is on its way to {sent.email}. Earlier links no longer work.",
    )


@Page("GET", "/invitations/{invitation_id}/revoke")
async def ask_to_revoke(view: View) -> Answer:
    return view.confirm(
        "Revoke this invitation?",
        "Its link stops working at once. You can invite the same person again.",
        action=view.path_of("invitations", view.path["invitation_id"], "revoke"),
        label="Revoke invitation",
        back=view.path_of("invitations"),
    )


@Page("POST", "/invitations/{invitation_id}/revoke", opens=TRANSACTION, again=invitations)
async def revoke(view: View) -> Answer:
    revoked = await view.accounts.invitations.revoke(
        view.session, view.tenant_id, view.caller_id, view.path["invitation_id"]
    )
    return view.go(view.path_of("invitations"), f"The invitation of {revoked.email} is revoked.")


INVITATIONS: list[AnyPage] = [
    invitations,
    new_invitation,
    invite,
    resend,
    ask_to_revoke,
    revoke,
]

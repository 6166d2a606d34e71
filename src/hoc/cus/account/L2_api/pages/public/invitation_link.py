"""The page that an invitation's link opens. Its token is in the fragment, and travels in forms only."""

from hoc.cus.account.L2_api.bodies import AcceptInvitation, InvitationToken
from hoc.cus.account.L2_api.operations import CALLER, NO_SESSION, NOTHING, TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Page
from hoc.cus.account.L2_api.pages.view import Answer, AnyView, View, path_to
from hoc.cus.account.L5_schemas.values import InvitationStatus

_TITLES = {
    InvitationStatus.ACCEPTED: "This invitation has been accepted",
    InvitationStatus.EXPIRED: "This invitation has expired",
    InvitationStatus.DECLINED: "This invitation has been declined",
    InvitationStatus.REVOKED: "This invitation has been withdrawn",
}


@Page("GET", "/invitations/{invitation_id}", requires=NOTHING, opens=NO_SESSION)
async def invitation_link(view: View) -> Answer:
    title = "Your invitation" if view.refusal is None else "This link does not open an invitation"
    return view.show("invitation_link.html", title, action=_path(view))


@Page(
    "POST",
    "/invitations/{invitation_id}",
    requires=NOTHING,
    body=InvitationToken,
    again=invitation_link,
)
async def open_invitation(view: View[InvitationToken]) -> Answer:
    token = view.body.token
    opened = await view.accounts.received_invitations.opened(view.session, view.path["invitation_id"], token)
    return view.show(
        "invitation_opened.html",
        _TITLES.get(InvitationStatus(opened.status), f"Join {opened.tenant_name}"),
        invitation=opened,
        token=token,
        accept=_path(view, "accept"),
        decline=_path(view, "decline"),
    )


@Page(
    "POST",
    "/invitations/{invitation_id}/accept",
    requires=NOTHING,
    opens=TRANSACTION,
    body=AcceptInvitation,
    again=open_invitation,
)
async def accept_invitation(view: View[AcceptInvitation]) -> Answer:
    caller, invitation_id, token = view.optional_caller, view.path["invitation_id"], view.body.token
    joined = await view.accounts.acceptances.accept(
        view.session,
        invitation_id,
        token,
        caller_user_id=None if caller is None else caller.user_id,
        caller_verified_email=caller.email if caller is not None and caller.email_verified else None,
    )
    opened = await view.accounts.received_invitations.opened(view.session, invitation_id, token)
    if caller is None or joined.tenant_id is None:
        return view.show("invitation_accepted.html", f"You have joined {opened.tenant_name}")
    return view.go(view.tenant_path(joined.tenant_id), f"You have joined {opened.tenant_name}.")


@Page(
    "POST",
    "/invitations/{invitation_id}/decline",
    requires=CALLER,
    opens=TRANSACTION,
    body=InvitationToken,
    again=open_invitation,
)
async def decline_invitation(view: View[InvitationToken]) -> Answer:
    caller = view.caller
    await view.accounts.received_invitations.decline(
        view.session,
        view.caller_id,
        view.path["invitation_id"],
        view.body.token,
        caller_verified_email=caller.email if caller.email_verified else None,
    )
    return view.go("/", "You have declined the invitation.")


def _path(view: AnyView, *steps: str) -> str:
    return path_to("invitations", view.path["invitation_id"], *steps)


INVITATION_LINK: list[AnyPage] = [
    invitation_link,
    open_invitation,
    accept_invitation,
    decline_invitation,
]

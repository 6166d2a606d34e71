"""Invitations: the list with what became of each mail, inviting, sending again, revoking."""

import re
from typing import Any

from hoc.cus.account.L2_api.bodies import Body, InvitationsQuery, InviteUser
from hoc.cus.account.L2_api.operations import TRANSACTION
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page, managers
from hoc.cus.account.L2_api.pages.view import Answer, View
from hoc.cus.account.L5_engines import policy
from hoc.cus.account.L5_schemas.port_types import Invitee
from hoc.cus.account.L5_schemas.values import GivenRole, InvitationStatus, MailDelivery, Role


class ManyInvitations(Body):
    """``addresses`` are separated by spaces, lines, commas or semicolons."""

    addresses: str
    role: GivenRole = "member"
    expires_in_days: int = 7


@Page("GET", "/invitations", query=InvitationsQuery, nav=Nav("Invitations", "mail", managers))
async def invitations(view: View[None, InvitationsQuery]) -> Answer:
    query = view.query
    page = await view.accounts.invitations.list(view.session, view.tenant_id, view.caller_id, **query.given())
    deliveries = [each.delivery for each in page.value.invitations if each.status == InvitationStatus.PENDING]
    return view.show(
        "invitations.html",
        "Invitations",
        page=page.value,
        next_cursor=page.next_cursor,
        waiting=deliveries.count(MailDelivery.QUEUED),
        query=query,
        statuses=list(InvitationStatus),
        deliveries=list(MailDelivery),
        again={InvitationStatus.PENDING, InvitationStatus.EXPIRED},
    )


@Page("GET", "/invitations/new")
async def new_invitation(view: View) -> Answer:
    return view.show("invitation_new.html", "Invite someone", roles=_grantable(view))


def _grantable(view: View[Any, Any]) -> list[Role]:
    return [role for role in Role if policy.can_grant(view.role, role)]


@Page("POST", "/invitations", opens=TRANSACTION, body=InviteUser, again=new_invitation, queues_work=True)
async def invite(view: View[InviteUser]) -> Answer:
    invited = await view.accounts.invitations.invite(
        view.session, view.tenant_id, view.caller_id, **view.body.model_dump()
    )
    return view.go(view.path_of("invitations"), f"{invited.email} is invited.")


@Page("GET", "/invitations/many")
async def many_invitations(view: View) -> Answer:
    return view.show("invitation_many.html", "Invite many people", roles=_grantable(view), results=[])


@Page(
    "POST",
    "/invitations/many",
    opens=TRANSACTION,
    body=ManyInvitations,
    again=many_invitations,
    queues_work=True,
)
async def invite_many(view: View[ManyInvitations]) -> Answer:
    addresses = re.split(r"[\s,;]+", view.body.addresses.strip())
    invitees = [Invitee(each, view.body.role, view.body.expires_in_days) for each in addresses if each]
    batch = await view.accounts.invitations.invite_many(
        view.session, view.tenant_id, view.caller_id, invitees
    )
    if not batch.refused:
        return view.go(view.path_of("invitations"), f"{batch.invited} people are invited.")
    return view.show(
        "invitation_many.html", "Invite many people", roles=[], results=batch.results, batch=batch
    )


@Page("POST", "/invitations/{invitation_id}/resend", opens=TRANSACTION, again=invitations, queues_work=True)
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
    many_invitations,
    invite_many,
    resend,
    ask_to_revoke,
    revoke,
]

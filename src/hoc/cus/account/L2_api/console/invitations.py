"""Invitations."""

from hoc.cus.account.L2_api.bodies import (
    AcceptInvitation,
    InvitationsQuery,
    InviteUser,
    InviteUsers,
    ResendInvitation,
)
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import (
    NOTHING,
    READ,
    REPLICA,
    TENANT,
    TRANSACTION,
    AnyOperation,
    Operation,
)
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.port_types import Invitee, Page
from hoc.cus.account.L5_schemas.results import (
    AcceptInvitationResult,
    ExtendedInvitationListResult,
    ExtendedInvitationResult,
    InvitationBatchResult,
    InvitationLinkResult,
)


@Operation(
    "POST",
    "/users/invite",
    ExtendedInvitationResult,
    requires=TENANT,
    opens=TRANSACTION,
    status=201,
    body=InviteUser,
    errors=(409, 429),
    idempotent=True,
    queues_work=True,
)
async def invite_user(accounts: AccountsFacade, call: Call[InviteUser]) -> ExtendedInvitationResult:
    """Invite an address."""
    return await accounts.invitations.invite(
        call.session, call.tenant_id, call.caller_id, **call.body.model_dump()
    )


@Operation(
    "POST",
    "/users/invite/batch",
    InvitationBatchResult,
    requires=TENANT,
    opens=TRANSACTION,
    body=InviteUsers,
    idempotent=True,
    queues_work=True,
)
async def invite_users(accounts: AccountsFacade, call: Call[InviteUsers]) -> InvitationBatchResult:
    """Invite up to 100 addresses, with a result for each."""
    invitees = [Invitee(**each.model_dump()) for each in call.body.invitations]
    return await accounts.invitations.invite_many(call.session, call.tenant_id, call.caller_id, invitees)


@Operation(
    "GET",
    "/invitations",
    Page[ExtendedInvitationListResult],
    requires=TENANT,
    opens=REPLICA,
    query=InvitationsQuery,
)
async def list_invitations(
    accounts: AccountsFacade, call: Call[None, InvitationsQuery]
) -> Page[ExtendedInvitationListResult]:
    """List invitations, for owners and admins."""
    return await accounts.invitations.list(call.session, call.tenant_id, call.caller_id, **call.query.given())


@Operation(
    "GET",
    "/invitations/{invitation_id}",
    ExtendedInvitationResult,
    requires=TENANT,
    opens=READ,
    errors=(404,),
)
async def get_invitation(accounts: AccountsFacade, call: Call) -> ExtendedInvitationResult:
    """Read an invitation and what became of its mail, for owners and admins."""
    return await accounts.invitations.get(
        call.session, call.tenant_id, call.caller_id, call.path["invitation_id"]
    )


@Operation(
    "POST",
    "/invitations/{invitation_id}/accept",
    AcceptInvitationResult,
    requires=NOTHING,
    opens=TRANSACTION,
    body=AcceptInvitation,
    errors=(403, 404, 410),
)
async def accept_invitation(accounts: AccountsFacade, call: Call[AcceptInvitation]) -> AcceptInvitationResult:
    """Accept an invitation with the token from its mail."""
    caller = call.optional_caller
    return await accounts.acceptances.accept(
        call.session,
        call.path["invitation_id"],
        call.body.token,
        caller_user_id=None if caller is None else caller.user_id,
        caller_verified_email=caller.email if caller is not None and caller.email_verified else None,
    )


@Operation(
    "POST",
    "/invitations/{invitation_id}/resend",
    ExtendedInvitationResult,
    requires=TENANT,
    opens=TRANSACTION,
    body=ResendInvitation,
    body_optional=True,
    errors=(404, 409, 429),
    idempotent=True,
    queues_work=True,
)
async def resend_invitation(
    accounts: AccountsFacade, call: Call[ResendInvitation]
) -> ExtendedInvitationResult:
    """Send an invitation again with a new link."""
    return await accounts.invitations.resend(
        call.session, call.tenant_id, call.caller_id, call.path["invitation_id"], **call.body.model_dump()
    )


@Operation(
    "DELETE",
    "/invitations/{invitation_id}",
    ExtendedInvitationResult,
    requires=TENANT,
    opens=TRANSACTION,
    errors=(404, 409),
)
async def revoke_invitation(accounts: AccountsFacade, call: Call) -> ExtendedInvitationResult:
    """Revoke an invitation."""
    return await accounts.invitations.revoke(
        call.session, call.tenant_id, call.caller_id, call.path["invitation_id"]
    )


@Operation(
    "POST",
    "/invitations/{invitation_id}/link",
    InvitationLinkResult,
    requires=TENANT,
    opens=TRANSACTION,
    errors=(404, 409),
)
async def issue_invitation_link(accounts: AccountsFacade, call: Call) -> InvitationLinkResult:
    """Issue an invitation's link to its inviter instead of mailing it."""
    return await accounts.invitations.link(
        call.session, call.tenant_id, call.caller_id, call.path["invitation_id"]
    )


INVITATIONS: list[AnyOperation] = [
    invite_user,
    invite_users,
    list_invitations,
    get_invitation,
    accept_invitation,
    resend_invitation,
    revoke_invitation,
    issue_invitation_link,
]

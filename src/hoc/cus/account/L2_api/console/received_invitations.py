"""Invitations that the caller has received."""

from hoc.cus.account.L2_api.bodies import InvitationToken, PageQuery
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import CALLER, READ, TRANSACTION, AnyOperation, Operation
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_schemas.port_types import Page
from hoc.cus.account.L5_schemas.results import (
    AcceptInvitationResult,
    InvitationDeclinedResult,
    InvitationPreviewResult,
    ReceivedInvitationsListResult,
)


@Operation(
    "GET",
    "/received-invitations",
    Page[ReceivedInvitationsListResult],
    requires=CALLER,
    opens=READ,
    query=PageQuery,
)
async def list_received_invitations(
    accounts: AccountsFacade, call: Call[None, PageQuery]
) -> Page[ReceivedInvitationsListResult]:
    """List the open invitations to the caller's verified address, of all tenants."""
    return await accounts.received_invitations.list(call.session, call.caller_id, **call.query.given())


@Operation(
    "POST",
    "/invitations/{invitation_id}/preview",
    InvitationPreviewResult,
    requires=CALLER,
    opens=READ,
    body=InvitationToken,
    errors=(403, 404, 410),
)
async def preview_invitation(
    accounts: AccountsFacade, call: Call[InvitationToken]
) -> InvitationPreviewResult:
    """Show what an invitation offers, by the token from its mail."""
    return await accounts.received_invitations.preview(
        call.session, call.path["invitation_id"], call.body.token
    )


@Operation(
    "POST",
    "/invitations/{invitation_id}/decline",
    InvitationDeclinedResult,
    requires=CALLER,
    opens=TRANSACTION,
    body=InvitationToken,
    errors=(403, 404, 409, 410),
)
async def decline_invitation(
    accounts: AccountsFacade, call: Call[InvitationToken]
) -> InvitationDeclinedResult:
    """Decline an invitation with the token from its mail."""
    caller = call.caller
    return await accounts.received_invitations.decline(
        call.session,
        call.caller_id,
        call.path["invitation_id"],
        call.body.token,
        caller_verified_email=caller.email if caller.email_verified else None,
    )


@Operation(
    "POST",
    "/received-invitations/{tenant_id}/{invitation_id}/accept",
    AcceptInvitationResult,
    requires=CALLER,
    opens=TRANSACTION,
    errors=(403, 404, 410),
)
async def accept_received_invitation(accounts: AccountsFacade, call: Call) -> AcceptInvitationResult:
    """Accept an invitation to the caller's verified address, without the link."""
    return await accounts.acceptances.accept_received(
        call.session, call.caller_id, call.path["tenant_id"], call.path["invitation_id"]
    )


@Operation(
    "POST",
    "/received-invitations/{tenant_id}/{invitation_id}/decline",
    InvitationDeclinedResult,
    requires=CALLER,
    opens=TRANSACTION,
    errors=(403, 404, 409, 410),
)
async def decline_received_invitation(accounts: AccountsFacade, call: Call) -> InvitationDeclinedResult:
    """Decline an invitation to the caller's verified address, without the link."""
    return await accounts.received_invitations.decline_received(
        call.session, call.caller_id, call.path["tenant_id"], call.path["invitation_id"]
    )


RECEIVED_INVITATIONS: list[AnyOperation] = [
    list_received_invitations,
    preview_invitation,
    decline_invitation,
    accept_received_invitation,
    decline_received_invitation,
]

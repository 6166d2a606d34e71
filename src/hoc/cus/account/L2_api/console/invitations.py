"""Invitations."""

from collections.abc import Callable

from starlette.responses import Response

from hoc.cus.account.L2_api.bodies import AcceptInvitation, InviteUser, ResendInvitation, StatusQuery
from hoc.cus.account.L2_api.calls import Call
from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_engines.acceptances import Acceptances
from hoc.cus.account.L5_engines.invitations import Invitations
from hoc.cus.account.L5_schemas.results import (
    AcceptInvitationResult,
    InvitationListResult,
    InvitationResult,
)


class InvitationRoutes:
    """``on_queued`` is called after a commit that queued a mail."""

    def __init__(
        self, invitations: Invitations, acceptances: Acceptances, on_queued: Callable[[], None]
    ) -> None:
        self._invitations = invitations
        self._acceptances = acceptances
        self._on_queued = on_queued

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "POST",
                "/users/invite",
                self.invite_user,
                "Invite an address",
                InvitationResult,
                status=201,
                body=InviteUser,
                errors=(409, 429),
                idempotent=True,
            ),
            Operation(
                "GET",
                "/invitations",
                self.list_invitations,
                "List invitations, for owners and admins",
                InvitationListResult,
                query=StatusQuery,
            ),
            Operation(
                "POST",
                "/invitations/{invitation_id}/accept",
                self.accept_invitation,
                "Accept an invitation with the token from its mail",
                AcceptInvitationResult,
                body=AcceptInvitation,
                errors=(403, 404, 410),
                public=True,
            ),
            Operation(
                "POST",
                "/invitations/{invitation_id}/resend",
                self.resend_invitation,
                "Send an invitation again with a new link",
                InvitationResult,
                body=ResendInvitation,
                body_optional=True,
                errors=(404, 409, 429),
                idempotent=True,
            ),
            Operation(
                "DELETE",
                "/invitations/{invitation_id}",
                self.revoke_invitation,
                "Revoke an invitation",
                InvitationResult,
                errors=(404, 409),
            ),
        ]

    async def invite_user(self, call: Call) -> Response:
        tenant_id, caller_id = call.tenant_id, call.caller.user_id
        body = await call.body(InviteUser)
        response = await call.write(
            lambda session: self._invitations.invite(session, tenant_id, caller_id, **body.model_dump()),
            status=201,
            idempotent_in=tenant_id,
        )
        self._on_queued()
        return response

    async def list_invitations(self, call: Call) -> Response:
        tenant_id, caller_id = call.tenant_id, call.caller.user_id
        return await call.page(StatusQuery, self._invitations.list, tenant_id, caller_id)

    async def accept_invitation(self, call: Call) -> Response:
        caller = call.optional_caller
        invitation_id = call.path("invitation_id")
        body = await call.body(AcceptInvitation)
        return await call.write(
            lambda session: self._acceptances.accept(
                session, invitation_id, body.token, caller_user_id=None if caller is None else caller.user_id
            )
        )

    async def resend_invitation(self, call: Call) -> Response:
        tenant_id, caller_id = call.tenant_id, call.caller.user_id
        invitation_id = call.path("invitation_id")
        body = await call.optional_body(ResendInvitation)
        response = await call.write(
            lambda session: self._invitations.resend(
                session, tenant_id, caller_id, invitation_id, **body.model_dump()
            ),
            idempotent_in=tenant_id,
        )
        self._on_queued()
        return response

    async def revoke_invitation(self, call: Call) -> Response:
        tenant_id, caller_id = call.tenant_id, call.caller.user_id
        invitation_id = call.path("invitation_id")
        return await call.write(
            lambda session: self._invitations.revoke(session, tenant_id, caller_id, invitation_id)
        )

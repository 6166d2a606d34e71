"""What the invitations' engine needs of the database."""

from datetime import datetime
from typing import Protocol

from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.port_types import (
    InvitationLimits,
    InvitationTerms,
    InviteObstacles,
    NewInvitation,
    Slice,
    Window,
)
from hoc.cus.account.L5_schemas.results import ExtendedInvitationResult
from hoc.cus.account.L5_schemas.values import InvitationStatus, MailDelivery, Role


class InvitationStore(Protocol):
    async def create(
        self,
        session: Session,
        invitation: NewInvitation,
        granters: list[Role] | None,
        limits: InvitationLimits,
    ) -> ExtendedInvitationResult | None:
        """Store the invitation and queue its mail, in one statement. None: nothing was stored.

        The tenant must be active and the inviter an active member in one of the ``granters`` roles, or the
        tenant's directory, for which these are None. No active
        member may have the address, no unexpired invitation to it be pending, no limit be reached, a seat be
        free, and the address be in a verified domain of a tenant that invites only those.
        """
        ...

    async def create_each(
        self, session: Session, invitations: list[tuple[NewInvitation, list[Role]]], limits: InvitationLimits
    ) -> dict[str, ExtendedInvitationResult]:
        """Do what `create` does for each, one after the other, without a round trip for each.

        Returns by their ids those that were stored. The session is in a transaction.
        """
        ...

    async def obstacles(
        self, session: Session, invitation: NewInvitation, limits: InvitationLimits
    ) -> InviteObstacles: ...

    async def obstacles_of_each(
        self, session: Session, invitations: list[NewInvitation], limits: InvitationLimits
    ) -> list[InviteObstacles]:
        """Their obstacles, in their order. The session is in a transaction."""
        ...

    async def page(
        self,
        session: Session,
        tenant_id: str,
        window: Window,
        *,
        status: InvitationStatus | None,
        delivery: MailDelivery | None,
        now: datetime,
    ) -> Slice[ExtendedInvitationResult]:
        """Newest first. A pending invitation past its time is counted and shown as expired."""
        ...

    async def find(
        self, session: Session, tenant_id: str, invitation_id: str, now: datetime
    ) -> ExtendedInvitationResult | None:
        """With the status that `page` shows."""
        ...

    async def lock(self, session: Session, tenant_id: str, invitation_id: str) -> InvitationTerms | None: ...

    async def reissue(
        self,
        session: Session,
        invitation: NewInvitation,
        granters: list[Role],
        limits: InvitationLimits,
    ) -> ExtendedInvitationResult | None:
        """Make a locked invitation pending, void its token and queue its mail, in one statement.

        None: nothing was stored, as for `create`. One that is pending and has not expired has its seat.
        """
        ...

    async def revoke(
        self, session: Session, tenant_id: str, invitation_id: str, now: datetime, *, actor: str
    ) -> ExtendedInvitationResult | None: ...

    async def set_role(
        self, session: Session, tenant_id: str, invitation_id: str, role: Role, now: datetime, *, actor: str
    ) -> None:
        """Give a pending invitation another role."""
        ...

    async def hand_out(
        self,
        session: Session,
        tenant_id: str,
        invitation_id: str,
        *,
        token_hash: bytes,
        now: datetime,
        actor: str,
    ) -> None:
        """Give a locked, pending invitation a token that is not mailed, and queue its mail no longer."""
        ...

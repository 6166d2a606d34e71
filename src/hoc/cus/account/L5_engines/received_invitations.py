"""Invitations from the invited person's side: listing one's own, looking at one, declining it."""

from datetime import datetime
from typing import Protocol, Unpack

from hoc.cus.account.L5_engines.email_address import email_key
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.invitation_links import (
    InvitationLock,
    is_token_of,
    lock_by_token,
    lock_listed,
    no_such_invitation,
    not_your_invitation,
    require_open,
    require_receiver,
    tenant_of,
)
from hoc.cus.account.L5_engines.paging import CursorScope, PageArguments
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_engines.text import is_account_id
from hoc.cus.account.L5_schemas.errors import ConflictError, ForbiddenError
from hoc.cus.account.L5_schemas.port_types import (
    AddressHolder,
    InvitationTerms,
    LinkedInvitation,
    Page,
    Slice,
    Window,
)
from hoc.cus.account.L5_schemas.results import (
    InvitationDeclinedResult,
    InvitationPreviewResult,
    OpenedInvitationResult,
    ReceivedInvitationResult,
    ReceivedInvitationsListResult,
)
from hoc.cus.account.L5_schemas.values import InvitationStatus


class ReceivedInvitationStore(Protocol):
    async def find(self, session: Session, tenant_id: str, invitation_id: str) -> LinkedInvitation | None: ...

    async def decline(
        self, session: Session, tenant_id: str, invitation_id: str, now: datetime, *, actor: str
    ) -> None:
        """Mark a locked, pending invitation as declined."""
        ...

    async def page(
        self, session: Session, user_id: str, window: Window, *, now: datetime
    ) -> Slice[ReceivedInvitationResult]:
        """What an active account can accept at its verified address, in active tenants; newest first."""
        ...


class InvitedAccounts(Protocol):
    async def is_active(self, session: Session, user_id: str) -> bool | None:
        """Whether the account is active. None: there is no such account."""
        ...

    async def holder(self, session: Session, email_key: str) -> AddressHolder | None:
        """The account that has this address, locked until the transaction ends."""
        ...


class ReceivedInvitations:
    def __init__(
        self,
        received: ReceivedInvitationStore,
        invitations: InvitationLock,
        accounts: InvitedAccounts,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._received = received
        self._invitations = invitations
        self._accounts = accounts
        self._clock = clock

    async def list(
        self, session: Session, caller_user_id: str, **page: Unpack[PageArguments]
    ) -> Page[ReceivedInvitationsListResult]:
        """The open invitations to the caller's verified address, in all active tenants, newest first.

        Without an active account that has a verified address, the list is empty. Raises InvalidInputError.
        """
        scope = CursorScope("received_invitations", caller_user_id)
        rows = await self._received.page(session, caller_user_id, scope.window(**page), now=self._clock())
        return Page(ReceivedInvitationsListResult(rows.rows, rows.total), scope.next_cursor(rows))

    async def preview(self, session: Session, invitation_id: str, token: str) -> InvitationPreviewResult:
        """Show a pending invitation to whoever has its token.

        Raises:
            NotFoundError: no such invitation, or a wrong or dead token; the message is the same.
            InvitationExpiredError, TenantNotActiveError
        """
        found = await self._received.find(session, tenant_of(token, invitation_id), invitation_id)
        if found is None or not is_token_of(found, token) or found.status != InvitationStatus.PENDING:
            raise no_such_invitation()
        require_open(found, self._clock())
        return found.preview

    async def opened(self, session: Session, invitation_id: str, token: str) -> OpenedInvitationResult:
        """What an invitation offers and what became of it, for whoever has its link.

        Raises:
            NotFoundError: no such invitation, or not its last token; the message is the same.
            TenantNotActiveError: it is pending, and its tenant takes nobody at present.
        """
        found = await self._received.find(session, tenant_of(token, invitation_id), invitation_id)
        if found is None or not is_token_of(found, token):
            raise no_such_invitation()
        seen = found.preview
        status = found.status
        if status == InvitationStatus.PENDING:
            if found.expires_at <= self._clock():
                status = InvitationStatus.EXPIRED
            else:
                require_open(found, self._clock())
        return OpenedInvitationResult(seen.tenant_name, seen.inviter_name, seen.role, seen.expires_at, status)

    @records("invitation.declined")
    async def decline_received(
        self, session: Session, caller_user_id: str, tenant_id: str, invitation_id: str
    ) -> InvitationDeclinedResult:
        """Decline an invitation that `list` gives the caller. To decline it again changes nothing.

        Raises:
            NotFoundError: there is no such invitation to the caller's verified address.
            InvitationExpiredError, TenantNotActiveError
            ConflictError: the invitation has been accepted.
        """
        terms = await lock_listed(self._invitations, session, tenant_id, invitation_id)
        require_receiver(await self._accounts.holder(session, terms.email_key), caller_user_id)
        now = self._clock()
        if terms.status == InvitationStatus.PENDING:
            require_open(terms, now)
        return await self._decline(session, terms, caller_user_id, now)

    @records("invitation.declined")
    async def decline(
        self,
        session: Session,
        caller_user_id: str,
        invitation_id: str,
        token: str,
        *,
        caller_verified_email: str | None = None,
    ) -> InvitationDeclinedResult:
        """Decline an invitation as the invited person. To decline it again changes nothing.

        Args:
            caller_user_id: the account's id, or the subject of the primary issuer that has no account yet.
            caller_verified_email: the caller's address, if the issuer says that it is verified.

        Raises:
            NotFoundError: no such invitation, or a wrong or dead token; the message is the same.
            InvitationExpiredError, TenantNotActiveError
            ForbiddenError: the invitation is for another account, or its account is deactivated.
            ConflictError: the invitation has been accepted.
        """
        now = self._clock()
        terms = await lock_by_token(self._invitations, session, invitation_id, token)
        if terms.status == InvitationStatus.PENDING:
            require_open(terms, now)
        await self._require_invited(session, terms, caller_user_id, caller_verified_email)
        return await self._decline(session, terms, caller_user_id, now)

    async def _decline(
        self, session: Session, terms: InvitationTerms, user_id: str, now: datetime
    ) -> InvitationDeclinedResult:
        if terms.status == InvitationStatus.ACCEPTED:
            raise ConflictError("The invitation has been accepted. Leave the tenant instead.")
        if terms.status == InvitationStatus.PENDING:
            await self._received.decline(session, terms.tenant_id, terms.invitation_id, now, actor=user_id)
        return InvitationDeclinedResult("Invitation declined", terms.invitation_id)

    async def _require_invited(
        self, session: Session, terms: InvitationTerms, user_id: str, verified_email: str | None
    ) -> None:
        """Refuse everybody but those who may accept: a token does not make its holder the invited person."""
        holder = await self._accounts.holder(session, terms.email_key)
        if holder is not None and not holder.is_active:
            raise ForbiddenError(
                "The account with the invited address is deactivated.", code="account_inactive"
            )
        if holder is not None and holder.user_id == user_id:
            return
        if (
            verified_email is None
            or email_key(verified_email) != terms.email_key
            or not is_account_id(user_id)
        ):
            raise not_your_invitation()
        if holder is not None and holder.is_claimed and holder.email_verified:
            raise not_your_invitation()
        if await self._accounts.is_active(session, user_id) is not None:
            raise not_your_invitation()

"""Accepting an invitation with the token from its mail."""

import hmac
from datetime import datetime
from typing import Protocol

from hoc.cus.account.L5_engines import policy
from hoc.cus.account.L5_engines.access import AccessReader, access_of
from hoc.cus.account.L5_engines.letters import token_hash
from hoc.cus.account.L5_engines.session import Clock, Session, new_id, utc_now
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.errors import (
    ForbiddenError,
    InvitationExpiredError,
    NotFoundError,
    TenantNotActiveError,
)
from hoc.cus.account.L5_schemas.records import Account, EmailAddress, InvitationTerms
from hoc.cus.account.L5_schemas.results import AcceptInvitationResult
from hoc.cus.account.L5_schemas.values import InvitationStatus, TenantStatus

MAX_TOKEN_LENGTH = 512


class AcceptanceStore(Protocol):
    async def lock(self, session: Session, tenant_id: str, invitation_id: str) -> InvitationTerms | None: ...

    async def account_by_email(self, session: Session, email_key: str) -> Account | None:
        """The active account with this address, kept from changing until the transaction ends."""
        ...

    async def create_account(
        self, session: Session, user_id: str, address: EmailAddress, now: datetime
    ) -> bool:
        """An active account with a verified address; False when the address was taken meanwhile."""
        ...

    async def add_member(self, session: Session, terms: InvitationTerms, user_id: str, now: datetime) -> None:
        """The invited membership, unless there is one already, and the invitation marked accepted."""
        ...


class Acceptances:
    def __init__(
        self,
        acceptances: AcceptanceStore,
        access: AccessReader,
        *,
        require_verified_email: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        self._acceptances = acceptances
        self._access = access
        self._require_verified_email = require_verified_email
        self._clock = clock

    async def accept(
        self, session: Session, invitation_id: str, token: str, *, caller_user_id: str | None = None
    ) -> AcceptInvitationResult:
        """Join with the token from the mail; the same answer however often and however concurrently.

        An account is made for the invited address if none is active. A caller who is signed in must be that
        account.

        Raises:
            NotFoundError: no such invitation, or not its token: one answer for both, and for a dead token.
            InvitationExpiredError, ForbiddenError, TenantNotActiveError
        """
        terms = await self._lock_by_token(session, invitation_id, token)
        if terms.status == InvitationStatus.ACCEPTED:
            return await self._accepted_before(session, terms, caller_user_id)
        if terms.status != InvitationStatus.PENDING:
            raise _no_such_invitation()
        if terms.expires_at <= self._clock():
            raise InvitationExpiredError("This invitation has expired; ask for a new one.")
        if terms.tenant_status is not TenantStatus.ACTIVE:
            raise TenantNotActiveError("This tenant does not take new members at present.")
        if terms.inviter_role is None or not policy.can_grant(terms.inviter_role, terms.role):
            raise ForbiddenError("Who sent this invitation may no longer grant its role; ask for a new one.")
        user_id = await self._account_for(session, terms, caller_user_id)
        await self._acceptances.add_member(session, terms, user_id, self._clock())
        return await self._joined(session, terms, user_id)

    async def _lock_by_token(self, session: Session, invitation_id: str, token: str) -> InvitationTerms:
        tenant_id, _, secret = token.partition(".") if len(token) <= MAX_TOKEN_LENGTH else ("", "", "")
        if not (secret and is_storable_id(tenant_id) and is_storable_id(invitation_id)):
            raise _no_such_invitation()
        terms = await self._acceptances.lock(session, tenant_id, invitation_id)
        if terms is None or terms.token_hash is None:
            raise _no_such_invitation()
        if not hmac.compare_digest(terms.token_hash, token_hash(token)):
            raise _no_such_invitation()
        return terms

    async def _accepted_before(
        self, session: Session, terms: InvitationTerms, caller_user_id: str | None
    ) -> AcceptInvitationResult:
        user_id = terms.accepted_user_id or ""
        if caller_user_id not in {None, user_id}:
            raise _someone_elses()
        return await self._joined(session, terms, user_id)

    async def _joined(self, session: Session, terms: InvitationTerms, user_id: str) -> AcceptInvitationResult:
        access = await access_of(self._access, session, terms.tenant_id, user_id)
        if access is None:
            raise _no_such_invitation()
        return AcceptInvitationResult(
            success=True, message="Invitation accepted", tenant_id=terms.tenant_id, role=access.role
        )

    async def _account_for(self, session: Session, terms: InvitationTerms, caller_user_id: str | None) -> str:
        account = await self._acceptances.account_by_email(session, terms.email_key)
        if account is None and caller_user_id is None:
            user_id = new_id("usr")
            address = EmailAddress(terms.email, terms.email_key)
            if await self._acceptances.create_account(session, user_id, address, self._clock()):
                return user_id
            account = await self._acceptances.account_by_email(session, terms.email_key)
        if account is None or caller_user_id not in {None, account.user_id}:
            raise _someone_elses()
        if self._require_verified_email and not account.email_verified:
            raise ForbiddenError("Verify your e-mail address first.", code="email_not_verified")
        return account.user_id


def _no_such_invitation() -> NotFoundError:
    return NotFoundError("There is no such invitation, or this is not its token.")


def _someone_elses() -> ForbiddenError:
    return ForbiddenError("This invitation is for another account.", code="not_your_invitation")

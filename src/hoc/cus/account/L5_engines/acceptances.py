"""Accepting an invitation with the token from its mail."""

import hmac
from datetime import datetime
from typing import Protocol

from hoc.cus.account.L5_engines import policy
from hoc.cus.account.L5_engines.access import AccessReader, access_of
from hoc.cus.account.L5_engines.invitation_mail import token_hash
from hoc.cus.account.L5_engines.session import Clock, Session, new_id, utc_now
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.errors import (
    ForbiddenError,
    InvitationExpiredError,
    NotFoundError,
    TenantNotActiveError,
)
from hoc.cus.account.L5_schemas.port_types import AddressHolder, EmailAddress, InvitationTerms
from hoc.cus.account.L5_schemas.results import AcceptInvitationResult
from hoc.cus.account.L5_schemas.values import InvitationStatus, Role, TenantStatus

MAX_TOKEN_LENGTH = 512


class AcceptanceStore(Protocol):
    async def lock(self, session: Session, tenant_id: str, invitation_id: str) -> InvitationTerms | None: ...

    async def account_by_email(self, session: Session, email_key: str) -> AddressHolder | None:
        """The active account with this address, locked until the transaction ends."""
        ...

    async def create_account(
        self, session: Session, user_id: str, address: EmailAddress, now: datetime
    ) -> bool:
        """Store an active account with a verified address. False: the address was taken meanwhile."""
        ...

    async def add_member(self, session: Session, terms: InvitationTerms, user_id: str, now: datetime) -> None:
        """Mark the invitation accepted, and store its membership unless there is one already."""
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
        """Join with the token from the mail. Repeated and concurrent calls get the same answer.

        An account is created for the invited address if none is active. A caller who is signed in must be
        that account.

        Raises:
            NotFoundError: no such invitation, or a wrong or dead token; the message is the same.
            InvitationExpiredError, TenantNotActiveError
            ForbiddenError: the invitation is for another account, the address is not verified, or the
                inviter may no longer grant the role.
        """
        now = self._clock()
        terms = await self._lock_by_token(session, invitation_id, token)
        if terms.status == InvitationStatus.ACCEPTED:
            return await self._accepted_before(session, terms, caller_user_id)
        if terms.status != InvitationStatus.PENDING:
            raise _no_such_invitation()
        if terms.expires_at <= now:
            raise InvitationExpiredError("This invitation has expired. Ask for a new invitation.")
        if terms.tenant_status is not TenantStatus.ACTIVE:
            raise _not_active()
        _require_grantable(terms.inviter_role, terms)
        user_id = await self._account_for(session, terms, caller_user_id, now)
        await self._require_still_grantable(session, terms)
        await self._acceptances.add_member(session, terms, user_id, now)
        return await self._joined(session, terms, user_id)

    async def _require_still_grantable(self, session: Session, terms: InvitationTerms) -> None:
        """Check again after the wait for the account's lock. The inviter's rights stay until the commit."""
        inviter = await self._access.hold_access(session, terms.tenant_id, terms.invited_by)
        _require_grantable(None if inviter is None else inviter.role, terms)
        if inviter is not None and inviter.tenant_status is not TenantStatus.ACTIVE:
            raise _not_active()

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
            raise _not_yours()
        return await self._joined(session, terms, user_id)

    async def _joined(self, session: Session, terms: InvitationTerms, user_id: str) -> AcceptInvitationResult:
        access = await access_of(self._access, session, terms.tenant_id, user_id)
        if access is None:
            raise _no_such_invitation()
        return AcceptInvitationResult(
            success=True, message="Invitation accepted", tenant_id=terms.tenant_id, role=access.role
        )

    async def _account_for(
        self, session: Session, terms: InvitationTerms, caller_user_id: str | None, now: datetime
    ) -> str:
        account = await self._acceptances.account_by_email(session, terms.email_key)
        if account is None and caller_user_id is None:
            user_id = new_id("usr")
            address = EmailAddress(terms.email, terms.email_key)
            if await self._acceptances.create_account(session, user_id, address, now):
                return user_id
            account = await self._acceptances.account_by_email(session, terms.email_key)
        if account is None or caller_user_id not in {None, account.user_id}:
            raise _not_yours()
        if self._require_verified_email and not account.email_verified:
            raise ForbiddenError("Verify your e-mail address first.", code="email_not_verified")
        return account.user_id


def _require_grantable(inviter: Role | None, terms: InvitationTerms) -> None:
    if inviter is None or not policy.can_grant(inviter, terms.role):
        raise ForbiddenError(
            "The person who sent this invitation may no longer grant this role. Ask for a new invitation."
        )


def _not_active() -> TenantNotActiveError:
    return TenantNotActiveError("This tenant does not accept new members at present.")


def _no_such_invitation() -> NotFoundError:
    return NotFoundError("There is no such invitation, or the token is wrong.")


def _not_yours() -> ForbiddenError:
    return ForbiddenError("This invitation is for another account.", code="not_your_invitation")

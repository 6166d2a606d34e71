"""The link of an invitation: what its token proves, and whether the invitation is still open."""

import hmac
from datetime import datetime
from typing import Protocol

from hoc.cus.account.L5_engines.invitation_mail import token_hash
from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_engines.text import is_storable_id
from hoc.cus.account.L5_schemas.errors import (
    ForbiddenError,
    InvitationExpiredError,
    NotFoundError,
    TenantNotActiveError,
)
from hoc.cus.account.L5_schemas.port_types import AddressHolder, InvitationTerms, LinkedInvitation
from hoc.cus.account.L5_schemas.values import TenantStatus

MAX_TOKEN_LENGTH = 512


class InvitationLock(Protocol):
    async def lock(self, session: Session, tenant_id: str, invitation_id: str) -> InvitationTerms | None: ...


async def lock_by_token(
    invitations: InvitationLock, session: Session, invitation_id: str, token: str
) -> InvitationTerms:
    """Lock the invitation with this token until the transaction ends. Raises NotFoundError."""
    terms = await invitations.lock(session, tenant_of(token, invitation_id), invitation_id)
    if terms is None or not is_token_of(terms, token):
        raise no_such_invitation()
    return terms


async def lock_listed(
    invitations: InvitationLock, session: Session, tenant_id: str, invitation_id: str
) -> InvitationTerms:
    """Lock the invitation with these ids until the transaction ends. Raises NotFoundError."""
    if not (is_storable_id(tenant_id) and is_storable_id(invitation_id)):
        raise not_received()
    terms = await invitations.lock(session, tenant_id, invitation_id)
    if terms is None:
        raise not_received()
    return terms


def require_receiver(holder: AddressHolder | None, user_id: str) -> None:
    """Refuse all but the active account that has verified the invited address. Raises NotFoundError."""
    if holder is None or holder.user_id != user_id or not (holder.is_active and holder.email_verified):
        raise not_received()


def tenant_of(token: str, invitation_id: str) -> str:
    """The tenant that a token names. Raises NotFoundError when no invitation can have this token and id."""
    tenant_id, _, secret = token.partition(".") if len(token) <= MAX_TOKEN_LENGTH else ("", "", "")
    if not (secret and is_storable_id(tenant_id) and is_storable_id(invitation_id)):
        raise no_such_invitation()
    return tenant_id


def is_token_of(invitation: InvitationTerms | LinkedInvitation, token: str) -> bool:
    """Whether the token is the invitation's, compared in constant time."""
    stored = invitation.token_hash
    return stored is not None and hmac.compare_digest(stored, token_hash(token))


def require_open(invitation: InvitationTerms | LinkedInvitation, now: datetime) -> None:
    """Refuse a pending invitation that has expired, or whose tenant takes nobody at present.

    Raises InvitationExpiredError or TenantNotActiveError.
    """
    if invitation.expires_at <= now:
        raise InvitationExpiredError("This invitation has expired. Ask for a new invitation.")
    if invitation.tenant_status is not TenantStatus.ACTIVE:
        raise tenant_not_active()


def tenant_not_active() -> TenantNotActiveError:
    return TenantNotActiveError("This tenant does not accept new members at present.")


def no_such_invitation() -> NotFoundError:
    return NotFoundError("There is no such invitation, or the token is wrong.")


def not_received() -> NotFoundError:
    return NotFoundError("There is no such invitation to your address.")


def not_your_invitation() -> ForbiddenError:
    return ForbiddenError("This invitation is for another account.", code="not_your_invitation")

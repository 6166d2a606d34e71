"""Accepting an invitation with the token from its mail."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hoc.cus.account.L5_engines import policy
from hoc.cus.account.L5_engines.access import AccessReader, access_of
from hoc.cus.account.L5_engines.email_address import email_key
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.invitation_links import (
    lock_by_token,
    lock_listed,
    no_such_invitation,
    not_received,
    not_your_invitation,
    require_open,
    require_receiver,
    tenant_not_active,
)
from hoc.cus.account.L5_engines.session import Clock, Session, new_id, utc_now
from hoc.cus.account.L5_engines.text import is_account_id
from hoc.cus.account.L5_schemas.errors import ConflictError, ForbiddenError
from hoc.cus.account.L5_schemas.port_types import (
    AddressHolder,
    EmailAddress,
    InvitationTerms,
    NewAccount,
    Subject,
)
from hoc.cus.account.L5_schemas.results import AcceptInvitationResult
from hoc.cus.account.L5_schemas.scim import is_directory
from hoc.cus.account.L5_schemas.values import InvitationStatus, Role, TenantStatus


class AcceptanceStore(Protocol):
    async def lock(self, session: Session, tenant_id: str, invitation_id: str) -> InvitationTerms | None: ...

    async def hold_tenant(self, session: Session, tenant_id: str) -> TenantStatus | None:
        """The tenant's status. Neither it nor the tenant's seats change until the transaction ends."""
        ...

    async def add_member(self, session: Session, terms: InvitationTerms, user_id: str, now: datetime) -> None:
        """Mark the invitation accepted, and store its membership unless there is one already."""
        ...


class AccountStore(Protocol):
    async def is_active(self, session: Session, user_id: str) -> bool | None:
        """Whether the account is active. None: there is no such account."""
        ...

    async def is_erased(self, session: Session, user_id: str) -> bool:
        """Whether the id is the pseudonym of a person who was erased."""
        ...

    async def holder(self, session: Session, email_key: str) -> AddressHolder | None:
        """The account that has this address, locked until the transaction ends."""
        ...

    async def create(
        self, session: Session, account: NewAccount, now: datetime, *, actor: str | None
    ) -> bool:
        """Store an active account, unclaimed if its id was generated. False: its id or address is taken."""
        ...

    async def lock(self, session: Session, subject: Subject) -> None:
        """Have no one else link the subject until the transaction ends."""
        ...

    async def owner(self, session: Session, subject: Subject) -> str | None:
        """The id of the account that the subject is linked to."""
        ...

    async def link(
        self, session: Session, subject: Subject, user_id: str, now: datetime, *, actor: str | None
    ) -> bool:
        """Link a subject to an account, which is claimed by that. False: the subject is linked already."""
        ...

    async def verify(self, session: Session, user_id: str, now: datetime, *, actor: str | None) -> None:
        """Mark the account's address as verified."""
        ...

    async def displace(
        self, session: Session, email_key: str, user_id: str, now: datetime, *, actor: str | None
    ) -> None:
        """Take the address from an active account, other than ``user_id``, that has not verified it."""
        ...


@dataclass(frozen=True, slots=True)
class _Caller:
    user_id: str
    verified_email: str | None


class Acceptances:
    def __init__(
        self,
        acceptances: AcceptanceStore,
        accounts: AccountStore,
        access: AccessReader,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._acceptances = acceptances
        self._accounts = accounts
        self._access = access
        self._clock = clock

    @records(
        "user.created",
        "user.profile_updated",
        "user.email_lost",
        "user.identity_linked",
        "invitation.accepted",
        "member.joined",
    )
    async def accept(
        self,
        session: Session,
        invitation_id: str,
        token: str,
        *,
        caller_user_id: str | None = None,
        caller_verified_email: str | None = None,
    ) -> AcceptInvitationResult:
        """Join with the token from the mail. Repeated and concurrent calls get the same answer.

        With nobody signed in, the account that has verified the invited address joins, or one that an
        invitation made and nobody has claimed, or a new one. A caller who is signed in must be the account
        with the invited address, which is verified by that, or have no account yet and a verified address.
        A token that was not mailed (`Invitations.link`) verifies no address, and an account that somebody has
        claimed must sign in.

        Args:
            caller_user_id: the account's id, or the subject of the primary issuer that has no account yet.
            caller_verified_email: the caller's address, if the issuer says that it is verified.

        Raises:
            NotFoundError: no such invitation, or a wrong or dead token; the message is the same.
            InvitationExpiredError, TenantNotActiveError
            ForbiddenError: the invitation is for another account, its account must sign in first or is
                deactivated, or the inviter may no longer grant the role.
        """
        now = self._clock()
        caller = None if caller_user_id is None else _Caller(caller_user_id, caller_verified_email)
        terms = await lock_by_token(self._acceptances, session, invitation_id, token)
        if terms.status == InvitationStatus.ACCEPTED:
            return await self._accepted_before(session, terms, caller)
        if terms.status != InvitationStatus.PENDING:
            raise no_such_invitation()
        require_open(terms, now)
        _require_grantable(terms.inviter_role, terms)
        # A second time, when a rival has created an account with this address meanwhile.
        user_id = await self._account_for(session, terms, caller, now) or await self._account_for(
            session, terms, caller, now
        )
        if user_id is None:
            raise ConflictError("The account with the invited address has changed meanwhile. Accept again.")
        return await self._join(session, terms, user_id, now)

    @records("invitation.accepted", "member.joined")
    async def accept_received(
        self, session: Session, caller_user_id: str, tenant_id: str, invitation_id: str
    ) -> AcceptInvitationResult:
        """Join by an invitation that `ReceivedInvitations.list` gives the caller.

        Repeating it changes nothing.

        Raises:
            NotFoundError: there is no such open invitation to the caller's verified address.
            InvitationExpiredError, TenantNotActiveError
            ForbiddenError: the inviter may no longer grant the role.
        """
        now = self._clock()
        terms = await lock_listed(self._acceptances, session, tenant_id, invitation_id)
        require_receiver(await self._accounts.holder(session, terms.email_key), caller_user_id)
        if terms.status == InvitationStatus.ACCEPTED and terms.accepted_user_id == caller_user_id:
            return await self._joined(session, terms, caller_user_id)
        if terms.status != InvitationStatus.PENDING:
            raise not_received()
        require_open(terms, now)
        _require_grantable(terms.inviter_role, terms)
        return await self._join(session, terms, caller_user_id, now)

    async def _join(
        self, session: Session, terms: InvitationTerms, user_id: str, now: datetime
    ) -> AcceptInvitationResult:
        await self._require_still_grantable(session, terms)
        await self._acceptances.add_member(session, terms, user_id, now)
        return await self._joined(session, terms, user_id)

    async def _require_still_grantable(self, session: Session, terms: InvitationTerms) -> None:
        """Check again after the wait for the account's lock. The inviter's rights stay until the commit."""
        if is_directory(terms.invited_by):
            if await self._acceptances.hold_tenant(session, terms.tenant_id) is not TenantStatus.ACTIVE:
                raise tenant_not_active()
            return
        inviter = await self._access.hold_access(session, terms.tenant_id, terms.invited_by)
        _require_grantable(None if inviter is None else inviter.role, terms)
        if inviter is not None and inviter.tenant_status is not TenantStatus.ACTIVE:
            raise tenant_not_active()

    async def _accepted_before(
        self, session: Session, terms: InvitationTerms, caller: _Caller | None
    ) -> AcceptInvitationResult:
        user_id = terms.accepted_user_id or ""
        if caller is not None and caller.user_id != user_id:
            raise not_your_invitation()
        return await self._joined(session, terms, user_id)

    async def _joined(self, session: Session, terms: InvitationTerms, user_id: str) -> AcceptInvitationResult:
        access = await access_of(self._access, session, terms.tenant_id, user_id)
        if access is None:
            raise no_such_invitation()
        return AcceptInvitationResult(
            success=True, message="Invitation accepted", tenant_id=terms.tenant_id, role=access.role
        )

    async def _account_for(
        self, session: Session, terms: InvitationTerms, caller: _Caller | None, now: datetime
    ) -> str | None:
        """The id of the account that joins. None: an account with the address was created meanwhile."""
        holder = await self._accounts.holder(session, terms.email_key)
        if holder is not None and not holder.is_active:
            raise ForbiddenError(
                "The account with the invited address is deactivated.", code="account_inactive"
            )
        if caller is None:
            return await self._by_token_alone(session, terms, holder, now)
        if await self._accounts.is_active(session, caller.user_id) is None:
            return await self._for_newcomer(session, terms, holder, caller, now)
        return await self._for_account(session, terms, holder, caller, now)

    async def _by_token_alone(
        self, session: Session, terms: InvitationTerms, holder: AddressHolder | None, now: datetime
    ) -> str | None:
        if holder is None:
            mailed = terms.delivery is not None
            return await self._create(session, terms, Subject(""), new_id("usr"), now, email_verified=mailed)
        if holder.is_claimed and not (holder.email_verified and terms.delivery is not None):
            raise ForbiddenError(
                "Sign in as the account with the invited address, then accept.", code="sign_in_required"
            )
        return await self._by_token(session, terms, holder, now)

    async def _for_account(
        self,
        session: Session,
        terms: InvitationTerms,
        holder: AddressHolder | None,
        caller: _Caller,
        now: datetime,
    ) -> str:
        if holder is None or holder.user_id != caller.user_id:
            raise not_your_invitation()
        return await self._by_token(session, terms, holder, now)

    async def _for_newcomer(
        self,
        session: Session,
        terms: InvitationTerms,
        holder: AddressHolder | None,
        caller: _Caller,
        now: datetime,
    ) -> str | None:
        """The caller gets an account under its subject, or the unclaimed one that has the address."""
        verified = caller.verified_email
        if verified is None or email_key(verified) != terms.email_key or not is_account_id(caller.user_id):
            raise not_your_invitation()
        subject = Subject(caller.user_id)
        await self._accounts.lock(session, subject)
        if await self._accounts.owner(session, subject) is not None:
            raise not_your_invitation()
        if holder is not None and not holder.is_claimed:
            await self._accounts.link(session, subject, holder.user_id, now, actor=holder.user_id)
            return await self._verified(session, holder, now)
        if holder is not None and holder.email_verified:
            raise not_your_invitation()
        user_id = caller.user_id
        if await self._accounts.is_erased(session, user_id):
            user_id = new_id("usr")
        await self._accounts.displace(session, terms.email_key, user_id, now, actor=user_id)
        created = await self._create(session, terms, subject, user_id, now, email_verified=True)
        if created is not None and created != subject.id:
            await self._accounts.link(session, subject, created, now, actor=created)
        return created

    async def _by_token(
        self, session: Session, terms: InvitationTerms, holder: AddressHolder, now: datetime
    ) -> str:
        """The holder's id. A token that was mailed to the holder's address verifies the address."""
        return holder.user_id if terms.delivery is None else await self._verified(session, holder, now)

    async def _verified(self, session: Session, holder: AddressHolder, now: datetime) -> str:
        """The holder's id, once the address is marked as verified."""
        if not holder.email_verified:
            await self._accounts.verify(session, holder.user_id, now, actor=holder.user_id)
        return holder.user_id

    async def _create(
        self,
        session: Session,
        terms: InvitationTerms,
        subject: Subject,
        user_id: str,
        now: datetime,
        *,
        email_verified: bool,
    ) -> str | None:
        """The new account's id. Under its subject's id it is claimed. None: the address is taken."""
        address = EmailAddress(terms.email, terms.email_key)
        account = NewAccount(
            subject, user_id, address, name=None, name_key=None, email_verified=email_verified
        )
        created = await self._accounts.create(session, account, now, actor=user_id)
        return user_id if created else None


def _require_grantable(inviter: Role | None, terms: InvitationTerms) -> None:
    if is_directory(terms.invited_by):
        return  # It grants no owner's role, and revokes the invitations of those whom it ends.
    if inviter is None or not policy.can_grant(inviter, terms.role):
        raise ForbiddenError(
            "The person who sent this invitation may no longer grant this role. Ask for a new invitation."
        )

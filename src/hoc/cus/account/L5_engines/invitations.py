"""Inviting a person by e-mail or by a link; resending and revoking invitations."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Unpack

from hoc.cus.account.L5_engines import policy
from hoc.cus.account.L5_engines.access import AccessReader, access_of, require, require_reader, require_writer
from hoc.cus.account.L5_engines.email_address import parse_email
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.invitation_mail import new_token, token_hash
from hoc.cus.account.L5_engines.invitation_refusals import refusal_of
from hoc.cus.account.L5_engines.invitation_store import InvitationStore
from hoc.cus.account.L5_engines.link_patterns import filled
from hoc.cus.account.L5_engines.numbers import why_not_whole
from hoc.cus.account.L5_engines.paging import CursorScope, PageArguments
from hoc.cus.account.L5_engines.session import Clock, Session, new_id, utc_now
from hoc.cus.account.L5_engines.text import choice, choice_filter
from hoc.cus.account.L5_schemas.errors import AccountsError, ConflictError, InvalidInputError, NotFoundError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.port_types import (
    Access,
    EmailAddress,
    InvitationTerms,
    Invitee,
    NewInvitation,
    Page,
)
from hoc.cus.account.L5_schemas.results import (
    ExtendedInvitationListResult,
    ExtendedInvitationResult,
    InvitationBatchResult,
    InvitationLinkResult,
    InvitedResult,
    RefusalResult,
)
from hoc.cus.account.L5_schemas.values import (
    AnyInvitationStatus,
    AnyRole,
    InvitationStatus,
    MailDelivery,
    Role,
)

DEFAULT_DAYS = 7
MAX_DAYS = 30
MAX_INVITEES = 100


class Invitations:
    def __init__(
        self,
        invitations: InvitationStore,
        access: AccessReader,
        *,
        options: Options | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._invitations = invitations
        self._access = access
        self._options = options or Options()
        self._limits = self._options.invitation_limits
        self._clock = clock

    @records("invitation.created")
    async def invite(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        *,
        email: str,
        role: AnyRole = Role.MEMBER,
        expires_in_days: int = DEFAULT_DAYS,
    ) -> ExtendedInvitationResult:
        """Invite an address. The mail is sent after the caller's commit.

        Raises InvalidInputError, NotAMemberError, ForbiddenError (also for an address outside the tenant's
        domains, where it says so), TenantNotActiveError, LimitExceededError (no seat is free, or too many
        mails today) or ConflictError (a member has the address, or an invitation is pending).
        """
        invitation = self._draft(
            tenant_id, caller_user_id, Invitee(email, role, expires_in_days), self._clock()
        )
        granters = policy.roles_that_can_grant(invitation.role)
        created = await self._invitations.create(session, invitation, granters, self._limits)
        if created is not None:
            return created
        await self._require_granter(session, tenant_id, caller_user_id, invitation.role)
        raise refusal_of(await self._invitations.obstacles(session, invitation, self._limits))

    @records("invitation.created")
    async def invite_many(
        self, session: Session, tenant_id: str, caller_user_id: str, invitees: Sequence[Invitee]
    ) -> InvitationBatchResult:
        """Invite up to 100 addresses: a result for each, in their order. A refusal of one refuses no other.

        In one transaction, in the given order, which decides who is invited where a limit is reached.

        Raises InvalidInputError (none, or too many), NotAMemberError, ForbiddenError or TenantNotActiveError.
        """
        if not 1 <= len(invitees) <= MAX_INVITEES:
            raise InvalidInputError.of("invitations", f"must be 1 to {MAX_INVITEES}, not {len(invitees)}")
        access = require_writer(await access_of(self._access, session, tenant_id, caller_user_id))
        require(access.role.can_manage_users, "invite members")
        now = self._clock()
        outcomes = [self._drafted(access, invitee, now) for invitee in invitees]
        drafts = [draft for draft in outcomes if isinstance(draft, NewInvitation)]
        created = await self._invitations.create_each(
            session, [(draft, policy.roles_that_can_grant(draft.role)) for draft in drafts], self._limits
        )
        refused = [draft for draft in drafts if draft.invitation_id not in created]
        obstacles = await self._invitations.obstacles_of_each(session, refused, self._limits)
        refusals = {
            draft.invitation_id: refusal_of(found) for draft, found in zip(refused, obstacles, strict=True)
        }
        results = [
            _invited(invitee.email, outcome, created, refusals)
            for invitee, outcome in zip(invitees, outcomes, strict=True)
        ]
        return InvitationBatchResult(results, len(created), len(results) - len(created))

    async def list(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        *,
        status: AnyInvitationStatus | None = None,
        delivery: MailDelivery | str | None = None,
        **page: Unpack[PageArguments],
    ) -> Page[ExtendedInvitationListResult]:
        """The tenant's invitations, newest first, for owners and admins.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError or ForbiddenError.
        """
        status_filter = choice_filter("status", status, InvitationStatus)
        delivery_filter = choice_filter("delivery", delivery, MailDelivery)
        scope = CursorScope("invitations", tenant_id, status=status, delivery=delivery)
        window = scope.window(**page)
        access = await access_of(self._access, session, tenant_id, caller_user_id)
        self._require_manager(access, writing=False)
        rows = await self._invitations.page(
            session,
            tenant_id,
            window,
            status=status_filter,
            delivery=delivery_filter,
            now=self._clock(),
        )
        return Page(ExtendedInvitationListResult(rows.rows, rows.total), scope.next_cursor(rows))

    async def get(
        self, session: Session, tenant_id: str, caller_user_id: str, invitation_id: str
    ) -> ExtendedInvitationResult:
        """An invitation and what became of its mail, for owners and admins.

        Raises NotAMemberError, TenantNotActiveError, ForbiddenError or NotFoundError.
        """
        access = await access_of(self._access, session, tenant_id, caller_user_id)
        self._require_manager(access, writing=False)
        found = await self._invitations.find(session, tenant_id, invitation_id, self._clock())
        if found is None:
            raise _no_such_invitation()
        return found

    @records("invitation.resent")
    async def resend(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        invitation_id: str,
        *,
        expires_in_days: int = DEFAULT_DAYS,
    ) -> ExtendedInvitationResult:
        """Send a pending or expired invitation again, with a new term and a new token. Old tokens are void.

        The caller becomes its inviter.

        Raises InvalidInputError, NotAMemberError, ForbiddenError, TenantNotActiveError, NotFoundError,
        ConflictError (accepted, revoked or declined, or another is pending) or LimitExceededError (too many
        mails today, or it has expired and no seat is free).
        """
        terms = await self._lock_for_manager(session, tenant_id, caller_user_id, invitation_id)
        await self._require_granter(session, tenant_id, caller_user_id, terms.role)
        if terms.status not in {InvitationStatus.PENDING, InvitationStatus.EXPIRED}:
            raise ConflictError(f"An invitation that is {terms.status} cannot be sent again.")
        renewed = self._new(
            tenant_id,
            invitation_id,
            EmailAddress(terms.email, terms.email_key),
            role=terms.role,
            invited_by=caller_user_id,
            expires_in_days=expires_in_days,
            now=self._clock(),
        )
        granters = policy.roles_that_can_grant(terms.role)
        sent = await self._invitations.reissue(session, renewed, granters, self._limits)
        if sent is None:
            await self._require_granter(session, tenant_id, caller_user_id, terms.role)
            raise refusal_of(await self._invitations.obstacles(session, renewed, self._limits))
        return sent

    @records("invitation.revoked")
    async def revoke(
        self, session: Session, tenant_id: str, caller_user_id: str, invitation_id: str
    ) -> ExtendedInvitationResult:
        """Revoke an invitation to a role that the caller may grant. To revoke it again changes nothing.

        Raises NotAMemberError, ForbiddenError, TenantNotActiveError, NotFoundError or ConflictError.
        """
        terms = await self._lock_for_manager(session, tenant_id, caller_user_id, invitation_id)
        access = require_writer(await self._access.hold_access(session, tenant_id, caller_user_id))
        require(policy.can_grant(access.role, terms.role), f"revoke an invitation to the role {terms.role}")
        if terms.status == InvitationStatus.ACCEPTED:
            raise ConflictError("The invitation has been accepted. Remove the member instead.")
        if terms.status == InvitationStatus.DECLINED:
            raise ConflictError("The invitation has been declined already.")
        revoked = await self._invitations.revoke(
            session, tenant_id, invitation_id, self._clock(), actor=caller_user_id
        )
        if revoked is None:
            raise _no_such_invitation()
        return revoked

    @records("invitation.link_issued")
    async def link(
        self, session: Session, tenant_id: str, caller_user_id: str, invitation_id: str
    ) -> InvitationLinkResult:
        """Issue the link of a pending invitation, for a caller who may grant its role to pass on.

        No mail is sent any more, and earlier links are void. Whoever accepts by this link has not shown that
        the invited address is theirs.

        Raises NotAMemberError, ForbiddenError, TenantNotActiveError, NotFoundError or ConflictError.
        """
        terms = await self._lock_for_manager(session, tenant_id, caller_user_id, invitation_id)
        access = require_writer(await self._access.hold_access(session, tenant_id, caller_user_id))
        require(policy.can_grant(access.role, terms.role), f"pass on an invitation to the role {terms.role}")
        now = self._clock()
        if terms.status != InvitationStatus.PENDING or terms.expires_at <= now:
            status = InvitationStatus.EXPIRED if terms.status == InvitationStatus.PENDING else terms.status
            raise ConflictError(f"An invitation that is {status} has no link.")
        token = new_token(tenant_id)
        await self._invitations.hand_out(
            session, tenant_id, invitation_id, token_hash=token_hash(token), now=now, actor=caller_user_id
        )
        return InvitationLinkResult(
            invitation_id,
            token,
            filled(self._options.invitation_url, invitation_id=invitation_id, token=token),
            terms.expires_at,
        )

    async def _lock_for_manager(
        self, session: Session, tenant_id: str, caller_user_id: str, invitation_id: str
    ) -> InvitationTerms:
        access = await access_of(self._access, session, tenant_id, caller_user_id)
        self._require_manager(access, writing=True)
        terms = await self._invitations.lock(session, tenant_id, invitation_id)
        if terms is None:
            raise _no_such_invitation()
        return terms

    async def _require_granter(
        self, session: Session, tenant_id: str, caller_user_id: str, role: Role
    ) -> None:
        access = require_writer(await access_of(self._access, session, tenant_id, caller_user_id))
        require(access.role.can_manage_users, "invite members")
        require(policy.can_grant(access.role, role), f"grant the role {role}")

    def _require_manager(self, access: Access | None, *, writing: bool) -> None:
        member = require_writer(access) if writing else require_reader(access)
        require(member.role.can_manage_users, "manage invitations")

    def _drafted(self, access: Access, invitee: Invitee, now: datetime) -> NewInvitation | AccountsError:
        try:
            draft = self._draft(access.tenant_id, access.user_id, invitee, now)
            require(policy.can_grant(access.role, draft.role), f"grant the role {draft.role}")
        except AccountsError as refusal:
            return refusal
        return draft

    def _draft(self, tenant_id: str, invited_by: str, invitee: Invitee, now: datetime) -> NewInvitation:
        return self._new(
            tenant_id,
            new_id("inv"),
            role=choice("role", invitee.role, Role),
            address=parse_email(invitee.email, special_use=self._options.special_use_domains),
            invited_by=invited_by,
            expires_in_days=invitee.expires_in_days,
            now=now,
        )

    def _new(
        self,
        tenant_id: str,
        invitation_id: str,
        address: EmailAddress,
        *,
        role: Role,
        invited_by: str,
        expires_in_days: int,
        now: datetime,
    ) -> NewInvitation:
        if wrong := why_not_whole(expires_in_days, 1, MAX_DAYS):
            raise InvalidInputError.of("expires_in_days", wrong)
        return NewInvitation(
            tenant_id=tenant_id,
            invitation_id=invitation_id,
            email=address.given,
            email_key=address.key,
            role=role,
            invited_by=invited_by,
            created_at=now,
            expires_at=now + timedelta(days=expires_in_days),
            delivery=MailDelivery.QUEUED if self._options.send_mail else None,
        )


def _invited(
    email: str,
    outcome: NewInvitation | AccountsError,
    created: Mapping[str, ExtendedInvitationResult],
    refusals: Mapping[str, AccountsError],
) -> InvitedResult:
    if isinstance(outcome, NewInvitation) and outcome.invitation_id in created:
        return InvitedResult(email, created[outcome.invitation_id], None)
    refusal = refusals[outcome.invitation_id] if isinstance(outcome, NewInvitation) else outcome
    return InvitedResult(email, None, RefusalResult(refusal.error, refusal.status_code, refusal.message))


def _no_such_invitation() -> NotFoundError:
    return NotFoundError("There is no such invitation.")

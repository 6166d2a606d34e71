"""Joining a tenant by a verified address in one of its domains: at once, or by a request that is granted."""

from datetime import datetime
from typing import Protocol, Unpack

from hoc.cus.account.L5_engines.access import AccessReader, access_of, require, require_reader, require_writer
from hoc.cus.account.L5_engines.domains import joining_role
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.invitation_links import tenant_not_active
from hoc.cus.account.L5_engines.paging import CursorScope, PageArguments
from hoc.cus.account.L5_engines.quotas import quota_exceeded
from hoc.cus.account.L5_engines.session import Clock, Session, utc_now
from hoc.cus.account.L5_engines.text import choice_filter, is_storable_id
from hoc.cus.account.L5_schemas.domains import (
    JoinableTenantResult,
    JoinableTenantsListResult,
    JoinDecidedResult,
    JoiningAccount,
    JoiningTerms,
    JoinRequestResult,
    JoinRequestsListResult,
    JoinResult,
    JoinStanding,
)
from hoc.cus.account.L5_schemas.errors import ConflictError, ForbiddenError, NotFoundError
from hoc.cus.account.L5_schemas.port_types import Page, QuotaRefusal, Slice, Window
from hoc.cus.account.L5_schemas.values import (
    AnyJoinRequestStatus,
    AnyRole,
    DomainJoining,
    JoinRequestStatus,
    JoinStatus,
    Role,
    TenantStatus,
)


class JoinStore(Protocol):
    """Joining locks the account, then the domain, then the tenant."""

    async def lock_account(self, session: Session, user_id: str) -> JoiningAccount | None:
        """The account, if it is active with a verified address. Neither changes until the end."""
        ...

    async def lock_domain(self, session: Session, tenant_id: str, domain: str) -> JoiningTerms | None:
        """The terms of the tenant's verified domain, which stays verified until the transaction ends."""
        ...

    async def lock_tenant(
        self, session: Session, tenant_id: str, account: JoiningAccount, now: datetime
    ) -> JoinStanding | None:
        """Lock the tenant, so that nobody gives or takes a seat, and read where the account stands there."""
        ...

    async def add_member(
        self,
        session: Session,
        tenant_id: str,
        user_id: str,
        role: Role,
        now: datetime,
        *,
        invited_by: str | None,
    ) -> None:
        """Store a membership, and delete the account's request."""
        ...

    async def ask(
        self, session: Session, tenant_id: str, user_id: str, domain: str, now: datetime
    ) -> None: ...

    async def refuse(
        self, session: Session, tenant_id: str, user_id: str, now: datetime, *, actor: str
    ) -> bool:
        """False: there is no pending request."""
        ...

    async def page(
        self, session: Session, tenant_id: str, window: Window, *, status: JoinRequestStatus
    ) -> Slice[JoinRequestResult]:
        """The requests of active accounts, oldest first."""
        ...

    async def joinable(
        self, session: Session, user_id: str, window: Window
    ) -> Slice[JoinableTenantResult]: ...


class Joining:
    def __init__(self, joins: JoinStore, access: AccessReader, *, clock: Clock = utc_now) -> None:
        self._joins = joins
        self._access = access
        self._clock = clock

    async def list_joinable(
        self, session: Session, caller_user_id: str, **page: Unpack[PageArguments]
    ) -> Page[JoinableTenantsListResult]:
        """The tenants that the caller's verified address lets them join, or ask to. Raises InvalidInputError.

        As a domain is one tenant's, there is one at most, as yet.
        """
        scope = CursorScope("joinable_tenants", caller_user_id)
        rows = await self._joins.joinable(session, caller_user_id, scope.window(**page))
        return Page(JoinableTenantsListResult(rows.rows, rows.total), scope.next_cursor(rows))

    @records("member.joined", "join.requested")
    async def join(self, session: Session, caller_user_id: str, tenant_id: str) -> JoinResult:
        """Join a tenant that has the domain of the caller's verified address, or ask to.

        Repeating it changes nothing. Whoever was removed has to ask, also where others join at once.

        Raises:
            ForbiddenError: the caller has no active account with a verified address, or was refused.
            NotFoundError: nobody joins this tenant by an address in that domain.
            TenantNotActiveError
            ConflictError: an invitation to the address is pending, whose role may be another.
            LimitExceededError: no seat is free.
        """
        now = self._clock()
        account = await self._joins.lock_account(session, caller_user_id)
        if account is None:
            raise ForbiddenError(
                "Joining by a domain needs an active account with a verified address. Verify yours first.",
                code="email_not_verified",
            )
        terms = await self._terms(session, tenant_id, account)
        if terms is None or terms.joining == DomainJoining.CLOSED:
            raise _not_joinable()
        standing = await self._joins.lock_tenant(session, tenant_id, account, now)
        if standing is None:
            raise _not_joinable()
        if standing.tenant_status is not TenantStatus.ACTIVE:
            raise tenant_not_active()
        if standing.role is not None:
            return JoinResult(tenant_id, JoinStatus.JOINED, standing.role)
        if standing.is_invited:
            raise ConflictError(
                "An invitation to your address is pending. Accept or decline it.", code="already_invited"
            )
        if standing.request == JoinRequestStatus.REFUSED:
            raise ForbiddenError(
                "Your request to join was refused. Ask an owner or admin for an invitation.",
                code="join_refused",
            )
        if terms.joining == DomainJoining.OPEN and standing.request is None:
            require_seat(standing)
            await self._joins.add_member(
                session, tenant_id, account.user_id, terms.role, now, invited_by=None
            )
            return JoinResult(tenant_id, JoinStatus.JOINED, terms.role)
        if standing.request != JoinRequestStatus.PENDING:
            await self._joins.ask(session, tenant_id, account.user_id, account.domain, now)
        return JoinResult(tenant_id, JoinStatus.REQUESTED, None)

    async def list_requests(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        *,
        status: AnyJoinRequestStatus | None = None,
        **page: Unpack[PageArguments],
    ) -> Page[JoinRequestsListResult]:
        """The requests to join, oldest first, for owners and admins. ``status`` defaults to pending.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError or ForbiddenError.
        """
        wanted = choice_filter("status", status, JoinRequestStatus) or JoinRequestStatus.PENDING
        scope = CursorScope("join_requests", tenant_id, status=status)
        window = scope.window(**page)
        access = require_reader(await access_of(self._access, session, tenant_id, caller_user_id))
        require(access.role.can_manage_users, "read requests to join")
        rows = await self._joins.page(session, tenant_id, window, status=wanted)
        return Page(JoinRequestsListResult(rows.rows, rows.total), scope.next_cursor(rows))

    @records("member.joined")
    async def grant(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        user_id: str,
        *,
        role: AnyRole | None = None,
    ) -> JoinDecidedResult:
        """Make a member of a person who asked to join, or was refused, in the domain's role by default.

        Raises:
            InvalidInputError, NotAMemberError, TenantNotActiveError, ForbiddenError
            NotFoundError: there is no such request of an active account with a verified address.
            ConflictError: the address is in no verified domain of the tenant any more, or an invitation to it
                is pending.
            LimitExceededError: no seat is free.
        """
        now = self._clock()
        given = None if role is None else joining_role("role", role)
        account = await self._joins.lock_account(session, user_id) if is_storable_id(user_id) else None
        terms, standing = None, None
        if account is not None:
            terms = await self._terms(session, tenant_id, account)
            standing = await self._joins.lock_tenant(session, tenant_id, account, now)
        await self._require_decider(session, tenant_id, caller_user_id)
        if standing is None or standing.request not in {JoinRequestStatus.PENDING, JoinRequestStatus.REFUSED}:
            raise _no_such_request()
        if terms is None:
            raise ConflictError(
                "The person's address is in no verified domain of this tenant any more. Refuse the request,"
                " or invite the person.",
                code="not_in_domain",
            )
        if standing.is_invited:
            raise ConflictError(
                "An invitation to the person's address is pending. Let the person accept it, or revoke it.",
                code="already_invited",
            )
        require_seat(standing)
        granted = given or terms.role
        await self._joins.add_member(session, tenant_id, user_id, granted, now, invited_by=caller_user_id)
        return JoinDecidedResult("Request granted", user_id, granted)

    @records("join.refused")
    async def refuse(
        self, session: Session, tenant_id: str, caller_user_id: str, user_id: str
    ) -> JoinDecidedResult:
        """Refuse a person who asked to join, and who then cannot ask again. It can be granted later.

        Raises NotAMemberError, TenantNotActiveError, ForbiddenError or NotFoundError (no pending request).
        """
        await self._require_decider(session, tenant_id, caller_user_id)
        if not is_storable_id(user_id) or not await self._joins.refuse(
            session, tenant_id, user_id, self._clock(), actor=caller_user_id
        ):
            raise _no_such_request()
        return JoinDecidedResult("Request refused", user_id, None)

    async def _terms(self, session: Session, tenant_id: str, account: JoiningAccount) -> JoiningTerms | None:
        if not is_storable_id(tenant_id):
            return None
        return await self._joins.lock_domain(session, tenant_id, account.domain)

    async def _require_decider(self, session: Session, tenant_id: str, caller_user_id: str) -> None:
        access = require_writer(await self._access.hold_access(session, tenant_id, caller_user_id))
        require(access.role.can_manage_users, "decide on requests to join")


def require_seat(standing: JoinStanding) -> None:
    """Raises LimitExceededError."""
    if standing.seats >= standing.max_members:
        raise quota_exceeded(
            QuotaRefusal("max_members", standing.max_members), hint="Members and pending invitations count."
        )


def _not_joinable() -> NotFoundError:
    return NotFoundError("There is no such tenant that your address lets you join.")


def _no_such_request() -> NotFoundError:
    return NotFoundError("There is no such request to join this tenant.")

"""A tenant's e-mail domains: claiming and removing them, and how people join by them."""

from datetime import datetime, timedelta
from typing import Final, Protocol, Unpack

from hoc.cus.account.L5_engines.access import AccessReader, access_of, require, require_reader, require_writer
from hoc.cus.account.L5_engines.domain_checks import FIRST_CHECK
from hoc.cus.account.L5_engines.domain_names import known_domain, parse_domain
from hoc.cus.account.L5_engines.hooks import records
from hoc.cus.account.L5_engines.numbers import is_whole
from hoc.cus.account.L5_engines.paging import CursorScope, PageArguments
from hoc.cus.account.L5_engines.session import Clock, Session, new_secret, utc_now
from hoc.cus.account.L5_engines.text import choice, choice_filter
from hoc.cus.account.L5_schemas.domains import (
    DomainRemovedResult,
    DomainResult,
    DomainsListResult,
    JoiningTerms,
)
from hoc.cus.account.L5_schemas.errors import (
    ConflictError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    StaleVersionError,
)
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.port_types import Page, Slice, Versioned, Window
from hoc.cus.account.L5_schemas.values import (
    AnyDomainJoining,
    AnyDomainStatus,
    AnyRole,
    DomainJoining,
    DomainStatus,
    Role,
)

MAX_DOMAINS: Final = 50
_BETWEEN_CHECKS: Final = timedelta(seconds=10)


class DomainStore(Protocol):
    async def lock_tenant(self, session: Session, tenant_id: str) -> None: ...

    async def count(self, session: Session, tenant_id: str) -> int: ...

    async def claim(
        self,
        session: Session,
        tenant_id: str,
        domain: str,
        token: str,
        now: datetime,
        *,
        actor: str,
        due_at: datetime,
    ) -> bool:
        """Store a domain to be checked at ``due_at``. False: the tenant has claimed it already."""
        ...

    async def page(
        self, session: Session, tenant_id: str, window: Window, *, status: DomainStatus | None
    ) -> Slice[DomainResult]: ...

    async def find(self, session: Session, tenant_id: str, domain: str) -> Versioned[DomainResult] | None: ...

    async def lock(self, session: Session, tenant_id: str, domain: str) -> None:
        """Let nobody join by the domain, and no check change it, until the transaction ends."""
        ...

    async def change(
        self,
        session: Session,
        tenant_id: str,
        domain: str,
        terms: JoiningTerms,
        now: datetime,
        *,
        actor: str,
    ) -> None: ...

    async def remove(
        self, session: Session, tenant_id: str, domain: str, now: datetime, *, actor: str
    ) -> None: ...

    async def check_at(self, session: Session, tenant_id: str, domain: str, due_at: datetime) -> None: ...


class Domains:
    def __init__(
        self,
        domains: DomainStore,
        access: AccessReader,
        *,
        options: Options | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._domains = domains
        self._access = access
        self._options = options or Options()
        self._clock = clock

    @records("domain.claimed")
    async def claim(self, session: Session, tenant_id: str, caller_user_id: str, domain: str) -> DomainResult:
        """Claim a domain, for owners. Its record in DNS is looked for from now on.

        Several tenants may claim a domain; the first whose record is found has it.

        Raises InvalidInputError (no domain, or one in which everybody can have an address), NotAMemberError,
        TenantNotActiveError, ForbiddenError, LimitExceededError or ConflictError (claimed already).
        """
        name = parse_domain(domain, special_use=self._options.special_use_domains)
        if refusal := self._options.domain_refusal(name):
            raise InvalidInputError.of("domain", refusal)
        await self._domains.lock_tenant(session, tenant_id)
        await self._require_owner(session, tenant_id, caller_user_id)
        if await self._domains.count(session, tenant_id) >= MAX_DOMAINS:
            raise LimitExceededError(
                f"This tenant has {MAX_DOMAINS} domains, which is the limit. Remove one.",
                code="quota_exceeded",
            )
        now = self._clock()
        due_at = now + FIRST_CHECK
        if not await self._domains.claim(
            session, tenant_id, name, new_secret(), now, actor=caller_user_id, due_at=due_at
        ):
            raise ConflictError("This tenant has claimed this domain already.", code="already_claimed")
        return (await self._require(session, tenant_id, name)).value

    async def list(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        *,
        status: AnyDomainStatus | None = None,
        **page: Unpack[PageArguments],
    ) -> Page[DomainsListResult]:
        """The tenant's domains in the order in which they were claimed, for owners and admins.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError or ForbiddenError.
        """
        status_filter = choice_filter("status", status, DomainStatus)
        scope = CursorScope("domains", tenant_id, status=status)
        window = scope.window(**page)
        await self._require_manager(session, tenant_id, caller_user_id)
        rows = await self._domains.page(session, tenant_id, window, status=status_filter)
        return Page(DomainsListResult(rows.rows, rows.total), scope.next_cursor(rows))

    async def get(
        self, session: Session, tenant_id: str, caller_user_id: str, domain: str
    ) -> Versioned[DomainResult]:
        """A domain with its record, for owners and admins.

        Raises NotAMemberError, TenantNotActiveError, ForbiddenError or NotFoundError.
        """
        await self._require_manager(session, tenant_id, caller_user_id)
        return await self._require(session, tenant_id, _named(domain))

    @records("domain.changed")
    async def update(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        domain: str,
        *,
        joining: AnyDomainJoining | None = None,
        join_role: AnyRole | None = None,
        expected_version: int | None = None,
    ) -> Versioned[DomainResult]:
        """Say how people join by the domain once it is verified, and their role, as an owner.

        Raises InvalidInputError, NotAMemberError, TenantNotActiveError, ForbiddenError, NotFoundError or
        StaleVersionError.
        """
        _check_version(expected_version)
        new_joining = None if joining is None else choice("joining", joining, DomainJoining)
        new_role = None if join_role is None else joining_role("join_role", join_role)
        found = await self._lock_for_owner(session, tenant_id, caller_user_id, domain, expected_version)
        await self._domains.change(
            session,
            tenant_id,
            found.domain,
            JoiningTerms(new_joining or DomainJoining(found.joining), new_role or Role(found.join_role)),
            self._clock(),
            actor=caller_user_id,
        )
        return await self._require(session, tenant_id, found.domain)

    @records("domain.removed")
    async def remove(
        self,
        session: Session,
        tenant_id: str,
        caller_user_id: str,
        domain: str,
        *,
        expected_version: int | None = None,
    ) -> DomainRemovedResult:
        """Give up a domain, as an owner. Nobody joins by it any more; memberships stay.

        Raises NotAMemberError, TenantNotActiveError, ForbiddenError, NotFoundError or StaleVersionError.
        """
        _check_version(expected_version)
        found = await self._lock_for_owner(session, tenant_id, caller_user_id, domain, expected_version)
        await self._domains.remove(session, tenant_id, found.domain, self._clock(), actor=caller_user_id)
        return DomainRemovedResult("Domain removed from tenant", found.domain)

    async def request_check(
        self, session: Session, tenant_id: str, caller_user_id: str, domain: str
    ) -> DomainResult:
        """Have the domain's record looked up as soon as the caller has committed, for owners and admins.

        `DomainResult.checked_at` says when it was.

        Raises NotAMemberError, TenantNotActiveError, ForbiddenError or NotFoundError.
        """
        name = _named(domain)
        await self._domains.lock(session, tenant_id, name)
        access = require_writer(await self._access.hold_access(session, tenant_id, caller_user_id))
        require(access.role.can_manage_tenant, "manage domains")
        found = (await self._require(session, tenant_id, name)).value
        due_at = now = self._clock()
        if found.checked_at is not None:
            due_at = max(now, found.checked_at + _BETWEEN_CHECKS)
        await self._domains.check_at(session, tenant_id, found.domain, due_at)
        return (await self._require(session, tenant_id, found.domain)).value

    async def _lock_for_owner(
        self, session: Session, tenant_id: str, caller_user_id: str, domain: str, expected: int | None
    ) -> DomainResult:
        name = _named(domain)
        await self._domains.lock(session, tenant_id, name)
        access = require_writer(await self._access.hold_access(session, tenant_id, caller_user_id))
        require(access.role is Role.OWNER, "change domains")
        found = await self._require(session, tenant_id, name)
        if expected not in {None, found.version}:
            raise StaleVersionError("The domain has changed since you read it. Read it again.")
        return found.value

    async def _require_owner(self, session: Session, tenant_id: str, caller_user_id: str) -> None:
        access = require_writer(await access_of(self._access, session, tenant_id, caller_user_id))
        require(access.role is Role.OWNER, "claim domains")

    async def _require_manager(self, session: Session, tenant_id: str, caller_user_id: str) -> None:
        access = require_reader(await access_of(self._access, session, tenant_id, caller_user_id))
        require(access.role.can_manage_tenant, "manage domains")

    async def _require(self, session: Session, tenant_id: str, domain: str) -> Versioned[DomainResult]:
        found = await self._domains.find(session, tenant_id, domain)
        if found is None:
            raise NotFoundError("This tenant has claimed no such domain.")
        return found


def joining_role(field: str, role: AnyRole) -> Role:
    """A role that joining by a domain may give. Raises InvalidInputError, also for an owner's."""
    chosen = choice(field, role, Role)
    if chosen is Role.OWNER:
        raise InvalidInputError.of(field, "must not be owner; an owner makes another one")
    return chosen


def _named(domain: str) -> str:
    """The name as it is stored, or one that no domain has."""
    return known_domain(domain) or ""


def _check_version(expected: int | None) -> None:
    if expected is not None and not is_whole(expected):
        raise InvalidInputError.of("expected_version", "must be a whole number, an int")

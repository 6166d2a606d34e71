"""A tenant's e-mail domains, and the people who join by an address in one of them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from hoc.cus.account.L5_schemas.values import DomainJoining, DomainStatus, Role, TenantStatus

RECORD_PREFIX: Final = "_hoc-challenge."
VALUE_PREFIX: Final = "hoc-verification="


@dataclass(frozen=True)
class DomainResult:
    """A domain that a tenant has claimed.

    ``record_name`` is to have a TXT record with the text ``record_value``. ``problem`` is that of the last
    check, at ``checked_at``. ``failing_since``: since when a verified domain's record is missing.
    ``next_check_at`` is null if the domain is checked only when somebody asks for it.
    """

    domain: str
    status: str
    joining: str
    join_role: str
    record_name: str
    record_value: str
    created_at: datetime
    verified_at: datetime | None
    checked_at: datetime | None
    failing_since: datetime | None
    problem: str | None
    next_check_at: datetime | None


@dataclass(frozen=True)
class DomainsListResult:
    domains: list[DomainResult]
    total: int


@dataclass(frozen=True)
class DomainRemovedResult:
    message: str
    domain: str


@dataclass(frozen=True)
class JoinableTenantResult:
    """A tenant that the caller can join, or ask to. ``role`` is the one that joining gives.

    ``request`` is the status of the caller's own request.
    """

    tenant_id: str
    tenant_name: str
    domain: str
    joining: str
    role: str
    request: str | None


@dataclass(frozen=True)
class JoinableTenantsListResult:
    tenants: list[JoinableTenantResult]
    total: int


@dataclass(frozen=True)
class JoinResult:
    """``status`` is ``joined``, or ``requested``: then ``role`` is null, and an owner or admin decides."""

    tenant_id: str
    status: str
    role: str | None


@dataclass(frozen=True)
class JoinRequestResult:
    user_id: str
    email: str
    name: str | None
    status: str
    requested_at: datetime


@dataclass(frozen=True)
class JoinRequestsListResult:
    requests: list[JoinRequestResult]
    total: int


@dataclass(frozen=True)
class JoinDecidedResult:
    """``role`` is null for a request that was refused."""

    message: str
    user_id: str
    role: str | None


@dataclass(frozen=True, slots=True)
class CheckedDomain:
    """A domain locked for the result of a check, with its tenant's status."""

    tenant_status: TenantStatus | None
    status: DomainStatus
    created_at: datetime
    found_at: datetime | None
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class JoiningAccount:
    """An active account whose address is verified, locked. Its repr does not show the address."""

    user_id: str
    email_key: str = field(repr=False)

    @property
    def domain(self) -> str:
        return self.email_key.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class JoiningTerms:
    """How people join by a verified domain, and in which role."""

    joining: DomainJoining
    role: Role


@dataclass(frozen=True, slots=True)
class JoinStanding:
    """What decides whether an account joins a tenant, read while the tenant is locked.

    ``seats`` are those of others. ``request`` is the status of the account's request.
    """

    tenant_status: TenantStatus
    max_members: int
    seats: int
    role: Role | None
    is_invited: bool
    request: str | None


@dataclass(frozen=True, slots=True)
class DueDomain:
    """A domain claimed for a check, and the text that its record is to have."""

    tenant_id: str
    domain: str
    record_name: str
    record_value: str


@dataclass(frozen=True, slots=True)
class DueDomainMail:
    """A mail to an owner, claimed for sending. ``attempts`` includes this one."""

    mail_id: str
    tenant_id: str
    domain: str
    user_id: str
    is_lost: bool
    attempts: int

    @property
    def about(self) -> str:
        return f"domain of tenant {self.tenant_id}"


@dataclass(frozen=True, slots=True)
class DomainMailContent:
    """Its repr does not show the address. ``failing_since`` is None once the domain is lost."""

    email: str = field(repr=False)
    tenant_name: str
    domain: str
    record_name: str
    record_value: str
    failing_since: datetime | None
    locale: str | None

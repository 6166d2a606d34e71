"""What those who operate the product read, across tenants."""

from dataclasses import dataclass
from datetime import date, datetime

from hoc.cus.account.L5_schemas.identity import AccountStatsResponse, EmailChangeResponse
from hoc.cus.account.L5_schemas.port_types import DeadLetter
from hoc.cus.account.L5_schemas.results import LinkedIdentityResult, MembershipResult


@dataclass(frozen=True)
class AccountRecord:
    """An account's own fields. ``is_claimed`` is false until somebody has signed in to it.

    An account with ``erased_at`` has an id and times, and nothing else.
    """

    user_id: str
    email: str
    email_verified: bool
    name: str | None
    timezone: str | None
    locale: str | None
    oauth_provider: str | None
    is_active: bool
    is_claimed: bool
    created_at: datetime
    updated_at: datetime
    last_login_at: datetime | None
    deleted_at: datetime | None
    erased_at: datetime | None


@dataclass(frozen=True)
class AccountWhole:
    """An account in any state, with all that belongs to it.

    ``memberships`` are the first hundred, in the order of joining, and ``memberships_total`` counts all.
    Those of an inactive account give no access.
    """

    account: AccountRecord
    email_change: EmailChangeResponse | None
    identities: list[LinkedIdentityResult]
    memberships: list[MembershipResult]
    memberships_total: int


@dataclass(frozen=True)
class RegistrationsOfDay:
    """How many accounts were created on a UTC day."""

    day: date
    accounts: int


@dataclass(frozen=True)
class AccountStatistics:
    """``days`` are the last UTC days without a gap, today last."""

    stats: AccountStatsResponse
    days: list[RegistrationsOfDay]


@dataclass(frozen=True)
class TenantSummary:
    tenant_id: str
    name: str
    slug: str
    status: str
    plan: str
    created_at: datetime


@dataclass(frozen=True)
class TenantsResult:
    tenants: list[TenantSummary]


@dataclass(frozen=True)
class DeadLettersResult:
    dead_letters: list[DeadLetter]
    total: int

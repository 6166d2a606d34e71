"""The rows that a `MemoryDatabase` holds. None is changed in place: what changes is replaced."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Generic, TypeVar

import orjson

from hoc.cus.account.L5_schemas.results import EventResult, SupportTicketResult
from hoc.cus.account.L5_schemas.values import PLAN_QUOTAS, Onboarding, Plan, Role, TenantStatus

T = TypeVar("T")

TenantKey = tuple[str, str]
"""A tenant-owned row's key: the tenant's id, then its own."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """``preferences`` is encoded JSON, so that nobody can change a stored document in place."""

    user_id: str
    email: str
    email_key: str
    name: str | None
    email_verified: bool
    created_at: datetime
    updated_at: datetime
    is_active: bool = True
    deleted_at: datetime | None = None
    preferences: bytes = b"{}"
    timezone: str | None = None
    avatar_url: str | None = None
    oauth_provider: str | None = None
    last_login_at: datetime | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class TenantRow:
    """``quotas`` are the tenant's own, where they are not its plan's."""

    tenant_id: str
    name: str
    slug: str
    description: str | None
    created_at: datetime
    updated_at: datetime
    status: TenantStatus = TenantStatus.ACTIVE
    plan: Plan = Plan.FREE
    onboarding_state: Onboarding = Onboarding.CREATED
    quotas: Mapping[str, int] = field(default_factory=dict[str, int])
    version: int = 1

    def quota(self, name: str) -> int:
        """Resolve one quota: the tenant's own, else its plan's."""
        of_plan: int = getattr(PLAN_QUOTAS[self.plan], name)
        return self.quotas.get(name, of_plan)


@dataclass(frozen=True, slots=True)
class MembershipRow:
    tenant_id: str
    user_id: str
    role: Role
    invited_by: str | None
    joined_at: datetime
    updated_at: datetime
    version: int = 1


@dataclass(frozen=True, slots=True)
class InvitationRow:
    tenant_id: str
    invitation_id: str
    email: str
    email_key: str
    role: Role
    status: str
    invited_by: str
    created_at: datetime
    expires_at: datetime
    token_hash: bytes | None = None
    accepted_user_id: str | None = None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """``day`` is the UTC day that ``runs_today`` counts."""

    day: date
    runs_today: int
    runs_this_month: int
    tokens_this_month: int


@dataclass(frozen=True, slots=True)
class TicketRow:
    """A ticket and who opened it."""

    user_id: str
    ticket: SupportTicketResult


@dataclass(frozen=True, slots=True)
class Dated(Generic[T]):
    """What the billing system said, and as of when."""

    value: T
    as_of: datetime


@dataclass(frozen=True, slots=True)
class EventRow:
    """``payload`` is encoded JSON, as a user's preferences are."""

    event_id: str
    type: str
    time: datetime
    tenant_id: str | None
    user_id: str | None
    actor: str | None
    payload: bytes

    def result(self, sequence: int) -> EventResult:
        """The event as it is read, at its place in the line."""
        return EventResult(
            event_id=self.event_id,
            type=self.type,
            time=self.time,
            tenant_id=self.tenant_id,
            user_id=self.user_id,
            actor=self.actor,
            data=orjson.loads(self.payload),
            sequence=sequence,
        )

"""What drivers hand to engines where a result alone does not carry enough to decide on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from hoc.cus.account.L5_schemas.results import ProfileUpdateResult
from hoc.cus.account.L5_schemas.values import BillingPeriod, Plan, Role, SubscriptionStatus, TenantStatus

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """A mutable resource and the integer version that its ``ETag`` shows."""

    value: T
    version: int


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list and the opaque cursor of the next one, None on the last."""

    value: T
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Consecutive rows of a list, the total for its filter, and the sort key after its last row."""

    rows: list[T]
    total: int
    last_key: "SortKey | None"
    has_more: bool


@dataclass(frozen=True, slots=True)
class Stretch(Generic[T]):
    """Consecutive rows of a list that nobody counts."""

    rows: list[T]
    last_key: "SortKey | None"
    has_more: bool


@dataclass(frozen=True, slots=True)
class SortKey:
    """A position in a list ordered by time, then id: unique even where times are equal."""

    at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a list that is asked for: ``limit`` rows after ``after``, or after skipping ``offset``."""

    limit: int
    offset: int = 0
    after: SortKey | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """A caller's standing in a tenant, as of now: only active accounts have one."""

    tenant_id: str
    user_id: str
    role: Role
    tenant_status: TenantStatus


@dataclass(frozen=True, slots=True)
class InvitationTerms:
    """An invitation locked for a decision. ``token_hash`` is SHA-256, None until its mail is composed."""

    tenant_id: str
    tenant_status: TenantStatus
    invitation_id: str
    email: str
    email_key: str
    role: Role
    status: str
    invited_by: str
    inviter_role: Role | None
    expires_at: datetime
    token_hash: bytes | None
    accepted_user_id: str | None


@dataclass(frozen=True, slots=True)
class InvitationLetter:
    """What an invitation's mail says, beside its token."""

    tenant_id: str
    invitation_id: str
    email: str
    role: str
    tenant_name: str
    inviter_name: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A claimed delivery: ``attempts`` counts this one."""

    delivery_id: str
    tenant_id: str
    invitation_id: str
    attempts: int


@dataclass(frozen=True, slots=True)
class NewInvitation:
    tenant_id: str
    invitation_id: str
    email: str
    email_key: str
    role: Role
    invited_by: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class InvitationLimits:
    """How many invitation mails may leave in one UTC day."""

    per_tenant_per_day: int = 10_000
    per_recipient_per_day: int = 20


@dataclass(frozen=True, slots=True)
class InviteObstacles:
    """Why an invitation was not created, read after the fact."""

    already_member: bool
    already_pending: bool
    tenant_limit_reached: bool
    recipient_limit_reached: bool


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """``given`` is stored, shown and mailed to; ``key`` is what two addresses are compared by."""

    given: str
    key: str


@dataclass(frozen=True, slots=True)
class Account:
    """The part of a user record that membership rules look at."""

    user_id: str
    email_verified: bool


@dataclass(frozen=True, slots=True)
class NewTenant:
    tenant_id: str
    name: str
    slug: str
    description: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What to change in a profile: None leaves a field alone, ``preferences`` is a merge patch."""

    display_name: str | None
    name_key: str | None
    timezone: str | None
    preferences: dict[str, Any]
    expected_version: int | None
    max_preferences_bytes: int


@dataclass(frozen=True, slots=True)
class ProfileChanged:
    """The profile after the change, or as it stands when the change was refused."""

    profile: Versioned[ProfileUpdateResult]
    is_stale: bool
    is_too_large: bool


@dataclass(frozen=True, slots=True)
class Subscription:
    tenant_id: str
    plan: Plan
    status: SubscriptionStatus
    billing_period: BillingPeriod
    current_period_start: datetime
    current_period_end: datetime
    next_invoice_date: datetime | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which of a tenant's events: None is any; ``since`` counts, ``until`` does not."""

    actor: str | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ParkedItem:
    """Set aside: an event of ours (``out``) or a message of others (``in``); ``retry``: to be tried again."""

    direction: str
    id: str
    subject: str
    time: datetime
    reason: str
    parked_at: datetime
    retry: bool


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What an idempotency key answered the first time."""

    request_hash: bytes
    status_code: int
    body: bytes


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key means something only within its tenant, caller and route."""

    tenant_id: str
    principal: str
    route: str
    key: str

"""The rows of a `MemoryDatabase`. No row is changed in place: a changed row is a new one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Generic, TypeVar

import orjson

from hoc.cus.account.L5_engines.email_address import fold
from hoc.cus.account.L5_schemas.results import EventResult, ProfileExtras
from hoc.cus.account.L5_schemas.tickets import NewReply
from hoc.cus.account.L5_schemas.values import (
    PLAN_QUOTAS,
    DomainJoining,
    DomainProblem,
    DomainStatus,
    JoinRequestStatus,
    MailDelivery,
    Onboarding,
    Plan,
    Role,
    TenantStatus,
    WebhookDisabled,
    WebhookStatus,
)

T = TypeVar("T")


def combine(kind: type[T], *sources: object, **given: object) -> T:
    """Make a dataclass. A field that is not given is taken from the first source that has it."""
    for name in [each.name for each in fields(kind)]:  # type: ignore[arg-type]  # of a dataclass
        source = next((source for source in sources if hasattr(source, name)), None)
        if name not in given and source is not None:
            given[name] = getattr(source, name)
    return kind(**given)


TenantKey = tuple[str, str]
"""The key of a row that belongs to a tenant: the tenant's id, and the row's own."""


@dataclass(frozen=True)
class UserRow(ProfileExtras):
    """``preferences`` is encoded JSON, which cannot be changed in place.

    ``email_key`` is None when an account that has verified the address took it over.
    """

    user_id: str
    email: str
    email_key: str | None
    name: str | None
    email_verified: bool
    created_at: datetime
    updated_at: datetime
    is_active: bool = True
    deleted_at: datetime | None = None
    erased_at: datetime | None = None
    preferences: bytes = b"{}"
    timezone: str | None = None
    avatar_url: str | None = None
    oauth_provider: str | None = None
    has_generated_id: bool = False
    is_claimed: bool = True
    last_login_at: datetime | None = None
    version: int = 1

    def contains(self, term: str) -> bool:
        """Whether the name or the address contains a folded term."""
        return any(term in text for text in (self.email_key or "", fold(self.name or ""), self.email))


@dataclass(frozen=True, slots=True)
class EmailChangeRow:
    """The last change of an account's address; ``requests`` counts those of its day."""

    email: str
    email_key: str
    requested_at: datetime
    expires_at: datetime
    requests: int
    token_hash: bytes | None = None
    is_cancelled: bool = False
    is_confirmed: bool = False


@dataclass(frozen=True, slots=True)
class LinkedIdentityRow:
    issuer: str
    subject: str
    user_id: str
    linked_at: datetime


@dataclass(frozen=True, slots=True)
class TenantRow:
    """``quotas`` has those quotas of the tenant that are not its plan's. ``metadata`` is encoded JSON."""

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
    metadata: bytes = b"{}"
    invitations_only_to_domains: bool = False
    erased_at: datetime | None = None
    version: int = 1

    def quota(self, name: str) -> int:
        """The quota in force: the tenant's own, else its plan's."""
        of_plan: int = getattr(PLAN_QUOTAS[self.plan], name)
        return self.quotas.get(name, of_plan)


@dataclass(frozen=True, slots=True)
class MembershipRow:
    """``metadata`` is encoded JSON."""

    tenant_id: str
    user_id: str
    role: Role
    invited_by: str | None
    joined_at: datetime
    updated_at: datetime
    metadata: bytes = b"{}"
    version: int = 1


@dataclass(frozen=True, slots=True)
class DomainRow:
    tenant_id: str
    domain: str
    token: str
    created_at: datetime
    next_check_at: datetime | None
    status: DomainStatus = DomainStatus.PENDING
    joining: DomainJoining = DomainJoining.CLOSED
    join_role: Role = Role.MEMBER
    verified_at: datetime | None = None
    checked_at: datetime | None = None
    found_at: datetime | None = None
    failing_since: datetime | None = None
    problem: DomainProblem | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """``sequence`` is the position in the line of events; ``due_at`` is None for an idle endpoint."""

    tenant_id: str
    endpoint_id: str
    url: str
    event_types: tuple[str, ...] | None
    description: str | None
    secret: str
    sequence: int
    due_at: datetime | None
    created_at: datetime
    status: WebhookStatus = WebhookStatus.ENABLED
    disabled_reason: WebhookDisabled | None = None
    previous_secret: str | None = None
    previous_secret_until: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    leased_by: str | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class DirectoryUserRow:
    """``groups`` are the names of the user's groups."""

    tenant_id: str
    resource_id: str
    is_active: bool
    groups: tuple[str, ...] = ()
    email_key: str | None = None
    user_id: str | None = None
    invitation_id: str | None = None


@dataclass(frozen=True, slots=True)
class JoinRequestRow:
    """``requested_at`` is the time of the removal for a member who was removed."""

    tenant_id: str
    user_id: str
    status: JoinRequestStatus
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class ScimTokenRow:
    tenant_id: str
    token_id: str
    name: str
    token_hash: bytes
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_active(self, now: datetime) -> bool:
        return self.revoked_at is None and self.expires_at > now


@dataclass(frozen=True, slots=True)
class ScimGroupRoleRow:
    tenant_id: str
    group_key: str
    group: str
    role: Role
    created_at: datetime
    updated_at: datetime


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
    delivery: MailDelivery | None
    delivery_error: str | None = None
    token_hash: bytes | None = None
    accepted_user_id: str | None = None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """``day`` is the day, in UTC, that ``runs_today`` counts."""

    day: date
    runs_today: int
    runs_this_month: int
    tokens_this_month: int


@dataclass(frozen=True, slots=True)
class TicketReplyRow:
    tenant_id: str
    ticket_id: str
    reply: NewReply


@dataclass(frozen=True, slots=True)
class Dated(Generic[T]):
    """A value from the billing system, and the time as of which it is."""

    value: T
    as_of: datetime


@dataclass(frozen=True, slots=True)
class EventRow:
    """``payload`` is encoded JSON."""

    event_id: str
    type: str
    time: datetime
    tenant_id: str | None
    user_id: str | None
    actor: str | None
    payload: bytes

    def result(self, sequence: int) -> EventResult:
        """The event with its sequence number."""
        return combine(EventResult, self, data=orjson.loads(self.payload), sequence=sequence)

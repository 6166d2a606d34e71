"""The domain's enumerations, whose values are stored and shown, and the plans' quotas."""

from dataclasses import dataclass, fields
from datetime import timedelta
from enum import Enum, IntEnum, StrEnum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypedDict

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2999
"""The years of times that others give. Without the years 1, 1601 and 9999: they often mean "no time"."""


class Unset(Enum):
    """The default of an argument whose None clears a field: without the argument, the field stays."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


class Role(StrEnum):
    """A member's role in a tenant, from the most to the least powerful."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"

    @property
    def can_manage_users(self) -> bool:
        """Invite, resend, revoke, remove."""
        return self in {Role.OWNER, Role.ADMIN}

    @property
    def can_manage_tenant(self) -> bool:
        """Rename and describe the tenant, and keep its metadata and its members'."""
        return self in {Role.OWNER, Role.ADMIN}

    @property
    def can_manage_keys(self) -> bool:
        return self in {Role.OWNER, Role.ADMIN}

    @property
    def can_change_roles(self) -> bool:
        return self is Role.OWNER

    @property
    def can_run_workers(self) -> bool:
        return self is not Role.VIEWER

    @property
    def can_view_runs(self) -> bool:
        return True


class UserStatus(StrEnum):
    ACTIVE = "active"
    INACTIVE = "inactive"


class TenantStatus(StrEnum):
    """``active`` ⇄ ``suspended`` → ``terminated`` → ``archived``; suspended reads but does not write."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    TERMINATED = "terminated"
    ARCHIVED = "archived"


CLOSED_TENANT: Final = (TenantStatus.TERMINATED, TenantStatus.ARCHIVED)


class InvitationStatus(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    REVOKED = "revoked"
    DECLINED = "declined"


class DomainStatus(StrEnum):
    PENDING = "pending"
    """Claimed: its record was not found yet, or is gone."""
    VERIFIED = "verified"


class DomainJoining(StrEnum):
    """How people whose verified address is in a verified domain become members."""

    CLOSED = "closed"
    """By invitation only."""
    ASK = "ask"
    """They ask, and an owner or admin grants or refuses."""
    OPEN = "open"
    """At once."""


class DomainProblem(StrEnum):
    """What was wrong at the last check of a domain."""

    MISSING = "missing"
    """No record with the token was found."""
    UNREACHABLE = "unreachable"
    """The domain's name servers did not answer."""
    TAKEN = "taken"
    """Another tenant has the domain."""


class WebhookStatus(StrEnum):
    """Whether a webhook endpoint is sent events. A disabled one keeps its position in the line of events."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class WebhookDisabled(StrEnum):
    """Why a webhook endpoint is disabled."""

    REQUESTED = "requested"
    """Somebody disabled it."""
    GONE = "gone"
    """It answered 410."""
    FAILING = "failing"
    """It took nothing for three days."""


class WebhookError(StrEnum):
    """Why an attempt to deliver an event got no answer."""

    UNRESOLVED = "unresolved"
    """DNS has no address of the host."""
    FORBIDDEN_ADDRESS = "forbidden_address"
    """The host has an address to which nothing is sent, such as a private one."""
    UNREACHABLE = "unreachable"
    """No connection, or it was closed without an answer."""
    TLS = "tls"
    """The certificate is not valid for the host, or there is no common version of TLS."""
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    """The answer is no HTTP."""


class DomainLookup(StrEnum):
    """What a check of a domain found in DNS."""

    FOUND = "found"
    MISSING = "missing"
    UNREACHABLE = "unreachable"


class ScimTokenStatus(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class JoinStatus(StrEnum):
    """What came of joining by a domain."""

    JOINED = "joined"
    REQUESTED = "requested"


class JoinRequestStatus(StrEnum):
    PENDING = "pending"
    REFUSED = "refused"
    REMOVED = "removed"
    """The person was a member and was removed: they join by themselves no more, but may ask."""


class MailDelivery(StrEnum):
    """What became of an invitation's mail."""

    QUEUED = "queued"
    SENT = "sent"
    """The mail server has accepted it."""
    DELAYED = "delayed"
    """An attempt failed for a reason that is not the recipient's. hoc tries again."""
    FAILED = "failed"
    """It cannot be delivered. hoc does not try again."""


class TicketStatus(StrEnum):
    OPEN = "open"
    IN_PROGRESS = "in_progress"
    RESOLVED = "resolved"
    CLOSED = "closed"


RESOLVED_TICKET: Final = (TicketStatus.RESOLVED, TicketStatus.CLOSED)


class TicketPriority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"


class TicketCategory(StrEnum):
    GENERAL = "general"
    BILLING = "billing"
    TECHNICAL = "technical"
    ACCOUNT = "account"


class SubscriptionStatus(StrEnum):
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    CANCELED = "canceled"


class BillingPeriod(StrEnum):
    MONTHLY = "monthly"
    YEARLY = "yearly"


class InvoiceStatus(StrEnum):
    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


class Plan(StrEnum):
    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"


class Onboarding(IntEnum):
    """The steps of setting up a tenant, in their order. A tenant never goes back."""

    CREATED = 0
    IDENTITY_VERIFIED = 1
    API_KEY_CREATED = 2
    SDK_CONNECTED = 3
    COMPLETE = 4


class LeasedQuota(StrEnum):
    """The quotas of what is held until it is released."""

    MAX_WORKERS = "max_workers"
    MAX_CONCURRENT_RUNS = "max_concurrent_runs"
    MAX_API_KEYS = "max_api_keys"


@dataclass(frozen=True, slots=True)
class Quotas:
    max_workers: int
    max_runs_per_day: int
    max_concurrent_runs: int
    max_tokens_per_month: int
    max_api_keys: int
    max_members: int


class QuotaOverrides(TypedDict, total=False):
    """Quotas of one tenant; None is the plan's."""

    max_workers: int | None
    max_runs_per_day: int | None
    max_concurrent_runs: int | None
    max_tokens_per_month: int | None
    max_api_keys: int | None
    max_members: int | None


SEAT_KEPT: Final = timedelta(minutes=1)
"""How long an expired invitation keeps its seat: a server whose clock is behind may be accepting it."""

QUOTAS: Final = tuple(field.name for field in fields(Quotas))

PLAN_QUOTAS: dict[str, Quotas] = {
    Plan.FREE: Quotas(3, 100, 5, 1_000_000, 5, 10),
    Plan.PRO: Quotas(10, 1_000, 20, 10_000_000, 20, 100),
    Plan.ENTERPRISE: Quotas(100, 100_000, 100, 1_000_000_000, 100, 10_000),
}


# What a caller may write in place of a member: the type checker knows the words, too.
AnyRole: TypeAlias = Role | Literal["owner", "admin", "member", "viewer"]
AnyUserStatus: TypeAlias = UserStatus | Literal["active", "inactive"]
AnyTenantStatus: TypeAlias = TenantStatus | Literal["active", "suspended", "terminated", "archived"]
AnyInvitationStatus: TypeAlias = (
    InvitationStatus | Literal["pending", "accepted", "expired", "revoked", "declined"]
)
AnyDomainJoining: TypeAlias = DomainJoining | Literal["closed", "ask", "open"]
AnyDomainStatus: TypeAlias = DomainStatus | Literal["pending", "verified"]
AnyDomainLookup: TypeAlias = DomainLookup | Literal["found", "missing", "unreachable"]
AnyJoinRequestStatus: TypeAlias = JoinRequestStatus | Literal["pending", "refused", "removed"]
AnyInvoiceStatus: TypeAlias = InvoiceStatus | Literal["draft", "open", "paid", "void", "uncollectible"]
AnyTicketStatus: TypeAlias = TicketStatus | Literal["open", "in_progress", "resolved", "closed"]
AnyTicketPriority: TypeAlias = TicketPriority | Literal["low", "medium", "high", "urgent"]
AnyTicketCategory: TypeAlias = TicketCategory | Literal["general", "billing", "technical", "account"]
AnyBillingPeriod: TypeAlias = BillingPeriod | Literal["monthly", "yearly"]
AnyLeasedQuota: TypeAlias = LeasedQuota | Literal["max_workers", "max_concurrent_runs", "max_api_keys"]
AnyPlan: TypeAlias = Plan | Literal["free", "pro", "enterprise"]

if TYPE_CHECKING:
    GivenRole: TypeAlias = AnyRole
    GivenTenantStatus: TypeAlias = AnyTenantStatus
    GivenTicketCategory: TypeAlias = AnyTicketCategory
    GivenTicketPriority: TypeAlias = AnyTicketPriority
    GivenPlan: TypeAlias = AnyPlan
    GivenBillingPeriod: TypeAlias = AnyBillingPeriod
    GivenDomainJoining: TypeAlias = AnyDomainJoining
else:  # any text that a client sends: the engine that takes it refuses a wrong one, and lists the right ones
    GivenRole = GivenTenantStatus = GivenTicketCategory = GivenTicketPriority = str
    GivenPlan = GivenBillingPeriod = GivenDomainJoining = str

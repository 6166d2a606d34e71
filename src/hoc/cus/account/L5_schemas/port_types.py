"""Types that cross the engines' ports in either direction and are not API results."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final, Generic, TypeAlias, TypeVar

from hoc.cus.account.L5_schemas.results import PROFILE_EXTRAS, InvitationPreviewResult, ProfileExtras
from hoc.cus.account.L5_schemas.values import (
    AnyRole,
    BillingPeriod,
    MailDelivery,
    Plan,
    Role,
    SubscriptionStatus,
    TenantStatus,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """A mutable resource and the integer version that its ``ETag`` shows."""

    value: T
    version: int


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list and the opaque cursor of the next page, None on the last."""

    value: T
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Consecutive rows of a list, the number of rows for its filter, and the sort key of the last row."""

    rows: list[T]
    total: int
    last_key: "SortKey | None"
    has_more: bool


@dataclass(frozen=True, slots=True)
class UncountedSlice(Generic[T]):
    """Consecutive rows of a list whose total is not counted."""

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
    """Which rows of a list to read: ``limit`` rows after the key ``after``, or after the first ``offset``."""

    limit: int
    offset: int = 0
    after: SortKey | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """An active account's membership of a tenant, and the tenant's status, as of now."""

    tenant_id: str
    user_id: str
    role: Role
    tenant_status: TenantStatus


@dataclass(frozen=True, slots=True)
class InvitationTerms:
    """An invitation locked for a decision.

    ``token_hash`` is SHA-256, None until the invitation's mail is composed. ``inviter_role`` is None when the
    inviter is no active member any more. ``delivery`` is None if the token was not mailed, so that it proves
    nothing about the address.
    """

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
    delivery: str | None


@dataclass(frozen=True, slots=True)
class LinkedInvitation:
    """An invitation read by the id in its link, not locked. ``token_hash`` is as in `InvitationTerms`."""

    preview: InvitationPreviewResult
    status: str
    token_hash: bytes | None
    tenant_status: TenantStatus

    @property
    def expires_at(self) -> datetime:
        return self.preview.expires_at


@dataclass(frozen=True, slots=True)
class Invitee:
    """Whom to invite, unchecked. Its repr does not show the address."""

    email: str = field(repr=False)
    role: AnyRole = Role.MEMBER
    expires_in_days: int = 7


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation to store. ``delivery`` is None if no mail is to be queued."""

    tenant_id: str
    invitation_id: str
    email: str
    email_key: str
    role: Role
    invited_by: str
    created_at: datetime
    expires_at: datetime
    delivery: MailDelivery | None

    @property
    def domain(self) -> str:
        return self.email_key.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class InvitationLimits:
    """How many invitation mails may be sent in one UTC day."""

    per_tenant_per_day: int = 10_000
    per_recipient_per_day: int = 20


@dataclass(frozen=True, slots=True)
class InviteObstacles:
    """Why an invitation was not created, read after it was refused."""

    already_member: bool
    already_pending: bool
    outside_domains: bool
    """The tenant invites only addresses in its verified domains, and this is none."""
    tenant_limit_reached: bool
    recipient_limit_reached: bool
    max_members: int | None
    """The quota, if no seat is free."""


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """``given`` is stored, shown and mailed to. Addresses are compared by ``key``."""

    given: str
    key: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What an issuer calls a person. ``issuer`` is empty for the primary issuer.

    Without a link, a subject of the primary issuer is the id of its account.
    """

    id: str
    issuer: str = ""


AccessFetch: TypeAlias = Callable[[list[tuple[str, Subject]]], Awaitable[dict[tuple[str, Subject], Access]]]
"""Reads the memberships of subjects in tenants in one round trip."""

OwnerFetch: TypeAlias = Callable[[list[Subject]], Awaitable[dict[Subject, str]]]
"""Reads the ids of the accounts that subjects are linked to, in one round trip."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """The account to make for a subject that has none, under ``user_id``.

    ``email_verified``: whether its owner has proved to receive mail at the address.
    """

    subject: Subject
    user_id: str
    email: EmailAddress
    name: str | None
    name_key: str | None
    email_verified: bool

    @property
    def has_generated_id(self) -> bool:
        return self.subject.issuer != "" or self.subject.id != self.user_id


class AddressRefusal(Enum):
    """Why an account cannot have an address."""

    TAKEN = auto()
    """Another account has it."""
    CLAIMED = auto()
    """Another account has it, verified, and somebody signs in to that."""
    ERASED_ID = auto()
    """The address is free, but the account needs another id: this one is an erased person's pseudonym."""


@dataclass(frozen=True, slots=True)
class NewEmailChange:
    """A change of an address that the account's owner asks for, and how many a UTC day allows."""

    email: EmailAddress
    requested_at: datetime
    expires_at: datetime
    per_account_per_day: int
    per_recipient_per_day: int


@dataclass(frozen=True, slots=True)
class EmailChangeTerms:
    """A change of an account's address, locked for a decision.

    ``token_hash`` is SHA-256, None until its mail is composed. ``is_active``: the account is.
    ``old_email`` is None if the account has lost its address.
    """

    user_id: str
    is_active: bool
    old_email: str | None
    email: str
    email_key: str
    token_hash: bytes | None
    expires_at: datetime
    is_cancelled: bool
    is_confirmed: bool


class EmailChangeRefusal(Enum):
    """Why a change of an address was not stored."""

    NO_ACCOUNT = auto()
    """There is no such active account."""
    LIMIT = auto()
    """The account, or the new address, has had as many mails today as it may."""


class LinkOutcome(Enum):
    """What came of linking a subject to an account, or of unlinking it."""

    DONE = auto()
    """The subject is linked, or not any more."""
    NO_ACCOUNT = auto()
    """There is no such active account."""
    TAKEN = auto()
    """The subject has an account: it is linked, or it is an account's own id."""
    LAST = auto()
    """Without the link nobody could sign in to the account."""


@dataclass(frozen=True, slots=True)
class AddressHolder:
    """The account that has an address. ``is_claimed``: somebody can sign in to it."""

    user_id: str
    is_active: bool
    email_verified: bool
    is_claimed: bool


@dataclass(frozen=True, slots=True)
class NewTenant:
    tenant_id: str
    name: str
    slug: str
    description: str | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class AccountPatch(ProfileExtras):
    """What to change in an account. Each field is a column of `users`, and None leaves the column alone.

    An empty text clears one of `CLEARABLE`. ``preferences`` is merged (RFC 7396). A name comes with its
    ``name_key``, which searches look through, and an address with its ``email_key``, by which addresses are
    compared. Another address is unverified unless ``email_verified`` comes with it.
    """

    name: str | None = None
    name_key: str | None = None
    email: str | None = None
    email_key: str | None = None
    email_verified: bool | None = None
    timezone: str | None = None
    avatar_url: str | None = None
    preferences: dict[str, Any] = field(default_factory=dict[str, Any])


UPDATABLE: Final = tuple(column.name for column in fields(AccountPatch) if not column.name.endswith("_key"))
"""The columns that an update may change, as ``updated_fields`` of its event names them."""

CLEARABLE: Final = frozenset({"avatar_url", "timezone", *PROFILE_EXTRAS})
"""The columns that an update may clear."""


@dataclass(frozen=True, kw_only=True)
class TenantPatch:
    """What to change in a tenant. Each field is a column of `tenants`, and None leaves the column alone.

    An empty ``description`` clears it. ``metadata`` is merged (RFC 7396).
    """

    name: str | None = None
    slug: str | None = None
    description: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    invitations_only_to_domains: bool | None = None


TENANT_UPDATABLE: Final = tuple(column.name for column in fields(TenantPatch))
"""The columns that an update may change, as ``updated_fields`` of its event names them."""


class PatchRefusal(Enum):
    """Why a patch was not applied."""

    STALE = auto()
    """The version is not the expected one."""
    TOO_LARGE = auto()
    """The merged document would exceed its limit."""
    TAKEN = auto()
    """Another tenant has the slug."""


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
    """Which of a tenant's events to list. None matches any; ``since`` is inclusive, ``until`` exclusive."""

    actor: str | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class NamedIds:
    """The ids of accounts, invitations and tickets that events name."""

    people: frozenset[str]
    invitations: frozenset[str]
    tickets: frozenset[str]


@dataclass(frozen=True, slots=True)
class EventNames:
    """By id: a person's name, or a member's address; an invitation's address; a ticket's subject."""

    people: dict[str, str]
    invitations: dict[str, str]
    tickets: dict[str, str]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be published (``out``), or a message that could not be handled (``in``).

    ``retry``: it is to be tried again.
    """

    direction: str
    id: str
    subject: str
    time: datetime
    reason: str
    parked_at: datetime
    retry: bool


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The response to the first request with an idempotency key. ``body`` is None once it was blanked."""

    request_hash: bytes
    status_code: int
    body: bytes | None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key, which is unique within its tenant, caller and route."""

    tenant_id: str
    principal: str
    route: str
    key: str


@dataclass(frozen=True, slots=True)
class QuotaRefusal:
    """A quota has no room, and no open transaction can make any."""

    quota: str
    limit: int

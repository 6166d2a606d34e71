"""The results of the accounts domain: each is one frozen dataclass from the driver to the JSON.

The first twenty are the console specification's own, with its names and its order of fields. The rest belong
to operations beyond it. Times are timezone-aware UTC; amounts are integer cents. The classes have no slots:
with slots, orjson takes more than three times as long.
"""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final


@dataclass(frozen=True)
class ProjectSummaryResult:
    project_id: str
    name: str
    description: str | None
    status: str
    plan: str
    created_at: datetime
    updated_at: datetime | None


@dataclass(frozen=True)
class ProjectsListResult:
    items: list[ProjectSummaryResult]
    total: int
    has_more: bool
    filters_applied: dict[str, Any]


@dataclass(frozen=True)
class ProjectDetailResult:
    project_id: str
    name: str
    slug: str
    description: str | None
    status: str
    plan: str
    max_workers: int
    max_runs_per_day: int
    max_concurrent_runs: int
    max_tokens_per_month: int
    max_api_keys: int
    runs_today: int
    runs_this_month: int
    tokens_this_month: int
    onboarding_state: int
    onboarding_complete: bool
    created_at: datetime
    updated_at: datetime | None


@dataclass(frozen=True)
class UserSummaryResult:
    user_id: str
    email: str
    name: str | None
    role: str
    status: str
    created_at: datetime
    last_login_at: datetime | None


@dataclass(frozen=True)
class UsersListResult:
    items: list[UserSummaryResult]
    total: int
    has_more: bool
    filters_applied: dict[str, Any]


@dataclass(frozen=True)
class ExtendedUsersListResult(UsersListResult):
    """The specification's list. ``total_capped``: there may be more matches than ``total``."""

    total_capped: bool


@dataclass(frozen=True)
class UserDetailResult:
    user_id: str
    email: str
    name: str | None
    avatar_url: str | None
    role: str
    status: str
    email_verified: bool
    oauth_provider: str | None
    membership_created_at: datetime
    invited_by: str | None
    can_manage_keys: bool
    can_run_workers: bool
    can_view_runs: bool
    created_at: datetime
    updated_at: datetime | None
    last_login_at: datetime | None


@dataclass(frozen=True)
class TenantUserResult:
    user_id: str
    email: str
    name: str | None
    role: str
    joined_at: datetime


@dataclass(frozen=True)
class TenantUsersListResult:
    users: list[TenantUserResult]
    total: int


@dataclass(frozen=True)
class ProfileResult:
    user_id: str
    email: str
    name: str | None
    avatar_url: str | None
    tenant_id: str
    tenant_name: str | None
    role: str
    created_at: datetime
    preferences: dict[str, Any] | None


@dataclass(frozen=True)
class ProfileUpdateResult:
    user_id: str
    email: str
    display_name: str | None
    timezone: str | None
    preferences: dict[str, Any]
    updated_at: datetime


@dataclass(frozen=True)
class BillingSummaryResult:
    plan: str
    status: str
    billing_period: str
    current_period_start: datetime | None
    current_period_end: datetime | None
    usage_this_period: dict[str, Any]
    next_invoice_date: datetime | None
    max_runs_per_day: int
    max_tokens_per_month: int
    runs_this_month: int
    tokens_this_month: int


@dataclass(frozen=True)
class InvoiceSummaryResult:
    invoice_id: str
    period_start: datetime
    period_end: datetime
    amount_cents: int
    status: str
    description: str


@dataclass(frozen=True)
class InvoiceListResult:
    invoices: list[InvoiceSummaryResult]
    total: int
    message: str | None


@dataclass(frozen=True)
class SupportContactResult:
    email: str
    hours: str
    response_time: str


@dataclass(frozen=True)
class SupportTicketResult:
    id: str
    subject: str
    description: str
    category: str
    priority: str
    status: str
    created_at: datetime
    updated_at: datetime
    resolution: str | None
    resolved_at: datetime | None


@dataclass(frozen=True)
class SupportTicketListResult:
    tickets: list[SupportTicketResult]
    total: int


@dataclass(frozen=True)
class InvitationResult:
    id: str
    email: str
    role: str
    status: str
    created_at: datetime
    expires_at: datetime
    invited_by: str


@dataclass(frozen=True)
class InvitationListResult:
    invitations: list[InvitationResult]
    total: int


@dataclass(frozen=True)
class AcceptInvitationResult:
    success: bool
    message: str
    tenant_id: str | None
    role: str | None


@dataclass(frozen=True)
class AccountsErrorResult:
    error: str
    message: str
    status_code: int


@dataclass(frozen=True, kw_only=True)
class ProfileExtras:
    """The fields of a profile beyond the specification. Each is a nullable text column of `users`."""

    locale: str | None = None


PROFILE_EXTRAS: Final = tuple(each.name for each in fields(ProfileExtras))


@dataclass(frozen=True, kw_only=True)
class ExtendedProfileResult(ProfileExtras, ProfileResult):
    """The specification's profile, the time zone, and the extras."""

    timezone: str | None


@dataclass(frozen=True, kw_only=True)
class ExtendedProfileUpdateResult(ProfileExtras, ProfileUpdateResult):
    """The specification's answer to an update, the picture, and the extras."""

    avatar_url: str | None


@dataclass(frozen=True, kw_only=True)
class OwnProfileResult(ProfileExtras):
    """A person's own profile, outside of any tenant."""

    user_id: str
    email: str
    email_verified: bool
    name: str | None
    avatar_url: str | None
    timezone: str | None
    preferences: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class ExtendedProjectDetailResult(ProjectDetailResult):
    """The specification's project, its ``metadata`` (free JSON), and the use of its other quotas.

    ``seats`` are those of members and of pending invitations, which ``max_members`` limits.
    ``invitations_only_to_domains``: only addresses in its verified domains are invited.
    """

    max_members: int
    seats: int
    workers: int
    concurrent_runs: int
    api_keys: int
    metadata: dict[str, Any]
    invitations_only_to_domains: bool


@dataclass(frozen=True)
class ExtendedUserDetailResult(UserDetailResult):
    """The specification's member, and the ``metadata`` of the membership: free JSON."""

    metadata: dict[str, Any]


@dataclass(frozen=True)
class ExtendedBillingSummaryResult(BillingSummaryResult):
    """The specification's summary, and the link to the billing system's portal, for owners and admins."""

    portal_url: str | None


@dataclass(frozen=True)
class ExtendedInvoiceResult(InvoiceSummaryResult):
    """The specification's invoice, and what the billing system may say beyond it.

    ``currency`` is a code of ISO 4217, and ``number`` what the invoice shows. ``hosted_url`` is the invoice's
    page, and ``pdf_url`` its PDF; both are https.
    """

    currency: str | None
    number: str | None
    hosted_url: str | None
    pdf_url: str | None


@dataclass(frozen=True)
class ExtendedInvoiceListResult:
    """The fields of the specification's list, with extended invoices."""

    invoices: list[ExtendedInvoiceResult]
    total: int
    message: str | None


@dataclass(frozen=True)
class ExtendedInvitationResult(InvitationResult):
    """The specification's invitation, and what became of its mail.

    ``delivery`` is a `MailDelivery`, null if no mail is sent. ``delivery_error`` says why it ``failed``.
    """

    delivery: str | None
    delivery_error: str | None


@dataclass(frozen=True)
class ExtendedInvitationListResult:
    """The fields of the specification's list, with extended invitations."""

    invitations: list[ExtendedInvitationResult]
    total: int


@dataclass(frozen=True)
class RefusalResult:
    """Why one row was refused: ``code``, ``detail`` and status, as in the problem of a single request."""

    code: str
    status_code: int
    detail: str


@dataclass(frozen=True)
class InvitedResult:
    """What became of one row: an ``invitation``, or the ``problem`` for which there is none."""

    email: str
    """As it was given."""
    invitation: ExtendedInvitationResult | None
    problem: RefusalResult | None


@dataclass(frozen=True)
class InvitationBatchResult:
    """A result for each row, in the order of the rows."""

    results: list[InvitedResult]
    invited: int
    refused: int


@dataclass(frozen=True)
class InvitationLinkResult:
    """A new link of an invitation, which makes all earlier ones void. Its repr does not show it."""

    invitation_id: str
    token: str = field(repr=False)
    link: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class MembershipResult:
    tenant_id: str
    tenant_name: str
    tenant_status: str
    role: str
    joined_at: datetime


@dataclass(frozen=True)
class MembershipsListResult:
    memberships: list[MembershipResult]
    total: int


@dataclass(frozen=True)
class OwnershipTransferResult:
    tenant_id: str
    from_user_id: str
    to_user_id: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class UsageResult:
    runs_today: int
    runs_this_month: int
    tokens_this_month: int
    max_runs_per_day: int
    max_tokens_per_month: int


@dataclass(frozen=True)
class LeaseResult:
    """A part of a quota that is held until ``expires_at``, by the database's clock; null: until released."""

    quota: str
    lease_id: str
    expires_at: datetime | None


@dataclass(frozen=True)
class MemberLeftResult:
    """The membership that ended, by removal or by leaving."""

    message: str
    user_id: str


@dataclass(frozen=True)
class InvitationPreviewResult:
    """What an invitation offers, for whoever has its token. ``inviter_name`` is null without a name."""

    tenant_name: str
    inviter_name: str | None
    role: str
    expires_at: datetime


@dataclass(frozen=True)
class OpenedInvitationResult(InvitationPreviewResult):
    """An invitation by its link, in any state: ``status`` is an `InvitationStatus`."""

    status: str


@dataclass(frozen=True)
class InvitationDeclinedResult:
    message: str
    invitation_id: str


@dataclass(frozen=True)
class ReceivedInvitationResult:
    """An open invitation to the caller's address. ``inviter_name`` is null without a name."""

    id: str
    tenant_id: str
    tenant_name: str
    inviter_name: str | None
    role: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class ReceivedInvitationsListResult:
    invitations: list[ReceivedInvitationResult]
    total: int


@dataclass(frozen=True)
class LinkedIdentityResult:
    """What an issuer calls the owner of an account. ``issuer`` is empty for the primary issuer."""

    issuer: str
    subject: str
    linked_at: datetime


@dataclass(frozen=True)
class LinkedIdentitiesResult:
    """The identities linked to an account, oldest first."""

    user_id: str
    identities: list[LinkedIdentityResult]


@dataclass(frozen=True)
class EventResult:
    """One event. ``actor`` caused it, null for nobody in particular; ``data`` is the payload of its type.

    ``sequence`` numbers all events in one order. It is null until the event is numbered.
    """

    event_id: str
    type: str
    time: datetime
    tenant_id: str | None
    user_id: str | None
    actor: str | None
    data: dict[str, Any]
    sequence: int | None


@dataclass(frozen=True)
class AuditListResult:
    """A tenant's events, newest first."""

    events: list[EventResult]


@dataclass(frozen=True)
class EventFeedResult:
    """Numbered events. Pass ``next_after`` as ``after`` to read on, now or later."""

    events: list[EventResult]
    next_after: int

"""What hoc tells others: one model per subject, its payload on NATS. Each names things by id; times are UTC.

The four of ``user.*`` are the account service's own, to the letter.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, TypeAlias, get_args

from hoc.cus.account.L5_schemas.values import (
    BillingPeriod,
    InvoiceStatus,
    Plan,
    Role,
    SubscriptionStatus,
    TenantStatus,
    TicketCategory,
    TicketPriority,
    TicketStatus,
)


@dataclass(frozen=True, slots=True)
class UserCreatedEventData:
    """An account was created. ``name`` is empty for one that has none yet."""

    event_type: ClassVar[str] = "user.created"

    user_id: str
    email: str
    name: str
    subscription_plan: str  # deprecated: always "free"
    created_at: datetime


@dataclass(frozen=True, slots=True)
class UserProfileUpdatedEventData:
    """An account's own fields changed: ``name``, ``email``, ``timezone`` or ``preferences``."""

    event_type: ClassVar[str] = "user.profile_updated"

    user_id: str
    email: str
    name: str
    updated_fields: list[str]
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class UserDeletedEventData:
    """An account was deleted; its record is kept."""

    event_type: ClassVar[str] = "user.deleted"

    user_id: str
    email: str | None
    reason: str | None
    deleted_at: datetime


@dataclass(frozen=True, slots=True)
class UserStatusChangedEventData:
    """An account was activated or deactivated, and with it its part in every tenant."""

    event_type: ClassVar[str] = "user.status_changed"

    user_id: str
    email: str | None
    is_active: bool
    reason: str | None
    changed_at: datetime
    changed_by: str | None


@dataclass(frozen=True, slots=True)
class TenantCreatedEventData:
    """A project, which is a tenant, was created."""

    event_type: ClassVar[str] = "tenant.created"

    tenant_id: str
    name: str
    slug: str
    owner_user_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TenantStatusChangedEventData:
    """A tenant was suspended, reactivated, terminated or archived."""

    event_type: ClassVar[str] = "tenant.status_changed"

    tenant_id: str
    status: TenantStatus
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class TenantOnboardingAdvancedEventData:
    """A tenant has come further: 1 identity verified, 2 API key created, 3 SDK connected, 4 complete."""

    event_type: ClassVar[str] = "tenant.onboarding_advanced"

    tenant_id: str
    onboarding_state: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class TenantQuotasChangedEventData:
    """A tenant's own quotas, as they are now; null: its plan's."""

    event_type: ClassVar[str] = "tenant.quotas_changed"

    tenant_id: str
    max_workers: int | None
    max_runs_per_day: int | None
    max_concurrent_runs: int | None
    max_tokens_per_month: int | None
    max_api_keys: int | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class TenantSubscriptionChangedEventData:
    """A tenant's subscription began, changed or was canceled; ``tenant_plan`` is what it may use now."""

    event_type: ClassVar[str] = "tenant.subscription_changed"

    tenant_id: str
    plan: Plan
    tenant_plan: Plan
    status: SubscriptionStatus
    billing_period: BillingPeriod
    current_period_start: datetime
    current_period_end: datetime
    next_invoice_date: datetime | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class TenantInvoiceRecordedEventData:
    """An invoice was recorded, or changed."""

    event_type: ClassVar[str] = "tenant.invoice_recorded"

    tenant_id: str
    invoice_id: str
    period_start: datetime
    period_end: datetime
    amount_cents: int
    status: InvoiceStatus
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class TenantTransferOfferedEventData:
    """An owner offered their ownership to another member."""

    event_type: ClassVar[str] = "tenant.transfer_offered"

    tenant_id: str
    from_user_id: str
    to_user_id: str
    offered_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TenantTransferAcceptedEventData:
    """The other member became an owner, the former one an admin."""

    event_type: ClassVar[str] = "tenant.transfer_accepted"

    tenant_id: str
    from_user_id: str
    to_user_id: str
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class TenantTransferCanceledEventData:
    """The offer was withdrawn or declined."""

    event_type: ClassVar[str] = "tenant.transfer_canceled"

    tenant_id: str
    from_user_id: str
    to_user_id: str
    canceled_at: datetime


@dataclass(frozen=True, slots=True)
class MemberJoinedEventData:
    """A membership began: by creating the tenant, or by invitation."""

    event_type: ClassVar[str] = "member.joined"

    tenant_id: str
    user_id: str
    role: Role
    invited_by: str | None
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class MemberRoleChangedEventData:
    """A member got another role."""

    event_type: ClassVar[str] = "member.role_changed"

    tenant_id: str
    user_id: str
    role: Role
    previous_role: Role
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class MemberRemovedEventData:
    """A member was removed by another."""

    event_type: ClassVar[str] = "member.removed"

    tenant_id: str
    user_id: str
    role: Role
    removed_at: datetime


@dataclass(frozen=True, slots=True)
class MemberLeftEventData:
    """A member gave up their membership."""

    event_type: ClassVar[str] = "member.left"

    tenant_id: str
    user_id: str
    role: Role
    left_at: datetime


@dataclass(frozen=True, slots=True)
class InvitationCreatedEventData:
    """Somebody was invited; the mail follows. No event carries the token."""

    event_type: ClassVar[str] = "invitation.created"

    tenant_id: str
    invitation_id: str
    email: str
    role: Role
    invited_by: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class InvitationResentEventData:
    """An invitation is pending anew; its earlier links are dead."""

    event_type: ClassVar[str] = "invitation.resent"

    tenant_id: str
    invitation_id: str
    email: str
    role: Role
    invited_by: str
    resent_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class InvitationRevokedEventData:
    """An invitation was withdrawn."""

    event_type: ClassVar[str] = "invitation.revoked"

    tenant_id: str
    invitation_id: str
    email: str
    role: Role
    revoked_at: datetime


@dataclass(frozen=True, slots=True)
class InvitationAcceptedEventData:
    """An invitation was accepted by the account ``user_id``."""

    event_type: ClassVar[str] = "invitation.accepted"

    tenant_id: str
    invitation_id: str
    user_id: str
    role: Role
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class TicketCreatedEventData:
    """A support ticket was opened."""

    event_type: ClassVar[str] = "ticket.created"

    tenant_id: str
    ticket_id: str
    user_id: str
    subject: str
    category: TicketCategory
    priority: TicketPriority
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TicketUpdatedEventData:
    """A support ticket got another status or resolution."""

    event_type: ClassVar[str] = "ticket.updated"

    tenant_id: str
    ticket_id: str
    user_id: str
    status: TicketStatus
    resolution: str | None
    updated_at: datetime


EventData: TypeAlias = (
    UserCreatedEventData
    | UserProfileUpdatedEventData
    | UserDeletedEventData
    | UserStatusChangedEventData
    | TenantCreatedEventData
    | TenantStatusChangedEventData
    | TenantOnboardingAdvancedEventData
    | TenantQuotasChangedEventData
    | TenantSubscriptionChangedEventData
    | TenantInvoiceRecordedEventData
    | TenantTransferOfferedEventData
    | TenantTransferAcceptedEventData
    | TenantTransferCanceledEventData
    | MemberJoinedEventData
    | MemberRoleChangedEventData
    | MemberRemovedEventData
    | MemberLeftEventData
    | InvitationCreatedEventData
    | InvitationResentEventData
    | InvitationRevokedEventData
    | InvitationAcceptedEventData
    | TicketCreatedEventData
    | TicketUpdatedEventData
)

EVENTS: Final[dict[str, type[EventData]]] = {event.event_type: event for event in get_args(EventData)}

"""The events that hoc publishes: a model for each type, which is its NATS subject and payload. Times are UTC.

The four of ``user.*`` are exactly those of the account service's specification.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum, auto
from typing import Annotated, Any, ClassVar, Final, TypeAlias, get_args, get_type_hints

from hoc.cus.account.L5_schemas.values import (
    BillingPeriod,
    DomainJoining,
    InvoiceStatus,
    MailDelivery,
    Plan,
    Role,
    SubscriptionStatus,
    TenantStatus,
    TicketCategory,
    TicketPriority,
    TicketStatus,
    WebhookDisabled,
    WebhookStatus,
)


class Blanked(Enum):
    """Which erasure takes a text out of past events. A later reader finds the event without the field.

    Each text field says so, except those whose names end in ``_id`` or ``_by``: ids stay, as pseudonyms.
    """

    WITH_PERSON = auto()
    """That of the person whom the event is about, and that of the tenant."""
    WITH_TENANT = auto()
    NEVER = auto()


PersonText: TypeAlias = Annotated[str, Blanked.WITH_PERSON]
TenantText: TypeAlias = Annotated[str, Blanked.WITH_TENANT]
PlainText: TypeAlias = Annotated[str, Blanked.NEVER]


@dataclass(frozen=True)
class EventData:
    """The base of all events' models. ``event_type`` is the event's subject."""

    event_type: ClassVar[str]

    def __init_subclass__(cls, *, event_type: str) -> None:
        cls.event_type = event_type
        EVENTS[event_type] = cls


EVENTS: Final[dict[str, type[EventData]]] = {}
"""Each event's model by its type."""


def blanked_fields(event: type[EventData], *when: Blanked) -> tuple[str, ...]:
    """The fields of an event that these erasures blank, all of them by default."""
    wanted = when or (Blanked.WITH_PERSON, Blanked.WITH_TENANT)
    hints = get_type_hints(event, include_extras=True)
    return tuple(each.name for each in fields(event) if blanked(hints[each.name]) in wanted)


def blanked(kind: Any) -> Blanked | None:  # noqa: ANN401 - of any type
    """What the type of a field, or of a union's or list's part, declares. None: nothing."""
    for part in (*getattr(kind, "__metadata__", ()), *map(blanked, get_args(kind))):
        if isinstance(part, Blanked):
            return part
    return None


@dataclass(frozen=True)
class UserCreatedEventData(EventData, event_type="user.created"):
    """An account was created. ``name`` is empty if the account has none yet."""

    user_id: str
    email: PersonText
    name: PersonText
    subscription_plan: PlainText  # deprecated: always "free"
    created_at: datetime


@dataclass(frozen=True)
class UserProfileUpdatedEventData(EventData, event_type="user.profile_updated"):
    """An account's own fields, named in ``updated_fields``, changed."""

    user_id: str
    email: PersonText
    name: PersonText
    updated_fields: list[PlainText]
    updated_at: datetime


@dataclass(frozen=True)
class UserDeletedEventData(EventData, event_type="user.deleted"):
    """An account was deleted. Its record is kept."""

    user_id: str
    email: PersonText | None
    reason: PersonText | None
    deleted_at: datetime


@dataclass(frozen=True)
class UserErasedEventData(EventData, event_type="user.erased"):
    """A person was erased: everything about them is gone but the id, which nobody gets again.

    It is the last event about the user. Whoever has copies of earlier ones blanks them now.
    """

    user_id: str
    erased_at: datetime


@dataclass(frozen=True)
class UserStatusChangedEventData(EventData, event_type="user.status_changed"):
    """An account was activated or deactivated together with its memberships."""

    user_id: str
    email: PersonText | None
    is_active: bool
    reason: PersonText | None
    changed_at: datetime
    changed_by: str | None


@dataclass(frozen=True)
class UserEmailLostEventData(EventData, event_type="user.email_lost"):
    """An account lost an address that it had not verified to one that has. It needs another address."""

    user_id: str
    email: PersonText
    lost_at: datetime


@dataclass(frozen=True)
class UserIdentityLinkedEventData(EventData, event_type="user.identity_linked"):
    """A subject of an issuer can sign in to an account. ``issuer`` is empty for the primary issuer."""

    user_id: str
    issuer: PlainText
    subject: PersonText
    linked_at: datetime


@dataclass(frozen=True)
class UserIdentityUnlinkedEventData(EventData, event_type="user.identity_unlinked"):
    """A subject of an issuer can no longer sign in to an account."""

    user_id: str
    issuer: PlainText
    subject: PersonText
    unlinked_at: datetime


@dataclass(frozen=True)
class UserSignedInEventData(EventData, event_type="user.signed_in"):
    """Somebody signed in to an account. Of several times within a minute, the first makes an event."""

    user_id: str
    provider: PersonText | None
    signed_in_at: datetime


@dataclass(frozen=True)
class TenantCreatedEventData(EventData, event_type="tenant.created"):
    """A project, which is a tenant, was created."""

    tenant_id: str
    name: TenantText
    slug: TenantText
    owner_user_id: str
    created_at: datetime


@dataclass(frozen=True)
class TenantUpdatedEventData(EventData, event_type="tenant.updated"):
    """A tenant's own fields, named in ``updated_fields``, changed. The event has its name and slug since."""

    tenant_id: str
    name: TenantText
    slug: TenantText
    updated_fields: list[PlainText]
    updated_at: datetime


@dataclass(frozen=True)
class TenantStatusChangedEventData(EventData, event_type="tenant.status_changed"):
    """A tenant was suspended, reactivated, terminated or archived."""

    tenant_id: str
    status: TenantStatus
    changed_at: datetime


@dataclass(frozen=True)
class TenantErasedEventData(EventData, event_type="tenant.erased"):
    """A tenant that had ended was erased. Only its id stays, and nobody gets it again."""

    tenant_id: str
    erased_at: datetime


@dataclass(frozen=True)
class TenantOnboardingAdvancedEventData(EventData, event_type="tenant.onboarding_advanced"):
    """A tenant reached a state: 1 identity verified, 2 API key created, 3 SDK connected, 4 complete."""

    tenant_id: str
    onboarding_state: int
    changed_at: datetime


@dataclass(frozen=True)
class TenantQuotasChangedEventData(EventData, event_type="tenant.quotas_changed"):
    """A tenant's own quotas changed. The event has all of them; null is the plan's."""

    tenant_id: str
    max_workers: int | None
    max_runs_per_day: int | None
    max_concurrent_runs: int | None
    max_tokens_per_month: int | None
    max_api_keys: int | None
    max_members: int | None
    changed_at: datetime


@dataclass(frozen=True)
class TenantSubscriptionChangedEventData(EventData, event_type="tenant.subscription_changed"):
    """A tenant's subscription began, changed or was canceled. ``tenant_plan`` is the plan in force."""

    tenant_id: str
    plan: Plan
    tenant_plan: Plan
    status: SubscriptionStatus
    billing_period: BillingPeriod
    current_period_start: datetime
    current_period_end: datetime
    next_invoice_date: datetime | None
    changed_at: datetime


@dataclass(frozen=True)
class TenantInvoiceRecordedEventData(EventData, event_type="tenant.invoice_recorded"):
    """An invoice was recorded or changed."""

    tenant_id: str
    invoice_id: str
    period_start: datetime
    period_end: datetime
    amount_cents: int
    status: InvoiceStatus
    currency: PlainText | None
    recorded_at: datetime


@dataclass(frozen=True)
class TenantTransferOfferedEventData(EventData, event_type="tenant.transfer_offered"):
    """An owner offered their ownership to another member."""

    tenant_id: str
    from_user_id: str
    to_user_id: str
    offered_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class TenantTransferAcceptedEventData(EventData, event_type="tenant.transfer_accepted"):
    """The recipient became an owner, the member who offered an admin."""

    tenant_id: str
    from_user_id: str
    to_user_id: str
    accepted_at: datetime


@dataclass(frozen=True)
class TenantTransferCanceledEventData(EventData, event_type="tenant.transfer_canceled"):
    """The offer of ownership was withdrawn or declined."""

    tenant_id: str
    from_user_id: str
    to_user_id: str
    canceled_at: datetime


@dataclass(frozen=True)
class MemberJoinedEventData(EventData, event_type="member.joined"):
    """A membership began: by creating the tenant, an invitation, an address in its domain, or an import.

    ``invited_by`` granted the request of a person who asked to join, and is null for one who had not to ask.
    """

    tenant_id: str
    user_id: str
    role: Role
    invited_by: str | None
    joined_at: datetime


@dataclass(frozen=True)
class MemberUpdatedEventData(EventData, event_type="member.updated"):
    """A membership's own fields, named in ``updated_fields``, changed; as yet, only its ``metadata``."""

    tenant_id: str
    user_id: str
    updated_fields: list[PlainText]
    updated_at: datetime


@dataclass(frozen=True)
class MemberRoleChangedEventData(EventData, event_type="member.role_changed"):
    """A member got another role."""

    tenant_id: str
    user_id: str
    role: Role
    previous_role: Role
    changed_at: datetime


@dataclass(frozen=True)
class MemberRemovedEventData(EventData, event_type="member.removed"):
    """A member was removed by another."""

    tenant_id: str
    user_id: str
    role: Role
    removed_at: datetime


@dataclass(frozen=True)
class MemberLeftEventData(EventData, event_type="member.left"):
    """A member left."""

    tenant_id: str
    user_id: str
    role: Role
    left_at: datetime


@dataclass(frozen=True)
class DomainClaimedEventData(EventData, event_type="domain.claimed"):
    """A tenant claimed a domain. Its record in DNS is not proved yet."""

    tenant_id: str
    domain: TenantText
    claimed_at: datetime


@dataclass(frozen=True)
class DomainChangedEventData(EventData, event_type="domain.changed"):
    """How people with an address in a tenant's domain join, or their role, changed."""

    tenant_id: str
    domain: TenantText
    joining: DomainJoining
    join_role: Role
    changed_at: datetime


@dataclass(frozen=True)
class DomainVerifiedEventData(EventData, event_type="domain.verified"):
    """A tenant proved a domain by its record in DNS."""

    tenant_id: str
    domain: TenantText
    verified_at: datetime


@dataclass(frozen=True)
class DomainFailingEventData(EventData, event_type="domain.failing"):
    """A verified domain's record is missing. The domain is lost at ``lost_at`` unless the record returns."""

    tenant_id: str
    domain: TenantText
    lost_at: datetime
    failing_since: datetime


@dataclass(frozen=True)
class DomainLostEventData(EventData, event_type="domain.lost"):
    """A domain is no longer verified: its record was missing for too long, or its tenant was closed.

    Nobody joins by it any more. Memberships stay.
    """

    tenant_id: str
    domain: TenantText
    lost_at: datetime


@dataclass(frozen=True)
class DomainRemovedEventData(EventData, event_type="domain.removed"):
    """A tenant gave up its claim of a domain, verified or not. Memberships stay."""

    tenant_id: str
    domain: TenantText
    removed_at: datetime


@dataclass(frozen=True)
class WebhookCreatedEventData(EventData, event_type="webhook.created"):
    """A webhook endpoint was created; ``tenant_id`` is null for one of the whole deployment.

    ``event_types`` are those that it is sent, null for all. No event has its URL or its secret.
    """

    tenant_id: str | None
    endpoint_id: str
    event_types: list[PlainText] | None
    created_at: datetime


@dataclass(frozen=True)
class WebhookChangedEventData(EventData, event_type="webhook.changed"):
    """A webhook endpoint's URL, event types or description changed, or it was enabled or disabled by hand."""

    tenant_id: str | None
    endpoint_id: str
    event_types: list[PlainText] | None
    status: WebhookStatus
    updated_fields: list[PlainText]
    changed_at: datetime


@dataclass(frozen=True)
class WebhookSecretRotatedEventData(EventData, event_type="webhook.secret_rotated"):
    """A webhook endpoint has a new secret. Until ``overlap_until``, the one before signs too."""

    tenant_id: str | None
    endpoint_id: str
    overlap_until: datetime
    rotated_at: datetime


@dataclass(frozen=True)
class WebhookDisabledEventData(EventData, event_type="webhook.disabled"):
    """A webhook endpoint answered that it is gone, or took nothing for three days, and is disabled."""

    tenant_id: str | None
    endpoint_id: str
    reason: WebhookDisabled
    disabled_at: datetime


@dataclass(frozen=True)
class WebhookDeletedEventData(EventData, event_type="webhook.deleted"):
    """A webhook endpoint was deleted."""

    tenant_id: str | None
    endpoint_id: str
    deleted_at: datetime


@dataclass(frozen=True)
class JoinRequestedEventData(EventData, event_type="join.requested"):
    """A person with an address in a tenant's domain asked to join. Granting it makes a ``member.joined``."""

    tenant_id: str
    user_id: str
    domain: PersonText
    requested_at: datetime


@dataclass(frozen=True)
class JoinRefusedEventData(EventData, event_type="join.refused"):
    """A person's request to join was refused."""

    tenant_id: str
    user_id: str
    refused_at: datetime


@dataclass(frozen=True)
class ScimTokenCreatedEventData(EventData, event_type="scim.token_created"):
    """An owner made a token for the tenant's SCIM client. No event has the token."""

    tenant_id: str
    token_id: str
    name: TenantText
    expires_at: datetime
    created_at: datetime


@dataclass(frozen=True)
class ScimTokenRevokedEventData(EventData, event_type="scim.token_revoked"):
    """An owner revoked a token of the tenant's SCIM client, which is refused from then on."""

    tenant_id: str
    token_id: str
    name: TenantText
    revoked_at: datetime


@dataclass(frozen=True)
class ScimGroupRoleSetEventData(EventData, event_type="scim.group_role_set"):
    """An owner gave the members of a group of the tenant's SCIM client a role."""

    tenant_id: str
    group: TenantText
    role: Role
    set_at: datetime


@dataclass(frozen=True)
class ScimGroupRoleRemovedEventData(EventData, event_type="scim.group_role_removed"):
    """A group of the tenant's SCIM client gives no role any more. ``role`` is the one it gave."""

    tenant_id: str
    group: TenantText
    role: Role
    removed_at: datetime


@dataclass(frozen=True)
class InvitationCreatedEventData(EventData, event_type="invitation.created"):
    """A person was invited. No event contains the mail's token.

    ``delivery`` is ``queued``, or null if no mail is sent.
    """

    tenant_id: str
    invitation_id: str
    email: PersonText
    role: Role
    invited_by: str
    delivery: MailDelivery | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class InvitationResentEventData(EventData, event_type="invitation.resent"):
    """An invitation is pending again, with a new token. Old tokens are void.

    ``delivery`` is ``queued``, or null if no mail is sent.
    """

    tenant_id: str
    invitation_id: str
    email: PersonText
    role: Role
    invited_by: str
    delivery: MailDelivery | None
    resent_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class InvitationMailSentEventData(EventData, event_type="invitation.mail_sent"):
    """The mail server has an invitation's mail."""

    tenant_id: str
    invitation_id: str
    email: PersonText
    role: Role
    invited_by: str
    sent_at: datetime


@dataclass(frozen=True)
class InvitationMailDelayedEventData(EventData, event_type="invitation.mail_delayed"):
    """An invitation's mail could not be sent yet. Further attempts follow, without a further event."""

    tenant_id: str
    invitation_id: str
    email: PersonText
    role: Role
    invited_by: str
    delayed_at: datetime


@dataclass(frozen=True)
class InvitationDeliveryFailedEventData(EventData, event_type="invitation.delivery_failed"):
    """An invitation's mail cannot be delivered. The invitation is still pending, and can be resent."""

    tenant_id: str
    invitation_id: str
    email: PersonText
    role: Role
    invited_by: str
    reason: PersonText
    failed_at: datetime


@dataclass(frozen=True)
class InvitationLinkIssuedEventData(EventData, event_type="invitation.link_issued"):
    """A member took an invitation's link, to pass it on. Earlier links are void; no event has the link."""

    tenant_id: str
    invitation_id: str
    email: PersonText
    role: Role
    issued_by: str
    issued_at: datetime


@dataclass(frozen=True)
class InvitationRevokedEventData(EventData, event_type="invitation.revoked"):
    """An invitation was revoked."""

    tenant_id: str
    invitation_id: str
    email: PersonText
    role: Role
    revoked_at: datetime


@dataclass(frozen=True)
class InvitationRoleChangedEventData(EventData, event_type="invitation.role_changed"):
    """The tenant's directory gave a pending invitation another role."""

    tenant_id: str
    invitation_id: str
    role: Role
    previous_role: Role
    changed_at: datetime


@dataclass(frozen=True)
class InvitationDeclinedEventData(EventData, event_type="invitation.declined"):
    """The invited person declined an invitation."""

    tenant_id: str
    invitation_id: str
    email: PersonText
    role: Role
    declined_at: datetime


@dataclass(frozen=True)
class InvitationAcceptedEventData(EventData, event_type="invitation.accepted"):
    """An invitation was accepted by the account ``user_id``."""

    tenant_id: str
    invitation_id: str
    user_id: str
    role: Role
    accepted_at: datetime


@dataclass(frozen=True)
class TicketCreatedEventData(EventData, event_type="ticket.created"):
    """A support ticket was opened."""

    tenant_id: str
    ticket_id: str
    user_id: str
    subject: PersonText
    category: TicketCategory
    priority: TicketPriority
    created_at: datetime


@dataclass(frozen=True)
class TicketUpdatedEventData(EventData, event_type="ticket.updated"):
    """A support ticket's status or resolution changed, but for its being resolved or reopened."""

    tenant_id: str
    ticket_id: str
    user_id: str
    status: TicketStatus
    resolution: PersonText | None
    updated_at: datetime


@dataclass(frozen=True)
class TicketRepliedEventData(EventData, event_type="ticket.replied"):
    """Somebody replied to a support ticket: the support staff if ``is_support``, else a member.

    ``user_id`` opened the ticket. The event does not have the reply's text.
    """

    tenant_id: str
    ticket_id: str
    user_id: str
    reply_id: str
    is_support: bool
    status: TicketStatus
    replied_at: datetime


@dataclass(frozen=True)
class TicketResolvedEventData(EventData, event_type="ticket.resolved"):
    """A support ticket was resolved or closed."""

    tenant_id: str
    ticket_id: str
    user_id: str
    status: TicketStatus
    resolution: PersonText | None
    resolved_at: datetime


@dataclass(frozen=True)
class TicketReopenedEventData(EventData, event_type="ticket.reopened"):
    """A support ticket that was resolved or closed is open again."""

    tenant_id: str
    ticket_id: str
    user_id: str
    status: TicketStatus
    reopened_at: datetime

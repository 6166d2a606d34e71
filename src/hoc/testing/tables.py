"""The tables of a `MemoryDatabase`: a dict for each. A writer works on a copy of them."""

import uuid
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime

import orjson

from hoc.cus.account.L5_schemas.errors import AccountValidationError, LastOwnerError, LimitExceededError
from hoc.cus.account.L5_schemas.events import (
    EventData,
    UserCreatedEventData,
    UserDeletedEventData,
    UserEmailLostEventData,
    UserIdentityLinkedEventData,
    UserProfileUpdatedEventData,
    UserStatusChangedEventData,
)
from hoc.cus.account.L5_schemas.port_types import UPDATABLE, Subject, Subscription
from hoc.cus.account.L5_schemas.results import (
    EventResult,
    ExtendedInvoiceResult,
    LeaseResult,
    OwnershipTransferResult,
)
from hoc.cus.account.L5_schemas.tickets import ExtendedTicketResult
from hoc.cus.account.L5_schemas.usage_days import UsageDayResult
from hoc.cus.account.L5_schemas.values import CLOSED_TENANT, SEAT_KEPT, DomainStatus, InvitationStatus, Role
from hoc.cus.account.L5_schemas.webhooks import SetAsideEventResult, WebhookAttempt
from hoc.testing.rows import (
    Dated,
    DirectoryUserRow,
    DomainRow,
    EmailChangeRow,
    EventRow,
    InvitationRow,
    JoinRequestRow,
    LinkedIdentityRow,
    MembershipRow,
    ScimGroupRoleRow,
    ScimTokenRow,
    TenantKey,
    TenantRow,
    TicketReplyRow,
    UsageRow,
    UserRow,
    WebhookRow,
)


@dataclass(slots=True)
class Tables:
    """One state of the database."""

    users: dict[str, UserRow] = field(default_factory=dict[str, UserRow])
    identities: dict[Subject, LinkedIdentityRow] = field(default_factory=dict[Subject, LinkedIdentityRow])
    email_changes: dict[str, EmailChangeRow] = field(default_factory=dict[str, EmailChangeRow])
    tenants: dict[str, TenantRow] = field(default_factory=dict[str, TenantRow])
    memberships: dict[TenantKey, MembershipRow] = field(default_factory=dict[TenantKey, MembershipRow])
    domains: dict[TenantKey, DomainRow] = field(default_factory=dict[TenantKey, DomainRow])
    domain_mails: dict[tuple[str, str, str], bool] = field(default_factory=dict[tuple[str, str, str], bool])
    webhooks: dict[TenantKey, WebhookRow] = field(default_factory=dict[TenantKey, WebhookRow])
    webhook_attempts: dict[tuple[str, str, str], WebhookAttempt] = field(
        default_factory=dict[tuple[str, str, str], WebhookAttempt]
    )
    webhooks_set_aside: dict[tuple[str, str, str], SetAsideEventResult] = field(
        default_factory=dict[tuple[str, str, str], SetAsideEventResult]
    )
    webhook_sends: dict[tuple[str, str, str], datetime] = field(
        default_factory=dict[tuple[str, str, str], datetime]
    )
    webhook_mails: dict[tuple[str, str, str], datetime] = field(
        default_factory=dict[tuple[str, str, str], datetime]
    )
    join_requests: dict[TenantKey, JoinRequestRow] = field(default_factory=dict[TenantKey, JoinRequestRow])
    scim_tokens: dict[TenantKey, ScimTokenRow] = field(default_factory=dict[TenantKey, ScimTokenRow])
    scim_group_roles: dict[TenantKey, ScimGroupRoleRow] = field(
        default_factory=dict[TenantKey, ScimGroupRoleRow]
    )
    directory_users: dict[TenantKey, DirectoryUserRow] = field(
        default_factory=dict[TenantKey, DirectoryUserRow]
    )
    transfers: dict[str, OwnershipTransferResult] = field(default_factory=dict[str, OwnershipTransferResult])
    invitations: dict[TenantKey, InvitationRow] = field(default_factory=dict[TenantKey, InvitationRow])
    tenant_mails: dict[tuple[str, date], int] = field(default_factory=dict[tuple[str, date], int])
    recipient_mails: dict[tuple[str, date], int] = field(default_factory=dict[tuple[str, date], int])
    tenant_creations: dict[tuple[str, date], int] = field(default_factory=dict[tuple[str, date], int])
    subscriptions: dict[str, Dated[Subscription]] = field(default_factory=dict[str, Dated[Subscription]])
    invoices: dict[TenantKey, Dated[ExtendedInvoiceResult]] = field(
        default_factory=dict[TenantKey, Dated[ExtendedInvoiceResult]]
    )
    payments: dict[TenantKey, datetime] = field(default_factory=dict[TenantKey, datetime])
    usage: dict[str, UsageRow] = field(default_factory=dict[str, UsageRow])
    usage_days: dict[tuple[str, date], UsageDayResult] = field(
        default_factory=dict[tuple[str, date], UsageDayResult]
    )
    leases: dict[tuple[str, str, str], LeaseResult] = field(
        default_factory=dict[tuple[str, str, str], LeaseResult]
    )
    tickets: dict[TenantKey, ExtendedTicketResult] = field(
        default_factory=dict[TenantKey, ExtendedTicketResult]
    )
    ticket_replies: dict[TenantKey, TicketReplyRow] = field(default_factory=dict[TenantKey, TicketReplyRow])
    ticket_mails: dict[TenantKey, datetime] = field(default_factory=dict[TenantKey, datetime])
    events: list[EventRow] = field(default_factory=list[EventRow])

    def copy(self) -> "Tables":
        return Tables(**{table.name: getattr(self, table.name).copy() for table in fields(self)})

    def record(
        self, data: EventData, *, actor: str | None, at: datetime, about_user: str | None = None
    ) -> None:
        """Record an event. ``about_user`` is the user whose event it is, if its data has no ``user_id``."""
        row = EventRow(
            event_id=str(uuid.uuid4()),
            type=data.event_type,
            time=at,
            tenant_id=getattr(data, "tenant_id", None),
            user_id=getattr(data, "user_id", about_user),
            actor=actor,
            payload=orjson.dumps(data),
        )
        self.events.append(row)

    def numbered_events(self) -> list[EventResult]:
        """All events, oldest first. They need no relay to be numbered, since one session writes at a time."""
        return [row.result(sequence) for sequence, row in enumerate(self.events, start=1)]

    def account_by_email(self, email_key: str | None) -> UserRow | None:
        """The account with this address, of which there is at most one. A deleted account has none."""
        return next(
            (
                user
                for user in self.users.values()
                if email_key is not None and user.deleted_at is None and user.email_key == email_key
            ),
            None,
        )

    def account(self, user_id: str) -> UserRow | None:
        """The account that the primary issuer's subject is linked to, else the account with this id."""
        linked = self.identities.get(Subject(user_id))
        return self.users.get(user_id if linked is None else linked.user_id)

    def displace(self, email_key: str, user_id: str, *, now: datetime, actor: str | None) -> None:
        """Take the address from an active account, other than ``user_id``, that has not verified it."""
        holder = self.account_by_email(email_key)
        if holder is None or holder.email_verified or not holder.is_active or holder.user_id == user_id:
            return
        self.users[holder.user_id] = replace(
            holder, email_key=None, version=holder.version + 1, updated_at=now
        )
        self.record(UserEmailLostEventData(holder.user_id, holder.email, lost_at=now), actor=actor, at=now)

    def link(self, subject: Subject, user_id: str, *, now: datetime, actor: str | None) -> bool:
        """Link a subject to an account, which is claimed by that. False: the subject is linked already."""
        if subject in self.identities:
            return False
        self.identities[subject] = LinkedIdentityRow(subject.issuer, subject.id, user_id, linked_at=now)
        self.users[user_id] = replace(self.users[user_id], is_claimed=True)
        event = UserIdentityLinkedEventData(user_id, subject.issuer, subject.id, linked_at=now)
        self.record(event, actor=actor, at=now)
        return True

    def identities_of(self, user_id: str) -> list[LinkedIdentityRow]:
        """The account's linked identities, oldest first."""
        linked = [row for row in self.identities.values() if row.user_id == user_id]
        return sorted(linked, key=lambda row: (row.linked_at, row.issuer, row.subject))

    def verify(self, user_id: str, *, now: datetime, actor: str | None, name: str | None = None) -> None:
        """Mark the account's address as verified, and give the account the name if it has none."""
        user = self.users[user_id]
        self.update_user(replace(user, email_verified=True, name=user.name or name), now=now, actor=actor)

    def has_domain(self, tenant_id: str, domain: str) -> bool:
        """Whether the domain is verified, and the tenant's."""
        row = self.domains.get((tenant_id, domain))
        return row is not None and row.status is DomainStatus.VERIFIED

    def active_membership(self, tenant_id: str, user_id: str) -> MembershipRow | None:
        """The membership, if its account is active."""
        membership = self.memberships.get((tenant_id, user_id))
        return membership if membership is not None and self.users[user_id].is_active else None

    def add_user(self, user: UserRow, *, actor: str | None) -> None:
        self.users[user.user_id] = user
        created = UserCreatedEventData(
            user_id=user.user_id,
            email=user.email,
            name=user.name or "",
            subscription_plan="free",
            created_at=user.created_at,
        )
        self.record(created, actor=actor, at=user.updated_at)

    def update_user(self, changed: UserRow, *, now: datetime, actor: str | None) -> UserRow:
        """Store the row with its event, unless nothing in it has changed. Returns the row as it is stored."""
        user = self.users[changed.user_id]
        updated = [
            name
            for name in UPDATABLE
            if getattr(changed, name) != getattr(user, name)
            or (name == "email" and changed.email_key != user.email_key)
        ]
        if not updated:
            return user
        changed = replace(changed, version=user.version + 1, updated_at=now)
        self.users[user.user_id] = changed
        event = UserProfileUpdatedEventData(
            user_id=changed.user_id,
            email=changed.email,
            name=changed.name or "",
            updated_fields=updated,
            updated_at=now,
        )
        self.record(event, actor=actor, at=now)
        return changed

    def set_account_status(
        self,
        user_id: str,
        *,
        is_active: bool,
        is_deleted: bool,
        now: datetime,
        reason: str | None,
        actor: str | None,
    ) -> bool:
        """Activate, deactivate or delete an account with its memberships. False: there is no such account.

        Raises AccountValidationError (the address is another account's), LastOwnerError (a tenant that is
        not closed would have no active owner) or LimitExceededError (one has no seat for the account).
        """
        user = self.account(user_id)
        if user is None or user.erased_at is not None:
            return False
        user_id = user.user_id
        if user.is_active == is_active and not (is_deleted and user.deleted_at is None):
            return True
        if is_active and self.account_by_email(user.email_key) not in {None, user}:
            raise AccountValidationError.of("email", "is another account's already")
        if not is_active and self.only_owner_of(user):
            raise LastOwnerError("A tenant keeps at least one owner.")
        if is_active:
            self._require_seats(user_id, now)
        deleted_at = None if is_active else now if is_deleted else user.deleted_at
        self.users[user_id] = replace(
            user, is_active=is_active, deleted_at=deleted_at, version=user.version + 1, updated_at=now
        )
        event = (
            UserDeletedEventData(user_id, user.email, reason, deleted_at=now)
            if is_deleted
            else UserStatusChangedEventData(
                user_id,
                user.email,
                is_active,
                reason,
                changed_at=now,
                changed_by="system" if actor is None else actor,
            )
        )
        self.record(event, actor=actor, at=now)
        return True

    def seats(self, tenant_id: str, now: datetime, *, but_of: str | None = None) -> int:
        """How many seats the tenant's members have, and its pending invitations, but not one mailbox's."""
        is_closed = self.tenants[tenant_id].status in CLOSED_TENANT
        members = [
            user_id
            for owner_id, user_id in self.memberships
            if owner_id == tenant_id and self.users[user_id].is_active and not is_closed
        ]
        pending = [
            row
            for (owner_id, _), row in self.invitations.items()
            if (owner_id, row.status) == (tenant_id, InvitationStatus.PENDING)
            and row.expires_at > now - SEAT_KEPT
            and row.email_key != but_of
        ]
        return len(members) + len(pending)

    def _require_seats(self, user_id: str, now: datetime) -> None:
        """Refuse an account that is about to be active, and whose membership has no seat until then."""
        for tenant_id in sorted(owner_id for owner_id, member_id in self.memberships if member_id == user_id):
            tenant = self.tenants[tenant_id]
            limit = tenant.quota("max_members")
            if tenant.status not in CLOSED_TENANT and self.seats(tenant_id, now) >= limit:
                raise LimitExceededError.of_seats(tenant_id, limit)

    def only_owner_of(self, user: UserRow) -> list[str]:
        """The tenants that have no other active owner."""
        return sorted(each.tenant_id for each in self._owned_by(user) if self._is_last_owner(each))

    def _owned_by(self, user: UserRow) -> list[MembershipRow]:
        """The user's memberships as an owner, except of closed tenants, which need none."""
        return [
            membership
            for membership in self.memberships.values()
            if user.is_active
            and (membership.user_id, membership.role) == (user.user_id, Role.OWNER)
            and self.tenants[membership.tenant_id].status not in CLOSED_TENANT
        ]

    def _is_last_owner(self, membership: MembershipRow) -> bool:
        return not any(
            other.tenant_id == membership.tenant_id
            and other.role is Role.OWNER
            and other.user_id != membership.user_id
            and self.users[other.user_id].is_active
            for other in self.memberships.values()
        )

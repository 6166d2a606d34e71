"""What a `MemoryDatabase` holds: immutable rows in one dict a table, copied by whoever wants to write."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime

from hoc.cus.account.L5_schemas.errors import AccountValidationError, LastOwnerError
from hoc.cus.account.L5_schemas.records import Subscription
from hoc.cus.account.L5_schemas.results import (
    InvoiceSummaryResult,
    OwnershipTransferResult,
    SupportTicketResult,
)
from hoc.cus.account.L5_schemas.values import PLAN_QUOTAS, Onboarding, Plan, Role, TenantStatus

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


@dataclass(slots=True)
class Tables:
    """One state of the database."""

    users: dict[str, UserRow] = field(default_factory=dict[str, UserRow])
    tenants: dict[str, TenantRow] = field(default_factory=dict[str, TenantRow])
    memberships: dict[TenantKey, MembershipRow] = field(default_factory=dict[TenantKey, MembershipRow])
    transfers: dict[str, OwnershipTransferResult] = field(default_factory=dict[str, OwnershipTransferResult])
    invitations: dict[TenantKey, InvitationRow] = field(default_factory=dict[TenantKey, InvitationRow])
    tenant_mails: dict[tuple[str, date], int] = field(default_factory=dict[tuple[str, date], int])
    recipient_mails: dict[tuple[str, date], int] = field(default_factory=dict[tuple[str, date], int])
    subscriptions: dict[str, Subscription] = field(default_factory=dict[str, Subscription])
    invoices: dict[TenantKey, InvoiceSummaryResult] = field(
        default_factory=dict[TenantKey, InvoiceSummaryResult]
    )
    usage: dict[str, UsageRow] = field(default_factory=dict[str, UsageRow])
    tickets: dict[TenantKey, SupportTicketResult] = field(
        default_factory=dict[TenantKey, SupportTicketResult]
    )

    def copy(self) -> "Tables":
        return Tables(**{table.name: getattr(self, table.name).copy() for table in fields(self)})

    def account_by_email(self, email_key: str) -> UserRow | None:
        """The active account with this address; there is at most one."""
        return next(
            (user for user in self.users.values() if user.is_active and user.email_key == email_key), None
        )

    def active_membership(self, tenant_id: str, user_id: str) -> MembershipRow | None:
        """A membership counts as long as its account is active."""
        membership = self.memberships.get((tenant_id, user_id))
        return membership if membership is not None and self.users[user_id].is_active else None

    def set_account_status(self, user_id: str, *, is_active: bool, is_deleted: bool, now: datetime) -> bool:
        """Activate, deactivate or delete an account; its memberships follow. False: no such account.

        Raises:
            AccountValidationError: the address is another active account's.
            LastOwnerError: a tenant that is not closed would have no active owner left.
        """
        user = self.users.get(user_id)
        if user is None:
            return False
        if user.is_active == is_active and not (is_deleted and user.deleted_at is None):
            return True
        if is_active and self.account_by_email(user.email_key) is not None:
            raise AccountValidationError.of("email", "is another active account's already")
        if not is_active and any(self._is_last_owner(membership) for membership in self._owned_by(user)):
            raise LastOwnerError("A tenant keeps at least one owner.")
        deleted_at = None if is_active else now if is_deleted else user.deleted_at
        self.users[user_id] = replace(
            user, is_active=is_active, deleted_at=deleted_at, version=user.version + 1, updated_at=now
        )
        return True

    def _owned_by(self, user: UserRow) -> list[MembershipRow]:
        """Its memberships as an owner of tenants that still need one."""
        closed = {TenantStatus.TERMINATED, TenantStatus.ARCHIVED}
        return [
            membership
            for membership in self.memberships.values()
            if user.is_active
            and (membership.user_id, membership.role) == (user.user_id, Role.OWNER)
            and self.tenants[membership.tenant_id].status not in closed
        ]

    def _is_last_owner(self, membership: MembershipRow) -> bool:
        return not any(
            other.tenant_id == membership.tenant_id
            and other.role is Role.OWNER
            and other.user_id != membership.user_id
            and self.users[other.user_id].is_active
            for other in self.memberships.values()
        )

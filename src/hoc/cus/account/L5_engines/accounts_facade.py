"""The console's operations, each on the caller's own session.

No method commits. A backend composes them with its own writes in one transaction, and a rollback undoes them
all. A refusal is returned as `AccountsErrorResult` where the signature has it, and otherwise raised as
`hoc.cus.account.L5_schemas.errors.AccountsError`. The facade's engines (``facade.members``,
``facade.invitations`` …) have the operations beyond the specification, and return lists with ``next_cursor``.
"""

from collections.abc import Awaitable
from dataclasses import asdict
from functools import cache
from typing import Any, TypeVar

from hoc.cus.account.L5_engines.engines import Engines
from hoc.cus.account.L5_engines.hooks import registered_hooks
from hoc.cus.account.L5_engines.session import CallerSession
from hoc.cus.account.L5_schemas.errors import AccountsError
from hoc.cus.account.L5_schemas.results import (
    AcceptInvitationResult,
    AccountsErrorResult,
    BillingSummaryResult,
    ExtendedInvoiceListResult,
    InvitationListResult,
    InvitationResult,
    InvoiceListResult,
    InvoiceSummaryResult,
    ProfileResult,
    ProfileUpdateResult,
    ProjectDetailResult,
    ProjectsListResult,
    ProjectSummaryResult,
    SupportContactResult,
    SupportTicketListResult,
    SupportTicketResult,
    TenantUserResult,
    TenantUsersListResult,
    UserDetailResult,
    UsersListResult,
    UserSummaryResult,
)
from hoc.cus.account.L5_schemas.values import (
    UNSET,
    AnyInvitationStatus,
    AnyInvoiceStatus,
    AnyRole,
    AnyTenantStatus,
    AnyTicketCategory,
    AnyTicketPriority,
    AnyTicketStatus,
    AnyUserStatus,
    Unset,
)

__all__ = [
    "AcceptInvitationResult",
    "AccountsErrorResult",
    "AccountsFacade",
    "BillingSummaryResult",
    "InvitationListResult",
    "InvitationResult",
    "InvoiceListResult",
    "InvoiceSummaryResult",
    "ProfileResult",
    "ProfileUpdateResult",
    "ProjectDetailResult",
    "ProjectSummaryResult",
    "ProjectsListResult",
    "SupportContactResult",
    "SupportTicketListResult",
    "SupportTicketResult",
    "TenantUserResult",
    "TenantUsersListResult",
    "UserDetailResult",
    "UserSummaryResult",
    "UsersListResult",
    "get_accounts_facade",
]

T = TypeVar("T")


class AccountsFacade:
    """Account operations of one tenant at a time; ``session`` is always the caller's transaction."""

    def __init__(self, engines: Engines) -> None:
        self.projects = engines.projects
        self.members = engines.members
        self.ownership = engines.ownership
        self.profiles = engines.profiles
        self.billing = engines.billing
        self.usage = engines.usage
        self.leases = engines.leases
        self.support = engines.support
        self.invitations = engines.invitations
        self.acceptances = engines.acceptances
        self.received_invitations = engines.received_invitations
        self.domains = engines.domains
        self.domain_checks = engines.domain_checks
        self.joining = engines.joining
        self.scim_tokens = engines.scim_tokens
        self.scim_group_roles = engines.scim_group_roles
        self.webhooks = engines.webhooks
        self.provisioning = engines.provisioning
        self.audit = engines.audit
        self.operators = engines.operators
        self.erasure = engines.erasure

    async def list_projects(
        self,
        session: CallerSession,
        tenant_id: str,
        *,
        status: AnyTenantStatus | None = None,
        limit: int = 50,
        offset: int = 0,
        cursor: str | None = None,
    ) -> ProjectsListResult:
        """The tenant's projects. Raises InvalidInputError for an unknown status or a bad page."""
        page = await self.projects.list(
            session, tenant_id, status=status, limit=limit, offset=offset, cursor=cursor
        )
        return page.value

    async def get_project_detail(
        self, session: CallerSession, tenant_id: str, project_id: str
    ) -> ProjectDetailResult | None:
        """One project with quotas and usage; None also for another tenant's."""
        found = await self.projects.get(session, tenant_id, project_id)
        return None if found is None else found.value

    async def list_users(
        self,
        session: CallerSession,
        tenant_id: str,
        *,
        role: AnyRole | None = None,
        status: AnyUserStatus | None = None,
        limit: int = 50,
        offset: int = 0,
        cursor: str | None = None,
    ) -> UsersListResult:
        """Members by joining time. Raises InvalidInputError for an unknown filter value or a bad page."""
        page = await self.members.list_users(
            session, tenant_id, role=role, status=status, limit=limit, offset=offset, cursor=cursor
        )
        found = page.value
        return UsersListResult(found.items, found.total, found.has_more, found.filters_applied)

    async def get_user_detail(
        self, session: CallerSession, tenant_id: str, user_id: str
    ) -> UserDetailResult | None:
        """One member with their abilities; None when not a member of this tenant."""
        found = await self.members.get_user(session, tenant_id, user_id)
        return None if found is None else found.value

    async def list_tenant_users(
        self,
        session: CallerSession,
        tenant_id: str,
        *,
        role: AnyRole | None = None,
        limit: int = 100,
        offset: int = 0,
        cursor: str | None = None,
    ) -> TenantUsersListResult:
        """Members and their roles, 100 at a time; ``total`` counts all."""
        page = await self.members.list_tenant_users(
            session, tenant_id, role=role, limit=limit, offset=offset, cursor=cursor
        )
        return page.value

    async def update_user_role(
        self,
        session: CallerSession,
        tenant_id: str,
        caller_user_id: str,
        target_user_id: str,
        new_role: AnyRole,
    ) -> TenantUserResult | AccountsErrorResult:
        """Give a member another role: owners only, and not to themselves."""
        return await _or_error(
            self.members.change_role(session, tenant_id, caller_user_id, target_user_id, new_role)
        )

    async def remove_user(
        self, session: CallerSession, tenant_id: str, caller_user_id: str, target_user_id: str
    ) -> dict[str, str] | AccountsErrorResult:
        """End a membership; answers ``{"message", "user_id"}``."""
        left = await _or_error(self.members.remove(session, tenant_id, caller_user_id, target_user_id))
        return left if isinstance(left, AccountsErrorResult) else asdict(left)

    async def get_profile(
        self, session: CallerSession, tenant_id: str, user_id: str
    ) -> ProfileResult | AccountsErrorResult:
        """A member's own profile within the tenant."""
        found = await _or_error(self.profiles.get(session, tenant_id, user_id))
        return found if isinstance(found, AccountsErrorResult) else found.value

    async def update_profile(
        self,
        session: CallerSession,
        user_id: str,
        *,
        display_name: str | None = None,
        timezone_str: str | None = None,
        locale: str | Unset | None = UNSET,
        avatar_url: str | Unset | None = UNSET,
        preferences: dict[str, Any] | None = None,
    ) -> ProfileUpdateResult | AccountsErrorResult:
        """Set what is given; None removes the locale and the picture, which is an https URL.

        Preferences are merged (RFC 7396), 16 KiB and eight levels at most.
        """
        changed = await _or_error(
            self.profiles.update(
                session,
                user_id,
                display_name=display_name,
                timezone=UNSET if timezone_str is None else timezone_str,
                locale=locale,
                avatar_url=avatar_url,
                preferences=preferences,
            )
        )
        return changed if isinstance(changed, AccountsErrorResult) else changed.value

    async def get_billing_summary(
        self, session: CallerSession, tenant_id: str
    ) -> BillingSummaryResult | AccountsErrorResult:
        """The subscription and the period's usage; the free plan's summary when there is none."""
        return await _or_error(self.billing.summary(session, tenant_id))

    async def get_billing_invoices(
        self,
        session: CallerSession,
        tenant_id: str,
        *,
        status: AnyInvoiceStatus | None = None,
        limit: int = 50,
        offset: int = 0,
        cursor: str | None = None,
    ) -> ExtendedInvoiceListResult | AccountsErrorResult:
        """Invoices, newest period first; ``message`` says when there is no subscription."""
        page = await _or_error(
            self.billing.list_invoices(
                session, tenant_id, status=status, limit=limit, offset=offset, cursor=cursor
            )
        )
        return page if isinstance(page, AccountsErrorResult) else page.value

    def get_support_contact(self) -> SupportContactResult:
        """Whom to write to, from the settings."""
        return self.support.contact()

    async def create_support_ticket(
        self,
        session: CallerSession,
        tenant_id: str,
        user_id: str,
        *,
        subject: str,
        description: str,
        category: AnyTicketCategory = "general",
        priority: AnyTicketPriority = "medium",
    ) -> SupportTicketResult:
        """Open a ticket. Raises AccountsError for bad input, or when the user is no member."""
        return await self.support.create_ticket(
            session,
            tenant_id,
            user_id,
            subject=subject,
            description=description,
            category=category,
            priority=priority,
        )

    async def list_support_tickets(
        self,
        session: CallerSession,
        tenant_id: str,
        *,
        status: AnyTicketStatus | None = None,
        priority: AnyTicketPriority | None = None,
        category: AnyTicketCategory | None = None,
        limit: int = 50,
        offset: int = 0,
        cursor: str | None = None,
    ) -> SupportTicketListResult:
        """The tenant's tickets, newest first. Raises InvalidInputError for a bad filter or page."""
        page = await self.support.list_tickets(
            session,
            tenant_id,
            status=status,
            priority=priority,
            category=category,
            limit=limit,
            offset=offset,
            cursor=cursor,
        )
        return SupportTicketListResult(list(page.value.tickets), page.value.total)

    async def invite_user(
        self,
        session: CallerSession,
        tenant_id: str,
        caller_user_id: str,
        *,
        email: str,
        role: AnyRole = "member",
        expires_in_days: int = 7,
    ) -> InvitationResult | AccountsErrorResult:
        """Invite an address for 1 to 30 days; the courier mails it after the caller's commit."""
        return await _or_error(
            self.invitations.invite(
                session,
                tenant_id,
                caller_user_id,
                email=email,
                role=role,
                expires_in_days=expires_in_days,
            )
        )

    async def list_invitations(
        self,
        session: CallerSession,
        tenant_id: str,
        caller_user_id: str,
        *,
        status: AnyInvitationStatus | None = None,
        limit: int = 50,
        offset: int = 0,
        cursor: str | None = None,
    ) -> InvitationListResult | AccountsErrorResult:
        """The tenant's invitations, newest first, for owners and admins."""
        page = await _or_error(
            self.invitations.list(
                session, tenant_id, caller_user_id, status=status, limit=limit, offset=offset, cursor=cursor
            )
        )
        if isinstance(page, AccountsErrorResult):
            return page
        return InvitationListResult(list(page.value.invitations), page.value.total)

    async def accept_invitation(
        self,
        session: CallerSession,
        invitation_id: str,
        token: str,
        *,
        caller_user_id: str | None = None,
        caller_verified_email: str | None = None,
    ) -> AcceptInvitationResult:
        """Join with the token from the mail; ``success`` False and a reason when that cannot be."""
        try:
            return await self.acceptances.accept(
                session,
                invitation_id,
                token,
                caller_user_id=caller_user_id,
                caller_verified_email=caller_verified_email,
            )
        except AccountsError as refusal:
            return AcceptInvitationResult(success=False, message=refusal.message, tenant_id=None, role=None)


async def _or_error(operation: Awaitable[T]) -> T | AccountsErrorResult:
    try:
        return await operation
    except AccountsError as refusal:
        return AccountsErrorResult(refusal.error, refusal.message, refusal.status_code)


@cache
def get_accounts_facade() -> AccountsFacade:
    """The facade on PostgreSQL, configured from the environment (``HOC_…``); the same one on every call.

    `hoc.cus.account.L5_engines.hooks.register_hooks` gives it hooks.
    """
    # Imported here: the wiring imports SQLAlchemy and the settings, and importing the facade stays quick.
    from hoc.cus.account.wiring import postgres_facade  # noqa: PLC0415 - see above

    return postgres_facade(hooks=registered_hooks())

"""The domain's engines, facade and identity service on a `MemoryDatabase`."""

from collections.abc import Mapping

from hoc.cus.account.L5_engines.account_service import AccountService
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_engines.email_changes import issue_email_token
from hoc.cus.account.L5_engines.engines import Engines, Stores, build_engines
from hoc.cus.account.L5_engines.hooks import Hook, Hooks
from hoc.cus.account.L5_engines.invitation_mail import issue_token
from hoc.cus.account.L5_engines.session import Clock, utc_now
from hoc.cus.account.L5_schemas.errors import NotFoundError
from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.values import MailDelivery
from hoc.testing.accounts import MemoryAccounts
from hoc.testing.billing import MemoryBilling
from hoc.testing.database import MemoryDatabase, MemorySession
from hoc.testing.domains import MemoryDomainChecks, MemoryDomains
from hoc.testing.email_changes import MemoryEmailChanges
from hoc.testing.erasure import MemoryTenantErasure, MemoryUserErasure
from hoc.testing.events import MemoryEventLog
from hoc.testing.hooks import MemoryWrittenEvents
from hoc.testing.identities import MemoryIdentities
from hoc.testing.invitation_mail import MemoryInvitationMail
from hoc.testing.invitations import MemoryInvitations
from hoc.testing.joining import MemoryJoining
from hoc.testing.leases import MemoryLeases
from hoc.testing.members import MemoryMembers
from hoc.testing.operators import MemoryOperators
from hoc.testing.ownership import MemoryOwnershipTransfers
from hoc.testing.profiles import MemoryProfiles
from hoc.testing.provisioning import MemoryDirectories
from hoc.testing.received_invitations import MemoryReceivedInvitations
from hoc.testing.scim_group_roles import MemoryScimGroupRoles
from hoc.testing.scim_tokens import MemoryScimTokens
from hoc.testing.subject_export import MemorySubjectExport
from hoc.testing.tenant_export import MemoryTenantExport
from hoc.testing.tenants import MemoryTenants
from hoc.testing.tickets import MemoryTicketReplies, MemoryTickets
from hoc.testing.usage import MemoryUsage
from hoc.testing.webhook_history import MemoryWebhookHistory
from hoc.testing.webhooks import MemoryWebhooks


def memory_facade(
    database: MemoryDatabase,
    *,
    options: Options | None = None,
    clock: Clock = utc_now,
    hooks: Mapping[str, Hook] | None = None,
) -> AccountsFacade:
    """The facade on this database, whose sessions it takes, and its hooks."""
    return AccountsFacade(memory_engines(database, options=options, clock=clock, hooks=hooks))


def memory_engines(
    database: MemoryDatabase,
    *,
    options: Options | None = None,
    clock: Clock = utc_now,
    hooks: Mapping[str, Hook] | None = None,
) -> Engines:
    """The facade's engines, for operations that it does not have."""
    invitations = MemoryInvitations(database)
    usage = MemoryUsage(database)
    stores = Stores(
        tenants=MemoryTenants(database),
        members=MemoryMembers(database),
        transfers=MemoryOwnershipTransfers(database),
        profiles=MemoryProfiles(database),
        billing=MemoryBilling(database),
        usage=usage,
        usage_days=usage,
        leases=MemoryLeases(database),
        tickets=MemoryTickets(database),
        ticket_replies=MemoryTicketReplies(database),
        invitations=invitations,
        acceptances=invitations,
        received_invitations=MemoryReceivedInvitations(database),
        domains=MemoryDomains(database),
        domain_checks=MemoryDomainChecks(database),
        joins=MemoryJoining(database),
        scim_tokens=MemoryScimTokens(database),
        scim_group_roles=MemoryScimGroupRoles(database),
        webhooks=MemoryWebhooks(database),
        webhook_history=MemoryWebhookHistory(database),
        directories=MemoryDirectories(database),
        accounts=MemoryIdentities(database),
        events=MemoryEventLog(database),
        operators=MemoryOperators(database),
        user_erasure=MemoryUserErasure(database),
        tenant_erasure=MemoryTenantErasure(database),
        subject_exports=MemorySubjectExport(database),
        tenant_exports=MemoryTenantExport(database),
    )
    return build_engines(stores, options or Options(), clock=clock, hooks=_hooks(hooks))


def _hooks(hooks: Mapping[str, Hook] | None) -> Hooks | None:
    return Hooks(hooks, MemoryWrittenEvents()) if hooks else None


def memory_account_service(
    database: MemoryDatabase,
    *,
    primary_issuer: str | None = None,
    clock: Clock = utc_now,
    hooks: Mapping[str, Hook] | None = None,
) -> AccountService:
    """The identity service on the same accounts as the facade on this database."""
    return AccountService(
        MemoryAccounts(database), primary_issuer=primary_issuer, clock=clock, hooks=_hooks(hooks)
    )


async def email_change_token(session: MemorySession, user_id: str, *, clock: Clock = utc_now) -> str:
    """Issue the pending change of an account's address a token, as its mail would have.

    Raises NotFoundError (no change is pending).
    """
    issued = await issue_email_token(MemoryEmailChanges(session.database), session, user_id, now=clock())
    if issued is None:
        raise NotFoundError("No change of this account's address is pending.")
    return issued[1]


async def invitation_token(
    session: MemorySession, tenant_id: str, invitation_id: str, *, clock: Clock = utc_now
) -> str:
    """Issue the invitation a token, as its mail would have. Earlier tokens are void.

    Raises NotFoundError (there is no such invitation that is pending and mailed).
    """
    mails = MemoryInvitationMail(session.database)
    issued = await issue_token(mails, session, tenant_id, invitation_id, now=clock())
    if issued is None:
        raise NotFoundError("There is no such invitation that is pending and mailed.")
    return issued[1]


async def deliver_invitation(
    session: MemorySession,
    tenant_id: str,
    invitation_id: str,
    *,
    delayed: bool = False,
    failure: str | None = None,
    clock: Clock = utc_now,
) -> None:
    """Mark the queued mail of an invitation as sent, ``delayed``, or failed with the reason ``failure``.

    Raises NotFoundError (no mail of such an invitation is queued).
    """
    delivery = (
        MailDelivery.DELAYED if delayed else MailDelivery.SENT if failure is None else MailDelivery.FAILED
    )
    mails = MemoryInvitationMail(session.database)
    if not await mails.settle(session, tenant_id, invitation_id, delivery, reason=failure, now=clock()):
        raise NotFoundError("No mail of such an invitation is queued.")

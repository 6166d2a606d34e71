"""The engines of the domain, wired to the stores they are given."""

from dataclasses import dataclass, fields

from hoc.cus.account.L5_engines.acceptances import Acceptances, AcceptanceStore, AccountStore
from hoc.cus.account.L5_engines.audit import AuditStore, AuditTrail
from hoc.cus.account.L5_engines.billing import Billing, BillingStore
from hoc.cus.account.L5_engines.domain_checks import DomainChecks, DomainCheckStore
from hoc.cus.account.L5_engines.domains import Domains, DomainStore
from hoc.cus.account.L5_engines.erasure import (
    Erasure,
    SubjectExportStore,
    TenantErasureStore,
    UserErasureStore,
)
from hoc.cus.account.L5_engines.hooks import Hooks
from hoc.cus.account.L5_engines.invitation_store import InvitationStore
from hoc.cus.account.L5_engines.invitations import Invitations
from hoc.cus.account.L5_engines.joining import Joining, JoinStore
from hoc.cus.account.L5_engines.leases import Leases, LeaseStore
from hoc.cus.account.L5_engines.members import Members, MemberStore
from hoc.cus.account.L5_engines.operators import Operators, OperatorStore
from hoc.cus.account.L5_engines.ownership import OwnershipTransfers, OwnershipTransferStore
from hoc.cus.account.L5_engines.profiles import Profiles, ProfileStore
from hoc.cus.account.L5_engines.projects import Projects, TenantStore
from hoc.cus.account.L5_engines.provisioning import DirectoryStore, Provisioning
from hoc.cus.account.L5_engines.received_invitations import ReceivedInvitations, ReceivedInvitationStore
from hoc.cus.account.L5_engines.scim_group_roles import ScimGroupRoles, ScimGroupRoleStore
from hoc.cus.account.L5_engines.scim_tokens import ScimTokens, ScimTokenStore
from hoc.cus.account.L5_engines.session import Clock, utc_now
from hoc.cus.account.L5_engines.support import Support, TicketReplyStore, TicketStore
from hoc.cus.account.L5_engines.tenant_export import TenantExportStore
from hoc.cus.account.L5_engines.usage import Usage, UsageDayStore, UsageStore
from hoc.cus.account.L5_engines.webhook_stores import WebhookHistoryStore, WebhookStore
from hoc.cus.account.L5_engines.webhooks import Webhooks
from hoc.cus.account.L5_schemas.options import Options


@dataclass(frozen=True, slots=True)
class Stores:
    """One implementation of every port."""

    tenants: TenantStore
    members: MemberStore
    transfers: OwnershipTransferStore
    profiles: ProfileStore
    billing: BillingStore
    usage: UsageStore
    usage_days: UsageDayStore
    leases: LeaseStore
    tickets: TicketStore
    ticket_replies: TicketReplyStore
    invitations: InvitationStore
    acceptances: AcceptanceStore
    received_invitations: ReceivedInvitationStore
    domains: DomainStore
    domain_checks: DomainCheckStore
    joins: JoinStore
    scim_tokens: ScimTokenStore
    scim_group_roles: ScimGroupRoleStore
    webhooks: WebhookStore
    webhook_history: WebhookHistoryStore
    directories: DirectoryStore
    accounts: AccountStore
    events: AuditStore
    operators: OperatorStore
    user_erasure: UserErasureStore
    tenant_erasure: TenantErasureStore
    subject_exports: SubjectExportStore
    tenant_exports: TenantExportStore


@dataclass(frozen=True, slots=True)
class Engines:
    """The rules, one engine per concept; the facade and the HTTP adapter share them."""

    projects: Projects
    members: Members
    ownership: OwnershipTransfers
    profiles: Profiles
    billing: Billing
    usage: Usage
    leases: Leases
    support: Support
    invitations: Invitations
    acceptances: Acceptances
    received_invitations: ReceivedInvitations
    domains: Domains
    domain_checks: DomainChecks
    joining: Joining
    scim_tokens: ScimTokens
    scim_group_roles: ScimGroupRoles
    webhooks: Webhooks
    provisioning: Provisioning
    audit: AuditTrail
    operators: Operators
    erasure: Erasure


def build_engines(
    stores: Stores, options: Options, *, clock: Clock = utc_now, hooks: Hooks | None = None
) -> Engines:
    engines = Engines(
        projects=Projects(
            stores.tenants, stores.members, per_user_per_day=options.tenants_per_user_per_day, clock=clock
        ),
        members=Members(stores.members, clock=clock),
        ownership=OwnershipTransfers(stores.transfers, stores.members, clock=clock),
        profiles=Profiles(stores.profiles, clock=clock),
        billing=Billing(stores.billing, stores.members, portal_url=options.billing_portal_url, clock=clock),
        usage=Usage(stores.usage, stores.usage_days, clock=clock),
        leases=Leases(stores.leases),
        support=Support(
            stores.tickets,
            stores.ticket_replies,
            stores.members,
            options.support_contact,
            sends_mail=options.ticket_mail,
            clock=clock,
        ),
        invitations=Invitations(
            stores.invitations,
            stores.members,
            options=options,
            clock=clock,
        ),
        acceptances=Acceptances(
            stores.acceptances,
            stores.accounts,
            stores.members,
            clock=clock,
        ),
        received_invitations=ReceivedInvitations(
            stores.received_invitations,
            stores.acceptances,
            stores.accounts,
            clock=clock,
        ),
        domains=Domains(stores.domains, stores.members, options=options, clock=clock),
        domain_checks=DomainChecks(stores.domain_checks, options=options, clock=clock),
        joining=Joining(stores.joins, stores.members, clock=clock),
        scim_tokens=ScimTokens(stores.scim_tokens, stores.members, clock=clock),
        scim_group_roles=ScimGroupRoles(stores.scim_group_roles, stores.members, clock=clock),
        webhooks=Webhooks(
            stores.webhooks, stores.webhook_history, stores.members, options=options, clock=clock
        ),
        provisioning=Provisioning(
            stores.directories,
            stores.scim_group_roles,
            stores.joins,
            stores.members,
            stores.invitations,
            options=options,
            clock=clock,
        ),
        audit=AuditTrail(stores.events, stores.members),
        operators=Operators(stores.operators, clock=clock),
        erasure=Erasure(
            stores.user_erasure,
            stores.tenant_erasure,
            stores.subject_exports,
            stores.tenant_exports,
            clock=clock,
        ),
    )
    if hooks is None:
        return engines
    return Engines(**{each.name: hooks.around(getattr(engines, each.name)) for each in fields(Engines)})

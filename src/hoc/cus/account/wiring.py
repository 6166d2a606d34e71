"""Puts the account package together: engines on PostgreSQL's drivers, configured from settings."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network

from hoc.cus.account.L5_engines.account_service import MAILS_PER_RECIPIENT_PER_DAY, AccountService
from hoc.cus.account.L5_engines.accounts_facade import AccountsFacade
from hoc.cus.account.L5_engines.engines import Engines, Stores, build_engines
from hoc.cus.account.L5_engines.event_feed import EventFeed
from hoc.cus.account.L5_engines.hooks import Hook, Hooks
from hoc.cus.account.L5_engines.idempotency import Idempotency
from hoc.cus.account.L5_engines.link_patterns import EMAIL_CHANGE_URL, link_pattern
from hoc.cus.account.L5_engines.session import Clock, utc_now
from hoc.cus.account.L5_engines.webhook_deliveries import WebhookDeliveries
from hoc.cus.account.L5_schemas.frames import FrameFetch
from hoc.cus.account.L5_schemas.options import Options, refuse_no_domain
from hoc.cus.account.L5_schemas.port_types import Access, AccessFetch, InvitationLimits, OwnerFetch, Subject
from hoc.cus.account.L5_schemas.results import SupportContactResult
from hoc.cus.account.L6_drivers.acceptances import SqlAcceptances
from hoc.cus.account.L6_drivers.accounts import AccountRepository
from hoc.cus.account.L6_drivers.billing import SqlBilling
from hoc.cus.account.L6_drivers.domain_checks import SqlDomainChecks
from hoc.cus.account.L6_drivers.domains import SqlDomains
from hoc.cus.account.L6_drivers.errors import DOMAIN_ERRORS, domain_errors, time_limit
from hoc.cus.account.L6_drivers.event_log import SqlEventLog
from hoc.cus.account.L6_drivers.frames import SqlFrames
from hoc.cus.account.L6_drivers.hooks import SqlWrittenEvents
from hoc.cus.account.L6_drivers.idempotency import SqlIdempotencyKeys
from hoc.cus.account.L6_drivers.identities import SqlIdentities
from hoc.cus.account.L6_drivers.invitations import SqlInvitations
from hoc.cus.account.L6_drivers.joining import SqlJoining
from hoc.cus.account.L6_drivers.leases import SqlLeases
from hoc.cus.account.L6_drivers.members import SqlMembers
from hoc.cus.account.L6_drivers.operators import SqlOperators
from hoc.cus.account.L6_drivers.ownership import SqlOwnershipTransfers
from hoc.cus.account.L6_drivers.profiles import SqlProfiles
from hoc.cus.account.L6_drivers.provisioning import SqlDirectories
from hoc.cus.account.L6_drivers.received_invitations import SqlReceivedInvitations
from hoc.cus.account.L6_drivers.scim_group_roles import SqlScimGroupRoles
from hoc.cus.account.L6_drivers.scim_tokens import SqlScimTokens
from hoc.cus.account.L6_drivers.subject_export import SqlSubjectExport
from hoc.cus.account.L6_drivers.tenant_erasure import SqlTenantErasure
from hoc.cus.account.L6_drivers.tenant_export import SqlTenantExport
from hoc.cus.account.L6_drivers.tenants import SqlTenants
from hoc.cus.account.L6_drivers.ticket_replies import SqlTicketReplies
from hoc.cus.account.L6_drivers.tickets import SqlTickets
from hoc.cus.account.L6_drivers.usage import SqlUsage
from hoc.cus.account.L6_drivers.usage_days import SqlUsageDays
from hoc.cus.account.L6_drivers.user_erasure import SqlUserErasure
from hoc.cus.account.L6_drivers.webhook_deliveries import SqlWebhookDeliveries
from hoc.cus.account.L6_drivers.webhook_history import SqlWebhookHistory
from hoc.cus.account.L6_drivers.webhooks import SqlWebhooks
from hoc.database import Database, PasswordSource, Pooler, Replica
from hoc.distribution import needing
from hoc.settings import Settings

__all__ = [
    "access_reader",
    "create_account_service",
    "domain_errors",
    "event_feed",
    "idempotency",
    "open_database",
    "open_replica",
    "options_of",
    "owner_reader",
    "postgres_engines",
    "postgres_facade",
    "time_limit",
    "webhook_deliveries",
]


def open_database(
    url: str,
    *,
    pool_size: int = 8,
    statement_timeout_ms: int = 5_000,
    pooled: bool = True,
    password: PasswordSource | None = None,
    pooler: Pooler | None = None,
) -> Database:
    """A `Database` that raises the domain's errors, `UnavailableError` for an outage."""
    return Database(
        url,
        pool_size=pool_size,
        statement_timeout_ms=statement_timeout_ms,
        errors=DOMAIN_ERRORS,
        pooled=pooled,
        password=password,
        pooler=pooler,
    )


def open_replica(
    settings: Settings, primary: Database, *, password: PasswordSource | None = None
) -> Replica | None:
    """The replica that is configured, None if none is."""
    if not settings.database_replica_url:
        return None
    standby = open_database(
        settings.database_replica_url.get_secret_value(),
        pool_size=settings.pool_size,
        statement_timeout_ms=settings.statement_timeout_ms,
        password=password,
        pooler=settings.pooler,
    )
    return Replica(primary, standby, staleness_seconds=settings.replica_staleness_ms / 1_000)


def postgres_engines(
    options: Options, *, clock: Clock = utc_now, hooks: Mapping[str, Hook] | None = None
) -> Engines:
    """The engines on PostgreSQL. Their ``session`` is the caller's `AsyncSession` or `AsyncConnection`.

    ``hooks`` are awaited in that session's transaction. Raises ValueError when no event has a hook's type.
    """
    stores = Stores(
        tenants=SqlTenants(),
        members=SqlMembers(),
        transfers=SqlOwnershipTransfers(),
        profiles=SqlProfiles(),
        billing=SqlBilling(),
        usage=SqlUsage(),
        usage_days=SqlUsageDays(),
        leases=SqlLeases(),
        tickets=SqlTickets(),
        ticket_replies=SqlTicketReplies(),
        invitations=SqlInvitations(),
        acceptances=SqlAcceptances(),
        received_invitations=SqlReceivedInvitations(),
        domains=SqlDomains(),
        domain_checks=SqlDomainChecks(),
        joins=SqlJoining(),
        scim_tokens=SqlScimTokens(),
        scim_group_roles=SqlScimGroupRoles(),
        webhooks=SqlWebhooks(),
        webhook_history=SqlWebhookHistory(),
        directories=SqlDirectories(),
        accounts=SqlIdentities(),
        events=SqlEventLog(),
        operators=SqlOperators(),
        user_erasure=SqlUserErasure(),
        tenant_erasure=SqlTenantErasure(),
        subject_exports=SqlSubjectExport(),
        tenant_exports=SqlTenantExport(),
    )
    return build_engines(stores, options, clock=clock, hooks=_hooks(hooks))


def _hooks(hooks: Mapping[str, Hook] | None) -> Hooks | None:
    return Hooks(hooks, SqlWrittenEvents()) if hooks else None


def create_account_service(
    database: Database,
    *,
    primary_issuer: str | None = None,
    clock: Clock = utc_now,
    mails_per_recipient_per_day: int = MAILS_PER_RECIPIENT_PER_DAY,
    special_use_domains: bool = False,
    email_change_url: str = EMAIL_CHANGE_URL,
    hooks: Mapping[str, Hook] | None = None,
) -> AccountService:
    """The identity service on PostgreSQL. It opens its own transactions on ``database``.

    ``hooks`` are awaited in those. Raises ValueError when no event has a hook's type.
    """
    return AccountService(
        AccountRepository(database),
        primary_issuer=primary_issuer,
        clock=clock,
        mails_per_recipient_per_day=mails_per_recipient_per_day,
        special_use_domains=special_use_domains,
        email_change_url=email_change_url,
        hooks=_hooks(hooks),
    )


def webhook_deliveries(options: Options, *, clock: Clock = utc_now) -> WebhookDeliveries:
    """What attempts to deliver events decide, on PostgreSQL."""
    return WebhookDeliveries(SqlWebhookDeliveries(), options=options, clock=clock)


def event_feed() -> EventFeed:
    return EventFeed(SqlEventLog())


def idempotency(*, clock: Clock = utc_now) -> Idempotency:
    return Idempotency(SqlIdempotencyKeys(), clock=clock)


def postgres_facade(
    settings: Settings | None = None, *, hooks: Mapping[str, Hook] | None = None
) -> AccountsFacade:
    """The facade on PostgreSQL. Without ``settings``, the environment (``HOC_…``) sets them."""
    return AccountsFacade(postgres_engines(options_of(settings or Settings()), hooks=hooks))


def access_reader(database: Database) -> AccessFetch:
    """Reads the memberships of subjects in tenants in one round trip."""
    members = SqlMembers()

    async def read(asked: list[tuple[str, Subject]]) -> dict[tuple[str, Subject], Access]:
        async with database.reading() as session:
            return await members.access_of_subjects(session, asked)

    return read


def owner_reader(database: Database) -> OwnerFetch:
    """Reads the ids of the accounts that subjects are linked to, in one round trip."""
    identities = SqlIdentities()

    async def read(subjects: list[Subject]) -> dict[Subject, str]:
        async with database.reading() as session:
            return await identities.owners(session, subjects)

    return read


def frame_reader() -> FrameFetch:
    return SqlFrames().find


def options_of(settings: Settings) -> Options:
    """The settings that the rules look at. Raises ValueError if one is wrong."""
    return Options(
        support_contact=SupportContactResult(
            settings.support_email, settings.support_hours, settings.support_response_time
        ),
        invitation_limits=InvitationLimits(
            settings.invitations_per_tenant_per_day, settings.invitations_per_recipient_per_day
        ),
        tenants_per_user_per_day=settings.tenants_per_user_per_day,
        send_mail=settings.send_mail,
        invitation_url=link_pattern(
            "HOC_INVITATION_URL", settings.invitation_url, settings.public_url, "invitation_id", "token"
        ),
        special_use_domains=settings.special_use_domains,
        billing_portal_url=link_pattern(
            "HOC_BILLING_PORTAL_URL", settings.billing_portal_url, settings.public_url, "tenant_id"
        )
        if settings.billing_portal_url
        else None,
        ticket_mail=settings.send_mail and settings.ticket_mail,
        domain_refusal=_domain_refusal() if settings.domains else refuse_no_domain,
        domain_check_interval=timedelta(hours=settings.domain_check_hours),
        domain_grace=timedelta(days=settings.domain_grace_days),
        webhook_networks=parse_networks(settings.webhook_allowed_networks or ""),
    )


def parse_networks(given: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks of HOC_WEBHOOK_ALLOWED_NETWORKS. Raises ValueError for one that is none."""
    try:
        return tuple(ip_network(each.strip()) for each in given.split(",") if each.strip())
    except ValueError as problem:
        raise ValueError(
            f"HOC_WEBHOOK_ALLOWED_NETWORKS: {problem}. Name networks such as 10.0.0.0/8, by commas."
        ) from None


def _domain_refusal() -> Callable[[str], str | None]:
    with needing("domains", "HOC_DOMAINS needs"):
        from hoc.cus.account.L6_drivers.domain_lists import domain_refusal  # noqa: PLC0415 - only domains need the extra
    return domain_refusal

"""The schema ``account``, as SQLAlchemy Core tables.

The tables that belong to a tenant have ``tenant_id`` first in their keys, so that they can be distributed by
it. No other table refers to them by foreign key, and ``users`` has no trigger.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    false,
    func,
    literal_column,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, UUID

from hoc.cus.account.L5_schemas.values import (
    FIRST_YEAR,
    LAST_YEAR,
    QUOTAS,
    BillingPeriod,
    DomainJoining,
    DomainProblem,
    DomainStatus,
    InvitationStatus,
    InvoiceStatus,
    JoinRequestStatus,
    LeasedQuota,
    MailDelivery,
    Onboarding,
    Plan,
    Role,
    SubscriptionStatus,
    TenantStatus,
    TicketCategory,
    TicketPriority,
    TicketStatus,
    WebhookDisabled,
    WebhookError,
    WebhookStatus,
)

SCHEMA = "account"
EXTENSIONS = ("pg_trgm", "btree_gin")
"""Of PostgreSQL; indexes use their operators."""

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    },
)


def _id(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, String(255), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    """A time, which an engine's clock gives.

    The default is for rows that no engine writes: the ids of handled messages and the dead letters, whose
    workers go by the database's clock, and rows that an operator inserts.
    """
    default = None if nullable else func.now()
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=default)


def _version() -> Column[int]:
    return Column("version", Integer, nullable=False, server_default=text("1"))


def _metadata() -> Column[Any]:
    comment = "free JSON of the tenant's owners and admins"
    return Column("metadata", JSONB, nullable=False, server_default=text("'{}'::jsonb"), comment=comment)


def _tenant() -> Column[str]:
    return Column("tenant_id", String(255), ForeignKey(f"{SCHEMA}.tenants.tenant_id"), nullable=False)


def _within_years(*columns: str) -> Iterable[CheckConstraint]:
    """Times that others give are within the years that hoc takes, so no list or export meets an infinity."""
    first, end = f"'{FIRST_YEAR}-01-01 00:00:00+00'", f"'{LAST_YEAR + 1}-01-01 00:00:00+00'"
    for column in columns:
        yield CheckConstraint(f"{column} >= {first} AND {column} < {end}", name=f"{column}_years")


def _one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


# As PostgreSQL writes it, which is what Alembic compares with.
SEARCHED: ColumnElement[str] = literal_column(
    "(((COALESCE(email_key, ''::character varying)::text || ' '::text) || COALESCE(name_key, ''::text)) ||"
    " repeat(' '::text || email::text, LEAST(octet_length(email::text) - char_length(email::text), 1)))",
    Text,
)
"""Account search uses one concatenated text, so that the index stores the trigrams of both only once.

An address outside ASCII is in it as it was given, too: people search for a domain as they write it, and the
key contains the A-label.
"""

users = Table(
    "users",
    metadata,
    Column("user_id", String(255), primary_key=True),
    Column("email", String(255), nullable=False, comment="as given; shown and mailed to"),
    Column(
        "email_key",
        String(512),
        comment="the mailbox, compared; null when an account that has verified the address took it over",
    ),
    Column("name", String(255)),
    Column("name_key", Text, comment="the name, folded; searched"),
    Column("is_active", Boolean, nullable=False, server_default=true()),
    Column("preferences", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("avatar_url", String(2048)),
    Column("timezone", String(64)),
    Column("locale", String(35), comment="a BCP 47 language tag, such as pt-BR"),
    Column("email_verified", Boolean, nullable=False, server_default=false()),
    Column("oauth_provider", String(64)),
    Column("has_generated_id", Boolean, nullable=False, server_default=false(), comment="no subject's id"),
    Column(
        "is_claimed",
        Boolean,
        nullable=False,
        server_default=true(),
        comment="somebody has signed in to it, or could from the start",
    ),
    _time("created_at"),
    _time("updated_at"),
    _time("last_login_at", nullable=True),
    _time("deleted_at", nullable=True),
    _time("erased_at", nullable=True),
    _version(),
    CheckConstraint("deleted_at IS NULL OR NOT is_active", name="deleted_is_inactive"),
    # Whoever waits for an account that is being erased must not bring anything back to it.
    CheckConstraint(
        "erased_at IS NULL OR (deleted_at IS NOT NULL AND email = '' AND num_nonnulls(email_key, name,"
        " name_key, avatar_url, timezone, locale, oauth_provider, last_login_at) = 0"
        " AND preferences = '{}'::jsonb)",
        name="erased_is_empty",
    ),
    CheckConstraint("is_claimed OR has_generated_id", name="unclaimed_has_generated_id"),
    CheckConstraint("starts_with(avatar_url, 'https://')", name="avatar_url_https"),
    *_within_years("created_at", "last_login_at", "deleted_at"),
    Index("uq_users_email_key", "email_key", unique=True, postgresql_where=text("deleted_at IS NULL")),
    Index("ix_users_page", "created_at", "user_id"),
    Index("ix_users_page_by_status", "is_active", "created_at", "user_id"),
    Index(
        "ix_users_search",
        SEARCHED.label("searched"),
        postgresql_using="gin",
        postgresql_ops={"searched": "gin_trgm_ops"},
    ),
    Index("ix_users_erased", "erased_at", "user_id", postgresql_where=text("erased_at IS NOT NULL")),
    Index(
        "ix_users_deleted",
        "deleted_at",
        "user_id",
        postgresql_where=text("deleted_at IS NOT NULL AND erased_at IS NULL"),
    ),
    comment="one record for the console and the identity side",
)

SEARCHED_TENANT: ColumnElement[str] = literal_column("((slug::text || ' '::text) || lower(name::text))", Text)
"""Operators search tenants by slug and name; both sides of the comparison are lowered by PostgreSQL."""

linked_identities = Table(
    "linked_identities",
    metadata,
    Column("issuer", String(255), comment="empty for the primary issuer"),
    _id("subject"),
    Column("user_id", String(255), ForeignKey(f"{SCHEMA}.users.user_id"), nullable=False),
    _time("linked_at"),
    PrimaryKeyConstraint("issuer", "subject"),
    Index("ix_linked_identities_user", "user_id", "linked_at"),
    comment="what issuers call the owners of accounts, beside the accounts' own ids",
)

email_changes = Table(
    "email_changes",
    metadata,
    Column("user_id", String(255), ForeignKey(f"{SCHEMA}.users.user_id"), primary_key=True),
    Column("email", String(255), nullable=False),
    Column("email_key", String(512), nullable=False),
    Column("token_hash", LargeBinary, comment="SHA-256 of the token in the newest mail"),
    _time("requested_at"),
    _time("expires_at", nullable=True),
    _time("cancelled_at", nullable=True),
    _time("confirmed_at", nullable=True),
    Column("day", Date, nullable=False),
    Column("requests", Integer, nullable=False, comment="on that day"),
    Index(None, "requested_at"),
    comment="the last change of each account's address that its owner asked for",
)

account_mails = Table(
    "account_mails",
    metadata,
    Column("mail_id", String(64), primary_key=True),
    Column("user_id", String(255), ForeignKey(f"{SCHEMA}.users.user_id"), nullable=False),
    Column("notice_to", String(255), comment="an address that was replaced; null: a change to confirm"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Index("uq_account_mails_user", "user_id", unique=True, postgresql_where=text("notice_to IS NULL")),
    Index(None, "due_at"),
    comment="mails to be sent about accounts; a row is deleted after its mail was sent",
)

account_totals = Table(
    "account_totals",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("accounts", BigInteger, nullable=False),
    Column("active", BigInteger, nullable=False),
    comment="the sum over the shards is exact; sharded, so that registrations do not wait for one row",
)

account_registrations = Table(
    "account_registrations",
    metadata,
    Column("hour", DateTime(timezone=True), nullable=False),
    Column("shard", SmallInteger, nullable=False),
    Column("accounts", BigInteger, nullable=False),
    PrimaryKeyConstraint("hour", "shard"),
    comment="accounts created in each hour, for as long as statistics look back",
)

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", String(255), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("slug", String(64), nullable=False),
    Column("description", Text),
    Column("status", String(16), nullable=False, server_default=TenantStatus.ACTIVE),
    Column("plan", String(16), nullable=False, server_default=Plan.FREE),
    *(Column(name, BigInteger if "_per_" in name else Integer) for name in QUOTAS),
    Column("onboarding_state", SmallInteger, nullable=False, server_default=text("0")),
    _metadata(),
    Column("invitations_only_to_domains", Boolean, nullable=False, server_default=false()),
    _time("created_at"),
    _time("updated_at"),
    _time("erased_at", nullable=True),
    _version(),
    _one_of("status", TenantStatus),
    _one_of("plan", Plan),
    CheckConstraint("erased_at IS NULL OR status = 'archived'", name="erased_has_ended"),
    CheckConstraint(
        f"onboarding_state BETWEEN {min(Onboarding)} AND {max(Onboarding)}", name="onboarding_state"
    ),
    Index("ix_tenants_page", "created_at", "tenant_id"),
    Index("ix_tenants_page_by_status", "status", "created_at", "tenant_id"),
    Index(
        "ix_tenants_search",
        SEARCHED_TENANT.label("searched"),
        postgresql_using="gin",
        postgresql_ops={"searched": "gin_trgm_ops"},
    ),
    Index("ix_tenants_erased", "erased_at", "tenant_id", postgresql_where=text("erased_at IS NOT NULL")),
    comment="a quota max_… that is null is the plan's",
)

tenant_slugs = Table(
    "tenant_slugs",
    metadata,
    Column("slug", String(64), primary_key=True),
    _id("tenant_id"),
    comment="makes slugs unique across tenants; apart, because tenants is keyed by tenant_id",
)

memberships = Table(
    "memberships",
    metadata,
    _tenant(),
    Column("user_id", String(255), ForeignKey(f"{SCHEMA}.users.user_id"), nullable=False),
    Column("role", String(16), nullable=False),
    Column(
        "is_active", Boolean, nullable=False, server_default=true(), comment="the account's own is_active"
    ),
    _id("invited_by", nullable=True),
    _metadata(),
    Column(
        "searched",
        Text,
        nullable=False,
        server_default=text("''"),
        comment="the account's address and name, as a search among members compares them",
    ),
    _time("joined_at"),
    _time("updated_at"),
    _version(),
    PrimaryKeyConstraint("tenant_id", "user_id"),
    _one_of("role", Role),
    Index("ix_memberships_page", "tenant_id", "is_active", "joined_at", "user_id"),
    Index("ix_memberships_page_by_role", "tenant_id", "is_active", "role", "joined_at", "user_id"),
    Index("ix_memberships_user", "user_id", "tenant_id"),
    Index(
        "ix_memberships_search",
        "tenant_id",
        "searched",
        postgresql_using="gin",
        postgresql_ops={"searched": "gin_trgm_ops"},
    ),
)

tenant_domains = Table(
    "tenant_domains",
    metadata,
    _id("tenant_id"),
    Column("domain", String(255), nullable=False, comment="in lower case, of A-labels"),
    Column("token", String(64), nullable=False, comment="of its TXT record; public"),
    Column("status", String(16), nullable=False, server_default=DomainStatus.PENDING),
    Column("joining", String(16), nullable=False, server_default=DomainJoining.CLOSED),
    Column("join_role", String(16), nullable=False, server_default=Role.MEMBER),
    _time("created_at"),
    _time("updated_at"),
    _time("verified_at", nullable=True),
    _time("checked_at", nullable=True),
    _time("found_at", nullable=True),
    _time("failing_since", nullable=True),
    Column("problem", String(16), comment="of the last check"),
    Column("next_check_at", DateTime(timezone=True), comment="null: when somebody asks for it"),
    _version(),
    PrimaryKeyConstraint("tenant_id", "domain"),
    _one_of("status", DomainStatus),
    _one_of("joining", DomainJoining),
    _one_of("join_role", [role for role in Role if role is not Role.OWNER]),
    _one_of("problem", DomainProblem),
    CheckConstraint("(verified_at IS NOT NULL) = (status = 'verified')", name="verified_has_time"),
    Index("uq_tenant_domains_verified", "domain", unique=True, postgresql_where=text("status = 'verified'")),
    Index(None, "next_check_at"),
    Index("ix_tenant_domains_page", "tenant_id", "created_at", "domain"),
    comment="domains that tenants have claimed; a verified one is one tenant's",
)

join_requests = Table(
    "join_requests",
    metadata,
    _tenant(),
    Column("user_id", String(255), ForeignKey(f"{SCHEMA}.users.user_id"), nullable=False),
    Column("status", String(16), nullable=False),
    _time("requested_at"),
    PrimaryKeyConstraint("tenant_id", "user_id"),
    _one_of("status", JoinRequestStatus),
    Index("ix_join_requests_user", "user_id"),
    Index("ix_join_requests_page", "tenant_id", "status", "requested_at", "user_id"),
    comment="people who asked to join, and those who were removed; a membership deletes its row",
)

scim_tokens = Table(
    "scim_tokens",
    metadata,
    _tenant(),
    _id("token_id"),
    Column("name", String(100), nullable=False),
    Column("token_hash", LargeBinary, nullable=False, comment="SHA-256"),
    _time("created_at"),
    _id("created_by"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("last_used_at", DateTime(timezone=True), comment="up to a minute behind"),
    _time("revoked_at", nullable=True),
    PrimaryKeyConstraint("tenant_id", "token_id"),
    Index("uq_scim_tokens_token_hash", "tenant_id", "token_hash", unique=True),
    Index("ix_scim_tokens_page", "tenant_id", "created_at", "token_id"),
    comment="tokens of the tenants' SCIM clients",
)

scim_group_roles = Table(
    "scim_group_roles",
    metadata,
    _tenant(),
    Column("group_key", String(1024), nullable=False, comment="the name, folded; compared"),
    Column("group_name", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    _time("created_at"),
    _time("updated_at"),
    PrimaryKeyConstraint("tenant_id", "group_key"),
    _one_of("role", [role for role in Role if role is not Role.OWNER]),
    Index("ix_scim_group_roles_page", "tenant_id", "created_at", "group_key"),
    comment="the roles that groups of the tenants' SCIM clients give",
)

member_counts = Table(
    "member_counts",
    metadata,
    _tenant(),
    Column("role", String(16), nullable=False),
    Column("members", Integer, nullable=False),
    PrimaryKeyConstraint("tenant_id", "role"),
    _one_of("role", Role),
    CheckConstraint("members >= 0 AND (members > 0 OR role <> 'owner')", name="keeps_an_owner"),
    comment="active members by role, changed in the same statement as a membership",
)


def _scim_resource() -> list[Column[Any]]:
    return [
        _id("resource_id"),
        Column("external_id", Text),
        Column("resource", JSONB, nullable=False, comment="what a client has given, by names of RFC 7643"),
        Column(
            "compared",
            JSONB,
            nullable=False,
            comment="the same, folded as filters compare it, by names of scim2-models",
        ),
        _time("created_at"),
        _time("updated_at"),
        _version(),
    ]


def _compared_index(table: str) -> Index:
    return Index(
        f"ix_{table}_compared",
        "tenant_id",
        "compared",
        postgresql_using="gin",
        postgresql_ops={"compared": "jsonb_path_ops"},
    )


# By code points, as Python and the filters' reference implementation compare.
scim_users = Table(
    "scim_users",
    metadata,
    _tenant(),
    Column("user_name", Text(collation="C"), nullable=False, comment="folded"),
    Column("is_active", Boolean, nullable=False, comment="what a client has given, not the membership's"),
    *_scim_resource(),
    Column("email", String(255), comment="the one that is invited, as given"),
    Column("email_key", String(512)),
    _id("user_id", nullable=True),
    _id("invitation_id", nullable=True),
    PrimaryKeyConstraint("tenant_id", "resource_id"),
    Index("uq_scim_users_user_name", "tenant_id", "user_name", unique=True),
    Index("ix_scim_users_external_id", "tenant_id", "external_id"),
    # Of all tenants, to erase a person.
    Index("ix_scim_users_user_id", "user_id"),
    Index("ix_scim_users_email_key", "email_key"),
    _compared_index("scim_users"),
    comment="users of tenants' directories; account and membership follow from them",
)

scim_groups = Table(
    "scim_groups",
    metadata,
    _tenant(),
    Column("display_name", Text(collation="C"), nullable=False, comment="folded"),
    *_scim_resource(),
    PrimaryKeyConstraint("tenant_id", "resource_id"),
    Index("ix_scim_groups_display_name", "tenant_id", "display_name"),
    Index("ix_scim_groups_external_id", "tenant_id", "external_id"),
    _compared_index("scim_groups"),
    comment="groups of tenants' directories",
)

scim_group_members = Table(
    "scim_group_members",
    metadata,
    _tenant(),
    _id("group_id"),
    _id("member_id"),
    Column("type", Text, comment="as a client gave it, as the next one"),
    Column("display", Text),
    PrimaryKeyConstraint("tenant_id", "group_id", "member_id"),
    ForeignKeyConstraint(
        ["tenant_id", "group_id"],
        [f"{SCHEMA}.scim_groups.tenant_id", f"{SCHEMA}.scim_groups.resource_id"],
        name="fk_scim_group_members_group",
    ),
    Index("ix_scim_group_members_member", "tenant_id", "member_id"),
    comment="members are users, or ids that a client gave and the directory does not know",
)

scim_counts = Table(
    "scim_counts",
    metadata,
    _tenant(),
    Column("kind", String(16), nullable=False, comment="the resource type"),
    Column("resources", Integer, nullable=False),
    PrimaryKeyConstraint("tenant_id", "kind"),
    _one_of("kind", ("User", "Group")),
    CheckConstraint("resources >= 0", name="not_negative"),
    comment="how many resources a tenant has, changed in the same transaction as one",
)


ownership_transfers = Table(
    "ownership_transfers",
    metadata,
    Column("tenant_id", String(255), ForeignKey(f"{SCHEMA}.tenants.tenant_id"), primary_key=True),
    _id("from_user_id"),
    _id("to_user_id"),
    _time("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    comment="offers of ownership; at most one for each tenant",
)

invitations = Table(
    "invitations",
    metadata,
    _tenant(),
    _id("invitation_id"),
    Column("email", String(255), nullable=False),
    Column("email_key", String(512), nullable=False),
    Column("role", String(16), nullable=False),
    Column("status", String(16), nullable=False, server_default=InvitationStatus.PENDING),
    Column("token_hash", LargeBinary, comment="SHA-256; null until the mail is composed"),
    Column("delivery", String(16), comment="what became of the mail; null: none is sent"),
    Column("delivery_error", String(255)),
    _id("invited_by"),
    _time("created_at"),
    _time("updated_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    _time("accepted_at", nullable=True),
    _id("accepted_user_id", nullable=True),
    PrimaryKeyConstraint("tenant_id", "invitation_id"),
    _one_of("role", Role),
    _one_of("status", InvitationStatus),
    _one_of("delivery", MailDelivery),
    CheckConstraint(
        "(delivery_error IS NOT NULL) = (delivery IS NOT DISTINCT FROM 'failed')", name="failed_has_error"
    ),
    Index(
        "uq_invitations_pending",
        "tenant_id",
        "email_key",
        unique=True,
        postgresql_where=text("status = 'pending'"),
    ),
    Index("ix_invitations_seats", "tenant_id", "expires_at", postgresql_where=text("status = 'pending'")),
    Index("ix_invitations_page", "tenant_id", "created_at", "invitation_id"),
    Index("ix_invitations_page_by_status", "tenant_id", "status", "created_at", "invitation_id"),
    Index(
        "ix_invitations_received",
        "email_key",
        "created_at",
        "invitation_id",
        postgresql_where=text("status = 'pending'"),
    ),
    # Of all statuses, for the erasure and the export of a person.
    Index("ix_invitations_address", "email_key"),
    Index("ix_invitations_accepted", "accepted_user_id"),
    # Of all tenants, for housekeeping. While a partial index is small, other statements would read it whole.
    Index(None, "expires_at"),
    Index(None, "updated_at"),
)

invitation_counts = Table(
    "invitation_counts",
    metadata,
    _tenant(),
    Column("status", String(16), nullable=False),
    Column("delivery", String(16), nullable=False, comment="empty: no mail is sent, or it is pending"),
    Column("invitations", Integer, nullable=False),
    PrimaryKeyConstraint("tenant_id", "status", "delivery"),
    _one_of("status", InvitationStatus),
    CheckConstraint("invitations >= 0", name="not_negative"),
    comment="invitations by status, changed in the same statement as one; pending ones may have expired",
)

invitation_mails = Table(
    "invitation_mails",
    metadata,
    Column("mail_id", String(64), primary_key=True),
    _id("tenant_id"),
    _id("invitation_id"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Index("uq_invitation_mails_invitation", "tenant_id", "invitation_id", unique=True),
    Index(None, "due_at"),
    comment="mails to be sent; a row is deleted after its mail was sent",
)

invitation_limits = Table(
    "invitation_limits",
    metadata,
    _tenant(),
    Column("day", Date, nullable=False),
    Column("sent", Integer, nullable=False),
    PrimaryKeyConstraint("tenant_id", "day"),
)

recipient_limits = Table(
    "recipient_limits",
    metadata,
    Column("email_key", String(512), nullable=False),
    Column("day", Date, nullable=False),
    Column("sent", Integer, nullable=False),
    PrimaryKeyConstraint("email_key", "day"),
)

tenant_creations = Table(
    "tenant_creations",
    metadata,
    _id("user_id"),
    Column("day", Date, nullable=False),
    Column("created", Integer, nullable=False),
    PrimaryKeyConstraint("user_id", "day"),
    comment="how many tenants a user created on a UTC day; limited",
)

domain_mails = Table(
    "domain_mails",
    metadata,
    Column("mail_id", String(64), primary_key=True),
    _id("tenant_id"),
    Column("domain", String(255), nullable=False),
    _id("user_id"),
    Column("is_lost", Boolean, nullable=False, comment="else its record is missing"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Index(None, "due_at"),
    comment="mails to tell owners of a domain's trouble; a row is deleted after its mail was sent",
)

webhook_mails = Table(
    "webhook_mails",
    metadata,
    Column("mail_id", String(64), primary_key=True),
    _id("tenant_id"),
    _id("endpoint_id"),
    _id("user_id"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Index(None, "due_at"),
    comment="mails to tell owners of a disabled webhook; a row is deleted after its mail was sent",
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("tenant_id", String(255), ForeignKey(f"{SCHEMA}.tenants.tenant_id"), primary_key=True),
    Column("plan", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("billing_period", String(16), nullable=False),
    _time("current_period_start"),
    Column("current_period_end", DateTime(timezone=True), nullable=False),
    _time("next_invoice_date", nullable=True),
    Column("as_of", DateTime(timezone=True), comment="the row as of the latest time wins"),
    _time("updated_at"),
    _one_of("plan", Plan),
    _one_of("status", SubscriptionStatus),
    _one_of("billing_period", BillingPeriod),
    *_within_years("current_period_start", "current_period_end", "next_invoice_date", "as_of"),
)

invoices = Table(
    "invoices",
    metadata,
    _tenant(),
    _id("invoice_id"),
    Column("period_start", DateTime(timezone=True), nullable=False),
    Column("period_end", DateTime(timezone=True), nullable=False),
    Column("amount_cents", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("description", Text, nullable=False),
    Column("as_of", DateTime(timezone=True), comment="the row as of the latest time wins"),
    Column("paid_as_of", DateTime(timezone=True), comment="the time of its latest payment"),
    _time("updated_at"),
    Column("currency", String(3), comment="of ISO 4217; null when the billing system did not say"),
    Column("number", String(255)),
    Column("hosted_url", Text),
    Column("pdf_url", Text),
    PrimaryKeyConstraint("tenant_id", "invoice_id"),
    _one_of("status", InvoiceStatus),
    *_within_years("period_start", "period_end", "as_of", "paid_as_of"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("hosted_url LIKE 'https://%'", name="hosted_url"),
    CheckConstraint("pdf_url LIKE 'https://%'", name="pdf_url"),
    Index("ix_invoices_page", "tenant_id", "period_start", "invoice_id"),
    Index("ix_invoices_page_by_status", "tenant_id", "status", "period_start", "invoice_id"),
)

usage_days = Table(
    "usage_days",
    metadata,
    _tenant(),
    Column("day", Date, nullable=False, comment="in UTC"),
    Column("slot", SmallInteger, nullable=False, comment="the row of quota_counters that counted"),
    Column("runs", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "day", "slot"),
    Index(None, "day"),
    Index("ix_usage_days_apart", "day", postgresql_where=text("slot <> 0")),
    comment="what was used on each day: the sum over the slots",
)

quota_counters = Table(
    "quota_counters",
    metadata,
    _tenant(),
    Column("slot", SmallInteger, nullable=False),
    Column("slots", SmallInteger, nullable=False, comment="how many rows the quotas are divided over"),
    Column("day", Date, nullable=False, comment="the UTC day of runs_today and tokens_today"),
    *(
        Column(name, BigInteger, nullable=False, server_default=text("0"))
        for name in (
            "runs_today",
            "tokens_today",
            "runs_this_month",
            "tokens_this_month",
            "workers",
            "concurrent_runs",
            "api_keys",
            "max_workers",
            "max_runs_per_day",
            "max_concurrent_runs",
            "max_tokens_per_month",
            "max_api_keys",
        )
    ),
    PrimaryKeyConstraint("tenant_id", "slot"),
    comment="what is used of a tenant's quotas, in sum; each max_… is divided among the rows",
)

leases = Table(
    "leases",
    metadata,
    _tenant(),
    Column("quota", String(32), nullable=False),
    _id("lease_id"),
    Column("expires_at", DateTime(timezone=True), comment="by the database's clock; null: never"),
    PrimaryKeyConstraint("tenant_id", "quota", "lease_id"),
    _one_of("quota", LeasedQuota),
    comment="what holds a part of a quota until it is released or expires",
)

support_tickets = Table(
    "support_tickets",
    metadata,
    _tenant(),
    _id("ticket_id"),
    _id("user_id"),
    Column("subject", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("category", String(16), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("status", String(16), nullable=False, server_default=TicketStatus.OPEN),
    _time("created_at"),
    _time("updated_at"),
    Column("resolution", Text),
    _time("resolved_at", nullable=True),
    PrimaryKeyConstraint("tenant_id", "ticket_id"),
    ForeignKeyConstraint(["user_id"], [f"{SCHEMA}.users.user_id"]),
    _one_of("category", TicketCategory),
    _one_of("priority", TicketPriority),
    _one_of("status", TicketStatus),
    Index("ix_support_tickets_user", "user_id"),
    Index("ix_support_tickets_page", "tenant_id", "created_at", "ticket_id"),
    Index(
        "ix_support_tickets_kind", "tenant_id", "status", "priority", "category", "created_at", "ticket_id"
    ),
    # Of all tenants, for the support staff.
    Index("ix_support_tickets_all", "created_at", "ticket_id"),
    Index("ix_support_tickets_all_by_status", "status", "created_at", "ticket_id"),
    Index("ix_support_tickets_all_by_priority", "priority", "created_at", "ticket_id"),
    Index("ix_support_tickets_all_by_category", "category", "created_at", "ticket_id"),
)

ticket_replies = Table(
    "ticket_replies",
    metadata,
    _tenant(),
    _id("ticket_id"),
    _id("reply_id"),
    _id("author_id"),
    Column("is_support", Boolean, nullable=False, comment="by the support staff, whose ids need no account"),
    Column("text", Text, nullable=False),
    _time("created_at"),
    PrimaryKeyConstraint("tenant_id", "ticket_id", "reply_id"),
    ForeignKeyConstraint(
        ["tenant_id", "ticket_id"],
        [f"{SCHEMA}.support_tickets.tenant_id", f"{SCHEMA}.support_tickets.ticket_id"],
        name="fk_ticket_replies_ticket",
    ),
    Index("ix_ticket_replies_author", "author_id"),
    Index("ix_ticket_replies_page", "tenant_id", "ticket_id", "created_at", "reply_id"),
)

ticket_mails = Table(
    "ticket_mails",
    metadata,
    Column("mail_id", String(64), primary_key=True),
    _id("tenant_id"),
    _id("ticket_id"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Index("uq_ticket_mails_ticket", "tenant_id", "ticket_id", unique=True),
    Index(None, "due_at"),
    comment="mails to tell of support's answers; a row is deleted after its mail was sent",
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    _id("tenant_id"),
    _id("principal"),
    Column("route", String(255), nullable=False),
    Column("key", String(255), nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("status_code", SmallInteger, comment="null while the first request is still running"),
    Column("response", LargeBinary, comment="null, too, when it was blanked with a person's data"),
    _time("created_at"),
    PrimaryKeyConstraint("tenant_id", "principal", "route", "key"),
    Index(None, "created_at"),
)


INVITATION_OF_EVENT: ColumnElement[str] = literal_column("(payload ->> 'invitation_id'::text)", Text)


def _event() -> list[Column[Any]]:
    return [
        Column("event_id", UUID(as_uuid=False), nullable=False, server_default=func.gen_random_uuid()),
        Column("type", String(64), nullable=False),
        Column("time", DateTime(timezone=True), nullable=False, comment="when it happened"),
        _id("tenant_id", nullable=True),
        _id("user_id", nullable=True),
        _id("actor", nullable=True),
        Column("payload", JSON, nullable=False),
    ]


def _with_tenant(name: str, *columns: str) -> Index:
    """An index without the events of accounts, which have no tenant and are the most."""
    return Index(name, "tenant_id", *columns, postgresql_where=text("tenant_id IS NOT NULL"))


outbox = Table(
    "outbox",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    *_event(),
    comment="events as their transactions wrote them, until they are numbered and moved to events",
)

events = Table(
    "events",
    metadata,
    Column("sequence", BigInteger, nullable=False, comment="no lower one becomes visible later"),
    Column("position", BigInteger, nullable=False, comment="in the outbox"),
    *_event(),
    PrimaryKeyConstraint("sequence", "time"),  # PostgreSQL requires the partition key
    _with_tenant("ix_events_tenant", "time", "position"),
    _with_tenant("ix_events_tenant_sequence", "sequence"),
    _with_tenant("ix_events_type", "type", "time", "position"),
    _with_tenant("ix_events_actor", "actor", "time", "position"),
    _with_tenant("ix_events_actor_type", "actor", "type", "time", "position"),
    # By which the erasure of a person finds what it blanks.
    Index("ix_events_user", "user_id", "time", postgresql_where=text("user_id IS NOT NULL")),
    Index(
        "ix_events_invitation",
        "tenant_id",
        INVITATION_OF_EVENT.label("invitation_id"),
        postgresql_where=text("(payload ->> 'invitation_id'::text) IS NOT NULL"),
    ),
    postgresql_partition_by="RANGE (time)",
    comment="numbered events; a partition for each month",
)

event_cursors = Table(
    "event_cursors",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("sequence", BigInteger, nullable=False, comment="the work is done up to this one"),
    comment="how far each step of the work on events has come; a worker locks its row",
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("tenant_id", String(255), nullable=False, comment="empty: sent the events of all tenants"),
    _id("endpoint_id"),
    Column("url", Text, nullable=False),
    Column("event_types", ARRAY(String(64)), comment="null: all"),
    Column("description", Text),
    Column("status", String(16), nullable=False, server_default=WebhookStatus.ENABLED),
    Column("disabled_reason", String(16)),
    Column("secret", String(128), nullable=False),
    Column("previous_secret", String(128)),
    _time("previous_secret_until", nullable=True),
    Column("sequence", BigInteger, nullable=False, comment="each event up to it is delivered or set aside"),
    Column("failures", Integer, nullable=False, server_default=text("0"), comment="since the last success"),
    _time("failing_since", nullable=True),
    Column("due_at", DateTime(timezone=True), comment="null: idle; while it is leased, the lease's end"),
    Column("leased_by", String(64), comment="the sender that alone sends to it"),
    Column("is_woken", Boolean, nullable=False, server_default=false(), comment="while it was leased"),
    _time("created_at"),
    _time("updated_at"),
    _version(),
    PrimaryKeyConstraint("tenant_id", "endpoint_id"),
    _one_of("status", WebhookStatus),
    _one_of("disabled_reason", WebhookDisabled),
    CheckConstraint("(disabled_reason IS NOT NULL) = (status = 'disabled')", name="disabled_has_reason"),
    Index(None, "due_at"),
    Index(None, "leased_by"),
    Index("ix_webhook_endpoints_page", "tenant_id", "created_at", "endpoint_id"),
    comment="where events are sent, each with its position in the line of events",
)


def _webhook() -> list[Any]:
    return [
        _id("tenant_id"),
        _id("endpoint_id"),
        ForeignKeyConstraint(
            ["tenant_id", "endpoint_id"],
            [webhook_endpoints.c.tenant_id, webhook_endpoints.c.endpoint_id],
            ondelete="CASCADE",
        ),
        Column("event_id", String(64), nullable=False),
    ]


webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    *_webhook(),
    Column("attempt_id", String(64), nullable=False),
    Column("event_type", String(64), nullable=False),
    Column("sequence", BigInteger, comment="null: a test"),
    _time("attempted_at"),
    Column("status", SmallInteger, comment="of the answer; null without one"),
    Column("error", String(24)),
    Column("latency_ms", Integer, nullable=False),
    PrimaryKeyConstraint("tenant_id", "endpoint_id", "attempt_id"),
    _one_of("error", WebhookError),
    Index("ix_webhook_attempts_page", "tenant_id", "endpoint_id", "attempted_at", "attempt_id"),
    Index("ix_webhook_attempts_sequence", "tenant_id", "endpoint_id", "sequence"),
    Index("ix_webhook_attempts_event", "tenant_id", "endpoint_id", "event_id"),
    Index(None, "attempted_at"),
    comment="attempts to deliver events, without what was sent and answered",
)

webhook_set_aside = Table(
    "webhook_set_aside",
    metadata,
    *_webhook(),
    Column("event_type", String(64), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    _time("set_aside_at"),
    Column("status", SmallInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "endpoint_id", "event_id"),
    Index("ix_webhook_set_aside_page", "tenant_id", "endpoint_id", "set_aside_at", "event_id"),
    comment="events that an endpoint has refused too often",
)

webhook_sends = Table(
    "webhook_sends",
    metadata,
    *_webhook(),
    Column("sequence", BigInteger, comment="null: a test"),
    _time("requested_at"),
    PrimaryKeyConstraint("tenant_id", "endpoint_id", "event_id"),
    comment="single events to send once more, and tests",
)

dead_events = Table(
    "dead_events",
    metadata,
    Column("event_id", UUID(as_uuid=False), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    _time("parked_at"),
    Column("retry", Boolean, nullable=False, server_default=false()),
    comment="events that NATS refuses",
)

inbound_messages = Table(
    "inbound_messages",
    metadata,
    Column("message_id", String(255), primary_key=True),
    Column("subject", String(255), nullable=False),
    _time("received_at"),
    Column("failures", SmallInteger, comment="of the handler so far; null once it has succeeded"),
    Index(None, "received_at"),
    comment="messages that have been handled, so that none is handled twice, and those that failed",
)

dead_messages = Table(
    "dead_messages",
    metadata,
    Column("message_id", String(255), primary_key=True),
    Column("subject", String(255), nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    _time("parked_at"),
    Column("retry", Boolean, nullable=False, server_default=false()),
    comment="messages whose handler failed at every attempt",
)

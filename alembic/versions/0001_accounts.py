"""Accounts: users, tenants, memberships, invitations, billing, usage, support; events.

A constraint without a name gets it by the naming convention of `tables.metadata`.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "account"

# RFC 7396. In the database, so that concurrent merges of one document wait for its row.
JSON_MERGE_PATCH = """
CREATE FUNCTION account.json_merge_patch(target jsonb, patch jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(patch) IS DISTINCT FROM 'object' THEN
        RETURN patch;
    END IF;
    IF jsonb_typeof(target) IS DISTINCT FROM 'object' THEN
        target := '{}';
    END IF;
    RETURN (
        SELECT coalesce(jsonb_object_agg(key, merged), '{}')
        FROM (
            SELECT key,
                   CASE WHEN change.value IS NULL THEN old.value
                        ELSE account.json_merge_patch(old.value, change.value) END AS merged
            FROM jsonb_each(target) AS old
            FULL JOIN jsonb_each(patch) AS change USING (key)
            WHERE change.value IS DISTINCT FROM 'null'::jsonb
        ) AS members
    );
END
$$
"""

# In a function, because each of its statements sees what was committed before it: a link that another
# transaction made while this one waited for the lock. The hash is that of "issuer subject".
HOLD_UNLINKED = """
CREATE FUNCTION account.hold_unlinked(subject text) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7463121, hashtext(' ' || subject));
    RETURN NOT EXISTS (
        SELECT FROM account.linked_identities AS linked
        WHERE linked.issuer = '' AND linked.subject = hold_unlinked.subject
    );
END
$$
"""

# In a function for the same reason: no other transaction gives or takes a seat from its first statement on.
# `mailbox` is the invited one, whose own pending invitation, if there is one, is replaced.
HOLD_SEATS = """
CREATE FUNCTION account.hold_seats(tenant text, mailbox text, as_of timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM account.tenants AS held WHERE held.tenant_id = tenant FOR NO KEY UPDATE;
    RETURN (
        SELECT coalesce(sum(counted.members), 0) FROM account.member_counts AS counted
        WHERE counted.tenant_id = tenant
    ) + (
        SELECT count(*) FROM account.invitations AS pending
        WHERE pending.tenant_id = tenant AND pending.status = 'pending' AND pending.expires_at > as_of
        AND pending.email_key <> mailbox
    );
END
$$
"""


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")
    op.execute(JSON_MERGE_PATCH)
    op.execute(HOLD_UNLINKED)
    op.execute(HOLD_SEATS)
    _create_accounts()
    _create_tenants()
    _create_invitations()
    _create_directories()
    _create_billing()
    _create_requests()
    _create_events()
    _create_webhooks()


def _create_accounts() -> None:
    _create(
        "users",
        _id("user_id"),
        sa.Column("email", sa.String(255), nullable=False, comment="as given; shown and mailed to"),
        sa.Column(
            "email_key",
            sa.String(512),
            comment="the mailbox, compared; null when an account that has verified the address took it over",
        ),
        sa.Column("name", sa.String(255)),
        sa.Column("name_key", sa.Text(), comment="the name, folded; searched"),
        _flag("is_active", default=True),
        sa.Column("preferences", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("avatar_url", sa.String(2048)),
        sa.Column("timezone", sa.String(64)),
        sa.Column("locale", sa.String(35), comment="a BCP 47 language tag, such as pt-BR"),
        _flag("email_verified", default=False),
        sa.Column("oauth_provider", sa.String(64)),
        _flag("has_generated_id", default=False, comment="no subject's id"),
        _flag("is_claimed", default=True, comment="somebody has signed in to it, or could from the start"),
        _now("created_at"),
        _now("updated_at"),
        _time("last_login_at"),
        _time("deleted_at"),
        _time("erased_at"),
        _version(),
        sa.PrimaryKeyConstraint("user_id"),
        sa.CheckConstraint("deleted_at IS NULL OR NOT is_active", name="deleted_is_inactive"),
        sa.CheckConstraint(
            "erased_at IS NULL OR (deleted_at IS NOT NULL AND email = '' AND num_nonnulls(email_key, name,"
            " name_key, avatar_url, timezone, locale, oauth_provider, last_login_at) = 0"
            " AND preferences = '{}'::jsonb)",
            name="erased_is_empty",
        ),
        sa.CheckConstraint("is_claimed OR has_generated_id", name="unclaimed_has_generated_id"),
        sa.CheckConstraint("starts_with(avatar_url, 'https://')", name="avatar_url_https"),
        *_within_years("created_at", "last_login_at", "deleted_at"),
        comment="one record for the console and the identity side",
    )
    _index("uq_users_email_key", "users", "email_key", unique=True, where="deleted_at IS NULL")
    _index("ix_users_erased", "users", "erased_at", "user_id", where="erased_at IS NOT NULL")
    _index(
        "ix_users_deleted",
        "users",
        "deleted_at",
        "user_id",
        where="deleted_at IS NOT NULL AND erased_at IS NULL",
    )
    _index("ix_users_page", "users", "created_at", "user_id")
    _index("ix_users_page_by_status", "users", "is_active", "created_at", "user_id")
    op.execute(
        "CREATE INDEX ix_users_search ON account.users"
        " USING gin ((coalesce(email_key, '') || ' ' || coalesce(name_key, '')"
        " || repeat(' ' || email, least(octet_length(email) - char_length(email), 1))) gin_trgm_ops)"
    )
    _create(
        "linked_identities",
        sa.Column("issuer", sa.String(255), nullable=False, comment="empty for the primary issuer"),
        _id("subject"),
        _id("user_id"),
        _now("linked_at"),
        sa.PrimaryKeyConstraint("issuer", "subject"),
        sa.ForeignKeyConstraint(["user_id"], ["account.users.user_id"]),
        comment="what issuers call the owners of accounts, beside the accounts' own ids",
    )
    _index("ix_linked_identities_user", "linked_identities", "user_id", "linked_at")
    _create(
        "email_changes",
        _id("user_id"),
        sa.Column("email", sa.String(255), nullable=False),
        sa.Column("email_key", sa.String(512), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), comment="SHA-256 of the token in the newest mail"),
        _now("requested_at"),
        _time("expires_at"),
        _time("cancelled_at"),
        _time("confirmed_at"),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False, comment="on that day"),
        sa.PrimaryKeyConstraint("user_id"),
        sa.ForeignKeyConstraint(["user_id"], ["account.users.user_id"]),
        comment="the last change of each account's address that its owner asked for",
    )
    _index("ix_email_changes_requested_at", "email_changes", "requested_at")
    _create(
        "account_mails",
        sa.Column("mail_id", sa.String(64), nullable=False),
        _id("user_id"),
        sa.Column(
            "notice_to", sa.String(255), comment="an address that was replaced; null: a change to confirm"
        ),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        _time("due_at", nullable=False),
        sa.PrimaryKeyConstraint("mail_id"),
        sa.ForeignKeyConstraint(["user_id"], ["account.users.user_id"]),
        comment="mails to be sent about accounts; a row is deleted after its mail was sent",
    )
    _index("uq_account_mails_user", "account_mails", "user_id", unique=True, where="notice_to IS NULL")
    _index("ix_account_mails_due_at", "account_mails", "due_at")
    _create(
        "account_totals",
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("accounts", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard"),
        comment="the sum over the shards is exact; sharded, so that registrations do not wait for one row",
    )
    _create(
        "account_registrations",
        _time("hour", nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("accounts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "shard"),
        comment="accounts created in each hour, for as long as statistics look back",
    )


def _create_tenants() -> None:
    _create(
        "tenants",
        _id("tenant_id"),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("slug", sa.String(64), nullable=False),
        sa.Column("description", sa.Text()),
        _word("status", default="active"),
        _word("plan", default="free"),
        sa.Column("max_workers", sa.Integer()),
        sa.Column("max_runs_per_day", sa.BigInteger()),
        sa.Column("max_concurrent_runs", sa.Integer()),
        sa.Column("max_tokens_per_month", sa.BigInteger()),
        sa.Column("max_api_keys", sa.Integer()),
        sa.Column("max_members", sa.Integer()),
        sa.Column("onboarding_state", sa.SmallInteger(), nullable=False, server_default=sa.text("0")),
        _metadata(),
        _flag("invitations_only_to_domains", default=False),
        _now("created_at"),
        _now("updated_at"),
        _time("erased_at"),
        _version(),
        sa.PrimaryKeyConstraint("tenant_id"),
        _one_of("status", "active", "suspended", "terminated", "archived"),
        _one_of("plan", "free", "pro", "enterprise"),
        sa.CheckConstraint("erased_at IS NULL OR status = 'archived'", name="erased_has_ended"),
        sa.CheckConstraint("onboarding_state BETWEEN 0 AND 4", name="onboarding_state"),
        comment="a quota max_… that is null is the plan's",
    )
    _index("ix_tenants_erased", "tenants", "erased_at", "tenant_id", where="erased_at IS NOT NULL")
    _index("ix_tenants_page", "tenants", "created_at", "tenant_id")
    _index("ix_tenants_page_by_status", "tenants", "status", "created_at", "tenant_id")
    op.execute(
        "CREATE INDEX ix_tenants_search ON account.tenants"
        " USING gin ((slug || ' ' || lower(name)) gin_trgm_ops)"
    )
    _create(
        "tenant_slugs",
        sa.Column("slug", sa.String(64), nullable=False),
        _id("tenant_id"),
        sa.PrimaryKeyConstraint("slug"),
        comment="makes slugs unique across tenants; apart, because tenants is keyed by tenant_id",
    )
    _create(
        "memberships",
        *_tenant(),
        _id("user_id"),
        _word("role"),
        _flag("is_active", default=True, comment="the account's own is_active"),
        _id("invited_by", nullable=True),
        _metadata(),
        sa.Column(
            "searched",
            sa.Text(),
            nullable=False,
            server_default=sa.text("''"),
            comment="the account's address and name, as a search among members compares them",
        ),
        _now("joined_at"),
        _now("updated_at"),
        _version(),
        sa.PrimaryKeyConstraint("tenant_id", "user_id"),
        sa.ForeignKeyConstraint(["user_id"], ["account.users.user_id"]),
        _role(),
    )
    _index("ix_memberships_page", "memberships", "tenant_id", "is_active", "joined_at", "user_id")
    _index(
        "ix_memberships_page_by_role", "memberships", "tenant_id", "is_active", "role", "joined_at", "user_id"
    )
    _index("ix_memberships_user", "memberships", "user_id", "tenant_id")
    op.execute(
        "CREATE INDEX ix_memberships_search ON account.memberships"
        " USING gin (tenant_id, searched gin_trgm_ops)"
    )
    _create(
        "tenant_domains",
        _id("tenant_id"),
        sa.Column("domain", sa.String(255), nullable=False, comment="in lower case, of A-labels"),
        sa.Column("token", sa.String(64), nullable=False, comment="of its TXT record; public"),
        _word("status", default="pending"),
        _word("joining", default="closed"),
        _word("join_role", default="member"),
        _now("created_at"),
        _now("updated_at"),
        _time("verified_at"),
        _time("checked_at"),
        _time("found_at"),
        _time("failing_since"),
        sa.Column("problem", sa.String(16), comment="of the last check"),
        _time("next_check_at", comment="null: when somebody asks for it"),
        _version(),
        sa.PrimaryKeyConstraint("tenant_id", "domain"),
        _one_of("status", "pending", "verified"),
        _one_of("joining", "closed", "ask", "open"),
        _one_of("join_role", "admin", "member", "viewer"),
        _one_of("problem", "missing", "unreachable", "taken"),
        sa.CheckConstraint("(verified_at IS NOT NULL) = (status = 'verified')", name="verified_has_time"),
        comment="domains that tenants have claimed; a verified one is one tenant's",
    )
    _index("uq_tenant_domains_verified", "tenant_domains", "domain", unique=True, where="status = 'verified'")
    _index("ix_tenant_domains_next_check_at", "tenant_domains", "next_check_at")
    _index("ix_tenant_domains_page", "tenant_domains", "tenant_id", "created_at", "domain")
    _create(
        "join_requests",
        *_tenant(),
        _id("user_id"),
        _word("status"),
        _now("requested_at"),
        sa.PrimaryKeyConstraint("tenant_id", "user_id"),
        sa.ForeignKeyConstraint(["user_id"], ["account.users.user_id"]),
        _one_of("status", "pending", "refused", "removed"),
        comment="people who asked to join, and those who were removed; a membership deletes its row",
    )
    _index("ix_join_requests_user", "join_requests", "user_id")
    _index("ix_join_requests_page", "join_requests", "tenant_id", "status", "requested_at", "user_id")
    _create(
        "scim_tokens",
        *_tenant(),
        _id("token_id"),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False, comment="SHA-256"),
        _now("created_at"),
        _id("created_by"),
        _time("expires_at", nullable=False),
        _time("last_used_at", comment="up to a minute behind"),
        _time("revoked_at"),
        sa.PrimaryKeyConstraint("tenant_id", "token_id"),
        comment="tokens of the tenants' SCIM clients",
    )
    _index("uq_scim_tokens_token_hash", "scim_tokens", "tenant_id", "token_hash", unique=True)
    _index("ix_scim_tokens_page", "scim_tokens", "tenant_id", "created_at", "token_id")
    _create(
        "scim_group_roles",
        *_tenant(),
        sa.Column("group_key", sa.String(1024), nullable=False, comment="the name, folded; compared"),
        sa.Column("group_name", sa.String(255), nullable=False),
        _word("role"),
        _now("created_at"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("tenant_id", "group_key"),
        _one_of("role", "admin", "member", "viewer"),
        comment="the roles that groups of the tenants' SCIM clients give",
    )
    _index("ix_scim_group_roles_page", "scim_group_roles", "tenant_id", "created_at", "group_key")
    _create(
        "member_counts",
        *_tenant(),
        _word("role"),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "role"),
        _role(),
        sa.CheckConstraint("members >= 0 AND (members > 0 OR role <> 'owner')", name="keeps_an_owner"),
        comment="active members by role, changed in the same statement as a membership",
    )
    _create(
        "ownership_transfers",
        *_tenant(),
        _id("from_user_id"),
        _id("to_user_id"),
        _now("created_at"),
        _time("expires_at", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id"),
        comment="offers of ownership; at most one for each tenant",
    )


def _create_invitations() -> None:
    _create(
        "invitations",
        *_tenant(),
        _id("invitation_id"),
        sa.Column("email", sa.String(255), nullable=False),
        sa.Column("email_key", sa.String(512), nullable=False),
        _word("role"),
        _word("status", default="pending"),
        sa.Column("token_hash", sa.LargeBinary(), comment="SHA-256; null until the mail is composed"),
        sa.Column("delivery", sa.String(16), comment="what became of the mail; null: none is sent"),
        sa.Column("delivery_error", sa.String(255)),
        _id("invited_by"),
        _now("created_at"),
        _now("updated_at"),
        _time("expires_at", nullable=False),
        _time("accepted_at"),
        _id("accepted_user_id", nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "invitation_id"),
        _role(),
        _one_of("status", "pending", "accepted", "expired", "revoked", "declined"),
        _one_of("delivery", "queued", "sent", "delayed", "failed"),
        sa.CheckConstraint(
            "(delivery_error IS NOT NULL) = (delivery IS NOT DISTINCT FROM 'failed')", name="failed_has_error"
        ),
    )
    _index(
        "uq_invitations_pending",
        "invitations",
        "tenant_id",
        "email_key",
        unique=True,
        where="status = 'pending'",
    )
    _index("ix_invitations_seats", "invitations", "tenant_id", "expires_at", where="status = 'pending'")
    _index("ix_invitations_page", "invitations", "tenant_id", "created_at", "invitation_id")
    _index(
        "ix_invitations_page_by_status", "invitations", "tenant_id", "status", "created_at", "invitation_id"
    )
    _index(
        "ix_invitations_received",
        "invitations",
        "email_key",
        "created_at",
        "invitation_id",
        where="status = 'pending'",
    )
    _index("ix_invitations_address", "invitations", "email_key")
    _index("ix_invitations_accepted", "invitations", "accepted_user_id")
    _index("ix_invitations_expires_at", "invitations", "expires_at")
    _index("ix_invitations_updated_at", "invitations", "updated_at")
    _create(
        "invitation_counts",
        *_tenant(),
        _word("status"),
        sa.Column(
            "delivery", sa.String(16), nullable=False, comment="empty: no mail is sent, or it is pending"
        ),
        sa.Column("invitations", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "status", "delivery"),
        _one_of("status", "pending", "accepted", "expired", "revoked", "declined"),
        sa.CheckConstraint("invitations >= 0", name="not_negative"),
        comment="invitations by status, changed in the same statement as one; pending ones may have expired",
    )
    _create(
        "invitation_mails",
        sa.Column("mail_id", sa.String(64), nullable=False),
        _id("tenant_id"),
        _id("invitation_id"),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        _time("due_at", nullable=False),
        sa.PrimaryKeyConstraint("mail_id"),
        comment="mails to be sent; a row is deleted after its mail was sent",
    )
    _index("uq_invitation_mails_invitation", "invitation_mails", "tenant_id", "invitation_id", unique=True)
    _index("ix_invitation_mails_due_at", "invitation_mails", "due_at")
    _create(
        "invitation_limits",
        *_tenant(),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "day"),
    )
    _create(
        "recipient_limits",
        sa.Column("email_key", sa.String(512), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("email_key", "day"),
    )
    _create(
        "tenant_creations",
        _id("user_id"),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("created", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "day"),
        comment="how many tenants a user created on a UTC day; limited",
    )


def _create_directories() -> None:
    _create(
        "scim_users",
        *_tenant(),
        sa.Column("user_name", sa.Text(collation="C"), nullable=False, comment="folded"),
        sa.Column(
            "is_active",
            sa.Boolean(),
            nullable=False,
            comment="what a client has given, not the membership's",
        ),
        *_scim_resource(),
        sa.Column("email", sa.String(255), comment="the one that is invited, as given"),
        sa.Column("email_key", sa.String(512)),
        _id("user_id", nullable=True),
        _id("invitation_id", nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "resource_id"),
        comment="users of tenants' directories; account and membership follow from them",
    )
    _index("uq_scim_users_user_name", "scim_users", "tenant_id", "user_name", unique=True)
    _index("ix_scim_users_user_id", "scim_users", "user_id")
    _index("ix_scim_users_email_key", "scim_users", "email_key")
    _create(
        "scim_groups",
        *_tenant(),
        sa.Column("display_name", sa.Text(collation="C"), nullable=False, comment="folded"),
        *_scim_resource(),
        sa.PrimaryKeyConstraint("tenant_id", "resource_id"),
        comment="groups of tenants' directories",
    )
    _index("ix_scim_groups_display_name", "scim_groups", "tenant_id", "display_name")
    for table in ("scim_users", "scim_groups"):
        _index(f"ix_{table}_external_id", table, "tenant_id", "external_id")
        op.create_index(
            f"ix_{table}_compared",
            table,
            ["tenant_id", "compared"],
            schema=SCHEMA,
            postgresql_using="gin",
            postgresql_ops={"compared": "jsonb_path_ops"},
        )
    _create(
        "scim_group_members",
        *_tenant(),
        _id("group_id"),
        _id("member_id"),
        sa.Column("type", sa.Text(), comment="as a client gave it, as the next one"),
        sa.Column("display", sa.Text()),
        sa.PrimaryKeyConstraint("tenant_id", "group_id", "member_id"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "group_id"],
            ["account.scim_groups.tenant_id", "account.scim_groups.resource_id"],
            name="fk_scim_group_members_group",
        ),
        comment="members are users, or ids that a client gave and the directory does not know",
    )
    _index("ix_scim_group_members_member", "scim_group_members", "tenant_id", "member_id")
    _create(
        "scim_counts",
        *_tenant(),
        sa.Column("kind", sa.String(16), nullable=False, comment="the resource type"),
        sa.Column("resources", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "kind"),
        _one_of("kind", "User", "Group"),
        sa.CheckConstraint("resources >= 0", name="not_negative"),
        comment="how many resources a tenant has, changed in the same transaction as one",
    )


def _scim_resource() -> list[sa.Column[Any]]:
    return [
        _id("resource_id"),
        sa.Column("external_id", sa.Text()),
        sa.Column(
            "resource",
            postgresql.JSONB(),
            nullable=False,
            comment="what a client has given, by names of RFC 7643",
        ),
        sa.Column(
            "compared",
            postgresql.JSONB(),
            nullable=False,
            comment="the same, folded as filters compare it, by names of scim2-models",
        ),
        _now("created_at"),
        _now("updated_at"),
        _version(),
    ]


def _create_billing() -> None:
    _create(
        "subscriptions",
        *_tenant(),
        _word("plan"),
        _word("status"),
        _word("billing_period"),
        _now("current_period_start"),
        _time("current_period_end", nullable=False),
        _time("next_invoice_date"),
        _time("as_of", comment="the row as of the latest time wins"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("tenant_id"),
        _one_of("plan", "free", "pro", "enterprise"),
        _one_of("status", "trialing", "active", "past_due", "canceled"),
        _one_of("billing_period", "monthly", "yearly"),
        *_within_years("current_period_start", "current_period_end", "next_invoice_date", "as_of"),
    )
    _create(
        "invoices",
        *_tenant(),
        _id("invoice_id"),
        _time("period_start", nullable=False),
        _time("period_end", nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        _word("status"),
        sa.Column("description", sa.Text(), nullable=False),
        _time("as_of", comment="the row as of the latest time wins"),
        _time("paid_as_of", comment="the time of its latest payment"),
        _now("updated_at"),
        sa.Column("currency", sa.String(3), comment="of ISO 4217; null when the billing system did not say"),
        sa.Column("number", sa.String(255)),
        sa.Column("hosted_url", sa.Text()),
        sa.Column("pdf_url", sa.Text()),
        sa.PrimaryKeyConstraint("tenant_id", "invoice_id"),
        _one_of("status", "draft", "open", "paid", "void", "uncollectible"),
        *_within_years("period_start", "period_end", "as_of", "paid_as_of"),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
        sa.CheckConstraint("hosted_url LIKE 'https://%'", name="hosted_url"),
        sa.CheckConstraint("pdf_url LIKE 'https://%'", name="pdf_url"),
    )
    _index("ix_invoices_page", "invoices", "tenant_id", "period_start", "invoice_id")
    _index("ix_invoices_page_by_status", "invoices", "tenant_id", "status", "period_start", "invoice_id")
    _create(
        "usage_days",
        *_tenant(),
        sa.Column("day", sa.Date(), nullable=False, comment="in UTC"),
        sa.Column(
            "slot", sa.SmallInteger(), nullable=False, comment="the row of quota_counters that counted"
        ),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "day", "slot"),
        comment="what was used on each day: the sum over the slots",
    )
    _index("ix_usage_days_day", "usage_days", "day")
    _index("ix_usage_days_apart", "usage_days", "day", where="slot <> 0")
    _create(
        "quota_counters",
        *_tenant(),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column(
            "slots",
            sa.SmallInteger(),
            nullable=False,
            comment="how many rows the quotas are divided over",
        ),
        sa.Column("day", sa.Date(), nullable=False, comment="the UTC day of runs_today and tokens_today"),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0"))
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
        sa.PrimaryKeyConstraint("tenant_id", "slot"),
        comment="what is used of a tenant's quotas, in sum; each max_… is divided among the rows",
    )
    _create(
        "leases",
        *_tenant(),
        sa.Column("quota", sa.String(32), nullable=False),
        _id("lease_id"),
        sa.Column("expires_at", sa.DateTime(timezone=True), comment="by the database's clock; null: never"),
        sa.PrimaryKeyConstraint("tenant_id", "quota", "lease_id"),
        _one_of("quota", "max_workers", "max_concurrent_runs", "max_api_keys"),
        comment="what holds a part of a quota until it is released or expires",
    )


def _create_requests() -> None:
    _create(
        "support_tickets",
        *_tenant(),
        _id("ticket_id"),
        _id("user_id"),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        _word("category"),
        _word("priority"),
        _word("status", default="open"),
        _now("created_at"),
        _now("updated_at"),
        sa.Column("resolution", sa.Text()),
        _time("resolved_at"),
        sa.PrimaryKeyConstraint("tenant_id", "ticket_id"),
        sa.ForeignKeyConstraint(["user_id"], ["account.users.user_id"]),
        _one_of("category", "general", "billing", "technical", "account"),
        _one_of("priority", "low", "medium", "high", "urgent"),
        _one_of("status", "open", "in_progress", "resolved", "closed"),
    )
    _index("ix_support_tickets_user", "support_tickets", "user_id")
    _index("ix_support_tickets_page", "support_tickets", "tenant_id", "created_at", "ticket_id")
    kind = ("status", "priority", "category")
    _index("ix_support_tickets_kind", "support_tickets", "tenant_id", *kind, "created_at", "ticket_id")
    _index("ix_support_tickets_all", "support_tickets", "created_at", "ticket_id")
    for column in kind:
        name = f"ix_support_tickets_all_by_{column}"
        _index(name, "support_tickets", column, "created_at", "ticket_id")
    _create(
        "ticket_replies",
        *_tenant(),
        _id("ticket_id"),
        _id("reply_id"),
        _id("author_id"),
        sa.Column(
            "is_support",
            sa.Boolean(),
            nullable=False,
            comment="by the support staff, whose ids need no account",
        ),
        sa.Column("text", sa.Text(), nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("tenant_id", "ticket_id", "reply_id"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "ticket_id"],
            ["account.support_tickets.tenant_id", "account.support_tickets.ticket_id"],
            name="fk_ticket_replies_ticket",
        ),
    )
    _index("ix_ticket_replies_author", "ticket_replies", "author_id")
    _index("ix_ticket_replies_page", "ticket_replies", "tenant_id", "ticket_id", "created_at", "reply_id")
    _create(
        "domain_mails",
        sa.Column("mail_id", sa.String(64), nullable=False),
        _id("tenant_id"),
        sa.Column("domain", sa.String(255), nullable=False),
        _id("user_id"),
        sa.Column("is_lost", sa.Boolean(), nullable=False, comment="else its record is missing"),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("mail_id"),
        comment="mails to tell owners of a domain's trouble; a row is deleted after its mail was sent",
    )
    _index("ix_domain_mails_due_at", "domain_mails", "due_at")
    _create(
        "webhook_mails",
        sa.Column("mail_id", sa.String(64), nullable=False),
        _id("tenant_id"),
        _id("endpoint_id"),
        _id("user_id"),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("mail_id"),
        comment="mails to tell owners of a disabled webhook; a row is deleted after its mail was sent",
    )
    _index("ix_webhook_mails_due_at", "webhook_mails", "due_at")
    _create(
        "ticket_mails",
        sa.Column("mail_id", sa.String(64), nullable=False),
        _id("tenant_id"),
        _id("ticket_id"),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("mail_id"),
        comment="mails to tell of support's answers; a row is deleted after its mail was sent",
    )
    _index("uq_ticket_mails_ticket", "ticket_mails", "tenant_id", "ticket_id", unique=True)
    _index("ix_ticket_mails_due_at", "ticket_mails", "due_at")
    _create(
        "idempotency_keys",
        _id("tenant_id"),
        _id("principal"),
        sa.Column("route", sa.String(255), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status_code", sa.SmallInteger(), comment="null while the first request is still running"),
        sa.Column(
            "response", sa.LargeBinary(), comment="null, too, when it was blanked with a person's data"
        ),
        _now("created_at"),
        sa.PrimaryKeyConstraint("tenant_id", "principal", "route", "key"),
    )
    _index("ix_idempotency_keys_created_at", "idempotency_keys", "created_at")


def _create_webhooks() -> None:
    _create(
        "webhook_endpoints",
        sa.Column(
            "tenant_id", sa.String(255), nullable=False, comment="empty: sent the events of all tenants"
        ),
        _id("endpoint_id"),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("event_types", postgresql.ARRAY(sa.String(64)), comment="null: all"),
        sa.Column("description", sa.Text()),
        _word("status", default="enabled"),
        sa.Column("disabled_reason", sa.String(16)),
        sa.Column("secret", sa.String(128), nullable=False),
        sa.Column("previous_secret", sa.String(128)),
        _time("previous_secret_until"),
        sa.Column(
            "sequence",
            sa.BigInteger(),
            nullable=False,
            comment="each event up to it is delivered or set aside",
        ),
        sa.Column(
            "failures",
            sa.Integer(),
            nullable=False,
            server_default=sa.text("0"),
            comment="since the last success",
        ),
        _time("failing_since"),
        _time("due_at", comment="null: idle; while it is leased, the lease's end"),
        sa.Column("leased_by", sa.String(64), comment="the sender that alone sends to it"),
        sa.Column(
            "is_woken", sa.Boolean(), nullable=False, server_default=sa.false(), comment="while it was leased"
        ),
        _now("created_at"),
        _now("updated_at"),
        _version(),
        sa.PrimaryKeyConstraint("tenant_id", "endpoint_id"),
        _one_of("status", "enabled", "disabled"),
        _one_of("disabled_reason", "requested", "gone", "failing"),
        sa.CheckConstraint(
            "(disabled_reason IS NOT NULL) = (status = 'disabled')", name="disabled_has_reason"
        ),
        comment="where events are sent, each with its position in the line of events",
    )
    _index("ix_webhook_endpoints_due_at", "webhook_endpoints", "due_at")
    _index("ix_webhook_endpoints_leased_by", "webhook_endpoints", "leased_by")
    _index("ix_webhook_endpoints_page", "webhook_endpoints", "tenant_id", "created_at", "endpoint_id")
    _create(
        "webhook_attempts",
        *_webhook(),
        sa.Column("attempt_id", sa.String(64), nullable=False),
        sa.Column("event_type", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), comment="null: a test"),
        _now("attempted_at"),
        sa.Column("status", sa.SmallInteger(), comment="of the answer; null without one"),
        sa.Column("error", sa.String(24)),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "endpoint_id", "attempt_id"),
        _one_of("error", "unresolved", "forbidden_address", "unreachable", "tls", "timeout", "protocol"),
        comment="attempts to deliver events, without what was sent and answered",
    )
    key = ("tenant_id", "endpoint_id")
    _index("ix_webhook_attempts_page", "webhook_attempts", *key, "attempted_at", "attempt_id")
    _index("ix_webhook_attempts_sequence", "webhook_attempts", *key, "sequence")
    _index("ix_webhook_attempts_event", "webhook_attempts", *key, "event_id")
    _index("ix_webhook_attempts_attempted_at", "webhook_attempts", "attempted_at")
    _create(
        "webhook_set_aside",
        *_webhook(),
        sa.Column("event_type", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        _now("set_aside_at"),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "endpoint_id", "event_id"),
        comment="events that an endpoint has refused too often",
    )
    _index("ix_webhook_set_aside_page", "webhook_set_aside", *key, "set_aside_at", "event_id")
    _create(
        "webhook_sends",
        *_webhook(),
        sa.Column("sequence", sa.BigInteger(), comment="null: a test"),
        _now("requested_at"),
        sa.PrimaryKeyConstraint("tenant_id", "endpoint_id", "event_id"),
        comment="single events to send once more, and tests",
    )


def _webhook() -> tuple[sa.schema.SchemaItem, ...]:
    return (
        _id("tenant_id"),
        _id("endpoint_id"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "endpoint_id"],
            ["account.webhook_endpoints.tenant_id", "account.webhook_endpoints.endpoint_id"],
            ondelete="CASCADE",
        ),
        sa.Column("event_id", sa.String(64), nullable=False),
    )


def _create_events() -> None:
    _create(
        "outbox",
        sa.Column("position", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *_event(),
        sa.PrimaryKeyConstraint("position"),
        comment="events as their transactions wrote them, until they are numbered and moved to events",
    )
    _create(
        "events",
        sa.Column("sequence", sa.BigInteger(), nullable=False, comment="no lower one becomes visible later"),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="in the outbox"),
        *_event(),
        sa.PrimaryKeyConstraint("sequence", "time"),
        comment="numbered events; a partition for each month",
        postgresql_partition_by="RANGE (time)",
    )
    _index("ix_events_tenant", "events", "tenant_id", "time", "position", where="tenant_id IS NOT NULL")
    _index("ix_events_tenant_sequence", "events", "tenant_id", "sequence", where="tenant_id IS NOT NULL")
    _index("ix_events_type", "events", "tenant_id", "type", "time", "position", where="tenant_id IS NOT NULL")
    _index(
        "ix_events_actor", "events", "tenant_id", "actor", "time", "position", where="tenant_id IS NOT NULL"
    )
    _index(
        "ix_events_actor_type",
        "events",
        "tenant_id",
        "actor",
        "type",
        "time",
        "position",
        where="tenant_id IS NOT NULL",
    )
    _index("ix_events_user", "events", "user_id", "time", where="user_id IS NOT NULL")
    op.execute(
        "CREATE INDEX ix_events_invitation ON account.events (tenant_id, (payload ->> 'invitation_id'))"
        " WHERE (payload ->> 'invitation_id') IS NOT NULL"
    )
    _create(
        "event_cursors",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False, comment="the work is done up to this one"),
        sa.PrimaryKeyConstraint("name"),
        comment="how far each step of the work on events has come; a worker locks its row",
    )
    _create(
        "dead_events",
        sa.Column("event_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        *_dead_letter(),
        sa.PrimaryKeyConstraint("event_id"),
        comment="events that NATS refuses",
    )
    _create(
        "inbound_messages",
        _id("message_id"),
        sa.Column("subject", sa.String(255), nullable=False),
        _now("received_at"),
        sa.Column("failures", sa.SmallInteger(), comment="of the handler so far; null once it has succeeded"),
        sa.PrimaryKeyConstraint("message_id"),
        comment="messages that have been handled, so that none is handled twice, and those that failed",
    )
    _index("ix_inbound_messages_received_at", "inbound_messages", "received_at")
    _create(
        "dead_messages",
        _id("message_id"),
        sa.Column("subject", sa.String(255), nullable=False),
        _time("time", nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        *_dead_letter(),
        sa.PrimaryKeyConstraint("message_id"),
        comment="messages whose handler failed at every attempt",
    )


def _event() -> list[sa.Column[Any]]:
    return [
        sa.Column(
            "event_id", sa.UUID(as_uuid=False), nullable=False, server_default=sa.text("gen_random_uuid()")
        ),
        sa.Column("type", sa.String(64), nullable=False),
        _time("time", nullable=False, comment="when it happened"),
        _id("tenant_id", nullable=True),
        _id("user_id", nullable=True),
        _id("actor", nullable=True),
        sa.Column("payload", postgresql.JSON(), nullable=False),
    ]


def _dead_letter() -> list[sa.Column[Any]]:
    return [
        sa.Column("reason", sa.Text(), nullable=False),
        _now("parked_at"),
        _flag("retry", default=False),
    ]


def _tenant() -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    return _id("tenant_id"), sa.ForeignKeyConstraint(["tenant_id"], ["account.tenants.tenant_id"])


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(255), nullable=nullable)


def _word(name: str, *, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String(16), nullable=False, server_default=default)


def _flag(name: str, *, default: bool, comment: str | None = None) -> sa.Column[bool]:
    value = sa.text("true" if default else "false")
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=value, comment=comment)


def _time(name: str, *, nullable: bool = True, comment: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, comment=comment)


def _now(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"))


def _metadata() -> sa.Column[Any]:
    return sa.Column(
        "metadata",
        postgresql.JSONB(),
        nullable=False,
        server_default=sa.text("'{}'::jsonb"),
        comment="free JSON of the tenant's owners and admins",
    )


def _version() -> sa.Column[int]:
    return sa.Column("version", sa.Integer(), nullable=False, server_default=sa.text("1"))


def _role() -> sa.CheckConstraint:
    return _one_of("role", "owner", "admin", "member", "viewer")


def _within_years(*columns: str) -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint(
            f"{column} >= '1900-01-01 00:00:00+00' AND {column} < '3000-01-01 00:00:00+00'",
            name=f"{column}_years",
        )
        for column in columns
    ]


def _one_of(column: str, *values: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def _create(name: str, *parts: sa.schema.SchemaItem, **options: Any) -> None:  # noqa: ANN401 - as of Alembic
    op.create_table(name, *parts, schema=SCHEMA, **options)


def _index(name: str, table: str, *columns: str, unique: bool = False, where: str | None = None) -> None:
    of_rows = None if where is None else sa.text(where)
    op.create_index(name, table, list(columns), unique=unique, schema=SCHEMA, postgresql_where=of_rows)


def downgrade() -> None:
    for table in (
        "dead_messages",
        "inbound_messages",
        "webhook_sends",
        "webhook_set_aside",
        "webhook_attempts",
        "webhook_endpoints",
        "dead_events",
        "event_cursors",
        "events",
        "outbox",
        "idempotency_keys",
        "ticket_mails",
        "webhook_mails",
        "domain_mails",
        "ticket_replies",
        "support_tickets",
        "leases",
        "quota_counters",
        "usage_days",
        "invoices",
        "subscriptions",
        "tenant_creations",
        "recipient_limits",
        "invitation_limits",
        "invitation_mails",
        "invitation_counts",
        "invitations",
        "ownership_transfers",
        "scim_counts",
        "scim_group_members",
        "scim_groups",
        "scim_users",
        "member_counts",
        "scim_group_roles",
        "scim_tokens",
        "join_requests",
        "tenant_domains",
        "memberships",
        "tenant_slugs",
        "tenants",
        "account_registrations",
        "account_totals",
        "account_mails",
        "email_changes",
        "linked_identities",
        "users",
    ):
        op.drop_table(table, schema=SCHEMA)
    op.execute("DROP FUNCTION account.json_merge_patch(jsonb, jsonb)")
    op.execute("DROP FUNCTION account.hold_unlinked(text)")
    op.execute("DROP FUNCTION account.hold_seats(text, text, timestamptz)")

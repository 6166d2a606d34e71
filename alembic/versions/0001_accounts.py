"""Accounts: users, tenants, memberships, invitations, billing, usage, support."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# RFC 7396, in the database so that concurrent merges of one document queue on its row.
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


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute(JSON_MERGE_PATCH)
    op.create_table(
        "account_registrations",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("accounts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "shard", name=op.f("pk_account_registrations")),
        schema="account",
        comment="accounts created by hour, for as long as statistics look back",
    )
    op.create_table(
        "account_totals",
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("accounts", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_account_totals")),
        schema="account",
        comment="their sum is exact; in shards, so that registrations do not queue on one row",
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("route", sa.String(length=255), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "status_code",
            sa.SmallInteger(),
            nullable=True,
            comment="null while the first request is still running",
        ),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "principal", "route", "key", name=op.f("pk_idempotency_keys")),
        schema="account",
    )
    op.create_index(
        op.f("ix_idempotency_keys_created_at"),
        "idempotency_keys",
        ["created_at"],
        unique=False,
        schema="account",
    )
    op.create_table(
        "invitation_deliveries",
        sa.Column("delivery_id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("invitation_id", sa.String(length=255), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_invitation_deliveries")),
        schema="account",
        comment="mails still to be sent; a row leaves only after the mail has",
    )
    op.create_index(
        op.f("ix_invitation_deliveries_due_at"),
        "invitation_deliveries",
        ["due_at"],
        unique=False,
        schema="account",
    )
    op.create_index(
        "uq_invitation_deliveries_invitation",
        "invitation_deliveries",
        ["tenant_id", "invitation_id"],
        unique=True,
        schema="account",
    )
    op.create_table(
        "recipient_limits",
        sa.Column("email_key", sa.String(length=512), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("email_key", "day", name=op.f("pk_recipient_limits")),
        schema="account",
    )
    op.create_table(
        "tenant_slugs",
        sa.Column("slug", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_tenant_slugs")),
        schema="account",
        comment="claims a slug across tenants; apart, because tenants is keyed by tenant_id alone",
    )
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("slug", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=16), server_default="active", nullable=False),
        sa.Column("plan", sa.String(length=16), server_default="free", nullable=False),
        sa.Column("max_workers", sa.Integer(), nullable=True, comment="quota override; null: the plan's"),
        sa.Column("max_runs_per_day", sa.BigInteger(), nullable=True),
        sa.Column("max_concurrent_runs", sa.Integer(), nullable=True),
        sa.Column("max_tokens_per_month", sa.BigInteger(), nullable=True),
        sa.Column("max_api_keys", sa.Integer(), nullable=True),
        sa.Column("onboarding_state", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("plan IN ('free', 'pro', 'enterprise')", name=op.f("ck_tenants_plan")),
        sa.CheckConstraint(
            "status IN ('active', 'suspended', 'terminated', 'archived')", name=op.f("ck_tenants_status")
        ),
        sa.CheckConstraint("onboarding_state BETWEEN 0 AND 4", name=op.f("ck_tenants_onboarding_state")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenants")),
        schema="account",
    )
    op.create_table(
        "users",
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("email", sa.String(length=255), nullable=False, comment="as given; shown and mailed to"),
        sa.Column(
            "email_key",
            sa.String(length=512),
            nullable=False,
            comment="normalised once, in one function; compared",
        ),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column(
            "name_key", sa.Text(), nullable=True, comment="the name, folded as e-mail addresses are; searched"
        ),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "preferences",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("avatar_url", sa.Text(), nullable=True),
        sa.Column("timezone", sa.String(length=64), nullable=True),
        sa.Column("email_verified", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("oauth_provider", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("deleted_at IS NULL OR NOT is_active", name=op.f("ck_users_deleted_is_inactive")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_users")),
        schema="account",
        comment="one record for the console and the identity side",
    )
    op.create_index("ix_users_page", "users", ["created_at", "user_id"], unique=False, schema="account")
    op.create_index(
        "ix_users_page_by_status",
        "users",
        ["is_active", "created_at", "user_id"],
        unique=False,
        schema="account",
    )
    op.create_index(
        "ix_users_search",
        "users",
        ["email_key", "name_key"],
        unique=False,
        schema="account",
        postgresql_using="gin",
        postgresql_ops={"email_key": "gin_trgm_ops", "name_key": "gin_trgm_ops"},
    )
    op.create_index(
        "uq_users_email_key_active",
        "users",
        ["email_key"],
        unique=True,
        schema="account",
        postgresql_where=sa.text("is_active"),
    )
    op.create_table(
        "invitation_limits",
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["account.tenants.tenant_id"], name=op.f("fk_invitation_limits_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "day", name=op.f("pk_invitation_limits")),
        schema="account",
    )
    op.create_table(
        "invitations",
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("invitation_id", sa.String(length=255), nullable=False),
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("email_key", sa.String(length=512), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), server_default="pending", nullable=False),
        sa.Column(
            "token_hash", sa.LargeBinary(), nullable=True, comment="SHA-256; null until the mail is composed"
        ),
        sa.Column("invited_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_user_id", sa.String(length=255), nullable=True),
        sa.CheckConstraint(
            "role IN ('owner', 'admin', 'member', 'viewer')", name=op.f("ck_invitations_role")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'accepted', 'expired', 'revoked')", name=op.f("ck_invitations_status")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["account.tenants.tenant_id"], name=op.f("fk_invitations_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "invitation_id", name=op.f("pk_invitations")),
        schema="account",
    )
    op.create_index(
        "ix_invitations_page",
        "invitations",
        ["tenant_id", "created_at", "invitation_id"],
        unique=False,
        schema="account",
    )
    op.create_index(
        "uq_invitations_pending",
        "invitations",
        ["tenant_id", "email_key"],
        unique=True,
        schema="account",
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "invoices",
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("invoice_id", sa.String(length=255), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('draft', 'open', 'paid', 'void', 'uncollectible')", name=op.f("ck_invoices_status")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["account.tenants.tenant_id"], name=op.f("fk_invoices_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "invoice_id", name=op.f("pk_invoices")),
        schema="account",
    )
    op.create_index(
        "ix_invoices_page",
        "invoices",
        ["tenant_id", "period_start", "invoice_id"],
        unique=False,
        schema="account",
    )
    op.create_table(
        "member_counts",
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "members >= 0 AND (members > 0 OR role <> 'owner')", name=op.f("ck_member_counts_keeps_an_owner")
        ),
        sa.CheckConstraint(
            "role IN ('owner', 'admin', 'member', 'viewer')", name=op.f("ck_member_counts_role")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["account.tenants.tenant_id"], name=op.f("fk_member_counts_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "role", name=op.f("pk_member_counts")),
        schema="account",
        comment="active members by role, changed in the statement that changes a membership",
    )
    op.create_table(
        "memberships",
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column(
            "is_active",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="the account's own is_active",
        ),
        sa.Column("invited_by", sa.String(length=255), nullable=True),
        sa.Column("joined_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "role IN ('owner', 'admin', 'member', 'viewer')", name=op.f("ck_memberships_role")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["account.tenants.tenant_id"], name=op.f("fk_memberships_tenant_id_tenants")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["account.users.user_id"], name=op.f("fk_memberships_user_id_users")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "user_id", name=op.f("pk_memberships")),
        schema="account",
    )
    op.create_index(
        "ix_memberships_page",
        "memberships",
        ["tenant_id", "is_active", "joined_at", "user_id"],
        unique=False,
        schema="account",
    )
    op.create_index(
        "ix_memberships_page_by_role",
        "memberships",
        ["tenant_id", "is_active", "role", "joined_at", "user_id"],
        unique=False,
        schema="account",
    )
    op.create_index("ix_memberships_user_id", "memberships", ["user_id"], unique=False, schema="account")
    op.create_table(
        "ownership_transfers",
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("from_user_id", sa.String(length=255), nullable=False),
        sa.Column("to_user_id", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["account.tenants.tenant_id"],
            name=op.f("fk_ownership_transfers_tenant_id_tenants"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_ownership_transfers")),
        schema="account",
        comment="at most one open per tenant",
    )
    op.create_table(
        "subscriptions",
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("plan", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("billing_period", sa.String(length=16), nullable=False),
        sa.Column(
            "current_period_start",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("current_period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_invoice_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "billing_period IN ('monthly', 'yearly')", name=op.f("ck_subscriptions_billing_period")
        ),
        sa.CheckConstraint("plan IN ('free', 'pro', 'enterprise')", name=op.f("ck_subscriptions_plan")),
        sa.CheckConstraint(
            "status IN ('trialing', 'active', 'past_due', 'canceled')", name=op.f("ck_subscriptions_status")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["account.tenants.tenant_id"], name=op.f("fk_subscriptions_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_subscriptions")),
        schema="account",
    )
    op.create_table(
        "support_tickets",
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("ticket_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("category", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), server_default="open", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "category IN ('general', 'billing', 'technical', 'account')",
            name=op.f("ck_support_tickets_category"),
        ),
        sa.CheckConstraint(
            "priority IN ('low', 'medium', 'high', 'urgent')", name=op.f("ck_support_tickets_priority")
        ),
        sa.CheckConstraint(
            "status IN ('open', 'in_progress', 'resolved', 'closed')", name=op.f("ck_support_tickets_status")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["account.tenants.tenant_id"], name=op.f("fk_support_tickets_tenant_id_tenants")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["account.users.user_id"], name=op.f("fk_support_tickets_user_id_users")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "ticket_id", name=op.f("pk_support_tickets")),
        schema="account",
    )
    op.create_index(
        "ix_support_tickets_page",
        "support_tickets",
        ["tenant_id", "created_at", "ticket_id"],
        unique=False,
        schema="account",
    )
    op.create_table(
        "usage_counters",
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="the UTC day runs_today counts"),
        sa.Column("runs_today", sa.BigInteger(), nullable=False),
        sa.Column("runs_this_month", sa.BigInteger(), nullable=False),
        sa.Column("tokens_this_month", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["account.tenants.tenant_id"], name=op.f("fk_usage_counters_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_usage_counters")),
        schema="account",
    )


def downgrade() -> None:
    op.drop_table("usage_counters", schema="account")
    op.drop_index("ix_support_tickets_page", table_name="support_tickets", schema="account")
    op.drop_table("support_tickets", schema="account")
    op.drop_table("subscriptions", schema="account")
    op.drop_table("ownership_transfers", schema="account")
    op.drop_index("ix_memberships_user_id", table_name="memberships", schema="account")
    op.drop_index("ix_memberships_page_by_role", table_name="memberships", schema="account")
    op.drop_index("ix_memberships_page", table_name="memberships", schema="account")
    op.drop_table("memberships", schema="account")
    op.drop_table("member_counts", schema="account")
    op.drop_index("ix_invoices_page", table_name="invoices", schema="account")
    op.drop_table("invoices", schema="account")
    op.drop_index(
        "uq_invitations_pending",
        table_name="invitations",
        schema="account",
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.drop_index("ix_invitations_page", table_name="invitations", schema="account")
    op.drop_table("invitations", schema="account")
    op.drop_table("invitation_limits", schema="account")
    op.drop_index(
        "uq_users_email_key_active",
        table_name="users",
        schema="account",
        postgresql_where=sa.text("is_active"),
    )
    op.drop_index(
        "ix_users_search",
        table_name="users",
        schema="account",
        postgresql_using="gin",
        postgresql_ops={"email_key": "gin_trgm_ops", "name_key": "gin_trgm_ops"},
    )
    op.drop_index("ix_users_page_by_status", table_name="users", schema="account")
    op.drop_index("ix_users_page", table_name="users", schema="account")
    op.drop_table("users", schema="account")
    op.drop_table("tenants", schema="account")
    op.drop_table("tenant_slugs", schema="account")
    op.drop_table("recipient_limits", schema="account")
    op.drop_index("uq_invitation_deliveries_invitation", table_name="invitation_deliveries", schema="account")
    op.drop_index(
        op.f("ix_invitation_deliveries_due_at"), table_name="invitation_deliveries", schema="account"
    )
    op.drop_table("invitation_deliveries", schema="account")
    op.drop_index(op.f("ix_idempotency_keys_created_at"), table_name="idempotency_keys", schema="account")
    op.drop_table("idempotency_keys", schema="account")
    op.drop_table("account_totals", schema="account")
    op.drop_table("account_registrations", schema="account")
    op.execute("DROP FUNCTION account.json_merge_patch(jsonb, jsonb)")

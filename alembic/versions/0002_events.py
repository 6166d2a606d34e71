"""Events: the outbox, the log they are put in line in, what is parked; billing as of when.

While this runs, servers of the release before still answer: what they read and write must keep working.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *_event(),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_outbox")),
        schema="account",
        comment="events as their transactions wrote them, until they are put in line in events",
    )
    op.create_table(
        "events",
        sa.Column("sequence", sa.BigInteger(), nullable=False, comment="no lower one becomes visible later"),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="in the outbox"),
        *_event(),
        sa.PrimaryKeyConstraint("sequence", "time", name=op.f("pk_events")),
        schema="account",
        comment="every event in the one order in which all readers see it; a partition for each month",
        postgresql_partition_by="RANGE (time)",
    )
    op.create_index("ix_events_tenant", "events", ["tenant_id", "time", "position"], schema="account")
    op.create_table(
        "event_cursors",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False, comment="all up to this one are done"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_event_cursors")),
        schema="account",
        comment="how far the work on events has come; who works locks the row",
    )
    op.create_table(
        "parked_events",
        sa.Column("event_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        *_parked(),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_parked_events")),
        schema="account",
        comment="events that NATS refuses for what they are",
    )
    op.create_table(
        "inbound_messages",
        sa.Column("message_id", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_inbound_messages")),
        schema="account",
        comment="messages that have been handled, so that none is handled twice",
    )
    op.create_index(
        op.f("ix_inbound_messages_received_at"), "inbound_messages", ["received_at"], schema="account"
    )
    op.create_table(
        "parked_messages",
        sa.Column("message_id", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        *_parked(),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_parked_messages")),
        schema="account",
        comment="messages whose handler failed to the last",
    )
    for table in ("subscriptions", "invoices"):
        op.add_column(
            table,
            sa.Column("as_of", sa.DateTime(timezone=True), nullable=True, comment="a later one wins"),
            schema="account",
        )


def _event() -> list[sa.Column[Any]]:
    return [
        sa.Column(
            "event_id", sa.UUID(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False
        ),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False, comment="when it happened"),
        sa.Column("tenant_id", sa.String(length=255), nullable=True),
        sa.Column("user_id", sa.String(length=255), nullable=True),
        sa.Column("actor", sa.String(length=255), nullable=True),
        sa.Column("payload", postgresql.JSON(astext_type=sa.Text()), nullable=False),
    ]


def _parked() -> list[sa.Column[Any]]:
    return [
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("parked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("retry", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    ]


def downgrade() -> None:
    for table in ("subscriptions", "invoices"):
        op.drop_column(table, "as_of", schema="account")
    for table in (
        "parked_messages",
        "inbound_messages",
        "parked_events",
        "event_cursors",
        "events",
        "outbox",
    ):
        op.drop_table(table, schema="account")

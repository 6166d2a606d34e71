"""The currency of invoices, and the years of times that others give."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "account"
FIRST = "1900-01-01 00:00:00+00"
END = "3000-01-01 00:00:00+00"
LAST = "2999-12-31 23:59:59.999999+00"

TIMES = {
    "users": ("created_at", "last_login_at", "deleted_at"),
    "subscriptions": ("current_period_start", "current_period_end", "next_invoice_date", "as_of"),
    "invoices": ("period_start", "period_end", "as_of"),
}


def upgrade() -> None:
    op.add_column(
        "invoices",
        sa.Column("currency", sa.String(3), comment="of ISO 4217; null when the billing system did not say"),
        schema=SCHEMA,
    )
    op.create_check_constraint("currency", "invoices", "currency ~ '^[A-Z]{3}$'", schema=SCHEMA)
    for table, columns in TIMES.items():
        for column in columns:
            # The version before stored the first and the last year of the calendar as infinities.
            op.execute(f"UPDATE {SCHEMA}.{table} SET {column} = '{FIRST}' WHERE {column} < '{FIRST}'")  # noqa: S608 - of constants
            op.execute(f"UPDATE {SCHEMA}.{table} SET {column} = '{LAST}' WHERE {column} >= '{END}'")  # noqa: S608 - of constants
            op.create_check_constraint(
                f"{column}_years", table, f"{column} >= '{FIRST}' AND {column} < '{END}'", schema=SCHEMA
            )


def downgrade() -> None:
    for table, columns in TIMES.items():
        for column in columns:
            op.drop_constraint(op.f(f"ck_{table}_{column}_years"), table, schema=SCHEMA)
    op.drop_column("invoices", "currency", schema=SCHEMA)

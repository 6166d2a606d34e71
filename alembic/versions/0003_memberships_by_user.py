"""An index that finds one membership, whatever the size of its tenant."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "account"


def upgrade() -> None:
    op.create_index("ix_memberships_user", "memberships", ["user_id", "tenant_id"], schema=SCHEMA)
    op.drop_index("ix_memberships_user_id", "memberships", schema=SCHEMA)


def downgrade() -> None:
    op.create_index("ix_memberships_user_id", "memberships", ["user_id"], schema=SCHEMA)
    op.drop_index("ix_memberships_user", "memberships", schema=SCHEMA)

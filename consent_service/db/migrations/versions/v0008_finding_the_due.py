"""Indexes by which what is due for retention is found, however much is kept."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this version."""
    op.create_index("ix_asset_kept", "asset", ["rule", "state"])
    op.create_index("ix_involvement_quiet", "involvement", ["ended_on", "last_entry_at"])

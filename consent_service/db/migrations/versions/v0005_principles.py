"""Principles of attuned interaction that a guider noticed in a clip or photo."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this version."""
    op.add_column("asset", sa.Column("principles", sa.JSON(), nullable=True))

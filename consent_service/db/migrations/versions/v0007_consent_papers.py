"""Scans of signed papers, encrypted, beside the act that was written down from them."""

import sqlalchemy as sa
from alembic import op

import consent_service.db.base

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this version."""
    op.create_table(
        "consent_paper",
        sa.Column("act_id", sa.String(length=32), nullable=False),
        sa.Column("paper_id", sa.String(length=32), nullable=False),
        sa.Column("media_type", sa.String(length=80), nullable=False),
        sa.Column("plain_size", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("attached_by", sa.String(length=32), nullable=False),
        sa.Column("attached_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["act_id"], ["consent_act.id"], name=op.f("fk_consent_paper_act_id")
        ),
        sa.PrimaryKeyConstraint("act_id", name=op.f("pk_consent_paper")),
    )

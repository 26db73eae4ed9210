"""Recordings that come in piece by piece: how far each has come, and its parts."""

import sqlalchemy as sa
from alembic import op

import consent_service.db.base

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this version."""
    op.create_table(
        "film_upload",
        sa.Column("asset_id", sa.String(length=32), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("finishing_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_film_upload_asset_id")),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_film_upload")),
    )
    op.create_table(
        "upload_part",
        sa.Column("asset_id", sa.String(length=32), nullable=False),
        sa.Column("begins", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("blob", sa.String(length=80), nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_upload_part_asset_id")),
        sa.PrimaryKeyConstraint("asset_id", "begins", name=op.f("pk_upload_part")),
        sa.UniqueConstraint("blob", name=op.f("uq_upload_part_blob")),
    )

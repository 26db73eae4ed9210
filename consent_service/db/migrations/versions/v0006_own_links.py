"""Links for families, and the numbers with which a withdrawal by link can be taken back."""

import sqlalchemy as sa
from alembic import op

import consent_service.db.base

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INSTANT = consent_service.db.base.UtcDateTime


def upgrade() -> None:
    """Bring the schema to this version."""
    op.create_table(
        "own_link",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("form_id", sa.String(length=80), nullable=True),
        sa.Column("language", sa.String(length=20), nullable=True),
        sa.Column("capacity", sa.String(length=80), nullable=True),
        sa.Column("made_by", sa.String(length=32), nullable=False),
        sa.Column("made_at", _INSTANT(), nullable=False),
        sa.Column("expires_at", _INSTANT(), nullable=True),
        sa.Column("opened_at", _INSTANT(), nullable=True),
        sa.Column("wrong_answers", sa.Integer(), nullable=False),
        sa.Column("session_mark", sa.String(length=64), nullable=True),
        sa.Column("used_at", _INSTANT(), nullable=True),
        sa.Column("act_id", sa.String(length=32), nullable=True),
        sa.Column("revoked_at", _INSTANT(), nullable=True),
        sa.Column("draft", sa.JSON(), nullable=True),
        sa.Column("drafted_at", _INSTANT(), nullable=True),
        sa.ForeignKeyConstraint(["act_id"], ["consent_act.id"], name=op.f("fk_own_link_act_id")),
        sa.ForeignKeyConstraint(
            ["involvement_id"],
            ["involvement.id"],
            name=op.f("fk_own_link_involvement_id"),
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_own_link_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_own_link")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_own_link_token_sha256")),
    )
    with op.batch_alter_table("own_link", schema=None) as batch_op:
        for column in ("act_id", "involvement_id", "person_id"):
            batch_op.create_index(batch_op.f(f"ix_own_link_{column}"), [column], unique=False)
    op.create_table(
        "undo_pin",
        sa.Column("withdrawal_id", sa.String(length=32), nullable=False),
        sa.Column("pin_hash", sa.String(length=255), nullable=False),
        sa.Column("wrong_answers", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["withdrawal_id"],
            ["withdrawal.id"],
            name=op.f("fk_undo_pin_withdrawal_id"),
        ),
        sa.PrimaryKeyConstraint("withdrawal_id", name=op.f("pk_undo_pin")),
    )

"""First version of the schema."""

import sqlalchemy as sa
from alembic import op

import consent_service.db.base
from consent_service.db.models.audit import TRIGGERS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this version."""
    op.create_table(
        "appraisal",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("code", sa.String(length=80), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("first_approved_by", sa.String(length=32), nullable=True),
        sa.Column("first_approved_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("approved_by", sa.String(length=32), nullable=True),
        sa.Column("approved_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=False),
        sa.Column("revoked_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("revoked_by", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appraisal")),
    )
    with op.batch_alter_table("appraisal", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_appraisal_code"), ["code"], unique=False)

    op.create_table(
        "audit_entry",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.Column("kind", sa.String(length=120), nullable=False),
        sa.Column("actor", sa.String(length=160), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=True),
        sa.Column("involvement", sa.String(length=120), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_entry_actor_at"), ["actor", "at"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_entry_at_id"), ["at", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_audit_entry_involvement_at"), ["involvement", "at"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_audit_entry_kind_at"), ["kind", "at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_audit_entry_subject_at"), ["subject", "at"], unique=False
        )

    op.create_table(
        "audit_epoch",
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", name=op.f("pk_audit_epoch")),
    )
    op.create_table(
        "clock_pause",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("found_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("last_beat_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("confirmed_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("confirmed_by", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clock_pause")),
    )
    with op.batch_alter_table("clock_pause", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_clock_pause_confirmed_at"), ["confirmed_at"], unique=False
        )

    op.create_table(
        "heartbeat",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("beat_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "journal_due",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("due_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_due")),
    )
    with op.batch_alter_table("journal_due", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_journal_due_due_at"), ["due_at"], unique=False)

    op.create_table(
        "journal_mark",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("marked_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_journal_mark")),
    )
    op.create_table(
        "leaflet",
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("created_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_leaflet")),
    )
    op.create_table(
        "published_policy",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("path", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("material", sa.Boolean(), nullable=False),
        sa.Column("published_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("published_by", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_published_policy")),
        sa.UniqueConstraint("path", "digest", name=op.f("uq_published_policy_path_digest")),
    )
    with op.batch_alter_table("published_policy", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_published_policy_path"), ["path"], unique=False)

    op.create_table(
        "retention_run",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("ran_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("ran_by", sa.String(length=32), nullable=True),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("refused", sa.String(length=80), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_run")),
    )
    op.create_table(
        "role",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role")),
        sa.UniqueConstraint("name", name=op.f("uq_role_name")),
    )
    op.create_table(
        "schedule",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("trigger", sa.String(length=120), nullable=False),
        sa.Column("next_fire_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("last_fire_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedule")),
    )
    with op.batch_alter_table("schedule", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_schedule_next_fire_at"), ["next_fire_at"], unique=False
        )

    op.create_table(
        "team",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_team")),
        sa.UniqueConstraint("name", name=op.f("uq_team_name")),
    )
    op.create_table(
        "user_account",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("display_name", sa.String(length=200), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("fs_uniquifier", sa.String(length=64), nullable=False),
        sa.Column("confirmed_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("tf_primary_method", sa.String(length=64), nullable=True),
        sa.Column("tf_totp_secret", sa.String(length=255), nullable=True),
        sa.Column("totp_counter", sa.Integer(), nullable=True),
        sa.Column("mf_recovery_codes", sa.JSON(), nullable=True),
        sa.Column("failed_sign_ins", sa.Integer(), nullable=False),
        sa.Column("locked_until", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("last_seen_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("created_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("disabled_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("email", name=op.f("uq_user_account_email")),
        sa.UniqueConstraint("fs_uniquifier", name=op.f("uq_user_account_fs_uniquifier")),
    )
    op.create_table(
        "api_token",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("expires_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("revoked_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("last_used_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_api_token_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_api_token_token_sha256")),
    )
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_token_user_id"), ["user_id"], unique=False)

    op.create_table(
        "audit_checkpoint",
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["epoch"], ["audit_epoch.epoch"], name=op.f("fk_audit_checkpoint_epoch")
        ),
        sa.PrimaryKeyConstraint("epoch", "size", name=op.f("pk_audit_checkpoint")),
    )
    op.create_table(
        "audit_leaf",
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.String(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["audit_entry.id"], name=op.f("fk_audit_leaf_entry_id")
        ),
        sa.ForeignKeyConstraint(["epoch"], ["audit_epoch.epoch"], name=op.f("fk_audit_leaf_epoch")),
        sa.PrimaryKeyConstraint("epoch", "index", name=op.f("pk_audit_leaf")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_audit_leaf_entry_id")),
    )
    op.create_table(
        "audit_pending",
        sa.Column("entry_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["audit_entry.id"], name=op.f("fk_audit_pending_entry_id")
        ),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_audit_pending")),
    )
    op.create_table(
        "audit_tile",
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["epoch"], ["audit_epoch.epoch"], name=op.f("fk_audit_tile_epoch")),
        sa.PrimaryKeyConstraint("epoch", "level", "index", name=op.f("pk_audit_tile")),
    )
    op.create_table(
        "idempotency_key",
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("location", sa.String(length=300), nullable=True),
        sa.Column("body", sa.JSON(), nullable=True),
        sa.Column("created_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_idempotency_key_user_id")
        ),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_table(
        "involvement",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("guider_id", sa.String(length=32), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("consent_epoch", sa.Integer(), nullable=False),
        sa.Column("started_on", sa.Date(), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.Column("last_entry_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("created_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["guider_id"], ["user_account.id"], name=op.f("fk_involvement_guider_id")
        ),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_involvement_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_involvement")),
    )
    with op.batch_alter_table("involvement", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_involvement_guider_id"), ["guider_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_involvement_team_id"), ["team_id"], unique=False)

    op.create_table(
        "leaflet_version",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("archive_on", sa.Date(), nullable=False),
        sa.Column("control_line", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("published_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("published_by", sa.String(length=32), nullable=False),
        sa.Column("reviewed_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("archived_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("reissue_flagged_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["code"], ["leaflet.code"], name=op.f("fk_leaflet_version_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leaflet_version")),
        sa.UniqueConstraint("code", "version", name=op.f("uq_leaflet_version_code_version")),
    )
    op.create_table(
        "notice",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("to_role", sa.String(length=80), nullable=True),
        sa.Column("to_user_id", sa.String(length=32), nullable=True),
        sa.Column("subject", sa.String(length=80), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("created_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("sent_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("seen_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["to_user_id"], ["user_account.id"], name=op.f("fk_notice_to_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
    )
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_notice_to_user_id"), ["to_user_id"], unique=False)
        batch_op.create_index("ix_notice_unsent", ["sent_at", "created_at"], unique=False)

    op.create_table(
        "person",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.String(length=200), nullable=False),
        sa.Column("born_on", sa.Date(), nullable=True),
        sa.Column("died_on", sa.Date(), nullable=True),
        sa.Column("nhs_number", sa.String(length=10), nullable=True),
        sa.Column("information_needs", sa.JSON(), nullable=False),
        sa.Column("safe_contact", sa.Text(), nullable=True),
        sa.Column("decides_for_self", sa.Boolean(), nullable=False),
        sa.Column("decides_basis", sa.String(length=80), nullable=True),
        sa.Column("created_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_person_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("nhs_number", name=op.f("uq_person_nhs_number")),
    )
    with op.batch_alter_table("person", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_person_name_key"), ["name_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_person_team_id"), ["team_id"], unique=False)

    op.create_table(
        "schedule_run",
        sa.Column("schedule", sa.String(length=80), nullable=False),
        sa.Column("fire_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("lease_owner", sa.String(length=80), nullable=True),
        sa.Column("lease_until", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("fencing_token", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("started_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("finished_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("fault", sa.String(length=80), nullable=True),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["schedule"], ["schedule.name"], name=op.f("fk_schedule_run_schedule")
        ),
        sa.PrimaryKeyConstraint("schedule", "fire_at", name=op.f("pk_schedule_run")),
    )
    with op.batch_alter_table("schedule_run", schema=None) as batch_op:
        batch_op.create_index("ix_schedule_run_open", ["finished_at", "lease_until"], unique=False)

    op.create_table(
        "set_up_link",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("expires_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("used_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_set_up_link_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_set_up_link")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_set_up_link_token_sha256")),
    )
    with op.batch_alter_table("set_up_link", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_set_up_link_user_id"), ["user_id"], unique=False)

    op.create_table(
        "team_member",
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_team_member_team_id")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_team_member_user_id")
        ),
        sa.PrimaryKeyConstraint("team_id", "user_id", name=op.f("pk_team_member")),
    )
    with op.batch_alter_table("team_member", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_team_member_user_id"), ["user_id"], unique=False)

    op.create_table(
        "user_role",
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("role_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["role_id"], ["role.id"], name=op.f("fk_user_role_role_id")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_user_role_user_id")
        ),
        sa.PrimaryKeyConstraint("user_id", "role_id", name=op.f("pk_user_role")),
    )
    with op.batch_alter_table("user_role", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_user_role_role_id"), ["role_id"], unique=False)

    op.create_table(
        "consent_draft",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("edited_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_consent_draft_involvement_id")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_consent_draft_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_draft")),
    )
    with op.batch_alter_table("consent_draft", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_consent_draft_edited_at"), ["edited_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_consent_draft_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_consent_draft_user_id"), ["user_id"], unique=False)

    op.create_table(
        "consent_ending",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "withdrawn",
                "undone",
                "revoked",
                "invalidated",
                "resolved_given",
                "resolved_declined",
                name="endingkind",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=80), nullable=False),
        sa.Column("by_person_id", sa.String(length=32), nullable=True),
        sa.Column("may_overrule", sa.Boolean(), nullable=False),
        sa.Column("by_user_id", sa.String(length=32), nullable=True),
        sa.Column("ref", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("event_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("recorded_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["by_person_id"], ["person.id"], name=op.f("fk_consent_ending_by_person_id")
        ),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_consent_ending_involvement_id")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_consent_ending_person_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_ending")),
    )
    with op.batch_alter_table("consent_ending", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_consent_ending_by_person_id"), ["by_person_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_consent_ending_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_consent_ending_ref"), ["ref"], unique=False)
        batch_op.create_index(
            "ix_consent_ending_story", ["person_id", "purpose", "involvement_id"], unique=False
        )

    op.create_table(
        "disposition",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("subject_kind", sa.String(length=80), nullable=False),
        sa.Column("subject_id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=True),
        sa.Column("rule", sa.String(length=80), nullable=False),
        sa.Column("why", sa.String(length=80), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("queued_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("decision", sa.String(length=80), nullable=True),
        sa.Column("decided_by", sa.String(length=32), nullable=True),
        sa.Column("decided_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("confirmed_by", sa.String(length=32), nullable=True),
        sa.Column("confirmed_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("look_again_on", sa.Date(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_disposition_involvement_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disposition")),
    )
    with op.batch_alter_table("disposition", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_disposition_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index("ix_disposition_open", ["decided_at", "due_on"], unique=False)
        batch_op.create_index(batch_op.f("ix_disposition_subject_id"), ["subject_id"], unique=False)

    op.create_table(
        "dispute",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=80), nullable=False),
        sa.Column("opened_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("resolved_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("resolution", sa.String(length=80), nullable=True),
        sa.Column("resolved_by", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_dispute_involvement_id")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_dispute_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispute")),
    )
    with op.batch_alter_table("dispute", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_dispute_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_dispute_person_id"), ["person_id"], unique=False)

    op.create_table(
        "feedback",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=True),
        sa.Column("person_id", sa.String(length=32), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("given_on", sa.Date(), nullable=False),
        sa.Column("recorded_by", sa.String(length=32), nullable=False),
        sa.Column("recorded_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("anonymised_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_feedback_involvement_id")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_feedback_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
    )
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_feedback_given_on"), ["given_on"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_feedback_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_feedback_person_id"), ["person_id"], unique=False)

    op.create_table(
        "goal",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("recorded_by", sa.String(length=32), nullable=False),
        sa.Column("recorded_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_goal_involvement_id")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_goal_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_goal")),
    )
    with op.batch_alter_table("goal", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_goal_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_goal_person_id"), ["person_id"], unique=False)

    op.create_table(
        "handover",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("offered_on", sa.Date(), nullable=False),
        sa.Column("how", sa.String(length=80), nullable=True),
        sa.Column("recorded_by", sa.String(length=32), nullable=False),
        sa.Column("recorded_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("closed_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_handover_involvement_id")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_handover_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handover")),
    )
    with op.batch_alter_table("handover", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_handover_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_handover_person_id"), ["person_id"], unique=False)

    op.create_table(
        "involvement_person",
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "parent",
                "carer",
                "baby",
                "sibling",
                "other",
                "staff",
                name="familyrole",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column("pregnant", sa.Boolean(), nullable=False),
        sa.Column("added_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["involvement_id"],
            ["involvement.id"],
            name=op.f("fk_involvement_person_involvement_id"),
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_involvement_person_person_id")
        ),
        sa.PrimaryKeyConstraint("involvement_id", "person_id", name=op.f("pk_involvement_person")),
    )
    with op.batch_alter_table("involvement_person", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_involvement_person_person_id"), ["person_id"], unique=False
        )

    op.create_table(
        "leaflet_issue",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("leaflet_version_id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("language", sa.String(length=20), nullable=False),
        sa.Column("given_on", sa.Date(), nullable=False),
        sa.Column("how", sa.String(length=80), nullable=False),
        sa.Column("given_by", sa.String(length=32), nullable=False),
        sa.Column("recorded_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("recorded_late", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_leaflet_issue_involvement_id")
        ),
        sa.ForeignKeyConstraint(
            ["leaflet_version_id"],
            ["leaflet_version.id"],
            name=op.f("fk_leaflet_issue_leaflet_version_id"),
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_leaflet_issue_person_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leaflet_issue")),
    )
    with op.batch_alter_table("leaflet_issue", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_leaflet_issue_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_leaflet_issue_leaflet_version_id"), ["leaflet_version_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_leaflet_issue_person_id"), ["person_id"], unique=False)

    op.create_table(
        "leaflet_override",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("leaflet_version_id", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=False),
        sa.Column("granted_by", sa.String(length=32), nullable=False),
        sa.Column("granted_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["leaflet_version_id"],
            ["leaflet_version.id"],
            name=op.f("fk_leaflet_override_leaflet_version_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leaflet_override")),
    )
    with op.batch_alter_table("leaflet_override", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_leaflet_override_leaflet_version_id"),
            ["leaflet_version_id"],
            unique=False,
        )

    op.create_table(
        "leaflet_words",
        sa.Column("leaflet_version_id", sa.String(length=32), nullable=False),
        sa.Column("language", sa.String(length=20), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["leaflet_version_id"],
            ["leaflet_version.id"],
            name=op.f("fk_leaflet_words_leaflet_version_id"),
        ),
        sa.PrimaryKeyConstraint("leaflet_version_id", "language", name=op.f("pk_leaflet_words")),
    )
    op.create_table(
        "meeting",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "first_talk",
                "filming",
                "shared_review",
                "closing",
                name="meetingkind",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column(
            "mode",
            sa.Enum(
                "home",
                "clinic",
                "ward",
                "video_call",
                name="meetingmode",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column("held_on", sa.Date(), nullable=False),
        sa.Column("ready_today", sa.Boolean(), nullable=True),
        sa.Column("what_matters", sa.Text(), nullable=True),
        sa.Column("questions", sa.Text(), nullable=True),
        sa.Column("worries", sa.Text(), nullable=True),
        sa.Column("recorded_by", sa.String(length=32), nullable=False),
        sa.Column("recorded_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_meeting_involvement_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meeting")),
    )
    with op.batch_alter_table("meeting", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_meeting_involvement_id"), ["involvement_id"], unique=False
        )

    op.create_table(
        "parental_responsibility",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("child_id", sa.String(length=32), nullable=False),
        sa.Column("holder_id", sa.String(length=32), nullable=False),
        sa.Column(
            "basis",
            sa.Enum(
                "birth_mother",
                "second_female_parent",
                "married",
                "birth_certificate",
                "adopter",
                "agreement",
                "court_order",
                "parental_order",
                "testamentary_guardian",
                "special_guardian",
                "local_authority",
                name="basis",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("court_limits", sa.Text(), nullable=True),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=True),
        sa.Column("may_overrule", sa.Boolean(), nullable=False),
        sa.Column("recorded_by", sa.String(length=32), nullable=False),
        sa.Column("recorded_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["child_id"], ["person.id"], name=op.f("fk_parental_responsibility_child_id")
        ),
        sa.ForeignKeyConstraint(
            ["holder_id"], ["person.id"], name=op.f("fk_parental_responsibility_holder_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parental_responsibility")),
    )
    with op.batch_alter_table("parental_responsibility", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_parental_responsibility_child_id"), ["child_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_parental_responsibility_holder_id"), ["holder_id"], unique=False
        )

    op.create_table(
        "withdrawal",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("by_person_id", sa.String(length=32), nullable=False),
        sa.Column(
            "scope",
            sa.Enum(
                "everything",
                "purposes",
                "assets",
                name="withdrawalscope",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column("purposes", sa.JSON(), nullable=False),
        sa.Column("asset_ids", sa.JSON(), nullable=False),
        sa.Column("keep_purposes", sa.JSON(), nullable=False),
        sa.Column(
            "speed",
            sa.Enum("now", "seven_days", name="speed", native_enum=False, length=80),
            nullable=False,
        ),
        sa.Column(
            "route",
            sa.Enum(
                "in_person",
                "remote_link",
                "telephone",
                "paper",
                "letter",
                "journal_replay",
                name="route",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column("undo_until", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("cancelled_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("recorded_by", sa.String(length=32), nullable=True),
        sa.Column("event_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("recorded_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["by_person_id"], ["person.id"], name=op.f("fk_withdrawal_by_person_id")
        ),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_withdrawal_involvement_id")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_withdrawal_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_withdrawal")),
    )
    with op.batch_alter_table("withdrawal", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_withdrawal_by_person_id"), ["by_person_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_withdrawal_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_withdrawal_person_id"), ["person_id"], unique=False)

    op.create_table(
        "asset",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("recording", "clip", "still", name="assetkind", native_enum=False, length=80),
            nullable=False,
        ),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("meeting_id", sa.String(length=32), nullable=True),
        sa.Column("source_id", sa.String(length=32), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "receiving",
                "stored",
                "awaiting_consent",
                "locked",
                "restricted",
                "erased",
                name="assetstate",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column(
            "record_class",
            sa.Enum(
                "transitory", "health_record", name="recordclass", native_enum=False, length=80
            ),
            nullable=False,
        ),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("asset_key_id", sa.String(length=32), nullable=False),
        sa.Column("blob", sa.String(length=80), nullable=True),
        sa.Column("header", sa.LargeBinary(), nullable=True),
        sa.Column("stored_size", sa.BigInteger(), nullable=True),
        sa.Column("plain_size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("received_sha256", sa.String(length=64), nullable=True),
        sa.Column("media_type", sa.String(length=60), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("fps_milli", sa.Integer(), nullable=True),
        sa.Column("start_ms", sa.Integer(), nullable=True),
        sa.Column("end_ms", sa.Integer(), nullable=True),
        sa.Column("cut", sa.String(length=80), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("noticed", sa.Text(), nullable=True),
        sa.Column("long_film_reason", sa.Text(), nullable=True),
        sa.Column("filmed_on", sa.Date(), nullable=False),
        sa.Column("created_by", sa.String(length=32), nullable=False),
        sa.Column("created_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("stored_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("awaiting_since", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("rule", sa.String(length=80), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("gone_by", sa.Date(), nullable=True),
        sa.Column("erased_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_asset_involvement_id")
        ),
        sa.ForeignKeyConstraint(["meeting_id"], ["meeting.id"], name=op.f("fk_asset_meeting_id")),
        sa.ForeignKeyConstraint(["source_id"], ["asset.id"], name=op.f("fk_asset_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asset")),
        sa.UniqueConstraint("blob", name=op.f("uq_asset_blob")),
    )
    with op.batch_alter_table("asset", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_asset_asset_key_id"), ["asset_key_id"], unique=False)
        batch_op.create_index("ix_asset_due", ["state", "due_on"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_asset_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_asset_meeting_id"), ["meeting_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_asset_source_id"), ["source_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_asset_state"), ["state"], unique=False)

    op.create_table(
        "consent_act",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("form_id", sa.String(length=80), nullable=False),
        sa.Column("form_version", sa.Integer(), nullable=False),
        sa.Column("form_policy_id", sa.String(length=32), nullable=False),
        sa.Column("language", sa.String(length=20), nullable=False),
        sa.Column("rendered_text", sa.Text(), nullable=False),
        sa.Column("rendered_sha256", sa.String(length=64), nullable=False),
        sa.Column("record_class", sa.String(length=80), nullable=False),
        sa.Column("leaflet_issue_id", sa.String(length=32), nullable=False),
        sa.Column(
            "route",
            sa.Enum(
                "in_person",
                "remote_link",
                "telephone",
                "paper",
                "letter",
                "journal_replay",
                name="route",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column(
            "capacity",
            sa.Enum(
                "no_reason_to_doubt",
                "assessed_has_capacity",
                "lacks_capacity_now",
                name="capacity",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column("ask_again_on", sa.Date(), nullable=True),
        sa.Column(
            "signature_kind",
            sa.Enum("drawn", "typed", "paper", name="signaturekind", native_enum=False, length=80),
            nullable=False,
        ),
        sa.Column("signature", sa.JSON(), nullable=False),
        sa.Column("witness", sa.Text(), nullable=True),
        sa.Column("interpreter", sa.Text(), nullable=True),
        sa.Column("recorded_by", sa.String(length=32), nullable=False),
        sa.Column("event_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("recorded_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("recorded_late", sa.Boolean(), nullable=False),
        sa.Column("replaces_draft_id", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["form_policy_id"], ["published_policy.id"], name=op.f("fk_consent_act_form_policy_id")
        ),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_consent_act_involvement_id")
        ),
        sa.ForeignKeyConstraint(
            ["leaflet_issue_id"], ["leaflet_issue.id"], name=op.f("fk_consent_act_leaflet_issue_id")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_consent_act_person_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_act")),
    )
    with op.batch_alter_table("consent_act", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_consent_act_form_policy_id"), ["form_policy_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_consent_act_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_consent_act_leaflet_issue_id"), ["leaflet_issue_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_consent_act_person_id"), ["person_id"], unique=False)

    op.create_table(
        "erasure_order",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("reference", sa.String(length=20), nullable=False),
        sa.Column(
            "cause",
            sa.Enum(
                "withdrawal",
                "assets_withdrawn",
                "retention",
                "disposition",
                "abandoned_upload",
                "upload_refused",
                "consent_refused",
                "hold_released",
                name="ordercause",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "ordered",
                "running",
                "done",
                "cancelled",
                name="orderstate",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("withdrawal_id", sa.String(length=32), nullable=True),
        sa.Column("appraisal_id", sa.String(length=32), nullable=True),
        sa.Column("scope", sa.JSON(), nullable=False),
        sa.Column("rule", sa.String(length=80), nullable=True),
        sa.Column("ordered_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("not_before", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("access_ended_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("journal_line", sa.Integer(), nullable=True),
        sa.Column("sealed_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("keys_going_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("key_destroyed_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("inventory_frozen_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("completed_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("irrecoverable_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("assurance", sa.String(length=80), nullable=True),
        sa.ForeignKeyConstraint(
            ["appraisal_id"], ["appraisal.id"], name=op.f("fk_erasure_order_appraisal_id")
        ),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_erasure_order_involvement_id")
        ),
        sa.ForeignKeyConstraint(
            ["withdrawal_id"], ["withdrawal.id"], name=op.f("fk_erasure_order_withdrawal_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure_order")),
        sa.UniqueConstraint("reference", name=op.f("uq_erasure_order_reference")),
    )
    with op.batch_alter_table("erasure_order", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_erasure_order_appraisal_id"), ["appraisal_id"], unique=False
        )
        batch_op.create_index("ix_erasure_order_due", ["state", "not_before"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_erasure_order_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_erasure_order_withdrawal_id"), ["withdrawal_id"], unique=False
        )

    op.create_table(
        "goal_rating",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("goal_id", sa.String(length=32), nullable=False),
        sa.Column("rated_on", sa.Date(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("recorded_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["goal_id"], ["goal.id"], name=op.f("fk_goal_rating_goal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_goal_rating")),
    )
    with op.batch_alter_table("goal_rating", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_goal_rating_goal_id"), ["goal_id"], unique=False)

    op.create_table(
        "meeting_person",
        sa.Column("meeting_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["meeting_id"], ["meeting.id"], name=op.f("fk_meeting_person_meeting_id")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_meeting_person_person_id")
        ),
        sa.PrimaryKeyConstraint("meeting_id", "person_id", name=op.f("pk_meeting_person")),
    )
    with op.batch_alter_table("meeting_person", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_meeting_person_person_id"), ["person_id"], unique=False
        )

    op.create_table(
        "quote",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("feedback_id", sa.String(length=32), nullable=True),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=False),
        sa.Column("permitted_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("withdrawn_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["feedback_id"], ["feedback.id"], name=op.f("fk_quote_feedback_id")
        ),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_quote_involvement_id")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_quote_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quote")),
    )
    with op.batch_alter_table("quote", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_quote_feedback_id"), ["feedback_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_quote_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_quote_person_id"), ["person_id"], unique=False)

    op.create_table(
        "asset_wrap",
        sa.Column("asset_id", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=120), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("key_ids", sa.JSON(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_asset_wrap_asset_id")),
        sa.PrimaryKeyConstraint("asset_id", "purpose", name=op.f("pk_asset_wrap")),
    )
    op.create_table(
        "certificate",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("previous_digest", sa.String(length=64), nullable=True),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(length=80), nullable=False),
        sa.Column("issued_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["erasure_order.id"], name=op.f("fk_certificate_order_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificate")),
        sa.UniqueConstraint("order_id", "revision", name=op.f("uq_certificate_order_id_revision")),
    )
    op.create_table(
        "consent_act_check",
        sa.Column("act_id", sa.String(length=32), nullable=False),
        sa.Column("checked_by", sa.String(length=32), nullable=False),
        sa.Column("checked_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["act_id"], ["consent_act.id"], name=op.f("fk_consent_act_check_act_id")
        ),
        sa.PrimaryKeyConstraint("act_id", name=op.f("pk_consent_act_check")),
    )
    op.create_table(
        "consent_decision",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("act_id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("decided_by", sa.String(length=32), nullable=False),
        sa.Column("responsibility_id", sa.String(length=32), nullable=True),
        sa.Column(
            "basis",
            sa.Enum(
                "birth_mother",
                "second_female_parent",
                "married",
                "birth_certificate",
                "adopter",
                "agreement",
                "court_order",
                "parental_order",
                "testamentary_guardian",
                "special_guardian",
                "local_authority",
                name="basis",
                native_enum=False,
                length=80,
            ),
            nullable=True,
        ),
        sa.Column("may_overrule", sa.Boolean(), nullable=False),
        sa.Column("statement", sa.String(length=80), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("layer", sa.String(length=1), nullable=False),
        sa.Column("purpose", sa.String(length=80), nullable=True),
        sa.Column(
            "answer",
            sa.Enum(
                "yes",
                "no",
                "confirmed",
                "chosen",
                "said",
                name="answer",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column("named", sa.JSON(), nullable=False),
        sa.Column("words", sa.Text(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("event_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("recorded_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["act_id"], ["consent_act.id"], name=op.f("fk_consent_decision_act_id")
        ),
        sa.ForeignKeyConstraint(
            ["decided_by"], ["person.id"], name=op.f("fk_consent_decision_decided_by")
        ),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_consent_decision_involvement_id")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_consent_decision_person_id")
        ),
        sa.ForeignKeyConstraint(
            ["responsibility_id"],
            ["parental_responsibility.id"],
            name=op.f("fk_consent_decision_responsibility_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_decision")),
    )
    with op.batch_alter_table("consent_decision", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_consent_decision_act_id"), ["act_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_consent_decision_decided_by"), ["decided_by"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_consent_decision_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_consent_decision_responsibility_id"), ["responsibility_id"], unique=False
        )
        batch_op.create_index(
            "ix_consent_decision_story", ["person_id", "purpose", "involvement_id"], unique=False
        )

    op.create_table(
        "depicted_person",
        sa.Column("asset_id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column(
            "depiction",
            sa.Enum(
                "depicted", "present", "not_seen", name="depiction", native_enum=False, length=80
            ),
            nullable=False,
        ),
        sa.Column("added_by", sa.String(length=32), nullable=False),
        sa.Column("added_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("removal_asked_by", sa.String(length=32), nullable=True),
        sa.Column("removal_asked_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("removal_reason", sa.Text(), nullable=True),
        sa.Column("removed_by", sa.String(length=32), nullable=True),
        sa.Column("removed_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["asset.id"], name=op.f("fk_depicted_person_asset_id")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_depicted_person_person_id")
        ),
        sa.PrimaryKeyConstraint("asset_id", "person_id", name=op.f("pk_depicted_person")),
    )
    with op.batch_alter_table("depicted_person", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_depicted_person_person_id"), ["person_id"], unique=False
        )

    op.create_table(
        "disclosure",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("asset_id", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=80), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("disclosed_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=True),
        sa.Column("taken_back_on", sa.Date(), nullable=True),
        sa.Column("recorded_by", sa.String(length=32), nullable=False),
        sa.Column("recorded_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_disclosure_asset_id")),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_disclosure_involvement_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disclosure")),
    )
    with op.batch_alter_table("disclosure", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_disclosure_asset_id"), ["asset_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_disclosure_involvement_id"), ["involvement_id"], unique=False
        )

    op.create_table(
        "erasure_item",
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("asset_id", sa.String(length=32), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("recording", "clip", "still", name="assetkind", native_enum=False, length=80),
            nullable=False,
        ),
        sa.Column(
            "record_class",
            sa.Enum(
                "transitory", "health_record", name="recordclass", native_enum=False, length=80
            ),
            nullable=False,
        ),
        sa.Column(
            "outcome",
            sa.Enum("destroy", "keep", name="outcome", native_enum=False, length=80),
            nullable=False,
        ),
        sa.Column(
            "ground",
            sa.Enum(
                "hold",
                "health_record",
                "dispute",
                "purpose_remains",
                name="ground",
                native_enum=False,
                length=80,
            ),
            nullable=True,
        ),
        sa.Column("asset_key_id", sa.String(length=32), nullable=False),
        sa.Column("blob", sa.String(length=80), nullable=True),
        sa.Column("stored_size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("key_destroyed_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("deleted_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("read_back_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_erasure_item_asset_id")),
        sa.ForeignKeyConstraint(
            ["order_id"], ["erasure_order.id"], name=op.f("fk_erasure_item_order_id")
        ),
        sa.PrimaryKeyConstraint("order_id", "asset_id", name=op.f("pk_erasure_item")),
    )
    with op.batch_alter_table("erasure_item", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_erasure_item_asset_id"), ["asset_id"], unique=False)

    op.create_table(
        "erasure_step",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "destroy_consent_key",
                "freeze_inventory",
                "destroy_asset_keys",
                "delete_wraps",
                "delete_ciphertext",
                "delete_derived",
                "erase_titles",
                "read_back",
                "certify",
                name="stepkind",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "started",
                "done",
                "failed",
                "blocked",
                name="stepstate",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("lease_owner", sa.String(length=80), nullable=True),
        sa.Column("lease_until", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("fencing_token", sa.Integer(), nullable=False),
        sa.Column("started_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("done_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("fault", sa.String(length=80), nullable=True),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["erasure_order.id"], name=op.f("fk_erasure_step_order_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure_step")),
        sa.UniqueConstraint("order_id", "position", name=op.f("uq_erasure_step_order_id_position")),
    )
    with op.batch_alter_table("erasure_step", schema=None) as batch_op:
        batch_op.create_index("ix_erasure_step_due", ["state", "next_try_at"], unique=False)

    op.create_table(
        "fence",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("asset_ids", sa.JSON(), nullable=False),
        sa.Column("raised_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("lifted_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_fence_involvement_id")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["erasure_order.id"], name=op.f("fk_fence_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fence")),
    )
    with op.batch_alter_table("fence", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_fence_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_fence_order_id"), ["order_id"], unique=False)

    op.create_table(
        "handover_item",
        sa.Column("handover_id", sa.String(length=32), nullable=False),
        sa.Column("still_id", sa.String(length=32), nullable=False),
        sa.Column("outcome", sa.String(length=80), nullable=False),
        sa.Column("decided_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["handover_id"], ["handover.id"], name=op.f("fk_handover_item_handover_id")
        ),
        sa.ForeignKeyConstraint(["still_id"], ["asset.id"], name=op.f("fk_handover_item_still_id")),
        sa.PrimaryKeyConstraint("handover_id", "still_id", name=op.f("pk_handover_item")),
    )
    with op.batch_alter_table("handover_item", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_handover_item_still_id"), ["still_id"], unique=False)

    op.create_table(
        "hold",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "litigation",
                "complaint",
                "safeguarding",
                "inquiry",
                "dispute",
                name="holdkind",
                native_enum=False,
                length=80,
            ),
            nullable=False,
        ),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("asset_id", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.String(length=32), nullable=False),
        sa.Column("placed_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("review_on", sa.Date(), nullable=True),
        sa.Column("release_asked_by", sa.String(length=32), nullable=True),
        sa.Column("release_asked_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("release_reason", sa.Text(), nullable=True),
        sa.Column("released_by", sa.String(length=32), nullable=True),
        sa.Column("released_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("journal_line", sa.Integer(), nullable=True),
        sa.Column("release_journal_line", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_hold_asset_id")),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_hold_involvement_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
    )
    with op.batch_alter_table("hold", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_hold_asset_id"), ["asset_id"], unique=False)
        batch_op.create_index("ix_hold_standing", ["involvement_id", "released_at"], unique=False)

    op.create_table(
        "leaflet_quote",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("leaflet_version_id", sa.String(length=32), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("permission", sa.String(length=80), nullable=False),
        sa.Column("quote_id", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["leaflet_version_id"],
            ["leaflet_version.id"],
            name=op.f("fk_leaflet_quote_leaflet_version_id"),
        ),
        sa.ForeignKeyConstraint(["quote_id"], ["quote.id"], name=op.f("fk_leaflet_quote_quote_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leaflet_quote")),
    )
    with op.batch_alter_table("leaflet_quote", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_leaflet_quote_leaflet_version_id"), ["leaflet_version_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_leaflet_quote_quote_id"), ["quote_id"], unique=False)

    op.create_table(
        "shared_review",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("recording_id", sa.String(length=32), nullable=False),
        sa.Column("meeting_id", sa.String(length=32), nullable=True),
        sa.Column("clip_ids", sa.JSON(), nullable=False),
        sa.Column("held_on", sa.Date(), nullable=False),
        sa.Column("recorded_by", sa.String(length=32), nullable=False),
        sa.Column("recorded_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_shared_review_involvement_id")
        ),
        sa.ForeignKeyConstraint(
            ["meeting_id"], ["meeting.id"], name=op.f("fk_shared_review_meeting_id")
        ),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["asset.id"], name=op.f("fk_shared_review_recording_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shared_review")),
    )
    with op.batch_alter_table("shared_review", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_shared_review_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_shared_review_meeting_id"), ["meeting_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_shared_review_recording_id"), ["recording_id"], unique=False
        )

    op.create_table(
        "tombstone",
        sa.Column("asset_id", sa.String(length=32), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("recording", "clip", "still", name="assetkind", native_enum=False, length=80),
            nullable=False,
        ),
        sa.Column(
            "record_class",
            sa.Enum(
                "transitory", "health_record", name="recordclass", native_enum=False, length=80
            ),
            nullable=False,
        ),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("filmed_on", sa.Date(), nullable=False),
        sa.Column("created_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("erased_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["erasure_order.id"], name=op.f("fk_tombstone_order_id")
        ),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_tombstone")),
    )
    with op.batch_alter_table("tombstone", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_tombstone_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_tombstone_order_id"), ["order_id"], unique=False)

    op.create_table(
        "viewing",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("asset_id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=120), nullable=False),
        sa.Column("started_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("last_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_viewing_asset_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_viewing_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_viewing")),
    )
    with op.batch_alter_table("viewing", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_viewing_user_id"), ["user_id"], unique=False)
        batch_op.create_index(
            "ix_viewing_who", ["asset_id", "user_id", "purpose", "last_at"], unique=False
        )

    op.create_table(
        "session_summary",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("involvement_id", sa.String(length=32), nullable=False),
        sa.Column("review_id", sa.String(length=32), nullable=False),
        sa.Column("strengths", sa.Text(), nullable=False),
        sa.Column("points", sa.Text(), nullable=False),
        sa.Column("next_step", sa.Text(), nullable=True),
        sa.Column("written_by", sa.String(length=32), nullable=False),
        sa.Column("written_at", consent_service.db.base.UtcDateTime(), nullable=False),
        sa.Column("signed_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.Column("signed_by", sa.String(length=32), nullable=True),
        sa.Column("outside_reference", sa.String(length=120), nullable=True),
        sa.Column("filed_at", consent_service.db.base.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["involvement_id"], ["involvement.id"], name=op.f("fk_session_summary_involvement_id")
        ),
        sa.ForeignKeyConstraint(
            ["review_id"], ["shared_review.id"], name=op.f("fk_session_summary_review_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session_summary")),
    )
    with op.batch_alter_table("session_summary", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_session_summary_involvement_id"), ["involvement_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_session_summary_review_id"), ["review_id"], unique=True
        )
    for statement in TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)

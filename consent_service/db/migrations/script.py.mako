"""${message}."""

import sqlalchemy as sa
from alembic import op

import consent_service.db.base
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this version."""
    ${upgrades if upgrades else "pass"}

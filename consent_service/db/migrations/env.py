"""Runs migrations on the connection that `db.schema` hands over."""

from alembic import context

import consent_service.db.models  # noqa: F401  (registers every table)
from consent_service.db.base import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=False,
    compare_type=True,
)
context.run_migrations()

"""The schema's version: bringing a database up to date, and telling whether it is.

Migrations run on SQLite with foreign keys off inside one transaction and are checked afterwards,
because SQLite rebuilds tables; on PostgreSQL DDL is transactional anyway.

Telling whether it is up to date needs no migration tool: migrations are named by their number
(`v0002_what.py`) and the database says which one it has. So alembic is loaded only to migrate.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from consent_service.errors import IntegrityFault

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest version; does nothing when it is there."""
    from alembic import command

    config = _config()
    with engine.connect() as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            connection.connection.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                if sqlite:
                    _check_foreign_keys(connection)
        finally:
            if sqlite:
                connection.connection.execute("PRAGMA foreign_keys=ON")


def is_current(engine: Engine) -> bool:
    """Tell whether the database is at the newest version."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        found = connection.scalars(text("SELECT version_num FROM alembic_version")).all()
    return found == [newest_version()]


@cache
def newest_version() -> str:
    """Return the number of the newest migration, such as `0002`."""
    return max(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v[0-9]*_*.py"))


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _check_foreign_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise IntegrityFault(
            f"After the upgrade, table {broken[0]} refers to rows that are not there. Nothing was"
            " changed: restore a backup and report this."
        )

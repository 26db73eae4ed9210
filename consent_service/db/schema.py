"""The schema's version: bringing a database up to date, and telling whether it is.

Migrations run on SQLite with foreign keys off inside one transaction and are checked afterwards,
because SQLite rebuilds tables; on PostgreSQL DDL is transactional anyway.

Telling whether it is up to date needs no migration tool: migrations are named by their number
(`v0002_what.py`) and the database says which one it has. So alembic is loaded only to migrate.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from consent_service.errors import IntegrityFault, Unavailable

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


def is_empty(engine: Engine) -> bool:
    """Tell whether there is no table of ours: a new database, or one in the place of a lost one.

    Raises Unavailable while it is away.
    """
    with _in_reach(engine) as connection:
        return not inspect(connection).has_table("alembic_version")


def is_current(engine: Engine) -> bool:
    """Tell whether the database is at the newest version; raises Unavailable while it is away."""
    if is_empty(engine):
        return False
    with _in_reach(engine) as connection:
        found = connection.scalars(text("SELECT version_num FROM alembic_version")).all()
    return found == [newest_version()]


def can_be_asked(engine: Engine) -> bool:
    """Tell whether the rows of the database can be read, before something is put back.

    Not those of a database that is new, broken or of another version. Raises Unavailable while it
    is away: then nobody knows whether it can be.
    """
    try:
        return is_current(engine)
    except Unavailable as fault:
        raise Unavailable(
            "The database cannot be used at the moment, and what it knows is needed first. Start"
            " it or, where it is lost, make an empty one in its place; then do the same again."
        ) from fault
    except DatabaseError:
        return False


@contextmanager
def _in_reach(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.connect() as connection:
            yield connection
    except OperationalError as fault:
        raise Unavailable(
            "The database cannot be used at the moment. Check CONSENT_DATABASE_URL, or try again in"
            " a minute."
        ) from fault


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

"""A copy of the service's database as an operator's backup holds it, and putting it back.

Rows only, all tables, on both engines; put back without asking append-only triggers or foreign
keys, as a restore does.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import Engine

from tests.support.installation import copy_sqlite

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"


@dataclass(frozen=True)
class DatabaseBackup:
    """One moment of a database. `put_back` may be called any number of times."""

    engine: Engine
    file: Path
    tables: dict[str, bytes]

    @classmethod
    def take(cls, engine: Engine, folder: Path) -> "DatabaseBackup":
        """Copy the database as it stands now."""
        folder.mkdir(exist_ok=True)
        file = folder / "backup.sqlite3"
        if engine.dialect.name == "sqlite":
            copy_sqlite(Path(str(engine.url.database)), file)
            return cls(engine, file, {})
        with _connected(engine) as connection:
            names = [name for (name,) in connection.execute(_TABLES).fetchall()]
            return cls(engine, file, {name: _out(connection, name) for name in names})

    def put_back(self) -> None:
        """Put that moment back in the place of whatever came after."""
        self.engine.dispose()
        if self.engine.dialect.name == "sqlite":
            target = Path(str(self.engine.url.database))
            for log in ("-wal", "-shm"):
                target.with_name(target.name + log).unlink(missing_ok=True)
            shutil.copyfile(self.file, target)
            return
        with _connected(self.engine) as connection:
            connection.execute("SET session_replication_role = replica")
            for name in self.tables:
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))
            for name, rows in self.tables.items():
                _in(connection, name, rows)


def _connected(engine: Engine) -> psycopg.Connection[tuple[str, ...]]:
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url)


def _out(connection: psycopg.Connection[tuple[str, ...]], table: str) -> bytes:
    copying = sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(sql.Identifier(table))
    with connection.cursor().copy(copying) as copy:
        return b"".join(bytes(piece) for piece in copy)


def _in(connection: psycopg.Connection[tuple[str, ...]], table: str, rows: bytes) -> None:
    copying = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(sql.Identifier(table))
    with connection.cursor().copy(copying) as copy:
        copy.write(rows)

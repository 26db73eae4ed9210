"""Empty or ready-made databases for tests, on SQLite and PostgreSQL alike, in milliseconds.

Creating and dropping a PostgreSQL database costs a fifth of a second, so each test process keeps
a few and cleans them between tests: an empty one by dropping its schema, a ready one by deleting
its rows. Nothing is shared between processes.

Rules kept here:
  * a database is clean when a test gets it, whatever the test before did to it;
  * connections that an earlier test forgot are cut, so none can write into the next test.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql

from tests.support.postgres import PostgresServer

ENGINES = ("sqlite", "postgresql")

Build = Callable[[str], None]
"""Fills the empty database at a URL with tables (and rows, if the tests want some)."""


class Databases(Protocol):
    """Lends databases of one engine. What is yielded is a SQLAlchemy URL."""

    def empty(self) -> AbstractContextManager[str]:
        """A database without a single table."""
        ...

    def ready(self, build: Build) -> AbstractContextManager[str]:
        """A database as `build` leaves it. `build` runs once, its result is used many times."""
        ...


class SqliteDatabases:
    """Each database is a file of its own under `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lent = 0
        self._built: dict[Build, Path] = {}

    @contextmanager
    def empty(self) -> Iterator[str]:
        """A path where no file is yet."""
        yield _sqlite_url(self._new_path())

    @contextmanager
    def ready(self, build: Build) -> Iterator[str]:
        """A copy of the file that `build` made."""
        path = self._new_path()
        shutil.copyfile(self._master(build), path)
        yield _sqlite_url(path)

    def _master(self, build: Build) -> Path:
        if build not in self._built:
            path = self._new_path()
            build(_sqlite_url(path))
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
            self._built[build] = path
        return self._built[build]

    def _new_path(self) -> Path:
        self._lent += 1
        folder = self._folder / str(self._lent)
        folder.mkdir()
        return folder / "consent.db"


class PostgresDatabases:
    """Databases on `server`, their names beginning with `prefix`; free ones are used again."""

    def __init__(self, server: PostgresServer, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self._made = 0
        self._free: dict[Build | None, list[str]] = {}

    @contextmanager
    def empty(self) -> Iterator[str]:
        """A database whose only schema is an empty `public`."""
        name = self._take(None) or self._create()
        self._empty(name)
        yield self._server.url(name)
        self._free.setdefault(None, []).append(name)

    @contextmanager
    def ready(self, build: Build) -> Iterator[str]:
        """A database with `build`'s tables and rows."""
        name = self._take(build)
        if name is None:
            name = self._create()
            build(self._server.url(name))
            self._remember_rows(name)
        else:
            self._restore_rows(name)
        yield self._server.url(name)
        self._free.setdefault(build, []).append(name)

    def _take(self, build: Build | None) -> str | None:
        free = self._free.get(build)
        return free.pop() if free else None

    def _create(self) -> str:
        self._made += 1
        name = f"{self._prefix}_{self._made}"
        self._server.create(name)
        return name

    def _connect(self, name: str) -> psycopg.Connection[tuple[str, ...]]:
        connection = psycopg.connect(self._server.conninfo(name))
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return connection

    def _empty(self, name: str) -> None:
        with self._connect(name) as connection:
            for (schema,) in connection.execute(_OWN_SCHEMAS).fetchall():
                drop = sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema))
                connection.execute(drop)
            connection.execute("CREATE SCHEMA public")

    def _remember_rows(self, name: str) -> None:
        """Copy what `build` put into the tables; most leave only a version number."""
        with self._connect(name) as connection:
            connection.execute("CREATE SCHEMA as_built")
            connection.execute(_REMEMBER_SEQUENCES)
            for (table,) in connection.execute(_TABLES).fetchall():
                copy = sql.SQL("CREATE TABLE as_built.{0} AS TABLE public.{0}")
                connection.execute(copy.format(sql.Identifier(table)))
            for (table,) in connection.execute(_TABLES).fetchall():
                if not connection.execute(
                    sql.SQL("SELECT 1 FROM as_built.{} LIMIT 1").format(sql.Identifier(table))
                ).fetchone():
                    drop = sql.SQL("DROP TABLE as_built.{}").format(sql.Identifier(table))
                    connection.execute(drop)

    def _restore_rows(self, name: str) -> None:
        with self._connect(name) as connection:
            # Foreign keys and append-only triggers are for the service, not for cleaning up.
            connection.execute("SET session_replication_role = replica")
            for (table,) in connection.execute(_TABLES).fetchall():
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
            for (table,) in connection.execute(_KEPT_TABLES).fetchall():
                insert = sql.SQL(
                    "INSERT INTO public.{0} OVERRIDING SYSTEM VALUE TABLE as_built.{0}"
                )
                connection.execute(insert.format(sql.Identifier(table)))
            connection.execute(_RESTORE_SEQUENCES)


def _sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


_OWN_SCHEMAS = (
    "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
)
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
_KEPT_TABLES = (
    "SELECT tablename FROM pg_tables WHERE schemaname = 'as_built' AND tablename <> '_sequences'"
)
_REMEMBER_SEQUENCES = (
    "CREATE TABLE as_built._sequences AS"
    " SELECT format('%I.%I', schemaname, sequencename) AS name,"
    " coalesce(last_value, start_value) AS value, last_value IS NOT NULL AS used"
    " FROM pg_sequences WHERE schemaname = 'public'"
)
_RESTORE_SEQUENCES = "SELECT setval(name::regclass, value, used) FROM as_built._sequences"

"""Engines: SQLite as safe as it can be set, PostgreSQL as it comes.

SQLite facts that force this: a transaction that reads and then writes must start with BEGIN
IMMEDIATE or it fails under concurrency; deleted values stay in free pages unless `secure_delete`
is on; only `synchronous=FULL` keeps what was acknowledged through a power cut; a new file gets the
mode that the umask leaves, and its log the mode of the file, so a new file is made 0600 beforehand.
"""

import os
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from consent_service.errors import SettingsFault

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA busy_timeout=30000",
)

_DRIVERS = frozenset({"sqlite", "sqlite+pysqlite", "postgresql+psycopg"})
_FILE_MODE = 0o600

READ_ONLY = "consent_read_only"


def open_engine(url: str) -> Engine:
    """Return an engine for a SQLite or PostgreSQL URL; connections open when first used.

    Raises SettingsFault for any other address.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise _unknown_url() from None
    if parsed.drivername not in _DRIVERS:
        raise _unknown_url()
    if parsed.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    engine = create_engine(
        url, hide_parameters=True, connect_args={"timeout": 30, "check_same_thread": False}
    )
    event.listen(engine, "do_connect", _make_private)
    prepare_sqlite(engine)
    return engine


def _unknown_url() -> SettingsFault:
    # It is not quoted: it may hold a password.
    return SettingsFault(
        "CONSENT_DATABASE_URL must be sqlite:////path/to/consent.sqlite3 or "
        "postgresql+psycopg://user@host/database. Correct it."
    )


def prepare_sqlite(engine: Engine) -> None:
    """Have every connection of a SQLite engine set up as this service needs it."""
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin_sqlite)


def _make_private(_dialect: Any, _record: Any, given: list[Any], named: dict[str, Any]) -> None:
    path = given[0]
    if path in {"", ":memory:"} or named.get("uri"):
        return
    # Of one that is there nothing is opened: to close it again would drop SQLite's locks on it.
    # Where no file can be made, SQLite cannot either and says so.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE))


def _set_up(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

"""Engines: SQLite as safe as it can be set, PostgreSQL as it comes.

SQLite facts that force this: a transaction that reads and then writes must start with BEGIN
IMMEDIATE or it fails under concurrency; deleted values stay in free pages unless `secure_delete`
is on; only `synchronous=FULL` keeps what was acknowledged through a power cut.
"""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA busy_timeout=30000",
)

READ_ONLY = "consent_read_only"


def open_engine(url: str) -> Engine:
    """Return an engine for a SQLite or PostgreSQL URL; connections open when first used."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    engine = create_engine(
        url, hide_parameters=True, connect_args={"timeout": 30, "check_same_thread": False}
    )
    prepare_sqlite(engine)
    return engine


def prepare_sqlite(engine: Engine) -> None:
    """Have every connection of a SQLite engine set up as this service needs it."""
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin_sqlite)


def _set_up(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

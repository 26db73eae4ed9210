"""One process at a time, among all that share a database: for what several must not do at once.

PostgreSQL: a session's advisory lock, let go of when its process dies. SQLite: a lock on a file
beside the database; one in memory is its process's own.

Rules kept here: nobody waits for ever; how long is counted in short relative waits, since a clock
may be wrong just when this is needed.
"""

import fcntl
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from consent_service.errors import Unavailable

WAIT_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_FILE_MODE = 0o600
_LOCK_NOT_AVAILABLE = "55P03"
"""How PostgreSQL says that a lock was not to be had in time (SQLSTATE)."""


@contextmanager
def one_at_a_time(engine: Engine, name: str, number: int) -> Iterator[None]:
    """Wait for whoever is at `name` (its `number` on PostgreSQL), then hold it for the block.

    Raises Unavailable `taken_for_long` after a minute of waiting, and `unavailable` when the
    database cannot be reached.
    """
    if engine.dialect.name == "postgresql":
        with _on_the_server(engine, number):
            yield
    elif engine.url.database in (None, "", ":memory:"):
        yield
    else:
        with _by_a_file(f"{engine.url.database}.{name}-lock"):
            yield


def in_turn(session: Session, number: int) -> None:
    """Let whoever comes here with this number after us wait until our transaction is over.

    So that what is read next is still so when it is acted on. SQLite's writers follow one another.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


@contextmanager
def _by_a_file(path: str) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
    try:
        for _ in range(int(WAIT_SECONDS / _LOOK_SECONDS)):
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            select.select((), (), (), _LOOK_SECONDS)
        else:
            raise _taken_for_long()
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _on_the_server(engine: Engine, number: int) -> Iterator[None]:
    try:
        with engine.connect() as held:
            held.execution_options(isolation_level="AUTOCOMMIT")
            held.execute(text(f"SET lock_timeout = {int(WAIT_SECONDS * 1000)}"))
            try:
                held.execute(text("SELECT pg_advisory_lock(:number)"), {"number": number})
            finally:
                held.execute(text("RESET lock_timeout"))
            try:
                yield
            finally:
                held.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": number})
    except OperationalError as fault:
        if getattr(fault.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise _taken_for_long() from fault
        raise Unavailable(
            "The database cannot be used at the moment. Try again in a minute."
        ) from fault


def _taken_for_long() -> Unavailable:
    return Unavailable(
        "Another process has been bringing this database up to date for more than a minute. Try"
        " again when it has finished; if it hangs, stop it.",
        code="taken_for_long",
    )

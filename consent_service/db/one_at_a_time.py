"""One process at a time, among all that share a database: for what several must not do at once.

PostgreSQL: a session's advisory lock, let go of when its process dies. SQLite: a lock on a file
beside the database; one in memory is its process's own.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from consent_service.errors import Unavailable

_FILE_MODE = 0o600


@contextmanager
def one_at_a_time(engine: Engine, name: str, number: int) -> Iterator[None]:
    """Wait for whoever is at `name` (its `number` on PostgreSQL), then hold it for the block.

    Raises Unavailable when the database cannot be reached.
    """
    if engine.dialect.name == "postgresql":
        with _on_the_server(engine, number):
            yield
    elif engine.url.database in (None, "", ":memory:"):
        yield
    else:
        with _by_a_file(f"{engine.url.database}.{name}-lock"):
            yield


@contextmanager
def _by_a_file(path: str) -> Iterator[None]:
    """Wait in the kernel, which asks no clock: a clock may be wrong just when this is needed."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _on_the_server(engine: Engine, number: int) -> Iterator[None]:
    try:
        with engine.connect() as held:
            held.execution_options(isolation_level="AUTOCOMMIT")
            held.execute(text("SELECT pg_advisory_lock(:number)"), {"number": number})
            try:
                yield
            finally:
                held.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": number})
    except OperationalError as fault:
        raise Unavailable(
            "The database cannot be used at the moment. Try again in a minute."
        ) from fault

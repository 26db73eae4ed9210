"""How the keyring's database is opened, and what a transaction on it is.

Rules kept here:
- own engine, own file (0600): no transaction ever spans keyring and domain;
- one writer at a time on either engine (SQLite: BEGIN IMMEDIATE; PostgreSQL: an advisory lock
  until the transaction's end), so a check inside a write transaction stays true until it commits;
- a commit is on the disk before anything depends on it (synchronous FULL; synchronous_commit on);
- SQLite overwrites what it deletes (`secure_delete`) and empties the write-ahead log on demand;
- faults of the database become `Unavailable` or `DiskFull`, without values in any message.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from consent_service.errors import Conflict, DiskFull, SettingsFault, Unavailable
from consent_service.vault import durable
from consent_service.vault.keyring_tables import tables

_WRITE_LOCK = 0x636B6579  # any fixed number: "ckey"
_ROTATION_LOCK = 0x636B726F
_SECONDS_TO_WAIT = 30
_PRAGMAS = (
    f"PRAGMA busy_timeout={_SECONDS_TO_WAIT * 1000}",
    "PRAGMA secure_delete=ON",
    "PRAGMA synchronous=FULL",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA trusted_schema=OFF",
)
_WAIT_TO_WRITE = f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})"
_SEE_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"


class KeyringDatabase:
    """The engine behind a keyring; shared by threads, opened anew by each process."""

    def __init__(self, url: str) -> None:
        self._file = _file_of(url)
        with _database_faults():
            self._engine = self._make_engine(url)
            with self._opening(), self.write() as connection:
                tables.create_all(connection)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the keyring."""
        with _database_faults(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is the only writer until it ends; commits when the block ends well."""
        with _database_faults(), self._engine.connect() as pooled:
            connection = pooled.execution_options(sole_writer=True)
            with connection.begin():
                yield connection

    def empty_log(self) -> None:
        """SQLite: copy the write-ahead log into the file and cut it to nothing."""
        if self._file is None:
            return
        with _database_faults(), contextlib.closing(self._engine.raw_connection()) as raw:
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def rotation_lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold the right to rotate; raises Conflict when another process or thread holds it."""
        return self._locked_file() if self._file else self._locked_server()

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    def _make_engine(self, url: str) -> Engine:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=self._file is None)
        event.listen(engine, "connect", _set_up_sqlite if self._file else _set_up_postgresql)
        event.listen(engine, "begin", _begin_sqlite if self._file else _begin_postgresql)
        return engine

    @contextlib.contextmanager
    def _opening(self) -> Iterator[None]:
        """One process at a time turns a new file into a keyring."""
        if self._file is None:
            yield
            return
        with durable.system_faults("opening the keyring"):
            durable.make_folder(self._file.parent)
            # The kernel wakes who waits: web and worker open the keyring at the same moment.
            with durable.locked_folder(self._file.parent):
                # SQLite gives its log the mode of the file: make it private before SQLite does.
                os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, durable.FILE_MODE))
                yield

    def _rotation_lock(self) -> FileLock:
        return FileLock(f"{self._file}.rotation-lock", mode=durable.FILE_MODE)

    @contextlib.contextmanager
    def _locked_file(self) -> Iterator[None]:
        lock = self._rotation_lock()
        try:
            lock.acquire(timeout=0)
        except Timeout as fault:
            raise rotation_runs() from fault
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def _locked_server(self) -> Iterator[None]:
        with _database_faults(), self._engine.connect() as connection:
            asked = text("SELECT pg_try_advisory_lock(:lock)")
            if not connection.scalar(asked, {"lock": _ROTATION_LOCK}):
                raise rotation_runs()
            connection.commit()
            try:
                yield
            finally:
                connection.execute(
                    text("SELECT pg_advisory_unlock(:lock)"), {"lock": _ROTATION_LOCK}
                )


def require_keyring_file(url: str) -> None:
    """Raise SettingsFault `keyring_missing` where the file of a keyring in SQLite is not there.

    To open it would make an empty one, in which no film has its key. The server of one in
    PostgreSQL refuses by itself, since nobody here makes databases.
    """
    file = _file_of(url)
    with durable.system_faults("looking for the keyring"):
        missing = file is not None and not file.exists()
    if missing:
        raise SettingsFault(
            f"The keyring is missing: there is no file {file}. Mount its disk, correct "
            "CONSENT_KEYRING_URL, or put the keys back with `consent-service keys restore` "
            "(docs/operations/backup-and-restore.md). Nothing was made in its place.",
            code="keyring_missing",
        )


def _file_of(url: str) -> Path | None:
    try:
        parts = make_url(url)
    except ArgumentError as fault:
        raise _unknown_url() from fault
    if parts.drivername == "postgresql+psycopg":
        return None
    if parts.get_backend_name() == "sqlite" and parts.database not in (None, "", ":memory:"):
        return Path(str(parts.database))
    raise _unknown_url()


def _unknown_url() -> SettingsFault:
    return SettingsFault(
        "CONSENT_KEYRING_URL must be sqlite:////path/to/keyring.db or "
        "postgresql+psycopg://user@host/database. Correct it."
    )


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    if cursor.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


def _set_up_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    sole = connection.get_execution_options().get("sole_writer")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if sole else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    sole = connection.get_execution_options().get("sole_writer")
    connection.exec_driver_sql(_WAIT_TO_WRITE if sole else _SEE_ONE_MOMENT)


@contextlib.contextmanager
def _database_faults() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, NoConnectionFree) as fault:
        cause = fault.orig if isinstance(fault, DBAPIError) else fault
        if "disk is full" in str(cause) or getattr(cause, "sqlstate", None) == "53100":
            raise DiskFull(
                "The keyring's disk is full and nothing half-done stays. Make room, then try again."
            ) from fault
        raise Unavailable(
            f"The keyring's database cannot be used ({type(cause).__name__}). "
            "Check CONSENT_KEYRING_URL and the database, then try again."
        ) from fault


def rotation_runs() -> Conflict:
    """The refusal of a second rotation beside a running one."""
    return Conflict(
        "Keys are being rotated already. Wait until that ends, then look at `keys status`.",
        code="rotation_running",
    )

"""One moment of the whole database as bytes, and such bytes put back in its place.

SQLite: the bytes are the database file itself, taken to memory; PostgreSQL: the archive that
`pg_dump --format=custom` writes, so both can be read without this service.

Rules kept here:
  * rows and whatever is asked of the session beside them are of one and the same moment;
  * plaintext goes through memory and pipes only, never into a file beside the database;
  * putting back happens in one transaction: the old rows or the new ones, never a mix;
  * what the PostgreSQL programs say is not passed on, since it may quote rows.
"""

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, NoReturn

from sqlalchemy import Engine, StaticPool, create_engine, inspect, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from consent_service.db.base import Base
from consent_service.db.engine import READ_ONLY, open_engine, prepare_sqlite
from consent_service.db.models.people import Involvement, Person
from consent_service.db.models.recordings import Asset
from consent_service.errors import IntegrityFault, SettingsFault, Unavailable
from consent_service.ids import new_id

PIECE_BYTES = 32 * 2**20
_VERSION_TABLE = "alembic_version"
_OURS = "--schema=public"
_SQLITE_MAGIC = b"SQLite format 3\0"
_FORMAT_VERSIONS = slice(18, 20)
_ROLLBACK_JOURNAL = b"\x01\x01"

_BEGIN = """
BEGIN;
SET client_min_messages = warning;
DO $$ DECLARE one text; BEGIN
  FOR one IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
    WHERE schemaname = 'public' LOOP EXECUTE 'DROP TABLE IF EXISTS ' || one || ' CASCADE';
  END LOOP;
  FOR one IN SELECT p.oid::regprocedure::text FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS
      (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    LOOP EXECUTE 'DROP ROUTINE IF EXISTS ' || one || ' CASCADE';
  END LOOP;
END $$;
"""


@dataclass(frozen=True)
class Snapshot:
    """One moment of a database: `session` reads its rows, `pieces` gives all of it as bytes."""

    session: Session

    def pieces(self) -> Iterator[bytes]:
        """Yield the whole database, at most 32 MiB at a time; may be called once."""
        if self.session.get_bind().dialect.name == "sqlite":
            return _serialised(self.session)
        return _dumped(self.session)


@contextlib.contextmanager
def taken(engine: Engine) -> Iterator[Snapshot]:
    """Hold one moment of the database for as long as the block runs; writers are not stopped."""
    options: dict[str, Any] = {READ_ONLY: True}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ"}
    with Session(engine.execution_options(**options), expire_on_commit=False) as session:
        session.execute(text("SELECT version_num FROM alembic_version"))
        yield Snapshot(session)
        session.rollback()


def put_back(engine: Engine, pieces: Iterable[bytes]) -> None:
    """Put a snapshot of the same kind of database in the place of all rows and tables.

    Raises IntegrityFault for bytes that are no such snapshot, Unavailable when it cannot be done;
    what was there before then stays.
    """
    if engine.dialect.name == "sqlite":
        with contextlib.closing(_opened(b"".join(pieces))) as source:
            _overwrite(engine, source)
    else:
        _load(engine.url, pieces)
    engine.dispose()


@contextlib.contextmanager
def opened_copy(beside: Engine, pieces: Iterable[bytes]) -> Iterator[Engine]:
    """Open a snapshot in a place of its own, which is gone when the block ends.

    SQLite: in memory. PostgreSQL: a database of its own on the server of `beside`.
    """
    if beside.dialect.name == "sqlite":
        connection = _opened(b"".join(pieces))
        engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
        prepare_sqlite(engine)
        try:
            yield engine
        finally:
            engine.dispose()
            connection.close()
        return
    with _temporary_database(beside) as engine:
        _load(engine.url, pieces)
        yield engine


def is_empty(engine: Engine) -> bool:
    """Tell whether a database knows no person, family or film; also when it has no tables."""
    with engine.connect() as connection:
        if not inspect(connection).has_table(Person.__tablename__):
            return True
        kinds = (Person.id, Involvement.id, Asset.id)
        return all(connection.scalar(select(kind).limit(1)) is None for kind in kinds)


def require_own_tables(engine: Engine) -> None:
    """Raise SettingsFault when the database holds more than this service's rows.

    Keys kept in the same database would go into every backup of it.
    """
    with engine.connect() as connection:
        found = set(inspect(connection).get_table_names())
    others = found - Base.metadata.tables.keys() - {_VERSION_TABLE}
    if others:
        raise SettingsFault(
            f"The database holds {len(others)} tables that are not this service's own. Keep the"
            " keyring (CONSENT_KEYRING_URL) and everything else in databases of their own."
        )


def faults_in(engine: Engine) -> list[str]:
    """Return what the database itself finds wrong with its tables and references."""
    if engine.dialect.name != "sqlite":
        return []  # PostgreSQL checked every constraint when it loaded the rows
    with engine.connect() as connection:
        found = list(connection.exec_driver_sql("PRAGMA integrity_check").scalars())
        dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    faults = [] if found == ["ok"] else ["integrity"]
    return faults + sorted({f"references of {row[0]}" for row in dangling})


def _serialised(session: Session) -> Iterator[bytes]:
    driver: Any = session.connection().connection.driver_connection
    whole = memoryview(driver.serialize())
    for start in range(0, len(whole), PIECE_BYTES):
        yield bytes(whole[start : start + PIECE_BYTES])


def _opened(content: bytes) -> sqlite3.Connection:
    """Open a database file in memory. One that says it has a log beside it would not open there."""
    if not content.startswith(_SQLITE_MAGIC):
        raise _not_a_snapshot()
    plain = bytearray(content)
    plain[_FORMAT_VERSIONS] = _ROLLBACK_JOURNAL
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        connection.deserialize(plain)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as fault:
        connection.close()
        raise _not_a_snapshot() from fault
    return connection


def _overwrite(engine: Engine, source: sqlite3.Connection) -> None:
    try:
        with contextlib.closing(engine.raw_connection()) as raw:
            driver: Any = raw.driver_connection
            source.backup(driver)
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except (sqlite3.Error, DBAPIError) as fault:
        raise Unavailable(
            "The database file cannot be written to. Stop every process of the service, move a"
            " damaged file and its -wal and -shm away, and restore again."
        ) from fault


def _dumped(session: Session) -> Iterator[bytes]:
    connection = session.connection()
    moment = connection.scalar(text("SELECT pg_export_snapshot()"))
    command = ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", _OURS]
    command.append(f"--snapshot={moment}")
    with _program(command, connection.engine.url, stdout=subprocess.PIPE) as process:
        yield from _read_pieces(process)


def _read_pieces(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    assert process.stdout is not None
    with process.stdout as out:
        while piece := out.read(PIECE_BYTES):
            yield piece


def _load(url: URL, pieces: Iterable[bytes]) -> None:
    """Turn an archive into statements and run them as one transaction.

    The last word is ours: where the archive ends early no COMMIT follows, and nothing happened.
    """
    into = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-"]
    with _program(into, url, stdin=subprocess.PIPE) as loading:
        assert loading.stdin is not None
        with contextlib.suppress(BrokenPipeError), loading.stdin as statements:
            statements.write(_BEGIN.encode())
            statements.flush()
            _write_script(url, pieces, statements)
            statements.write(b"COMMIT;\n")


def _write_script(url: URL, pieces: Iterable[bytes], statements: IO[bytes]) -> None:
    script = ["pg_restore", "--no-owner", "--no-privileges", _OURS, "--file=-"]
    with _program(script, url, stdin=subprocess.PIPE, stdout=statements) as reading:
        assert reading.stdin is not None
        with contextlib.suppress(BrokenPipeError), reading.stdin as archive:
            for piece in pieces:
                archive.write(piece)


@contextlib.contextmanager
def _program(
    command: list[str],
    url: URL,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of PostgreSQL's programs; raises Unavailable when it is missing or fails."""
    name = command[0]
    target = [] if name == "pg_restore" else ["--dbname", _address(url)]
    try:
        process = subprocess.Popen(  # noqa: S603  (our own words and the address from settings)
            [name, *target, *command[1:]],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            env=_environment(url),
        )
    except FileNotFoundError as fault:
        raise Unavailable(
            f"{name} is not installed here. Install PostgreSQL's client programs, of the"
            " server's version or newer."
        ) from fault
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        code = process.wait()
    if code != 0:
        _failed(name, code)


def _failed(name: str, code: int) -> NoReturn:
    raise Unavailable(
        f"{name} ended with code {code}; the database is as it was. Check that it can reach the"
        " server and is not older than it, that the service is stopped, and that there is room.",
        program=name,
        exit_code=code,
    )


def _address(url: URL) -> str:
    return url.set(drivername="postgresql", password=None).render_as_string()


def _environment(url: URL) -> Mapping[str, str]:
    secret = {"PGPASSWORD": str(url.password)} if url.password else {}
    return {**os.environ, **secret, "PGCONNECT_TIMEOUT": "30"}


@contextlib.contextmanager
def _temporary_database(beside: Engine) -> Iterator[Engine]:
    name = f"consent_drill_{new_id()}"
    try:
        _outside_transactions(beside, f'CREATE DATABASE "{name}" TEMPLATE template0')
    except DBAPIError as fault:
        raise Unavailable(
            "This role may not make a database to restore into. Give it CREATEDB for the drill, or"
            " run the drill against another server."
        ) from fault
    engine = open_engine(
        beside.url.set(database=name).render_as_string(hide_password=False),
    )
    try:
        yield engine
    finally:
        engine.dispose()
        _outside_transactions(beside, f'DROP DATABASE "{name}" WITH (FORCE)')


def _outside_transactions(engine: Engine, statement: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))


def _not_a_snapshot() -> IntegrityFault:
    return IntegrityFault(
        "The backup's database is no database of this service. Use another backup.",
        code="backup_broken",
    )

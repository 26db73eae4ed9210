"""Every byte of a small log counts: one flipped bit, anywhere, in any row, is found."""

import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from consent_service.db import audit_verify
from consent_service.db.engine import open_engine
from tests.support.audit import TABLES, AuditLog, build_audit_tables


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AuditLog, Connection]]:
    """Two entries under a head each and one that waits; guards off, inside one transaction."""
    url = f"sqlite:///{tmp_path_factory.mktemp('small') / 'log.db'}"
    build_audit_tables(url)
    log = AuditLog(open_engine(url))
    log.sealed(1)
    log.sealed(1)
    log.append(1)
    log.tamper("DELETE FROM audit_tile")
    with log.engine.connect() as connection:
        connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        yield log, connection
        connection.rollback()
    log.engine.dispose()


SEALED = 2
SMALL_TABLES = [table for table in TABLES if table.name != "audit_tile"]


@pytest.mark.parametrize("table", SMALL_TABLES, ids=lambda table: table.name)
def test_every_byte_of_the_log_counts(small, table):
    """One flipped bit, anywhere, in any row, is found."""
    log, connection = small
    unnoticed = []

    for row, column, altered in _every_change(connection, table):
        with connection.begin_nested() as savepoint:
            connection.execute(
                text(f'UPDATE {table.name} SET "{column}" = :altered WHERE rowid = :row'),
                {"altered": altered, "row": row},
            )
            with Session(connection, join_transaction_mode="create_savepoint") as session:
                if audit_verify.verify(session, log.trust(), log.at).ok:
                    unnoticed.append((row, column, altered))
            savepoint.rollback()

    assert unnoticed == []
    with Session(connection, join_transaction_mode="create_savepoint") as session:
        assert audit_verify.verify(session, log.trust(), log.at).ok


def _every_change(connection: Connection, table) -> Iterator[tuple[int, str, object]]:  # type: ignore[no-untyped-def]
    """Each cell of a table with one bit of one byte flipped, for every byte of it.

    Left out is the body of the entry that still waits: nothing signs it yet.
    """
    for row, *cells in connection.execute(text(f"SELECT rowid, * FROM {table.name}")).all():
        for column, cell in zip(table.columns.keys(), cells, strict=True):
            if table.name == "audit_entry" and column == "body" and row > SEALED:
                continue
            if isinstance(cell, int):
                yield row, column, cell + 1000
            elif isinstance(cell, bytes):
                for at, byte in enumerate(cell):
                    yield row, column, cell[:at] + bytes([byte ^ 1]) + cell[at + 1 :]
            else:
                for at, char in enumerate(cell):
                    yield row, column, cell[:at] + chr(ord(char) ^ 1) + cell[at + 1 :]


def test_what_is_not_sealed_yet_is_guarded_by_triggers_only(small):
    """The boundary of the promise, about a second wide, stands here so that nobody forgets it."""
    log, connection = small

    with connection.begin_nested() as savepoint:
        changed = "CAST(replace(CAST(body AS TEXT), 'care', 'team') AS BLOB)"
        connection.execute(text(f"UPDATE audit_entry SET body = {changed} WHERE rowid = 3"))
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            report = audit_verify.verify(session, log.trust(), log.at)
        savepoint.rollback()

    assert (report.ok, report.entries, report.unsealed) == (True, 2, 1)


def test_a_value_of_another_type_is_a_fault_and_no_crash(small):
    """SQLite takes any type anywhere; the report must come all the same."""
    log, connection = small

    for table, column in [("entry", "body"), ("entry", "actor"), ("leaf", "hash")]:
        for wrong in ("text", 5):
            with connection.begin_nested() as savepoint:
                statement = f"UPDATE audit_{table} SET {column} = :wrong WHERE rowid = 1"
                connection.execute(text(statement), {"wrong": wrong})
                with Session(connection, join_transaction_mode="create_savepoint") as session:
                    report = audit_verify.verify(session, log.trust(), log.at)
                savepoint.rollback()
            assert report.first_bad is not None and report.first_bad.index == 0


def test_the_log_can_be_recomputed_by_a_program_that_knows_nothing_of_ours(tmp_path):
    """Ten lines of anybody's code come to the root that we signed."""
    url = f"sqlite:///{tmp_path / 'log.db'}"
    build_audit_tables(url)
    log = AuditLog(open_engine(url))
    log.sealed(4)
    signed_root = log.note().split("\n")[2]
    log.engine.dispose()

    bodies = sqlite3.connect(tmp_path / "log.db").execute(
        'SELECT body FROM audit_leaf JOIN audit_entry ON id = entry_id ORDER BY "index"'
    )
    a, b, c, d = (sha256(b"\x00" + body).digest() for (body,) in bodies)
    left, right = sha256(b"\x01" + a + b).digest(), sha256(b"\x01" + c + d).digest()

    assert b64encode(sha256(b"\x01" + left + right).digest()).decode() == signed_root

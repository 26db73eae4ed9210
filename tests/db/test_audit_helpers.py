"""Several processes verify one log, and find what one process finds."""

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from consent_service.db import audit_helpers
from consent_service.db.audit_helpers import Spans
from consent_service.db.audit_ranges import Rows, check_range
from consent_service.db.engine import open_engine
from consent_service.db.unit_of_work import read
from consent_service.domain.audit_check import VerifyReport
from consent_service.domain.merkle import TILE_WIDTH
from tests.support.audit import AuditLog

ENTRIES = 4 * TILE_WIDTH + 76


@pytest.fixture
def shared_log(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> AuditLog:
    """1,100 entries under two heads, in ranges of one tile, for two helpers."""
    monkeypatch.setattr(audit_helpers, "RANGE", TILE_WIDTH)
    monkeypatch.setattr(audit_helpers, "_processors", lambda: 3)
    log.entries = [*log.sealed(700), *log.sealed(ENTRIES - 700)]
    return log


@pytest.fixture
def session(shared_log: AuditLog) -> Iterator[Session]:
    """A reading session on the log."""
    with read(shared_log.engine) as session:
        yield session


def rows_of(session: Session) -> Rows:
    """Return the rows as the verifying process reads them."""
    connection = session.connection()
    return Rows(connection.dialect.driver, connection.connection.driver_connection)


def helped(session: Session, spans: Spans) -> audit_helpers._SharedWork:
    """Return the work after one helper has done all that it can."""
    work = audit_helpers._SharedWork(spans, ahead=spans.ranges)
    database = audit_helpers._database_of(session.connection().engine)
    assert database is not None
    audit_helpers._help(work, database)
    return work


def test_a_helper_finds_what_the_verifier_would(shared_log, session):
    """What a helper says is taken as if it had been computed here."""
    shared_log.tamper(
        "UPDATE audit_entry SET kind = 'x' WHERE id = :id", id=shared_log.entries[600].id
    )
    spans, rows = Spans(1, ENTRIES), rows_of(session)

    work = helped(session, spans)

    assert sorted(work._done) == [0, 1, 2, 3, 4]
    for number in range(spans.ranges):
        assert work.take(number, rows) == check_range(rows, spans.at(number))


def test_a_log_verified_by_several_is_reported_as_by_one(shared_log):
    """The report is filed; it must not depend on the machine."""
    shared_log.append(2)

    assert shared_log.verify() == VerifyReport(
        ok=True, entries=ENTRIES, epochs=1, checkpoints=2, unsealed=2
    )


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE audit_entry SET body = :body WHERE id = :id", "its body is not what was sealed"),
        ("DELETE FROM audit_leaf WHERE entry_id = :id", "its leaf is missing"),
    ],
)
@pytest.mark.parametrize("place", [0, 255, 256, 900, 1023, 1024])
def test_the_first_bad_entry_is_named_whoever_finds_it(shared_log, statement, what, place):
    """Ranges end before and begin with tiles: nothing may fall between two."""
    bad, later = shared_log.entries[place], shared_log.entries[1090]
    body = {"body": b"{}"} if ":body" in statement else {}
    for entry in (bad, later):
        shared_log.tamper(statement, id=entry.id, **body)

    report = shared_log.verify()

    assert report.first_bad is not None
    assert (report.first_bad.index, report.first_bad.what) == (place, what)


def test_what_a_helper_cannot_do_is_done_without_it(shared_log, monkeypatch, caplog):
    """A machine that starts no more processes can still verify its log."""
    monkeypatch.setattr(audit_helpers, "_PROGRAM", "raise SystemExit('broken')")

    report = shared_log.verify()

    assert report.ok and report.entries == ENTRIES
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_a_range_that_a_helper_died_over_is_done_by_the_verifier(session, monkeypatch):
    """It was claimed, and nobody else would do it."""
    twice = "import pickle, sys; [pickle.load(sys.stdin.buffer) for _ in range(2)]"
    monkeypatch.setattr(audit_helpers, "_PROGRAM", twice)
    spans, rows = Spans(1, ENTRIES), rows_of(session)

    work = helped(session, spans)

    found = [work.take(number, rows) for number in range(spans.ranges)]
    assert found == [check_range(rows, spans.at(number)) for number in range(spans.ranges)]


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_log_in_memory_is_verified_by_its_own_process(url):
    """No other process could see it."""
    assert audit_helpers._database_of(open_engine(url)) is None

"""The audit log in the database: appended with the act, sealed once, searched and proved."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from consent_service.db import audit_log
from consent_service.db.audit_log import EntryFilter
from consent_service.db.engine import open_engine
from consent_service.db.models.audit import AuditEntry, AuditLeaf
from consent_service.db.unit_of_work import begin, read
from consent_service.domain import merkle
from consent_service.domain.audit import (
    Actor,
    ActorKind,
    AuditEvent,
    EventKind,
    body,
    instant_text,
    parse_body,
)
from consent_service.domain.checkpoint import open_checkpoint
from consent_service.errors import Conflict, InvalidInput, NotFound, Unavailable
from consent_service.ids import new_id
from tests.support.audit import LOG, NOON, TABLES, AuditLog, build_audit_tables, film_viewed

INSERT_ONLY = [table.name for table in TABLES if table.name != "audit_pending"]


def count(log: AuditLog, table: str) -> int:
    with read(log.engine) as session:
        return session.scalar(text(f"SELECT count(*) FROM {table}")) or 0


def test_an_act_that_fails_leaves_no_entry(log):
    """An entry about something that did not happen would be a lie for ever."""
    with pytest.raises(RuntimeError), begin(log.engine, NOON) as uow:
        uow.record(film_viewed())
        raise RuntimeError

    assert count(log, "audit_entry") == count(log, "audit_pending") == 0


def test_an_act_whose_entry_cannot_be_written_does_not_happen(database_url):
    """Nothing may happen that is not in the log."""
    build_audit_tables(database_url)
    log = AuditLog(open_engine(database_url))
    log.tamper("DROP TABLE audit_pending")

    with pytest.raises((DBAPIError, Unavailable)), begin(log.engine, NOON) as uow:
        uow.session.execute(insert(AuditEntry).values(_row("ab" * 16)))
        uow.record(film_viewed())

    assert count(log, "audit_entry") == 0
    log.engine.dispose()


def test_an_appended_entry_carries_the_hash_of_its_leaf(log):
    """The journal points at the entry by this hash before it is sealed."""
    (entry,) = log.append(1)

    with read(log.engine) as session:
        row = session.execute(select(AuditEntry.__table__).filter_by(id=entry.id)).one()
    assert entry.hash == merkle.leaf_hash(row.body)
    assert parse_body(row.body).event == film_viewed()
    assert (row.kind, row.actor, row.subject) == ("film.viewed", f"user:{'2c' * 16}", "0" * 32)


@pytest.mark.parametrize("table", INSERT_ONLY)
@pytest.mark.parametrize("change", ["UPDATE {} SET {}", "DELETE FROM {}"])
def test_what_stands_in_the_log_cannot_be_changed_or_taken_out(log, table, change):
    """A slip of the hand, or a bug of ours, must not be able to touch the log."""
    log.sealed(256)
    column = TABLES[[t.name for t in TABLES].index(table)].columns.keys()[-1]

    with pytest.raises(DBAPIError, match="insert-only"), log.engine.begin() as connection:
        connection.execute(text(change.format(table, f"{column} = {column}")))

    assert log.verify().ok


@pytest.mark.parametrize("table", INSERT_ONLY)
def test_a_row_cannot_be_pushed_out_by_another(log, table):
    """SQLite's INSERT OR REPLACE deletes without asking the delete trigger."""
    log.sealed(256)
    before = count(log, table)
    again = f"INSERT INTO {table} SELECT * FROM {table}"
    if log.engine.dialect.name == "sqlite":
        again = again.replace("INSERT", "INSERT OR REPLACE")

    with pytest.raises(IntegrityError), log.engine.begin() as connection:
        connection.execute(text(again))

    assert count(log, table) == before
    assert log.verify().ok


@pytest.mark.parametrize("table", INSERT_ONLY)
def test_a_table_of_the_log_cannot_be_emptied_at_once(log, table):
    """TRUNCATE asks no row trigger. SQLite has none: there it is DELETE without a condition."""
    log.sealed(256)
    empty = "TRUNCATE {} CASCADE" if log.engine.dialect.name == "postgresql" else "DELETE FROM {}"

    with pytest.raises(DBAPIError, match="insert-only"), log.engine.begin() as connection:
        connection.execute(text(empty.format(table)))


def test_nothing_waiting_means_no_new_head(log):
    """The sealer runs every second; quiet seconds leave nothing."""
    assert log.seal() is None
    log.sealed(1)
    assert log.seal() is None

    assert count(log, "audit_checkpoint") == 1


def test_a_head_is_signed_and_says_what_it_covers(log):
    """The head is what is published: whoever has it can hold the log to it."""
    entries = log.append(3)
    head = log.seal()

    assert head is not None
    assert (head.origin, head.size, head.previous) == (f"{LOG}/epoch/1", 3, 0)
    frontier = merkle.Frontier()
    frontier.extend([entry.hash for entry in entries])
    assert head.root == frontier.root()
    assert open_checkpoint(log.note(), [log.public_key], head.origin) == head


def test_entries_are_sealed_in_order_of_time_a_portion_at_a_time(log):
    """After an outage there may be very many; each portion is a transaction of bounded size."""
    entries = log.append(7)
    sizes = [head.size for head in iter(lambda: log.seal(limit=3), None)]

    with read(log.engine) as session:
        sealed = list(session.scalars(select(AuditLeaf.entry_id).order_by(AuditLeaf.index)))
    assert sizes == [3, 6, 7]
    assert sealed == [entry.id for entry in entries]


def test_an_entry_that_commits_late_is_sealed_all_the_same(log):
    """Transactions commit out of order: going by "greater than the last" would lose entries."""
    late = _row(new_id())
    log.sealed(3)

    with log.engine.begin() as connection:
        connection.execute(insert(AuditEntry).values(late))
    head = log.seal()

    assert head is not None and head.size == 4
    assert log.verify().ok
    with read(log.engine) as session:
        assert audit_log.inclusion_proof(session, str(late["id"])).index == 3


def test_two_sealers_at_once_make_one_chain_of_heads(log):
    """Several workers may run; two heads of one size would be a forked log."""
    for _ in range(5):
        log.append(40)
    start = threading.Barrier(3)
    sealed = []

    def seals() -> None:
        start.wait()
        for _ in range(10):
            with begin(log.engine, log.at) as uow:
                sealed.append(audit_log.seal(uow.session, log.signer, LOG, log.at, 30))

    sealers = [threading.Thread(target=seals) for _ in range(3)]
    for sealer in sealers:
        sealer.start()
    for sealer in sealers:
        sealer.join()

    heads = [head for head in sealed if head]
    assert sorted(head.size for head in heads) == [30, 60, 90, 120, 150, 180, 200]
    report = log.verify()
    assert (report.ok, report.entries, report.checkpoints) == (True, 200, 7)


def test_a_seal_that_is_rolled_back_leaves_the_entries_waiting(log):
    """A worker killed half-way must not lose entries, nor seal them twice."""
    log.append(5)
    with pytest.raises(RuntimeError), begin(log.engine, log.at) as uow:
        audit_log.seal(uow.session, log.signer, LOG, log.at)
        raise RuntimeError

    assert count(log, "audit_pending") == 5
    head = log.seal()
    assert head is not None and head.size == 5
    assert log.verify().ok


@pytest.mark.parametrize("portions", [[700], [255, 1, 256, 1, 187], [100] * 7])
def test_tiles_roots_and_proofs_do_not_depend_on_the_portions(log, portions):
    """Tiles are written when they are full, whatever the sealer's rhythm."""
    entries = [entry for portion in portions for entry in log.sealed(portion)]
    hashes = [entry.hash for entry in entries]
    heads = [sum(portions[: n + 1]) for n in range(len(portions))]

    with read(log.engine) as session:
        roots = {}
        for size in {1, 256, 257, 512, *heads}:
            frontier = merkle.Frontier()
            frontier.extend(hashes[:size])
            roots[size] = frontier.root()
            assert audit_log.root_at(session, 1, size) == roots[size]
        for index in (0, 255, 256, 511, 512, 699):
            proof = audit_log.inclusion_proof(session, entries[index].id)
            assert (proof.index, proof.size, proof.epoch) == (index, 700, 1)
            leaf = (index, merkle.leaf_hash(proof.body))
            assert merkle.verify_inclusion(leaf, 700, roots[700], proof.path)
        for old in {1, 256, *heads}:
            path = audit_log.consistency_proof(session, 1, old, 700)
            assert merkle.verify_consistency((old, roots[old]), (700, roots[700]), path)
    assert count(log, "audit_tile") == 2
    assert log.verify().ok


def test_tiles_of_the_second_level_are_written_and_used(log):
    """Above 65,536 entries proofs need tiles of tiles."""
    size = 65_536 + 300
    _fill(log, size)
    while log.seal(limit=30_000):
        pass

    with read(log.engine) as session:
        levels = session.execute(
            text("SELECT level, count(*) FROM audit_tile GROUP BY level ORDER BY level")
        ).all()
        first = session.scalar(select(AuditLeaf.entry_id).where(AuditLeaf.index == 3))
        proof = audit_log.inclusion_proof(session, str(first))
        head = audit_log.latest_checkpoint(session)
    assert levels == [(0, 257), (1, 1)]
    assert head is not None
    leaf = (3, merkle.leaf_hash(proof.body))
    assert merkle.verify_inclusion(leaf, size, head.root, proof.path)
    report = log.verify()
    assert (report.ok, report.entries) == (True, size)


def test_an_entry_has_no_proof_before_it_is_sealed(log):
    """The caller is told to come back, and is not given a proof that does not hold."""
    (entry,) = log.append(1)

    with read(log.engine) as session:
        with pytest.raises(Conflict) as refusal:
            audit_log.inclusion_proof(session, entry.id)
        with pytest.raises(NotFound):
            audit_log.inclusion_proof(session, new_id())
    assert refusal.value.code == "not_sealed"


@pytest.mark.parametrize(("old", "new"), [(1, 4), (0, 3), (3, 2), (1, 0)])
def test_sizes_that_the_log_never_had_are_refused(log, old, new):
    """A proof about a size that is not there would be about nothing."""
    log.sealed(3)

    with read(log.engine) as session, pytest.raises(NotFound):
        audit_log.consistency_proof(session, 1, old, new)
    with read(log.engine) as session, pytest.raises(NotFound):
        audit_log.root_at(session, 2, 1)


def test_pages_of_a_search_hold_every_entry_once_newest_first(log):
    """An IG officer who leafs through must neither miss an entry nor see one twice."""
    appended = [entry.id for entry in log.append(23)]
    log.seal()
    found, cursor = [], None

    for _ in range(5):
        with read(log.engine) as session:
            page = audit_log.entries(session, EntryFilter(), cursor, limit=5)
        found += [entry.recorded.entry_id for entry in page.entries]
        cursor = page.next_cursor

    assert found == appended[::-1]
    assert cursor is None


def test_a_search_keeps_to_what_was_asked(log):
    """Each search column is one question that people ask of the log."""
    other = Actor(ActorKind.PERSON, "5e" * 16)
    log.append(4)
    since = log.at + timedelta(milliseconds=1)
    with begin(log.engine, since) as uow:
        uow.record(AuditEvent(EventKind.CONSENT_CAPTURED, other, "6f" * 16, "7a" * 16))
    questions = [
        EntryFilter(kinds=(EventKind.CONSENT_CAPTURED, EventKind.CLIP_MADE)),
        EntryFilter(actor=other),
        EntryFilter(subject="6f" * 16),
        EntryFilter(involvement="7a" * 16),
        EntryFilter(since=since),
        EntryFilter(since=since, until=since + timedelta(microseconds=1)),
    ]

    with read(log.engine) as session:
        answers = [audit_log.entries(session, question).entries for question in questions]
        before = audit_log.entries(session, EntryFilter(until=since)).entries

    assert [[entry.recorded.event.actor for entry in found] for found in answers] == [[other]] * 6
    assert len(before) == 4
    assert all(entry.epoch is None and entry.index is None for entry in before)


@pytest.mark.parametrize("cursor", ["", "x", "2026/zz", "' OR 1=1 --/x"])
def test_a_cursor_that_is_not_ours_is_refused(log, cursor):
    """A cursor comes back from outside: it may hold anything."""
    with read(log.engine) as session, pytest.raises(InvalidInput):
        audit_log.entries(session, EntryFilter(), cursor)


def _row(entry_id: str) -> dict[str, object]:
    """A row as `append` would have written it, an hour ago."""
    event = film_viewed()
    early = NOON - timedelta(hours=1)
    return {
        "id": entry_id,
        "at": instant_text(early),
        "kind": event.kind.value,
        "actor": str(event.actor),
        "subject": event.subject,
        "involvement": event.involvement,
        "body": body(event, entry_id, early),
    }


def _fill(log: AuditLog, size: int) -> None:
    """Put many waiting entries in at once; they differ in nothing but their id."""
    first = _row("ab" * 16)
    template = bytes(first["body"])  # type: ignore[arg-type]
    ids = [f"{number:032x}" for number in range(size)]
    rows = [first | {"id": i, "body": template.replace(b"ab" * 16, i.encode())} for i in ids]
    with log.engine.begin() as connection:
        connection.execute(insert(AuditEntry.__table__), rows)  # type: ignore[arg-type]

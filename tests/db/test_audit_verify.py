"""Whatever is changed in the log, verification finds it and names the first bad entry."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from consent_service.db import audit_log, audit_ranges, audit_verify
from consent_service.db.unit_of_work import begin
from consent_service.domain.audit_check import LostRange, Trust, VerifyReport
from consent_service.domain.checkpoint import Checkpoint, sign_checkpoint
from consent_service.domain.merkle import leaf_hash, perfect_root
from tests.support.audit import (
    LOG,
    AuditLog,
)

WITHOUT_LEAF = (
    "DELETE FROM audit_entry WHERE NOT EXISTS (SELECT 1 FROM audit_leaf WHERE entry_id = id)"
)


def found(log: AuditLog, published: list[str] | None = None) -> tuple[int, str]:
    """Verify; return the place and the description of the first bad entry."""
    report = log.verify(log.trust(published or []))
    assert not report.ok and report.first_bad is not None
    return report.first_bad.index, report.first_bad.what


@pytest.fixture
def long_log(log: AuditLog) -> AuditLog:
    """300 entries under three heads: one full tile and an edge."""
    log.entries = [entry for _ in range(3) for entry in log.sealed(100)]
    return log


def test_a_sound_log_verifies_and_says_how_much_it_covers(long_log):
    """The report is what an IG officer files: it must count what it looked at."""
    long_log.append(2)

    assert long_log.verify() == VerifyReport(
        ok=True, entries=300, epochs=1, checkpoints=3, unsealed=2
    )


def test_an_empty_log_verifies(log):
    """The first start has nothing to verify, and that is no fault."""
    assert log.verify() == VerifyReport(ok=True, entries=0, epochs=0, checkpoints=0)


def test_a_changed_body_is_named_exactly(long_log):
    """The officer must know which entry was falsified, not only that one was."""
    entry = long_log.entries[150]
    long_log.tamper("UPDATE audit_entry SET body = :body WHERE id = :id", body=b"{}", id=entry.id)

    report = long_log.verify()

    assert report.first_bad is not None
    assert (report.first_bad.epoch, report.first_bad.index) == (1, 150)
    assert report.first_bad.entry_id == entry.id
    assert entry.id in str(report.first_bad)


def test_of_two_bad_entries_the_first_is_named(long_log):
    """Whatever comes after the first cannot be trusted anyway."""
    for place, change in ((180, "body = '{}'"), (20, "kind = 'clip.made'"), (270, "body = '{}'")):
        statement = f"UPDATE audit_entry SET {change} WHERE id = :id"
        long_log.tamper(statement, id=long_log.entries[place].id)

    assert found(long_log)[0] == 20


def test_a_body_changed_together_with_its_leaf_is_named_by_its_tile(long_log):
    """Somebody with the database can rewrite the leaf as well."""
    _rewrite(long_log, 150)

    assert found(long_log) == (150, "its tile is not over what was sealed")


def test_a_body_changed_with_leaf_and_tile_contradicts_the_signed_head(long_log):
    """Everything in the database can be rewritten but the signature."""
    _rewrite(long_log, 150)
    _rewrite_tile(long_log)

    place, what = found(long_log)

    assert (place, what) == (
        100,
        "it or a later one up to 199 is not what the checkpoint signs",
    )


def test_a_log_signed_anew_with_another_key_is_refused(long_log):
    """The last resort of a forger: a whole new log. Only the key cannot be forged."""
    forged = AuditLog(long_log.engine, at=long_log.at)
    report = long_log.verify(forged.trust())

    assert not report.ok and report.first_bad is not None
    assert "No known key" in report.first_bad.what


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("DELETE FROM audit_leaf WHERE \"index\" = 0", 0),
        ("DELETE FROM audit_leaf WHERE \"index\" = 150", 150),
        ("DELETE FROM audit_leaf WHERE \"index\" = 299", 299),
        ("DELETE FROM audit_leaf WHERE \"index\" >= 200", 200),
        ("UPDATE audit_leaf SET \"index\" = -1 WHERE \"index\" = 7", 0),
        ("UPDATE audit_leaf SET \"index\" = 300 WHERE \"index\" = 7", 7),
        ("DELETE FROM audit_checkpoint WHERE size = 100", 199),
        ("DELETE FROM audit_checkpoint WHERE size = 300", 200),
        ("DELETE FROM audit_checkpoint", 0),
        ("UPDATE audit_checkpoint SET size = 250 WHERE size = 300", 250),
        ("UPDATE audit_checkpoint SET size = 0 WHERE size = 100", 0),
        ("UPDATE audit_checkpoint SET at = '2026-01-01T00:00:00.000000Z' WHERE size = 200", 199),
        ("UPDATE audit_checkpoint SET note = 'x'", 99),
        ("DELETE FROM audit_tile", 0),
        ("UPDATE audit_tile SET \"index\" = 1", 0),
        ("UPDATE audit_tile SET root = hashes", 0),
        ("INSERT INTO audit_tile SELECT epoch, 1, 0, hashes, root FROM audit_tile", 0),
        ("UPDATE audit_epoch SET origin = 'log.elsewhere.example/epoch/1'", 99),
        ("UPDATE audit_epoch SET origin = 'log.clinic.example/epoch/2'", 0),
        ("UPDATE audit_epoch SET origin = 'log.clinic.example'", 0),
        ("UPDATE audit_epoch SET epoch = 2", 0),
        ("INSERT INTO audit_epoch VALUES (2, 'log.clinic.example/epoch/2')", 0),
        ("INSERT INTO audit_leaf SELECT 9, 0, 'x', hash FROM audit_leaf WHERE \"index\" = 0", 300),
        ("DELETE FROM audit_pending", 300),
        ("UPDATE audit_entry SET subject = NULL WHERE at = (SELECT max(at) FROM audit_entry)", 300),
    ],
)  # fmt: skip
def test_rows_taken_out_put_in_or_moved_are_found(long_log, statement, place):
    """There is more than one way to lie with a table."""
    long_log.append(1)

    assert long_log.tamper(statement) != 0
    assert found(long_log)[0] == place


def test_two_entries_that_changed_places_are_found(long_log):
    """Order is part of what was signed: which came first, the refusal or the viewing?"""
    first, second = long_log.entries[10], long_log.entries[11]
    swap = 'UPDATE audit_leaf SET entry_id = :id, hash = :hash WHERE "index" = :place'
    long_log.tamper(swap, id="x", hash=b"", place=10)
    long_log.tamper(swap, id=first.id, hash=first.hash, place=11)
    long_log.tamper(swap, id=second.id, hash=second.hash, place=10)

    assert found(long_log) == (10, "its tile is not over what was sealed")


def test_an_entry_that_was_taken_out_is_named_by_its_leaf(long_log):
    """Even when it is gone, it can still be said which one."""
    gone = long_log.entries[42]
    long_log.tamper("DELETE FROM audit_entry WHERE id = :id", id=gone.id)

    report = long_log.verify()

    assert report.first_bad is not None
    assert (report.first_bad.entry_id, report.first_bad.index) == (gone.id, 42)
    assert report.first_bad.what == "the entry is missing"


def test_an_entry_that_was_slipped_in_is_named(long_log):
    """Rows that neither have a leaf nor wait for one were not written by the service."""
    made_up = "ee" * 16
    copy = "INSERT INTO audit_entry SELECT :new, at, kind, actor, subject, involvement, body"
    long_log.tamper(
        f"{copy} FROM audit_entry WHERE id = :old", new=made_up, old=long_log.entries[0].id
    )
    long_log.tamper("DELETE FROM audit_pending")

    report = long_log.verify()

    assert report.first_bad is not None
    assert report.first_bad.entry_id == made_up


def test_a_waiting_place_taken_from_one_entry_for_another_is_found(long_log):
    """The counts agree; the entries do not."""
    long_log.append(1)
    long_log.tamper("UPDATE audit_pending SET entry_id = :sealed", sealed=long_log.entries[0].id)

    assert found(long_log) == (300, "it is on the waiting list and should not be")


def test_entries_that_wait_too_long_are_a_fault(long_log):
    """A sealer that stands still leaves entries that anybody with the database can change."""
    long_log.append(1)
    long_log.at += audit_verify.UNSEALED_FOR
    assert long_log.verify().ok

    long_log.at += timedelta(milliseconds=1)
    assert "waited too long" in found(long_log)[1]


def test_a_cut_tail_with_its_head_is_found_by_a_head_that_was_published(long_log):
    """Inside the database nothing is left that could tell; the journal can."""
    published = long_log.note()
    long_log.tamper("DELETE FROM audit_checkpoint WHERE size = 300")
    long_log.tamper('DELETE FROM audit_leaf WHERE "index" >= 200')
    long_log.tamper(WITHOUT_LEAF)
    long_log.tamper("DELETE FROM audit_tile")

    assert long_log.verify().ok
    assert found(long_log, [published]) == (
        200,
        "a published checkpoint says 300 entries and is not in the log: entries were cut",
    )


def test_a_published_head_with_another_root_is_a_fork(long_log):
    """Somebody showed the journal one log and the IG officer another."""
    other = Checkpoint(f"{LOG}/epoch/1", 200, b"\x01" * 32, long_log.at, 100)

    place, what = found(long_log, [sign_checkpoint(other, long_log.signer)])

    assert (place, "fork" in what) == (199, True)


@pytest.mark.parametrize("published", ["", "x\n\n— y z\n"])
def test_a_published_head_that_is_none_is_said_to_be_so(log, published):
    """A broken file given by hand is not silently left out."""
    assert "published checkpoint is not valid" in found(log, [published])[1]


def test_a_published_head_that_nobody_signed_is_refused(long_log):
    """Otherwise anybody could make a sound log look cut."""
    stranger = AuditLog(long_log.engine)
    head = Checkpoint(f"{LOG}/epoch/1", 400, b"\x01" * 32, long_log.at, 100)

    assert "No known key" in found(long_log, [sign_checkpoint(head, stranger.signer)])[1]


def test_old_heads_stay_valid_after_the_key_was_replaced(long_log):
    """Retired public keys stay published for exactly this."""
    old = long_log.public_key
    successor = AuditLog(long_log.engine, at=long_log.at)
    successor.sealed(3)

    report = successor.verify(Trust([successor.public_key, old]))

    assert (report.ok, report.checkpoints) == (True, 4)
    assert not successor.verify().ok


class Restored:
    """A log of 200 entries that is set back to 100, as restoring a backup does."""

    def __init__(self, log: AuditLog) -> None:
        self.log = log
        log.sealed(100)
        self.kept = log.note()
        log.sealed(100)
        self.lost = log.note()
        head = audit_log.latest_checkpoint
        with begin(log.engine, log.at) as uow:
            self.ended = head(uow.session)
        log.tamper("DELETE FROM audit_checkpoint WHERE size = 200")
        log.tamper('DELETE FROM audit_leaf WHERE "index" >= 100')
        log.tamper(WITHOUT_LEAF)

    def starts_epoch(self) -> Checkpoint:
        log = self.log
        with begin(log.engine, log.at) as uow:
            return audit_log.start_epoch(uow.session, log.signer, LOG, log.at, self.ended)


def test_after_a_restore_the_log_goes_on_and_owns_up_to_what_was_lost(log):
    """A restore is lawful, but it must never pass for an untouched log."""
    restored = Restored(log)
    assert not log.verify(log.trust([restored.lost])).ok

    head = restored.starts_epoch()
    log.sealed(5)

    report = log.verify(log.trust([restored.kept, restored.lost, log.note()]))
    assert (head.origin, head.size) == (f"{LOG}/epoch/2", 1)
    assert report == VerifyReport(
        ok=True, entries=106, epochs=2, checkpoints=3, lost=(LostRange(1, 100, 1, 200),)
    )


def test_entries_that_waited_at_the_restore_are_sealed_in_the_new_epoch(log):
    """What was in the backup but not yet sealed is still true; the epoch's own entry is first."""
    restored = Restored(log)
    waiting = log.append(2)
    restored.starts_epoch()
    log.seal()

    with begin(log.engine, log.at) as uow:
        proof = audit_log.inclusion_proof(uow.session, waiting[0].id)
    assert (proof.epoch, proof.index) == (2, 1)
    assert log.verify().ok


def test_a_loss_greater_than_owned_up_to_is_found(log):
    """The new epoch's first entry must not be an excuse for cutting more."""
    restored = Restored(log)
    restored.starts_epoch()
    later = Checkpoint(f"{LOG}/epoch/1", 250, b"\x01" * 32, log.at, 200)

    _, what = found(log, [sign_checkpoint(later, log.signer)])

    assert "says 250 entries" in what


@pytest.mark.parametrize(
    ("column", "what"),
    [("kept_size", "does not commit"), ("previous_root", "another head")],
)
def test_an_epoch_that_commits_to_something_else_is_refused(log, column, what):
    """The chain from epoch to epoch is as strong as that from entry to entry."""
    log.sealed(3)
    with begin(log.engine, log.at) as uow:
        kept = audit_log.latest_checkpoint(uow.session)
    assert kept is not None
    wrong = {
        "kept_size": Checkpoint(kept.origin, 3, kept.root, kept.at, 0),
        "previous_root": Checkpoint(kept.origin, 3, b"\x02" * 32, kept.at, 0),
    }[column]
    with begin(log.engine, log.at) as uow:
        audit_log.start_epoch(uow.session, log.signer, LOG, log.at, wrong)
    if column == "kept_size":
        for table in ("checkpoint", "leaf"):
            log.tamper(f"DELETE FROM audit_{table} WHERE epoch = 1")
        log.tamper("DELETE FROM audit_epoch WHERE epoch = 1")
        log.tamper("DELETE FROM audit_entry WHERE kind = 'film.viewed'")

    assert what in found(log)[1]


def test_a_later_epoch_cannot_begin_with_an_ordinary_entry(log):
    """Otherwise a whole epoch could be left out without a word."""
    log.sealed(1)
    log.tamper("DELETE FROM audit_checkpoint")
    log.tamper("DELETE FROM audit_leaf")
    log.tamper("UPDATE audit_epoch SET epoch = 2, origin = :origin", origin=f"{LOG}/epoch/2")
    log.tamper("INSERT INTO audit_pending SELECT id FROM audit_entry")
    log.seal()

    assert "does not commit" in found(log)[1]


def test_entries_far_from_their_place_are_found_all_the_same(long_log, monkeypatch):
    """Memory is bounded, so what does not come in order of time is looked up one by one."""
    monkeypatch.setattr(audit_ranges, "_KEPT", 0)

    assert long_log.verify().ok

    gone = long_log.entries[42].id
    long_log.tamper("DELETE FROM audit_entry WHERE id = :id", id=gone)
    assert found(long_log) == (42, "the entry is missing")


def test_verification_is_not_disturbed_by_entries_that_are_sealed_meanwhile(long_log):
    """It runs for minutes on a large log, while the clinic works on."""
    with Session(long_log.engine) as session:
        epochs = list(session.execute(audit_verify._EPOCHS))
        session.rollback()
        long_log.sealed(10)
        assert epochs[0][2:] == (300, 300)
        check = audit_verify.LogCheck(long_log.trust())
        epoch = audit_verify._Epoch(*epochs[0])
        audit_verify._EpochReader(session, check, epoch).read()
        assert check.finish().entries == 300


def _rewrite(log: AuditLog, place: int) -> None:
    """Put another body under an entry, and its hash into the leaf."""
    entry = log.entries[place]
    with begin(log.engine, log.at) as uow:
        query = text("SELECT body FROM audit_entry WHERE id = :id")
        body = bytes(uow.session.scalar(query, {"id": entry.id})).replace(b"care", b"team")
    log.tamper("UPDATE audit_entry SET body = :body WHERE id = :id", body=body, id=entry.id)
    log.tamper(
        "UPDATE audit_leaf SET hash = :hash WHERE entry_id = :id",
        hash=leaf_hash(body),
        id=entry.id,
    )


def _rewrite_tile(log: AuditLog) -> None:
    """Compute the first tile anew from the leaves."""
    with begin(log.engine, log.at) as uow:
        query = text('SELECT hash FROM audit_leaf WHERE "index" < 256 ORDER BY "index"')
        hashes = list(uow.session.scalars(query))
    log.tamper(
        "UPDATE audit_tile SET hashes = :hashes, root = :root",
        hashes=b"".join(hashes),
        root=perfect_root(hashes),
    )

"""The audit log in use: sealing, publishing, verifying, searching, exporting."""

import io
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select, text

from consent_service.db import audit_log
from consent_service.db.audit_log import EntryFilter
from consent_service.db.models.jobs import Notice
from consent_service.domain import merkle
from consent_service.domain.audit import EventKind, sentence
from consent_service.domain.checkpoint import open_checkpoint
from consent_service.errors import Conflict, NotFound, Refused
from consent_service.ids import new_id
from consent_service.services import audit, startup
from consent_service.services.access import Caller, job_caller
from consent_service.vault.journal import LineKind
from tests.support.audit import film_viewed
from tests.support.clinic import Clinic

SEALER = job_caller("checkpoint-audit")


def acts(clinic: Clinic, count: int = 1) -> list[str]:
    """Let something be recorded; return the ids of the entries."""
    with clinic.ctx.begin() as uow:
        return [uow.record(film_viewed(number)).id for number in range(count)]


def sealed(clinic: Clinic, count: int = 1) -> list[str]:
    entries = acts(clinic, count)
    while audit.seal(clinic.ctx):
        pass
    return entries


def forget(clinic: Clinic, statement: str) -> None:
    """Change the log behind the service's back."""
    with clinic.ctx.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            for table in ("entry", "leaf", "checkpoint"):
                for trigger in ("update", "delete"):
                    name = f"audit_{table}_no_{trigger}"
                    connection.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
        connection.execute(text(statement))


def kinds(clinic: Clinic) -> list[EventKind]:
    with clinic.ctx.read() as session:
        page = audit_log.entries(session, EntryFilter(), limit=500)
    return [found.recorded.event.kind for found in page.entries]


def test_what_the_clinic_does_is_sealed_and_verifies(clinic):
    """The whole set-up of a clinic is in the log before anybody is filmed."""
    clinic.family()
    sealed(clinic)

    report = audit.verify(clinic.ctx, clinic.ig)

    assert report.ok and report.first_bad is None
    assert report.entries > 10
    assert EventKind.INVOLVEMENT_STARTED in kinds(clinic)


def test_sealing_with_nothing_new_does_nothing(clinic):
    """The sealer runs every second of the night."""
    sealed(clinic)
    head = audit.latest_checkpoint(clinic.ctx)

    assert audit.seal(clinic.ctx) is None
    assert audit.latest_checkpoint(clinic.ctx) == head


def test_the_newest_head_can_be_verified_by_anybody(clinic):
    """The note on the web page is signed with the published key of the log."""
    sealed(clinic)
    newest = audit.latest_checkpoint(clinic.ctx)
    keys = [key.key for key in clinic.ctx.signers.published if key.use == "log"]

    assert newest is not None
    origin = f"{audit.LOG_NAME}/epoch/1"
    assert open_checkpoint(newest.note, keys, origin) == newest.checkpoint


def test_a_head_is_published_once(clinic):
    """The journal never forgets; it need not be told twice."""
    assert audit.publish_checkpoint(clinic.ctx) is None
    sealed(clinic)

    first = audit.publish_checkpoint(clinic.ctx)
    again = audit.publish_checkpoint(clinic.ctx)
    sealed(clinic)
    next_one = audit.publish_checkpoint(clinic.ctx)

    lines = [line for line in clinic.ctx.journal.lines() if line.kind is LineKind.CHECKPOINT]
    assert again is None
    assert [audit.checkpoint_of_line(line) for line in lines] == [first, next_one]


def test_a_cut_log_is_found_by_what_the_journal_remembers(clinic):
    """Somebody with the whole database can cut its end; the journal lies elsewhere."""
    sealed(clinic, 5)
    kept = audit.latest_checkpoint(clinic.ctx)
    assert kept is not None
    last = sealed(clinic, 3)
    audit.publish_checkpoint(clinic.ctx)
    size = kept.checkpoint.size
    forget(clinic, f'DELETE FROM audit_leaf WHERE "index" >= {size}')
    forget(clinic, f"DELETE FROM audit_checkpoint WHERE size > {size}")
    for entry in last:
        forget(clinic, f"DELETE FROM audit_entry WHERE id = '{entry}'")

    report = audit.verify(clinic.ctx, clinic.ig)

    assert report.first_bad is not None
    assert report.first_bad.index == size
    assert "entries were cut" in report.first_bad.what


def test_a_broken_log_is_recorded_and_reported(clinic):
    """Nobody may hear of it first from a newspaper."""
    entry = sealed(clinic, 3)[1]
    forget(clinic, f"UPDATE audit_entry SET kind = 'clip.made' WHERE id = '{entry}'")

    report = audit.verify(clinic.ctx, SEALER)

    assert report.first_bad is not None
    assert report.first_bad.entry_id == entry
    with clinic.ctx.read() as session:
        (told,) = session.scalars(select(Notice).where(Notice.kind == "audit_broken")).all()
        newest = audit_log.entries(session, EntryFilter(kinds=(EventKind.AUDIT_VERIFIED,)))
    assert told.to_role == "ig_officer"
    assert newest.entries[0].recorded.event.details["outcome"] == "broken"


def test_looking_verifying_and_exporting_stand_in_the_log(clinic):
    """Who watches the watchers is answered by the same log."""
    sealed(clinic)
    audit.search(clinic.ctx, clinic.ig, EntryFilter(subject="0" * 32))
    audit.verify(clinic.ctx, clinic.ig)
    audit.export(clinic.ctx, clinic.ig, io.BytesIO())

    written = kinds(clinic)
    for kind in (EventKind.AUDIT_SEARCHED, EventKind.AUDIT_VERIFIED, EventKind.AUDIT_EXPORTED):
        assert written.count(kind) == 1


def test_leafing_through_a_search_is_one_entry(clinic):
    """Otherwise reading the log would fill it with its own reading."""
    sealed(clinic, 30)
    first = audit.search(clinic.ctx, clinic.ig, EntryFilter(), limit=10)
    audit.search(clinic.ctx, clinic.ig, EntryFilter(), first.next_cursor, limit=10)

    assert kinds(clinic).count(EventKind.AUDIT_SEARCHED) == 1


def test_an_export_verifies_offline_against_the_published_head(clinic, tmp_path: Path):
    """An auditor is sent a file, the public key and the newest head."""
    sealed(clinic, 20)
    newest = audit.latest_checkpoint(clinic.ctx)
    assert newest is not None
    path = tmp_path / "log.ndjson"
    with path.open("wb") as out:
        count = audit.export(clinic.ctx, clinic.ig, out)
    pem = b"".join(
        key.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for key in clinic.ctx.signers.published
    )

    report = audit.verify_file(path, pem, [newest.note])

    assert (report.ok, report.entries) == (True, count)
    path.write_bytes(path.read_bytes().replace(b'"care"', b'"team"', 1))
    assert not audit.verify_file(path, pem).ok


def test_an_entry_is_proved_to_anybody(clinic):
    """The answer to "who watched our film" comes with its proof."""
    entry, *_ = sealed(clinic, 7)
    newest = audit.latest_checkpoint(clinic.ctx)
    assert newest is not None

    proof = audit.proof(clinic.ctx, clinic.ig, entry)

    leaf = (proof.index, merkle.leaf_hash(proof.body))
    assert proof.note == newest.note
    assert merkle.verify_inclusion(leaf, proof.size, newest.checkpoint.root, proof.path)
    found = audit.entry(clinic.ctx, clinic.ig, entry)
    assert sentence(found.recorded.event).endswith("for care.")
    assert found.index == proof.index


def test_an_entry_that_is_not_there_or_not_sealed_has_no_proof(clinic):
    """Two different answers: check the id, or come back."""
    (waiting,) = acts(clinic)

    with pytest.raises(Conflict):
        audit.proof(clinic.ctx, clinic.ig, waiting)
    for asked in (audit.proof, audit.entry):
        with pytest.raises(NotFound):
            asked(clinic.ctx, clinic.ig, new_id())


@pytest.mark.parametrize("who", ["guider", "supervisor", "admin"])
def test_only_the_ig_officer_looks_into_the_log(clinic, who):
    """The log knows every family of every team."""
    caller = getattr(clinic, who)
    (entry,) = sealed(clinic)
    before = len(kinds(clinic))
    asked = [
        lambda: audit.search(clinic.ctx, caller, EntryFilter()),
        lambda: audit.export(clinic.ctx, caller, io.BytesIO()),
        lambda: audit.proof(clinic.ctx, caller, entry),
        lambda: audit.entry(clinic.ctx, caller, entry),
    ]

    for ask in asked:
        with pytest.raises(Refused) as refusal:
            ask()
        assert refusal.value.code == "role"
    assert len(kinds(clinic)) == before


def test_an_export_needs_a_recent_sign_in(clinic):
    """An unlocked screen must not be enough to carry the log away."""
    caller = Caller(clinic.ig.actor, clinic.ig.user, clinic.ig.roles, clinic.ig.teams, fresh=False)
    out = io.BytesIO()

    with pytest.raises(Refused) as refusal:
        audit.export(clinic.ctx, caller, out)

    assert refusal.value.code == "sign_in_again"
    assert out.getvalue() == b""


def test_a_restored_database_begins_a_new_epoch_before_it_serves(clinic):
    """Sealing on where the backup ends would fork the log against what was published."""
    startup.replay(clinic.ctx)
    sealed(clinic, 5)
    kept = audit.latest_checkpoint(clinic.ctx)
    assert kept is not None
    lost = sealed(clinic, 3)
    audit.publish_checkpoint(clinic.ctx)
    published = audit.latest_checkpoint(clinic.ctx)
    assert published is not None
    _set_back(clinic, kept.checkpoint.size, lost)

    report = startup.replay(clinic.ctx)
    sealed(clinic, 2)
    again = startup.replay(clinic.ctx)

    verified = audit.verify(clinic.ctx, clinic.ig)
    assert report.found_restore and not again.found_restore
    assert (verified.ok, verified.epochs) == (True, 2)
    (lost_range,) = verified.lost
    assert (lost_range.kept_size, lost_range.ended_size) == (
        kept.checkpoint.size,
        published.checkpoint.size,
    )


def _set_back(clinic: Clinic, size: int, lost: list[str]) -> None:
    """Make the log what it was when it had `size` entries, as putting back a backup does."""
    forget(clinic, f'DELETE FROM audit_leaf WHERE "index" >= {size}')
    forget(clinic, f"DELETE FROM audit_checkpoint WHERE size > {size}")
    for entry in lost:
        forget(clinic, f"DELETE FROM audit_entry WHERE id = '{entry}'")
    forget(clinic, "DELETE FROM journal_mark")


def _published_late(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, list[str], list[str]]:
    """Two publish at once, the one who read the shorter head last; a worker has two heartbeats.

    Returns the size of that head, its newest entries, and those that only the longer one covers.
    """
    first = sealed(clinic, 5)
    shorter = audit.latest_checkpoint(clinic.ctx)
    assert shorter is not None
    rest = sealed(clinic, 3)
    audit.publish_checkpoint(clinic.ctx)
    with monkeypatch.context() as patched:
        patched.setattr(audit, "latest_checkpoint", lambda _: shorter)
        assert audit.publish_checkpoint(clinic.ctx) == shorter.checkpoint
    return shorter.checkpoint.size, first, rest


def test_a_shorter_head_that_is_written_last_hides_no_cut(clinic, monkeypatch):
    """What tells that keys went may be cut by nobody, whichever of two heartbeats was slower."""
    size, _, rest = _published_late(clinic, monkeypatch)
    _set_back(clinic, size, rest)

    report = audit.verify(clinic.ctx, clinic.ig)

    assert report.first_bad is not None
    assert "entries were cut" in report.first_bad.what


def test_a_shorter_head_that_is_written_last_makes_no_lost_range_smaller(clinic, monkeypatch):
    """The new epoch owns up to all that was published, or the log would never verify again."""
    startup.replay(clinic.ctx)
    sealed(clinic, 4)
    kept = audit.latest_checkpoint(clinic.ctx)
    assert kept is not None
    size, first, rest = _published_late(clinic, monkeypatch)
    _set_back(clinic, kept.checkpoint.size, [*first, *rest])

    startup.replay(clinic.ctx)

    verified = audit.verify(clinic.ctx, clinic.ig)
    assert verified.ok
    assert [lost.ended_size for lost in verified.lost] == [size + 3]

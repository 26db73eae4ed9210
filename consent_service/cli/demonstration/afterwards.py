"""Last part of the story: retention, the audit log, and an old database put back."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from consent_service.cli.demonstration import cast
from consent_service.cli.demonstration.cast import Household
from consent_service.cli.demonstration.clinic import WORKER, Family, small_film
from consent_service.cli.demonstration.evidence import copy_database, run_command
from consent_service.cli.demonstration.promises import promise, refusal
from consent_service.cli.demonstration.scene import Evidence, Scene
from consent_service.db.audit_log import EntryFilter
from consent_service.db.engine import open_engine
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.audit_check import VerifyReport
from consent_service.domain.checkpoint import parse_checkpoint
from consent_service.domain.holds import HoldKind
from consent_service.domain.merkle import leaf_hash, verify_inclusion
from consent_service.domain.signed_note import parse_note
from consent_service.domain.withdrawal import Speed
from consent_service.services import (
    assets,
    audit,
    cutting,
    erasure,
    holds,
    retention,
    reviews,
    startup,
)
from consent_service.services.access import job_caller
from consent_service.services.recordings import AssetView

RETENTION_JOB = "run-retention"
_CAPTURED = f'"kind":"{EventKind.CONSENT_CAPTURED.value}"'.encode()


def due_day(scene: Scene) -> Evidence:
    """Without an appraisal what is due waits for people; under one it goes on the very day."""
    clinic, job = scene.clinic, job_caller(RETENTION_JOB)
    first, _ = _reviewed(scene, cast.ELDER)
    clinic.passes(days=30)
    without = retention.run(clinic.ctx, job)
    erasure.work(clinic.ctx, WORKER)
    promise(without.destroyed == 0 and without.queued > 0, f"without an appraisal: {without.says}")
    promise(_state(scene, first.id) is AssetState.STORED, "it went without an appraisal")
    second, clip = _reviewed(scene, cast.BIRCH)
    retention.approve_appraisal(clinic.ctx, clinic.officer, "recordings")
    alone = refusal(
        lambda: retention.approve_appraisal(clinic.ctx, clinic.officer, "recordings"),
        "second_person",
    )
    retention.approve_appraisal(clinic.ctx, clinic.deputy, "recordings")
    clinic.passes(days=29)
    retention.run(clinic.ctx, job)
    erasure.work(clinic.ctx, WORKER)
    promise(_state(scene, second.id) is AssetState.STORED, "it went a day early")
    clinic.passes(days=1)
    under = retention.run(clinic.ctx, job)
    erasure.work(clinic.ctx, WORKER)
    promise(_state(scene, second.id) is AssetState.ERASED, "it did not go on the due day")
    promise(len(clinic.watches(clip.id)) == clip.size, "the clip went with its recording")
    return {
        "without_appraisal": without.says,
        "one_person_alone": alone.code,
        "under_appraisal": under.says,
        "clip": "plays",
    }


def log_whole(scene: Scene) -> Evidence:
    """The log verifies online, and its export elsewhere with public keys only."""
    clinic = scene.clinic
    _seal(scene)
    report = audit.verify(clinic.ctx, clinic.officer)
    promise(report.ok, f"the log does not verify: {report.first_bad}")
    proof = audit.proof(clinic.ctx, clinic.officer, _some_entry(scene))
    root = parse_checkpoint(parse_note(proof.note).text).root
    leaf = (proof.index, leaf_hash(proof.body))
    promise(verify_inclusion(leaf, proof.size, root, proof.path), "the proof does not hold")
    export = _export(scene)
    code, _, says = run_command(_verify_export(scene, export), scene.outside)
    promise(code == 0, f"the export does not verify: {says}")
    return {
        "entries": report.entries,
        "checkpoints": report.checkpoints,
        "proof_hashes": len(proof.path),
    }


def log_changed(scene: Scene) -> Evidence:
    """One byte changed, the last entry cut, the key swapped: each is found and named."""
    export = scene.outside / "log.ndjson"
    lines = export.read_bytes().splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if _CAPTURED in line)
    changed = [*lines]
    changed[place] = changed[place].replace(b'"route":"in_person"', b'"route":"in_persom"')
    entries = [n for n, line in enumerate(lines) if line.startswith(b'{"body":')]
    cut = [line for n, line in enumerate(lines) if n != entries[-1]]
    keys = _log_keys(scene)
    swapped = scene.clinic.ctx.signers.journal.public_pem().encode()
    found = {
        "one_byte_changed": _first_bad(_verified(scene, changed, keys)),
        "last_entry_cut": _first_bad(_verified(scene, cut, keys)),
        "key_swapped": _first_bad(_verified(scene, lines, swapped)),
    }
    promise(_verified(scene, lines, keys).ok, "the export as it was does not verify")
    found |= {f"database_{name}": _tampered(scene, name, act) for name, act in _TAMPERINGS.items()}
    return dict(found)


def restored(scene: Scene) -> Evidence:
    """The database from before is put back: what ended is ended again before anything is served."""
    clinic = scene.clinic
    gone, waiting = clinic.ready_family(cast.LINDEN), clinic.ready_family(cast.MAPLE)
    films = [clinic.films(family, small_film(), "Morning") for family in (gone, waiting)]
    clinic.passes(hours=1)
    _seal(scene)
    before = scene.outside / "before.sqlite3"
    database = clinic.ctx.settings.under_data("consent.sqlite3")
    copy_database(database, before)
    clinic.withdraws(clinic.withdrawal_of(gone, gone.mother))
    slowly = clinic.withdrawal_of(waiting, waiting.father, speed=Speed.SEVEN_DAYS)
    clinic.withdraws(slowly)
    hold = holds.place(
        clinic.ctx,
        clinic.officer,
        holds.PlaceHold(waiting.involvement, HoldKind.INQUIRY, "An inquiry has asked for it."),
    )
    erasure.work(clinic.ctx, WORKER)
    _seal(scene)
    clinic.close()
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()
    shutil.copyfile(before, database)
    clinic = scene.clinic = clinic.reopened()
    report = startup.require_ready(clinic.ctx)
    promise(report.restored.get("consent_ended") == 2, f"ended again: {report.restored}")
    promise(report.restored.get("hold_placed") == 1, f"held again: {report.restored}")
    codes = [
        refusal(partial(clinic.watches, film.id), "gone", "access_frozen").code for film in films
    ]
    standing = {h.id for h in holds.holds(clinic.ctx, clinic.officer)}
    promise(hold.id in standing, "the hold is forgotten")
    erasure.work(clinic.ctx, WORKER)
    promise(_state(scene, films[0].id) is AssetState.ERASED, "what was erased is not erased again")
    left = list(clinic.ctx.blobs.list(films[0].id))
    promise(not left, f"the film is back: {left}")
    _seal(scene)
    log = audit.verify(clinic.ctx, clinic.officer)
    promise(log.ok and log.epochs == 2, f"the log does not own up to the restore: {log.first_bad}")
    return {"replayed": report.restored, "watching": codes, "log_epochs": log.epochs}


def _reviewed(scene: Scene, household: Household) -> tuple[AssetView, AssetView]:
    """Film a family, cut a clip, and file the summary: from then the recording's days count."""
    clinic = scene.clinic
    family: Family = clinic.ready_family(household)
    film = clinic.films(family, small_film(), "At the table")
    clip = cutting.clip(clinic.ctx, clinic.guider, cutting.MakeClip(film.id, 0, 1500, "A pause"))
    review = reviews.RecordReview(family.involvement, film.id, clinic.today, (clip.id,))
    held = reviews.record_review(clinic.ctx, clinic.guider, review)
    words = reviews.WriteSummary(held.id, "You wait.", "Name it.")
    written = reviews.write_summary(clinic.ctx, clinic.guider, words)
    reviews.file_summary(clinic.ctx, clinic.guider, written.id)
    return film, clip


def _state(scene: Scene, asset: str) -> AssetState:
    return assets.asset(scene.clinic.ctx, scene.clinic.guider, asset).state


def _seal(scene: Scene) -> None:
    while audit.seal(scene.clinic.ctx) is not None:
        pass
    audit.publish_checkpoint(scene.clinic.ctx)


def _export(scene: Scene) -> Path:
    file = scene.outside / "log.ndjson"
    with file.open("xb") as out:
        audit.export(scene.clinic.ctx, scene.clinic.officer, out)
    return file


def _some_entry(scene: Scene) -> str:
    wanted = EntryFilter(kinds=(EventKind.CONSENT_CAPTURED,))
    page = audit.search(scene.clinic.ctx, scene.clinic.officer, wanted, limit=1)
    return page.entries[0].recorded.entry_id


def _verify_export(scene: Scene, export: Path) -> list[str | Path]:
    return ["audit", "verify", "--export", export, "--keys", scene.public_keys]


def _log_keys(scene: Scene) -> bytes:
    return scene.clinic.ctx.signers.log.public_pem().encode()


def _verified(scene: Scene, lines: list[bytes], keys: bytes) -> VerifyReport:
    file = scene.outside / "looked-at.ndjson"
    file.write_bytes(b"".join(lines))
    return audit.verify_file(file, keys)


def _first_bad(report: VerifyReport) -> str:
    promise(not report.ok and report.first_bad is not None, "it verifies all the same")
    return str(report.first_bad)


def _tampered(scene: Scene, name: str, act: Callable[[sqlite3.Connection], object]) -> str:
    """Change a copy of the database as whoever owns the file can, and verify that."""
    ctx, file = scene.clinic.ctx, scene.outside / f"{name}.sqlite3"
    copy_database(ctx.settings.under_data("consent.sqlite3"), file)
    with closing(sqlite3.connect(file)) as database, database:
        for (trigger,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')
        act(database)
    copy = replace(ctx, engine=open_engine(f"sqlite:///{file}"))
    report = audit.verify(copy, scene.clinic.officer)
    copy.engine.dispose()
    return _first_bad(report)


def _change_a_byte(database: sqlite3.Connection) -> None:
    entry, body = database.execute(
        "SELECT id, body FROM audit_entry WHERE kind = ? ORDER BY at, id LIMIT 1",
        (EventKind.CONSENT_CAPTURED.value,),
    ).fetchone()
    changed = body.replace(b"in_person", b"in_persom")
    database.execute("UPDATE audit_entry SET body = ? WHERE id = ?", (changed, entry))


def _cut_the_end(database: sqlite3.Connection) -> None:
    """Cut back to an older head, cleanly: only the head in the journal tells."""
    sizes = database.execute("SELECT size FROM audit_checkpoint ORDER BY size DESC LIMIT 3")
    size = sizes.fetchall()[-1][0]
    database.execute("DELETE FROM audit_checkpoint WHERE size > ?", (size,))
    kept = 'SELECT entry_id FROM audit_leaf WHERE "index" < ?'
    database.execute("DELETE FROM audit_pending")
    database.execute(f"DELETE FROM audit_entry WHERE id NOT IN ({kept})", (size,))  # noqa: S608
    database.execute('DELETE FROM audit_leaf WHERE "index" >= ?', (size,))


_TAMPERINGS: dict[str, Callable[[sqlite3.Connection], object]] = {
    "byte_changed": _change_a_byte,
    "end_cut": _cut_the_end,
}

AFTERWARDS = (
    ("Retention: queued without an appraisal, on the day with one", due_day),
    ("Audit log verified online and as an export", log_whole),
    ("Audit log changed, cut, key swapped: found and named", log_changed),
    ("Old database put back: ended again before serving", restored),
)

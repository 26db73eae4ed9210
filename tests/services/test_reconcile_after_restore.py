"""A database was put back: what it does not know is asked about, and goes when somebody says so."""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from consent_service.cli.terminal import operator
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.holds import HoldKind
from consent_service.errors import Gone, Refused
from consent_service.services import holds, key_rotation, recordings
from consent_service.services.access import Caller, job_caller
from consent_service.services.backups import MadeBackup
from consent_service.services.reconcile import Fault, Report, reconcile
from consent_service.vault.journal import Journal, JournalLine
from consent_service.vault.key_providers import MemoryKeyProvider
from consent_service.vault.keyring import KeyKind, Keyring, KeyStatus, shard_of
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.kept_film import asset_row
from tests.support.putting_back import database_backup, put_back
from tests.support.safe import (
    Safe,
    consenting_family,
    encrypts_to,
    made_backup,
    open_safe,
    restored,
)

JOB = job_caller("reconcile")
OPERATOR = operator()
GOES = {Fault.UNKNOWN_KEY, Fault.UNKNOWN_OBJECT}
KEPT = {Fault.KEPT_KEY, Fault.KEPT_OBJECT}


def _nights(clinic: Clinic, count: int = 3) -> list[Report]:
    reports = []
    for _ in range(count):
        reports.append(reconcile(clinic.ctx, JOB))
        clinic.passes(days=1)
    return reports


def _confirm(clinic: Clinic) -> Report:
    return reconcile(clinic.ctx, OPERATOR, confirm_unknown=True)


def _subjects(report: Report, faults: set[Fault], *, repaired: bool) -> set[str]:
    return {f.subject for f in report.findings if f.fault in faults and f.repaired is repaired}


def test_a_backup_restored_by_mistake_costs_no_newer_film(
    clinic: Clinic, family: Family, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Somebody takes the wrong folder, and days pass before it is seen: the right one heals it."""
    safe = open_safe(clinic, tmp_path_factory.mktemp("safe"))
    clinic.stores_film(family)
    first = made_backup(clinic, safe)
    film = clinic.stores_film(family).id
    watched = clinic.watches(film)
    second = made_backup(clinic, safe)
    restored(clinic, safe, first, replace=True)
    key = _key_left_behind(clinic)

    for report in _nights(clinic):
        assert _subjects(report, KEPT, repaired=False) == {key, f"{film}.1", f"{film}.json"}
        assert not _subjects(report, GOES, repaired=True)
    restored(clinic, safe, second, replace=True)

    assert clinic.watches(film) == watched
    assert not reconcile(clinic.ctx, JOB).findings


def _filmed_since(clinic: Clinic, family: Family, safe: Safe) -> tuple[str, MadeBackup]:
    """A recording was reserved, a backup made, and then its film came in: it, and the backup."""
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)
    film = recordings.reserve(clinic.ctx, clinic.guider, request).id
    made = made_backup(clinic, safe)
    recordings.receive(clinic.ctx, clinic.guider, film, [sample_film()])
    return film, made


def test_film_that_a_backup_knows_as_reserved_is_not_taken_for_abandoned(
    clinic: Clinic, family: Family, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its row is as old as the backup: a day later it would go, with its key, for having no film."""
    safe = open_safe(clinic, tmp_path_factory.mktemp("safe"))
    film, first = _filmed_since(clinic, family, safe)
    watched = clinic.watches(film)
    second = made_backup(clinic, safe)
    restored(clinic, safe, first, replace=True)
    clinic.passes(days=1)

    for report in _nights(clinic):
        assert recordings.abandon_stale(clinic.ctx, JOB) == []
        assert _subjects(report, KEPT, repaired=False) == {f"{film}.1", f"{film}.json"}
    restored(clinic, safe, second, replace=True)

    assert clinic.watches(film) == watched
    assert not reconcile(clinic.ctx, JOB).findings


def test_film_of_a_lost_database_is_abandoned_once_somebody_confirms_that_it_goes(
    clinic: Clinic, family: Family, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nobody can watch it, and its key must not be kept for ever; what is reserved later is not kept."""
    safe = open_safe(clinic, tmp_path_factory.mktemp("safe"))
    film, first = _filmed_since(clinic, family, safe)
    restored(clinic, safe, first, replace=True)
    clinic.passes(minutes=1)
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)
    later = recordings.reserve(clinic.ctx, clinic.guider, request).id
    _nights(clinic)

    assert recordings.abandon_stale(clinic.ctx, JOB) == [later]
    _confirm(clinic)

    assert not clinic.objects()
    assert recordings.abandon_stale(clinic.ctx, JOB) == [film]
    key = asset_row(clinic, film).asset_key_id
    assert clinic.ctx.keyring.status([key]) == {key: KeyStatus.DESTROYED}


def _key_left_behind(clinic: Clinic) -> str:
    """Return the one key that a database which was put back does not know."""
    looked = reconcile(clinic.ctx, JOB, repair=False)
    [key] = [f.subject for f in looked.findings if f.fault in {Fault.KEPT_KEY, Fault.UNKNOWN_KEY}]
    return key


def test_what_came_after_a_backup_goes_once_somebody_confirms_it(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """The newer database is lost for good: a lost yes must not keep its key for ever."""
    backup = database_backup(clinic, tmp_path)
    film = clinic.stores_film(family).id
    key = asset_row(clinic, film).asset_key_id
    put_back(clinic, backup)

    early = _confirm(clinic)
    clinic.passes(days=1)
    looked = reconcile(clinic.ctx, OPERATOR, repair=False, confirm_unknown=True)
    assert clinic.ctx.keyring.status([key])[key] is KeyStatus.LIVE
    clinic.passes(minutes=1)
    done = _confirm(clinic)

    mine = {key, f"{film}.1", f"{film}.json"}
    assert _subjects(early, GOES, repaired=False) == mine, "somebody has a day to say no"
    assert _subjects(looked, GOES, repaired=False) == mine
    assert _subjects(done, GOES, repaired=True) == mine
    assert clinic.ctx.keyring.status([key])[key] is KeyStatus.DESTROYED
    assert not clinic.objects()
    told = clinic.written_down(EventKind.RECONCILE_REPORTED)[-1].event
    assert (told.actor, told.details["confirmed"]) == (OPERATOR.actor, 3)


@pytest.mark.parametrize("who", [JOB, dataclasses.replace(OPERATOR, fresh=False)])
def test_only_a_person_who_signed_in_just_now_confirms(clinic: Clinic, who: Caller) -> None:
    """It cannot be taken back, so no job does it by itself."""
    with pytest.raises(Refused):
        reconcile(clinic.ctx, who, confirm_unknown=True)


@pytest.mark.parametrize("whole", [True, False])
def test_what_a_hold_may_cover_stays_though_somebody_confirms(
    clinic: Clinic, family: Family, tmp_path: Path, whole: bool
) -> None:
    """An inquiry asked for film that only the newer database knows; others' keys may go."""
    one, two = tmp_path / "1", tmp_path / "2"
    first = database_backup(clinic, one)
    film = clinic.stores_film(family).id
    key = asset_row(clinic, film).asset_key_id
    other = _elsewhere(clinic, family)
    theirs = clinic.stores_film(other).id
    their_key = asset_row(clinic, theirs).asset_key_id
    second = database_backup(clinic, two)
    asset = None if whole else film
    place = holds.PlaceHold(family.involvement, HoldKind.INQUIRY, "Asked for.", asset=asset)
    holds.place(clinic.ctx, clinic.ig, place)
    put_back(clinic, first)
    _nights(clinic)

    done = _confirm(clinic)

    assert {key, f"{film}.1", f"{theirs}.1"} <= _subjects(done, KEPT, repaired=False)
    assert their_key in _subjects(done, GOES, repaired=True)
    put_back(clinic, second)
    assert clinic.watches(film)
    with pytest.raises(Gone):
        clinic.watches(theirs)


def test_a_hold_on_a_family_that_the_backup_does_not_know_keeps_their_film(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """No row can tell of it here: the journal does."""
    backup = database_backup(clinic, tmp_path)
    newer = consenting_family(clinic)
    film = clinic.stores_film(newer).id
    key = asset_row(clinic, film).asset_key_id
    place = holds.PlaceHold(newer.involvement, HoldKind.COMPLAINT, "A complaint.")
    kept = holds.place(clinic.ctx, clinic.ig, place).id
    again = tmp_path / "again"
    with_hold = database_backup(clinic, again)
    put_back(clinic, backup)
    _nights(clinic)

    assert not _subjects(_confirm(clinic), GOES, repaired=True)

    put_back(clinic, with_hold)
    holds.ask_release(clinic.ctx, clinic.ig, kept, "Answered.")
    holds.confirm_release(clinic.ctx, clinic.ig2, kept)
    put_back(clinic, backup)
    _nights(clinic)
    assert {key, f"{film}.1"} <= _subjects(_confirm(clinic), GOES, repaired=True)


class _ReadWhole:
    """A journal that counts how often somebody reads all of it."""

    def __init__(self, inner: Journal) -> None:
        self._inner = inner
        self.times = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def lines(self, after: int = 0) -> Iterator[JournalLine]:
        self.times += not after
        return self._inner.lines(after)


@pytest.mark.parametrize("forgotten", [True, False])
def test_the_journal_is_read_for_holds_only_where_the_replay_left_lines_out(
    clinic: Clinic, family: Family, tmp_path: Path, forgotten: bool
) -> None:
    """It is long: where every hold was placed again, the database knows them all."""
    backup = database_backup(clinic, tmp_path)
    clinic.stores_film(family)
    held = consenting_family(clinic) if forgotten else family
    place = holds.PlaceHold(held.involvement, HoldKind.COMPLAINT, "A complaint.")
    holds.place(clinic.ctx, clinic.ig, place)
    put_back(clinic, backup)
    journal = _ReadWhole(clinic.ctx.journal)
    ctx = dataclasses.replace(clinic.ctx, journal=journal)  # type: ignore[arg-type]

    report = reconcile(ctx, OPERATOR, confirm_unknown=True)

    assert _subjects(report, KEPT, repaired=False)
    assert journal.times == int(forgotten)


def test_a_key_made_after_the_restore_goes_as_any_other(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """It can be of no film that the backup forgot: nobody has to be asked."""
    _forgets_a_family(clinic, tmp_path)
    stray = "cd" * 16
    clinic.ctx.keyring.create(stray, KeyKind.CONSENT, 0, clinic.clock.now())

    first, second, third = _nights(clinic)

    assert _subjects(first, GOES, repaired=False) == {stray}
    assert _subjects(second, GOES, repaired=True) == {stray}
    assert not third.findings


@pytest.mark.parametrize("written_down", [True, False])
def test_a_key_put_back_after_the_restore_is_asked_about(
    clinic: Clinic, family: Family, tmp_path: Path, written_down: bool
) -> None:
    """A key backup does not tell when its keys were made: they may be of film that is forgotten.

    A process that is killed once they came, or a database of another version, writes nothing down.
    """
    _forgets_a_family(clinic, tmp_path)
    stray = "cd" * 16
    clinic.ctx.keyring.create(stray, KeyKind.CONSENT, 0, clinic.clock.now())
    pair = pyrage.x25519.Identity.generate()
    encrypts_to(clinic, str(pair.to_public()))
    held = io.BytesIO()
    clinic.ctx.keyring.backups.make(held, str(pair.to_public()), clinic.clock.now())
    held.seek(0)
    clinic.ctx.keyring.close()
    memory = MemoryKeyProvider(), MemoryKeyProvider()
    ring = Keyring(f"sqlite:///{tmp_path}/new.sqlite3", *memory)
    clinic.ctx = dataclasses.replace(clinic.ctx, keyring=ring)
    clinic.passes(days=1)
    if written_down:
        key_rotation.restore(clinic.ctx, OPERATOR, held, str(pair))
    else:
        ring.backups.restore(held, str(pair), clinic.clock.now())

    for report in _nights(clinic):
        assert _subjects(report, KEPT, repaired=False) == {stray}
    _confirm(clinic)
    assert clinic.ctx.keyring.status([stray]) == {stray: KeyStatus.DESTROYED}


def test_a_key_that_an_earlier_version_put_back_is_asked_about(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """It dated what came back as made then; only the log's entry tells that it may be older."""
    _forgets_a_family(clinic, tmp_path)
    stray = "cd" * 16
    clinic.ctx.keyring.create(stray, KeyKind.CONSENT, 0, clinic.clock.now())
    details = {"restored": 1, "refused": 0}
    with clinic.ctx.begin() as uow:
        uow.record(AuditEvent(EventKind.KEYS_RESTORED, OPERATOR.actor, details=details))

    for report in _nights(clinic):
        assert _subjects(report, KEPT, repaired=False) == {stray}


def _forgets_a_family(clinic: Clinic, folder: Path) -> None:
    """Put the database back from before a family came who gave no consent and has no film."""
    backup = database_backup(clinic, folder)
    clinic.family()
    put_back(clinic, backup)
    clinic.passes(minutes=1)


def _elsewhere(clinic: Clinic, family: Family) -> Family:
    """Return a consenting family whose keys lie in another shard."""
    while True:
        found = consenting_family(clinic)
        if shard_of(found.involvement) != shard_of(family.involvement):
            return found

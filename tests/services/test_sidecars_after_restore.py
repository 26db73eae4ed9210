"""A database was put back: the sidecar beside a film may hold what only the newer one knew."""

import dataclasses
from pathlib import Path

import pytest

from consent_service.cli.terminal import operator
from consent_service.domain.holds import HoldKind
from consent_service.errors import Unavailable
from consent_service.services import comparisons, depicted, holds
from consent_service.services.access import job_caller
from consent_service.services.reconcile import Fault, Report, reconcile
from consent_service.vault.keyring import KeyStatus
from consent_service.vault.wraps import open_wrap, parse_sidecar
from tests.support.backups import DatabaseBackup
from tests.support.clinic import Clinic, Family
from tests.support.faulty_store import HappeningStore
from tests.support.kept_film import asset_row
from tests.support.putting_back import database_backup, put_back
from tests.support.safe import consenting_family, made_backup, open_safe, restored

JOB = job_caller("reconcile")
OPERATOR = operator()


@dataclasses.dataclass
class Newer:
    """A film whose key was replaced after a backup, since somebody was noticed in it."""

    clinic: Clinic
    family: Family
    film: str
    before: DatabaseBackup

    def put_back(self) -> None:
        """Put the database back from before that."""
        put_back(self.clinic, self.before)

    def beside(self) -> bytes:
        """What stands beside the film."""
        return self.clinic.ctx.blobs.read_range(f"{self.film}.json", 0, 100_000)

    def data_key(self) -> bytes:
        """Open the film's data key with sidecar and keyring alone."""
        return _data_key(self.clinic, self.film)

    def found(self, *, confirmed: bool = False) -> set[tuple[Fault, bool]]:
        """Compare; return what was found about the film's sidecar."""
        return _about(self.film, self.compared(confirmed=confirmed))

    def compared(self, *, confirmed: bool = False) -> Report:
        """Compare, as the night does or as somebody who confirms."""
        if confirmed:
            return reconcile(self.clinic.ctx, OPERATOR, confirm_unknown=True)
        return reconcile(self.clinic.ctx, JOB)


def _data_key(clinic: Clinic, film: str) -> bytes:
    """Open a film's data key with sidecar and keyring alone."""
    sidecar = parse_sidecar(clinic.ctx.blobs.read_range(f"{film}.json", 0, 100_000))
    ids = [sidecar.asset_key_id, *(key for wrap in sidecar.wraps for key in wrap.key_ids)]
    live = clinic.ctx.keyring.read(ids)
    return open_wrap(sidecar.wraps[0], live.get(sidecar.asset_key_id), live)


def _about(film: str, report: Report) -> set[tuple[Fault, bool]]:
    """Return faults of the sidecar; that the film's own key is gone is another matter."""
    told = {(f.fault, f.repaired) for f in report.findings if f.subject == film}
    return told - {(Fault.KEY_MISSING, False)}


@pytest.fixture
def newer(clinic: Clinic, tmp_path: Path) -> Newer:
    """The father is noticed and says yes: the film has another key, which its sidecar names."""
    family = clinic.family()
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    film = clinic.stores_film(family, depicted=(family.mother, family.baby)).id
    clinic.passes(minutes=1)
    found = Newer(clinic, family, film, database_backup(clinic, tmp_path / "before"))
    depicted.add_depicted(clinic.ctx, clinic.guider, film, family.father)
    clinic.passes(minutes=1)
    clinic.captures(family, family.father, clinic.answers(family, family.father))
    clinic.passes(minutes=1)
    return found


def test_a_sidecar_that_only_the_newer_database_could_write_stays(
    newer: Newer, tmp_path: Path
) -> None:
    """It is the only copy of what opens the film: nights go by until the right backup is found."""
    clinic, data_key, watched = newer.clinic, newer.data_key(), newer.clinic.watches(newer.film)
    after = database_backup(clinic, tmp_path / "after")
    newer.put_back()
    assert clinic.ctx.keyring.status([key := asset_row(clinic, newer.film).asset_key_id]) == {
        key: KeyStatus.DESTROYED
    }

    for _ in range(3):
        report = newer.compared()
        assert _about(newer.film, report) == {(Fault.KEPT_SIDECAR, False)}
        assert newer.data_key() == data_key
        clinic.passes(days=1)

    assert report.kept == 1 + sum(f.fault is Fault.KEPT_KEY for f in report.findings)
    told = comparisons.newest(clinic.ctx, clinic.admin)
    assert told is not None
    assert (Fault.KEPT_SIDECAR, newer.film) in told.open
    newer.before = after
    newer.put_back()
    assert clinic.watches(newer.film) == watched
    assert newer.compared().findings == ()


def test_a_backup_that_is_put_back_writes_over_no_sidecar(
    clinic: Clinic, family: Family, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The database was lost and the store was not: what stands there is newer than the backup."""
    film = clinic.stores_film(family).id
    folder = tmp_path_factory.mktemp("safe")
    safe = open_safe(clinic, folder)
    made = made_backup(clinic, safe)
    about = frozenset({family.mother})
    for no in (frozenset({"CARE.FILM.SELF"}), frozenset[str]()):
        given = clinic.answers(family, family.mother, no=no, about=about)
        clinic.captures(family, family.mother, given)
        clinic.passes(minutes=1)
    newer = Newer(clinic, family, film, DatabaseBackup.take(clinic.ctx.engine, folder / "copy"))
    beside, data_key = newer.beside(), newer.data_key()

    restored(clinic, safe, made, replace=True)

    assert newer.found() == {(Fault.KEPT_SIDECAR, False)}
    assert (newer.beside(), newer.data_key()) == (beside, data_key)


def test_it_is_written_over_a_day_after_it_was_told_of_when_somebody_confirms(
    newer: Newer,
) -> None:
    """There is no newer database: what stands there is of nothing that anybody knows."""
    newer.put_back()

    early = newer.found(confirmed=True)
    newer.clinic.passes(days=1, minutes=1)
    by_night = newer.found()
    confirmed = newer.found(confirmed=True)

    assert early == by_night == {(Fault.KEPT_SIDECAR, False)}
    assert confirmed == {(Fault.SIDECAR_WRONG, True)}, "the key that it named is gone by then"
    assert newer.found() == set()


def test_what_a_hold_may_cover_is_not_written_over_though_somebody_confirms(
    newer: Newer,
) -> None:
    """An inquiry asked for this family's film, and for what opens it."""
    place = holds.PlaceHold(newer.family.involvement, HoldKind.INQUIRY, "Asked for.")
    holds.place(newer.clinic.ctx, newer.clinic.ig, place)
    newer.put_back()
    newer.compared()
    newer.clinic.passes(days=2)

    assert newer.found(confirmed=True) == {(Fault.KEPT_SIDECAR, False)}


def test_one_that_cannot_be_read_stays(newer: Newer) -> None:
    """What is left of it may still be worth something to somebody."""
    cut = newer.beside()[:-1]
    with newer.clinic.ctx.blobs.put(f"{newer.film}.json", replace=True) as sink:
        sink.write(cut)
    newer.put_back()

    assert newer.found() == {(Fault.KEPT_SIDECAR, False)}
    assert newer.beside() == cut
    newer.clinic.passes(days=1, minutes=1)
    assert newer.found(confirmed=True) == {(Fault.KEPT_SIDECAR, True)}
    assert parse_sidecar(newer.beside()).asset_id == newer.film


def test_one_that_is_missing_is_written_whatever_was_put_back(newer: Newer) -> None:
    """It cannot take the place of anything."""
    newer.clinic.ctx.blobs.delete(f"{newer.film}.json")
    newer.put_back()

    assert newer.found() == {(Fault.SIDECAR_WRONG, True)}
    assert newer.found() == set()


def test_one_that_opens_nothing_any_more_is_written_anew_for_ever_after(newer: Newer) -> None:
    """A database that was put back last year must not leave every later sidecar to people."""
    clinic = newer.clinic
    newer.put_back()
    film = clinic.stores_film(newer.family, depicted=(newer.family.mother, newer.family.baby)).id
    clinic.passes(minutes=1)
    whole = clinic.ctx
    clinic.ctx = dataclasses.replace(whole, blobs=HappeningStore(whole.blobs, ".json", _fails))  # type: ignore[arg-type]
    depicted.add_depicted(clinic.ctx, clinic.guider, film, newer.family.father)
    clinic.ctx = whole
    assert _named_beside(clinic, film) != asset_row(clinic, film).asset_key_id

    assert _about(film, newer.compared()) == {(Fault.SIDECAR_WRONG, True)}

    assert _named_beside(clinic, film) == asset_row(clinic, film).asset_key_id


def test_a_backup_that_is_restored_does_not_write_over_it(
    clinic: Clinic, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The mother changed her mind twice since: the key of her first yes, which the backup names, is
    gone, and that of her last stands in no row any more. Only what lies in the store names it.
    """
    safe = open_safe(clinic, tmp_path_factory.mktemp("safe"))
    family = consenting_family(clinic)
    film = clinic.stores_film(family).id
    made = made_backup(clinic, safe)
    for no in (frozenset({"CARE.FILM.SELF"}), frozenset[str]()):
        about = frozenset({family.mother})
        answers = clinic.answers(family, family.mother, no=no, about=about)
        clinic.captures(family, family.mother, answers)
        clinic.passes(minutes=1)
    data_key = _data_key(clinic, film)

    restored(clinic, safe, made, replace=True)

    assert _data_key(clinic, film) == data_key
    told = _about(film, reconcile(clinic.ctx, JOB))
    assert (Fault.KEPT_SIDECAR, False) in told
    assert _data_key(clinic, film) == data_key


def _named_beside(clinic: Clinic, film: str) -> str:
    """Return the asset key that a film's sidecar names."""
    return parse_sidecar(clinic.ctx.blobs.read_range(f"{film}.json", 0, 100_000)).asset_key_id


def _fails() -> None:
    raise Unavailable("The store is away.")

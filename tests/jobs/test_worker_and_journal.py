"""The worker beside a journal: older databases, a cut journal, and what it publishes."""

from collections import Counter
from pathlib import Path

import pytest

from consent_service.domain.assets import AssetState
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Speed
from consent_service.errors import JournalBroken
from consent_service.jobs.catalogue import Job
from consent_service.jobs.timetable import Every
from consent_service.jobs.worker import Worker
from consent_service.services import (
    accounts,
    audit,
    clock_guard,
    holds,
    startup,
    withdrawal,
)
from consent_service.vault.journal import LineKind, MemoryJournal
from tests.jobs.test_worker import _catalogue, _counting, _runs
from tests.support.backups import DatabaseBackup
from tests.support.clinic import Clinic, Family
from tests.support.kept_film import asset_row, film_that_will_go


@pytest.mark.parametrize("looked_between", [True, False])
def test_a_change_of_mind_is_brought_back_before_an_older_database_destroys_anything(
    clinic: Clinic, tmp_path: Path, looked_between: bool
) -> None:
    """Restored beneath a running worker, the order stands again and its seven days are over.

    Also within the minute, when nobody had looked at the journal since the backup was made.
    """
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)
    film, worker = clinic.stores_film(family).id, Worker(clinic.ctx)
    said = clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    backup = DatabaseBackup.take(clinic.ctx.engine, tmp_path)
    withdrawal.cancel(clinic.ctx, clinic.guider, said.id, family.mother)
    if looked_between:
        audit.seal(clinic.ctx)
        audit.publish_checkpoint(clinic.ctx)
        worker.carry_out()
        startup.replay(clinic.ctx)
    clinic.passes(days=8)

    backup.put_back()
    worker.carry_out()

    assert asset_row(clinic, film).state is AssetState.STORED
    assert clinic.watches(film)


def test_a_hold_is_brought_back_before_retention_runs_on_an_older_database(
    clinic: Clinic, tmp_path: Path
) -> None:
    """A backup of a moment ago does not know the hold, and the film is due tonight."""
    family, film = film_that_will_go(clinic)
    worker = Worker(clinic.ctx)
    worker.start_up()
    for _ in range(30):
        clinic.passes(days=1)
        clock_guard.beat(clinic.ctx)
    backup = DatabaseBackup.take(clinic.ctx.engine, tmp_path)
    wanted = holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "A complaint.")
    holds.place(clinic.ctx, clinic.ig, wanted)

    backup.put_back()
    clinic.passes(days=1)
    worker.tick()
    worker.work_runs()
    worker.carry_out()

    assert asset_row(clinic, film).state is AssetState.STORED
    assert [run.figures["kept"] for run in _runs(clinic, "retention") if run.figures] == [1]


def test_beside_a_cut_journal_a_worker_only_tells_people(clinic: Clinic) -> None:
    """What must not be destroyed stands in the lines that are missing; that they are is told."""
    seen: Counter[str] = Counter()
    jobs_here = (
        Job("destroys", Every(60), _counting(seen, "destroys")),
        Job("tells", Every(60), _counting(seen, "tells"), tells=True),
    )
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)
    film = clinic.stores_film(family).id
    clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    worker = Worker(clinic.ctx, _catalogue(*jobs_here))
    worker.start_up()
    startup.replay(clinic.ctx)
    journal = clinic.ctx.journal
    assert isinstance(journal, MemoryJournal)
    whole, journal._lines = journal._lines, []
    clinic.passes(days=8)
    worker.tick()

    worker.work_runs()
    with pytest.raises(JournalBroken):
        worker.carry_out()

    assert seen == {"tells": 1}
    assert asset_row(clinic, film).state is AssetState.STORED
    journal._lines = whole
    worker.work_runs()
    worker.carry_out()
    assert seen == {"tells": 1, "destroys": 1}
    assert asset_row(clinic, film).state is AssetState.ERASED


def test_an_end_is_published_with_the_next_seal_and_other_acts_by_the_minute(
    clinic: Clinic,
) -> None:
    """What the log tells of an end must be out of its database before anybody can deny it."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)
    clinic.stores_film(family)
    worker = Worker(clinic.ctx)
    worker.seal()
    assert worker.publish()
    assert not worker.seal()

    clinic.family()
    assert worker.seal()
    assert _kinds(clinic)[-1] is LineKind.CHECKPOINT
    published = len(_kinds(clinic))

    clinic.withdraws(family, family.mother)  # her key goes at once, in a process that seals nothing
    assert worker.seal()
    worker.carry_out()
    assert worker.seal()

    since = _kinds(clinic)[published:]
    assert since.count(LineKind.KEY_DESTROYED) == since.count(LineKind.CHECKPOINT) == 2
    assert since[-1] is LineKind.CHECKPOINT
    assert not worker.publish()
    report = audit.verify(clinic.ctx, clinic.ig)
    assert report.ok and report.first_bad is None


@pytest.mark.parametrize("act", ["said no", "held", "released", "shut out"])
def test_whatever_the_journal_is_told_of_is_published_with_the_next_seal(
    clinic: Clinic, family: Family, act: str
) -> None:
    """The journal's line of an act says nothing of who did it and why: only the log does."""
    wanted = holds.PlaceHold(family.involvement, HoldKind.LITIGATION, "A court asked for it.")
    kept = holds.place(clinic.ctx, clinic.ig, wanted).id if act == "released" else ""
    clinic.passes(minutes=1)
    worker = Worker(clinic.ctx)
    worker.seal()
    worker.publish()
    before = len(_kinds(clinic))

    if act == "said no":
        refused = frozenset({"CARE.FILM.CHILD"})
        said = clinic.answers(family, family.mother, no=refused)
        clinic.captures(family, family.mother, said)
    elif act == "held":
        holds.place(clinic.ctx, clinic.ig, wanted)
    elif act == "released":
        holds.ask_release(clinic.ctx, clinic.ig, kept, "It was answered.")
        holds.confirm_release(clinic.ctx, clinic.ig2, kept)
    else:
        accounts.disable_user(clinic.ctx, clinic.admin, clinic.ig2.id)
    assert worker.seal()

    since = _kinds(clinic)[before:]
    assert len(since) > 1 and since[-1] is LineKind.CHECKPOINT


def _kinds(clinic: Clinic) -> list[LineKind]:
    return [line.kind for line in clinic.ctx.journal.lines()]

"""The calendar, by the real service under Debian's `faketime`: no verb typed, nothing of ours faked.

Installations are prepared as a clinic leaves them: a film whose summary was filed a month ago, and
a worker that was alive a day and a half before.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from consent_service.db.models.jobs import ClockPause, Notice, Schedule
from consent_service.db.models.policies import LeafletVersion
from consent_service.db.models.recordings import Asset
from consent_service.db.models.retention import Disposition, RetentionRun
from consent_service.domain.assets import AssetState
from consent_service.jobs.worker import Worker
from consent_service.services import retention
from tests.support.clinic import Clinic
from tests.support.installation import close, found_installation, opened_anew
from tests.support.kept_film import file_summary
from tests.support.processes import changes_in
from tests.support.running import running

FILMED = datetime(2029, 7, 20, 9, 30, tzinfo=UTC)
LAST_ALIVE = datetime(2029, 8, 30, 1, 0, tzinfo=UTC)
NEXT_START = datetime(2029, 8, 31, 10, 0, tzinfo=UTC)
"""The film has been due since 19 August; appraisals end with this day, and L1111 V2 the day after."""

Prepared = tuple[Clinic, str]


@pytest.fixture(scope="module")
def clinics(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Prepared]:
    """Two such installations: with the appraisal approved by two people, and without."""
    plain = tmp_path_factory.mktemp("calendar") / "plain"
    clinic = found_installation(plain, at=FILMED)
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family).id
    file_summary(clinic, family, film)
    clinic.clock.advance(LAST_ALIVE - clinic.clock.now())
    Worker(clinic.ctx).start_up()
    close(clinic)
    approved = plain.with_name("approved")
    shutil.copytree(plain, approved)
    with opened_anew(clinic, approved) as other:
        for officer in (other.ig, other.ig2):
            retention.approve_appraisal(other.ctx, officer, "recordings")
    return {False: (clinic, film), True: (other, film)}


@pytest.fixture
def due(clinics: dict[bool, Prepared], tmp_path: Path) -> Callable[[bool], Prepared]:
    """A copy of one of them."""

    def copied(approved: bool) -> Prepared:
        clinic, film = clinics[approved]
        folder = tmp_path / "data"
        shutil.copytree(clinic.ctx.settings.data_dir, folder)
        with opened_anew(clinic, folder) as mine:
            return mine, film

    return copied


@contextmanager
def _started_on(clinic: Clinic, moment: datetime) -> Iterator[None]:
    """The service runs, and every process of it believes that it was started at `moment`."""
    faked = ("faketime", "-f", f"@{moment:%Y-%m-%d %H:%M:%S}")
    more = {"TZ": "UTC", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with running(clinic.ctx.settings.data_dir, before=faked, **more):
        yield


def _wait_for(clinic: Clinic, what: Callable[[Clinic], bool], seconds: float = 200) -> None:
    with changes_in(clinic.ctx.settings.data_dir, seconds) as changes:
        assert any(what(clinic) for _ in changes), "it did not come to that"


def _state(clinic: Clinic, film: str) -> AssetState:
    with clinic.ctx.read() as session:
        return session.get_one(Asset, film).state


def _retention_runs(clinic: Clinic) -> list[RetentionRun]:
    with clinic.ctx.read() as session:
        return list(session.scalars(select(RetentionRun)))


def _leaflet_status(clinic: Clinic) -> str:
    with clinic.ctx.read() as session:
        row = session.scalar(
            select(LeafletVersion).where(
                LeafletVersion.code == "L1111", LeafletVersion.version == 2
            )
        )
        assert row is not None
        return "archived" if row.archived_at else "current"


def test_film_goes_on_its_day_and_a_leaflet_on_the_next(
    due: Callable[[bool], Prepared],
) -> None:
    """What the form promised happens by itself, and so does the end of a leaflet."""
    clinic, film = due(True)
    with opened_anew(clinic) as seen:
        with seen.ctx.read() as session:
            before = {row.name: row.next_fire_at for row in session.scalars(select(Schedule))}
        with _started_on(clinic, NEXT_START):
            _wait_for(seen, lambda c: _state(c, film) is AssetState.ERASED)
        with seen.ctx.read() as session:
            after = {row.name: row.next_fire_at for row in session.scalars(select(Schedule))}
        assert after["retention"] == before["retention"] + timedelta(days=2)
        assert all(after[name] > before[name] for name in before)
        assert not list(seen.ctx.blobs.list(film))
        assert _leaflet_status(seen) == "current"

        with _started_on(clinic, NEXT_START + timedelta(days=1)):
            _wait_for(seen, lambda c: _leaflet_status(c) == "archived")


def test_without_an_appraisal_the_same_run_destroys_nothing(
    due: Callable[[bool], Prepared],
) -> None:
    """No blind purge: it is put before people instead."""
    clinic, film = due(False)
    with opened_anew(clinic) as seen, _started_on(clinic, NEXT_START):
        _wait_for(seen, lambda c: bool(_retention_runs(c)))
        with seen.ctx.read() as session:
            queued = session.scalars(select(Disposition.subject_id)).all()
        assert queued == [film]
        assert _state(seen, film) is AssetState.STORED


def test_a_clock_that_jumped_ten_years_destroys_nothing_and_asks(
    due: Callable[[bool], Prepared],
) -> None:
    """A dead battery on a mainboard must not empty the archive."""
    clinic, film = due(True)
    ten_years_on = NEXT_START.replace(year=2039)
    with opened_anew(clinic) as seen, _started_on(clinic, ten_years_on):
        _wait_for(seen, lambda c: bool(_retention_runs(c)))
        [refused] = _retention_runs(seen)
        assert refused.refused is not None
        assert "clock" in refused.refused
        with seen.ctx.read() as session:
            [pause] = session.scalars(select(ClockPause)).all()
            asked = session.scalars(
                select(Notice.to_role).where(Notice.kind == "clock_paused")
            ).all()
        assert pause.confirmed_at is None
        assert sorted(role for role in asked if role) == ["administrator", "ig_officer"]
        assert _state(seen, film) is AssetState.STORED

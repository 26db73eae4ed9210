"""The worker: each fire once, faults tried again, the clock guarded, dates kept untouched."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from consent_service.db.models.jobs import ClockPause, Notice, ScheduleRun
from consent_service.db.models.policies import LeafletVersion
from consent_service.domain.assets import AssetState
from consent_service.errors import Conflict, Unavailable
from consent_service.jobs.catalogue import Job
from consent_service.jobs.timetable import Daily, Every
from consent_service.jobs.worker import Worker
from consent_service.services import (
    clock_guard,
    jobs,
    retention,
)
from consent_service.services.context import Context
from consent_service.services.jobs import CatchUp
from tests.support.clinic import Clinic
from tests.support.kept_film import asset_row, film_that_will_go


def _catalogue(*found: Job) -> Mapping[str, Job]:
    return {job.name: job for job in found}


def _counting(seen: Counter[str], name: str) -> Callable[[Context], Mapping[str, int]]:
    def act(_ctx: Context) -> Mapping[str, int]:
        seen[name] += 1
        return {"done": 1}

    return act


def _runs(clinic: Clinic, name: str) -> list[ScheduleRun]:
    with clinic.ctx.read() as session:
        return list(session.scalars(select(ScheduleRun).where(ScheduleRun.schedule == name)))


def test_two_workers_fire_everything_once_and_miss_nothing(clinic: Clinic) -> None:
    """Two purges, or a missed one, are the two ways in which a calendar breaks its promise."""
    seen: Counter[str] = Counter()
    job = Job("count", Every(60), _counting(seen, "count"), CatchUp.EACH)
    workers = [Worker(clinic.ctx, _catalogue(job), name) for name in ("first", "second")]
    for worker in workers:
        worker.start_up()
    clinic.passes(minutes=30)

    def work(worker: Worker) -> None:
        worker.tick()
        worker.work_runs()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:
        work(worker)

    runs = _runs(clinic, "count")
    assert seen["count"] == len(runs) == 30
    assert len({run.fire_at for run in runs}) == 30
    assert all(run.finished_at is not None for run in runs)


def test_a_daily_job_that_was_missed_for_a_week_runs_once(clinic: Clinic) -> None:
    """A machine that was off catches up once, not seven times."""
    seen: Counter[str] = Counter()
    worker = Worker(clinic.ctx, _catalogue(Job("daily", Daily(3), _counting(seen, "daily"))))
    worker.start_up()
    clinic.passes(days=7)

    worker.tick()
    worker.work_runs()

    assert seen["daily"] == 1
    (view,) = jobs.jobs(clinic.ctx, clinic.admin)
    assert view.next_fire_at > clinic.clock.now()
    assert view.last_finished_at is not None


def test_a_job_that_fails_is_tried_again_and_then_told(clinic: Clinic) -> None:
    """A fault is written down by its code and retried; nobody has to look for it."""

    def fail(_ctx: Context) -> Mapping[str, int]:
        raise Unavailable("The store is away.", code="store_away")

    worker = Worker(clinic.ctx, _catalogue(Job("failing", Every(86_400), fail)))
    worker.start_up()
    clinic.passes(days=1)
    worker.tick()

    for _ in range(jobs.ATTEMPTS):
        assert worker.work_runs() == 1
        assert worker.work_runs() == 0
        clinic.passes(hours=1)

    (run,) = _runs(clinic, "failing")
    assert (run.attempts, run.fault) == (jobs.ATTEMPTS, "store_away")
    assert run.finished_at is not None
    with clinic.ctx.read() as session:
        kinds = session.scalars(select(Notice.kind).where(Notice.subject == "failing")).all()
    assert kinds == ["job_failed"]


def test_a_run_of_a_dead_worker_is_taken_over_and_cannot_be_finished_twice(
    clinic: Clinic,
) -> None:
    """Its lease runs out; the late one has the old fencing token, and it counts for nothing."""
    job = Job("taken", Every(86_400), _counting(Counter(), "taken"))
    worker = Worker(clinic.ctx, _catalogue(job), "alive")
    worker.start_up()
    clinic.passes(days=1)
    worker.tick()
    dead = jobs.claim_run(clinic.ctx, "dead", ["taken"])
    assert dead is not None
    assert jobs.claim_run(clinic.ctx, "alive", ["taken"]) is None
    assert jobs.renew(clinic.ctx, dead)

    clinic.clock.advance(jobs.LEASE + timedelta(seconds=1))
    assert worker.work_runs() == 1

    assert not jobs.finish_run(clinic.ctx, dead, {"late": 1})
    assert not jobs.renew(clinic.ctx, dead)
    (run,) = _runs(clinic, "taken")
    assert (run.lease_owner, run.figures) == ("alive", {"done": 1})


def test_a_person_may_ask_for_a_run_now(clinic: Clinic) -> None:
    """The administrator's page asks; the worker does it."""
    seen: Counter[str] = Counter()
    worker = Worker(clinic.ctx, _catalogue(Job("asked", Daily(3), _counting(seen, "asked"))))
    worker.start_up()

    jobs.run_now(clinic.ctx, clinic.admin, "asked")
    worker.work_runs()

    assert seen["asked"] == 1
    (run,) = jobs.history(clinic.ctx, clinic.admin)
    assert run.figures == {"done": 1}


@pytest.mark.parametrize(
    ("jump", "paused"),
    [
        (timedelta(days=3650), True),
        (timedelta(hours=48, minutes=1), True),
        (timedelta(hours=47), False),
        (timedelta(minutes=-6), True),
        (timedelta(minutes=-4), False),
    ],
)
def test_a_clock_that_jumps_pauses_destruction(
    clinic: Clinic, jump: timedelta, paused: bool
) -> None:
    """Ten years ahead, everything would be due at once; a person says whether it is true."""
    clock_guard.beat(clinic.ctx)
    clinic.clock.advance(jump)

    assert clock_guard.beat(clinic.ctx) is paused
    assert clock_guard.beat(clinic.ctx) is paused
    with clinic.ctx.read() as session:
        assert len(session.scalars(select(ClockPause)).all()) == int(paused)


def test_untouched_the_calendar_archives_leaflets_and_lets_film_go(clinic: Clinic) -> None:
    """Nobody types a verb: day by day the worker keeps what the form and the leaflet promised."""
    _, film = film_that_will_go(clinic)
    worker = Worker(clinic.ctx)
    worker.start_up()
    with clinic.ctx.read() as session:
        first = session.scalars(select(LeafletVersion).where(LeafletVersion.version == 1)).one()
        assert first.archived_at == clinic.clock.now()

    for _ in range(31):
        clinic.passes(days=1)
        worker.tick()
        worker.work_runs()
        worker.carry_out()

    assert asset_row(clinic, film).state is AssetState.ERASED
    with clinic.ctx.read() as session:
        assert (
            session.scalars(select(ScheduleRun).where(ScheduleRun.fault.is_not(None))).all() == []
        )


def test_a_jump_of_ten_years_destroys_nothing(clinic: Clinic) -> None:
    """The tick sees the jump before the purge that the wrong date would have made due."""
    _, film = film_that_will_go(clinic)
    worker = Worker(clinic.ctx)
    worker.start_up()

    clinic.clock.at = datetime(2029, 8, 30, 12, tzinfo=UTC)
    worker.tick()
    worker.work_runs()
    worker.carry_out()

    assert asset_row(clinic, film).state is AssetState.STORED
    assert retention.plan(clinic.ctx, clinic.ig).refusal == "clock_paused"


def test_one_file_one_worker_and_it_stops_when_told(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker by file lock; on PostgreSQL any number may run."""
    monkeypatch.setattr("consent_service.jobs.worker.LOCK_SECONDS", 0)
    started, stop = threading.Event(), threading.Event()

    def tell(_ctx: Context) -> Mapping[str, int]:
        started.set()
        return {}

    first = Worker(clinic.ctx, _catalogue(Job("tell", Daily(3), tell, at_start=True)))
    thread = threading.Thread(target=first.run, args=(stop,))
    thread.start()
    try:
        assert started.wait(60)
        second = Worker(clinic.ctx, {})
        done = threading.Event()
        done.set()
        if clinic.ctx.engine.dialect.name == "sqlite":
            with pytest.raises(Conflict) as refused:
                second.run(done)
            assert refused.value.code == "worker_running"
        else:
            second.run(done)
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def test_a_job_that_takes_hours_keeps_no_other_waiting(clinic: Clinic) -> None:
    """While a million films are compared, keys are made and uploads finished all the same."""
    short_done, stop, in_time = threading.Event(), threading.Event(), []

    def compare(_ctx: Context) -> Mapping[str, int]:
        in_time.append(short_done.wait(60))
        stop.set()
        return {}

    def make(_ctx: Context) -> Mapping[str, int]:
        short_done.set()
        return {}

    found = (Job("compare", Daily(4), compare, long=True), Job("make", Daily(4), make))
    worker = Worker(clinic.ctx, _catalogue(*found))
    worker.start_up()
    for job in found:
        jobs.run_now(clinic.ctx, clinic.admin, job.name)

    worker.run(stop)

    assert in_time == [True]

"""Jobs that run by the calendar: due times, runs, leases and history, all in the database.

Rules kept here:
  * a due time is advanced by compare-and-set, and its run inserted, in one transaction: each fire
    happens once on any number of nodes;
  * a run belongs to whoever holds its lease; finishing it needs the fencing token;
  * a run that fails is tried again, later each time, and written down; after the last attempt the
    administrator is told and the next fire starts anew.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import CursorResult, Select, delete, func, or_, select, update

from consent_service.db.models.jobs import Schedule, ScheduleRun
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.roles import ADMINISTRATOR, Permission
from consent_service.errors import ConsentServiceError, NotFound, TakenMeanwhile
from consent_service.services.access import Caller, require
from consent_service.services.context import Context
from consent_service.services.notices import notify

LEASE = timedelta(seconds=60)
ATTEMPTS = 5
FIRST_RETRY = timedelta(seconds=30)
WORKER = Actor(ActorKind.JOB, "worker")


class CatchUp(StrEnum):
    """What becomes of fires that were missed: one run for all of them, or a run for each."""

    ONCE = "once"
    EACH = "each"


@dataclass(frozen=True)
class Timed:
    """A job as the timetable sees it; `next_after` gives the first fire after an instant."""

    name: str
    trigger: str
    catch_up: CatchUp
    next_after: Callable[[datetime], datetime]


@dataclass(frozen=True)
class JobView:
    """A job and when it runs."""

    name: str
    trigger: str
    next_fire_at: datetime
    last_fire_at: datetime | None
    last_finished_at: datetime | None
    last_fault: str | None


@dataclass(frozen=True)
class JobRunView:
    """One run of a job: when it was due, how it went."""

    name: str
    fire_at: datetime
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    fault: str | None
    figures: dict[str, Any]


@dataclass(frozen=True)
class ClaimedRun:
    """A run that this worker holds, with the token that finishing it needs."""

    name: str
    fire_at: datetime
    token: int
    attempts: int


def jobs(ctx: Context, caller: Caller) -> list[JobView]:
    """Return every job with its due time and how its newest run went, by name."""
    require(ctx, caller, Permission.JOBS_READ)
    with ctx.read() as session:
        found = []
        for row in session.scalars(select(Schedule).order_by(Schedule.name)):
            newest = session.scalar(
                select(ScheduleRun)
                .where(ScheduleRun.schedule == row.name, ScheduleRun.attempts > 0)
                .order_by(ScheduleRun.fire_at.desc())
                .limit(1)
            )
            found.append(
                JobView(
                    row.name,
                    row.trigger,
                    row.next_fire_at,
                    row.last_fire_at,
                    newest.finished_at if newest else None,
                    newest.fault if newest else None,
                )
            )
        return found


def history(
    ctx: Context, caller: Caller, name: str | None = None, limit: int = 100
) -> list[JobRunView]:
    """Return runs, newest first."""
    require(ctx, caller, Permission.JOBS_READ)
    with ctx.read() as session:
        query = select(ScheduleRun).order_by(ScheduleRun.fire_at.desc(), ScheduleRun.schedule)
        if name is not None:
            query = query.where(ScheduleRun.schedule == name)
        return [
            JobRunView(
                row.schedule,
                row.fire_at,
                row.attempts,
                row.started_at,
                row.finished_at,
                row.fault,
                dict(row.figures),
            )
            for row in session.scalars(query.limit(limit))
        ]


def run_now(ctx: Context, caller: Caller, name: str) -> JobRunView:
    """Ask for a run now; the worker takes it up within seconds. Raises NotFound."""
    require(ctx, caller, Permission.JOBS_RUN)
    with ctx.begin() as uow:
        if uow.session.get(Schedule, name) is None:
            raise NotFound("There is no job of that name. `jobs list` shows them all.", kind="job")
        row = uow.session.get(ScheduleRun, (name, uow.at))
        if row is None:
            uow.session.add(ScheduleRun(schedule=name, fire_at=uow.at))
            uow.record(
                AuditEvent(EventKind.JOB_RUN, caller.actor, name, details={"outcome": "asked"})
            )
        return JobRunView(name, uow.at, 0, None, None, None, {})


def ask(ctx: Context, names: Iterable[str]) -> None:
    """Let the worker do these jobs at once, if no run of theirs waits already.

    A job that has no row yet is done anyway when the first worker starts.
    """
    for name in names:
        try:
            with ctx.begin() as uow:
                waiting = select(ScheduleRun.schedule).where(
                    ScheduleRun.schedule == name, ScheduleRun.attempts == 0
                )
                known = uow.session.get(Schedule, name) is not None
                if known and uow.session.scalar(waiting.limit(1)) is None:
                    uow.session.add(ScheduleRun(schedule=name, fire_at=uow.at))
        except TakenMeanwhile:
            # Another process asked for the same in this moment.
            continue


def last_done(ctx: Context, name: str) -> datetime | None:
    """Return when the newest run that went well began; None when none is known."""
    with ctx.read() as session:
        return session.scalar(
            select(func.max(ScheduleRun.started_at)).where(
                ScheduleRun.schedule == name,
                ScheduleRun.finished_at.is_not(None),
                ScheduleRun.fault.is_(None),
            )
        )


def register(ctx: Context, timed: Iterable[Timed]) -> None:
    """Give every job its row: a new job, or one whose trigger changed, is next due from now."""
    for job in timed:
        try:
            with ctx.begin() as uow:
                _register(uow, job)
        except TakenMeanwhile:
            # Another node wrote the same row in this moment.
            continue


def fire_due(ctx: Context, timed: Mapping[str, Timed]) -> list[tuple[str, datetime]]:
    """Advance every due time that has come and insert its run; returns what fired here."""
    now = ctx.clock.now()
    with ctx.read() as session:
        rows = session.scalars(
            select(Schedule).where(Schedule.next_fire_at <= now, Schedule.name.in_(list(timed)))
        ).all()
    fired = []
    for row in rows:
        fired += _fire(ctx, timed[row.name], row.next_fire_at)
    return fired


def is_any_due(ctx: Context, names: Iterable[str]) -> bool:
    """Tell whether a run waits to be claimed."""
    with ctx.read() as session:
        return session.scalar(_waiting(names, ctx.clock.now())) is not None


def claim_run(ctx: Context, worker: str, names: Iterable[str]) -> ClaimedRun | None:
    """Take the oldest run that waits, or whose worker died, under a lease."""
    with ctx.begin() as uow:
        row = uow.session.scalar(_waiting(names, uow.at).with_for_update(skip_locked=True))
        if row is None:
            return None
        row.attempts += 1
        row.started_at = uow.at
        row.lease_owner = worker[:80]
        row.lease_until = uow.at + LEASE
        row.fencing_token += 1
        return ClaimedRun(row.schedule, row.fire_at, row.fencing_token, row.attempts)


def _waiting(names: Iterable[str], at: datetime) -> Select[ScheduleRun]:
    """Return the query for the oldest run that nobody holds."""
    return (
        select(ScheduleRun)
        .where(
            ScheduleRun.finished_at.is_(None),
            ScheduleRun.schedule.in_(list(names)),
            or_(ScheduleRun.lease_until.is_(None), ScheduleRun.lease_until <= at),
        )
        .order_by(ScheduleRun.fire_at, ScheduleRun.schedule)
        .limit(1)
    )


def renew(ctx: Context, claimed: ClaimedRun) -> bool:
    """Hold on to a run that is still going on; False when another worker has it now."""
    with ctx.begin() as uow:
        row = _held(uow, claimed)
        if row is None:
            return False
        row.lease_until = uow.at + LEASE
        return True


def finish_run(ctx: Context, claimed: ClaimedRun, figures: Mapping[str, Any]) -> bool:
    """Write down that a run is done; False when another worker has it now."""
    with ctx.begin() as uow:
        row = _held(uow, claimed)
        if row is None:
            return False
        row.finished_at, row.lease_until, row.fault = uow.at, None, None
        row.figures = dict(figures)
        if any(figures.values()):
            uow.record(
                AuditEvent(EventKind.JOB_RUN, WORKER, row.schedule, details={"outcome": "done"})
            )
        return True


def fail_run(ctx: Context, claimed: ClaimedRun, fault: Exception) -> None:
    """Write down a failure and when to try again; after the last attempt tell somebody."""
    code = fault.code if isinstance(fault, ConsentServiceError) else type(fault).__name__.lower()
    with ctx.begin() as uow:
        row = _held(uow, claimed)
        if row is None:
            return
        row.fault = code[:80]
        row.lease_until = uow.at + FIRST_RETRY * 2 ** min(row.attempts - 1, 9)
        if row.attempts >= ATTEMPTS:
            row.finished_at, row.lease_until = uow.at, None
            notify(uow, "job_failed", role=ADMINISTRATOR, subject=row.schedule)
        uow.record(
            AuditEvent(
                EventKind.JOB_FAILED,
                WORKER,
                row.schedule,
                details={"reason": row.fault, "attempt": row.attempts},
            )
        )


def void_leases(ctx: Context) -> int:
    """Let go of every lease, when this is the only worker and it just started."""
    with ctx.begin() as uow:
        done: CursorResult[Any] = uow.session.execute(  # type: ignore[assignment]
            update(ScheduleRun)
            .where(ScheduleRun.finished_at.is_(None), ScheduleRun.lease_until.is_not(None))
            .values(lease_until=uow.at)
        )
        return done.rowcount


def forget_old_runs(ctx: Context, keep: timedelta) -> int:
    """Delete finished runs older than `keep`; the audit log holds what they did."""
    with ctx.begin() as uow:
        done: CursorResult[Any] = uow.session.execute(  # type: ignore[assignment]
            delete(ScheduleRun).where(ScheduleRun.finished_at < uow.at - keep)
        )
        return done.rowcount


def _register(uow: UnitOfWork, job: Timed) -> None:
    row = uow.session.get(Schedule, job.name)
    if row is None:
        uow.session.add(
            Schedule(name=job.name, trigger=job.trigger, next_fire_at=job.next_after(uow.at))
        )
    elif row.trigger != job.trigger:
        row.trigger, row.next_fire_at = job.trigger, job.next_after(uow.at)
    uow.session.flush()


def _fire(ctx: Context, job: Timed, first: datetime) -> list[tuple[str, datetime]]:
    """Fire once for all that was missed, or once for each, as the job says."""
    fired = []
    fire_at = first
    while fire_at <= (now := ctx.clock.now()):
        following = job.next_after(now if job.catch_up is CatchUp.ONCE else fire_at)
        if not _compare_and_set(ctx, job.name, fire_at, following):
            break
        fired.append((job.name, fire_at))
        fire_at = following
    return fired


def _compare_and_set(ctx: Context, name: str, fire_at: datetime, following: datetime) -> bool:
    with ctx.begin() as uow:
        changed: CursorResult[Any] = uow.session.execute(  # type: ignore[assignment]
            update(Schedule)
            .where(Schedule.name == name, Schedule.next_fire_at == fire_at)
            .values(next_fire_at=following, last_fire_at=fire_at)
        )
        if changed.rowcount != 1:
            return False
        if uow.session.get(ScheduleRun, (name, fire_at)) is None:
            uow.session.add(ScheduleRun(schedule=name, fire_at=fire_at))
        return True


def _held(uow: UnitOfWork, claimed: ClaimedRun) -> ScheduleRun | None:
    return uow.session.scalar(
        select(ScheduleRun)
        .where(
            ScheduleRun.schedule == claimed.name,
            ScheduleRun.fire_at == claimed.fire_at,
            ScheduleRun.fencing_token == claimed.token,
            ScheduleRun.finished_at.is_(None),
        )
        .with_for_update()
    )

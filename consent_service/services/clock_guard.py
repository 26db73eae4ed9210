"""The clock guard: a clock that jumped destroys nothing by itself.

Rules kept here: a sign of life each minute; a gap above 48 hours or a step back above 5 minutes
pauses automatic destruction, and only that, until a person confirms date and time; withdrawals
always run.
"""

from datetime import datetime, timedelta

from sqlalchemy import select

from consent_service.db.models.jobs import ClockPause, Heartbeat
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.roles import ADMINISTRATOR, IG_OFFICER
from consent_service.ids import new_id
from consent_service.services.context import Context
from consent_service.services.notices import notify

LONGEST_GAP = timedelta(hours=48)
LONGEST_STEP_BACK = timedelta(minutes=5)
EVERY = timedelta(minutes=1)
CLOCK = "clock"
GUARD = Actor(ActorKind.JOB, "clock-guard")


def beat(ctx: Context) -> bool:
    """Give a sign of life and compare with the last; True when destruction is now paused.

    Writes once a minute at most, so it may be called at every tick and before every purge.
    """
    now = ctx.clock.now()
    with ctx.read() as session:
        last = session.get(Heartbeat, CLOCK)
        fresh = last is not None and timedelta() <= now - last.beat_at < EVERY
        paused = session.scalar(select(ClockPause.id).where(ClockPause.confirmed_at.is_(None)))
    if fresh:
        return paused is not None
    with ctx.begin() as uow:
        return _beat(uow) or paused is not None


def _beat(uow: UnitOfWork) -> bool:
    row = uow.session.get(Heartbeat, CLOCK, with_for_update=True)
    if row is None:
        uow.session.add(Heartbeat(name=CLOCK, beat_at=uow.at))
        return False
    last, row.beat_at = row.beat_at, uow.at
    gap = uow.at - last
    if -LONGEST_STEP_BACK <= gap <= LONGEST_GAP:
        return False
    _pause(uow, last)
    return True


def _pause(uow: UnitOfWork, last: datetime) -> None:
    standing = uow.session.scalar(select(ClockPause.id).where(ClockPause.confirmed_at.is_(None)))
    if standing is not None:
        return
    pause = ClockPause(id=new_id(), found_at=uow.at, last_beat_at=last)
    uow.session.add(pause)
    seconds = int((uow.at - last).total_seconds())
    uow.record(AuditEvent(EventKind.CLOCK_PAUSED, GUARD, pause.id, details={"seconds": seconds}))
    for role in (ADMINISTRATOR, IG_OFFICER):
        notify(uow, "clock_paused", role=role, subject=pause.id)

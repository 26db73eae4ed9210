"""The whole plan of a day: film and small records, against what one run may destroy.

Rules kept here: a plan above the larger of 20 things and 30 % of a class stops and asks; while the
clock is in doubt nothing is destroyed automatically; looking changes nothing.
"""

from dataclasses import dataclass
from datetime import date, datetime
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.jobs import ClockPause
from consent_service.db.queries import retention as stored
from consent_service.domain.roles import Permission
from consent_service.services import retention_plan, retention_records
from consent_service.services.access import Caller, require
from consent_service.services.context import Context
from consent_service.services.retention_plan import ClassFigures, Fate, PlanLine

CLOCK_PAUSED, ABOVE_LIMIT = "clock_paused", "above_limit"


@dataclass(frozen=True)
class RetentionPlan:
    """What a run would do on `on`. `refusal` is None, `clock_paused` or `above_limit`."""

    on: date
    lines: tuple[PlanLine, ...]
    classes: tuple[ClassFigures, ...]
    refusal: str | None

    @property
    def destroyed(self) -> tuple[PlanLine, ...]:
        """Lines of what would be destroyed."""
        return tuple(line for line in self.lines if line.fate is Fate.DESTROY)

    @property
    def kept(self) -> tuple[PlanLine, ...]:
        """Lines of what is due and stays, each with its ground."""
        return tuple(line for line in self.lines if line.fate is Fate.KEEP)

    @property
    def for_review(self) -> tuple[PlanLine, ...]:
        """Lines of what a person decides."""
        return tuple(line for line in self.lines if line.fate is Fate.REVIEW)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is due."""
        return not self.lines


def plan(ctx: Context, caller: Caller | None, today: date | None = None) -> RetentionPlan:
    """Return what is due and what would become of it; changes nothing.

    `today` looks ahead to this hour of another day. `caller` None is the service itself.
    """
    if caller is not None:
        require(ctx, caller, Permission.RETENTION_READ)
    now = ctx.clock.now()
    at = now if today is None else now + (today - london_day(now))
    with ctx.read() as session:
        return _plan(ctx, session, at)


def is_paused(session: Session) -> bool:
    """Tell whether the clock jumped and nobody has confirmed it yet."""
    return (
        session.scalar(select(ClockPause.id).where(ClockPause.confirmed_at.is_(None)).limit(1))
        is not None
    )


def _plan(ctx: Context, session: Session, at: datetime) -> RetentionPlan:
    lines: list[PlanLine] = []
    for involvement, assets in sorted(retention_plan.candidates(ctx, session, at).items()):
        lines += retention_plan.lines_of(ctx, session, involvement, assets, at)
    lines += retention_records.lines(ctx, session, at)
    classes = retention_plan.figures_of(lines, partial(_standing, session))
    refusal = None
    if any(c.above_limit for c in classes):
        refusal = ABOVE_LIMIT
    if is_paused(session):
        refusal = CLOCK_PAUSED
    return RetentionPlan(london_day(at), tuple(lines), classes, refusal)


def _standing(session: Session, rule: str, most: int) -> int:
    """Return how many of a class stand; film is counted up to `most` only."""
    if most == 0:
        return 0
    return stored.standing_under(session, rule, most) + retention_records.standing_under(
        session, rule
    )

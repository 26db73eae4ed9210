"""Retention: plan what is due, destroy what an appraisal covers, queue the rest, explain it all.

Rules kept here:
  * no blind purge: see `retention_plan` for who decides what (rule 8);
  * an empty plan does nothing and says so; a plan above the larger of 20 things and 30 % of a
    class stops and asks;
  * after a jump of the clock nothing is destroyed automatically until somebody confirms it;
  * each family is decided again under its own lock, in the transaction that orders.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.jobs import ClockPause
from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset
from consent_service.db.models.retention import Hold, RetentionRun
from consent_service.db.queries import retention as stored
from consent_service.db.queries.erasure import OrderScope
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.audit import ActorKind, AuditEvent, EventKind
from consent_service.domain.erasure import OrderCause
from consent_service.domain.retention import Due, Term
from consent_service.domain.retention_rules import (
    Confidence,
    RetentionAction,
    RetentionMode,
)
from consent_service.domain.roles import IG_OFFICER, Permission
from consent_service.errors import NotFound, Refused
from consent_service.ids import new_id
from consent_service.services import (
    erasure,
    recordings,
    retention_dates,
    retention_plan,
    retention_records,
)
from consent_service.services.access import Caller, involvement_for, reaches, require
from consent_service.services.appraisals import (
    AppraisalView,
    appraisals,
    approve_appraisal,
    propose_appraisals,
    revoke_appraisal,
)
from consent_service.services.context import Context
from consent_service.services.dispositions import (
    Decide,
    Decision,
    DispositionView,
    confirm,
    decide,
    dispositions,
    queue,
)
from consent_service.services.notices import notify
from consent_service.services.retention_plan import ClassFigures, Fate, PlanLine

__all__ = [
    "AppraisalView",
    "Decide",
    "Decision",
    "DispositionView",
    "DueView",
    "Explanation",
    "RetentionPlan",
    "RunView",
    "abandon_uploads",
    "appraisals",
    "approve_appraisal",
    "confirm",
    "confirm_clock",
    "decide",
    "dispositions",
    "due",
    "explain",
    "plan",
    "propose_appraisals",
    "revoke_appraisal",
    "run",
]

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


@dataclass(frozen=True)
class RunView:
    """What a run did. `orders` are ids of erasure orders; `refused` says why nothing was done."""

    id: str | None
    plan: RetentionPlan
    dry_run: bool
    refused: str | None = None
    orders: tuple[str, ...] = ()
    destroyed: int = 0
    queued: int = 0
    kept: int = 0

    @property
    def says(self) -> str:
        """One sentence for people."""
        if self.plan.is_empty:
            return "Nothing is due; nothing was done."
        if self.refused == CLOCK_PAUSED:
            return (
                "The clock jumped, so nothing is destroyed automatically."
                " Check date and time, then confirm the clock."
            )
        if self.refused == ABOVE_LIMIT:
            return (
                "This would destroy more of a class at once than one run may."
                " Look at the plan, then accept it if it is right."
            )
        if self.dry_run:
            return "This is what a run would do; nothing was changed."
        return (
            f"Ordered {self.destroyed} destroyed, queued {self.queued} for review,"
            f" kept {self.kept}."
        )


@dataclass(frozen=True)
class DueView:
    """One asset and its date."""

    asset: str
    kind: AssetKind
    involvement: str
    state: AssetState
    rule: str
    due_on: date
    gone_by: date | None


@dataclass(frozen=True)
class Class:
    """One class that an asset is in, and the day that its rule gives."""

    rule: str
    title: str
    mode: RetentionMode
    action: RetentionAction
    due_on: date | None
    gone_by: date | None
    legal_basis: str
    source: str
    confidence: Confidence
    note: str
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Explanation:
    """Why an asset is here until its day: rule, facts, source (rule 8).

    `by` is the class that keeps longest, `others` the rest; `held` names the standing holds,
    `appraisal` the decision that lets a job destroy it, `disposition` its open line in the queue.
    """

    asset: str
    kind: AssetKind
    involvement: str
    state: AssetState
    due_on: date | None
    gone_by: date | None
    by: Class
    others: tuple[Class, ...]
    held: tuple[str, ...]
    appraisal: str | None
    disposition: str | None


@dataclass
class _Tally:
    orders: list[str] = field(default_factory=list)
    destroyed: int = 0
    queued: int = 0
    kept: int = 0

    def figures(self, planned: RetentionPlan) -> dict[str, Any]:
        return {
            "due": len(planned.lines),
            "destroyed": self.destroyed,
            "queued": self.queued,
            "kept": self.kept,
            "orders": list(self.orders),
        }


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


def run(
    ctx: Context, caller: Caller, dry_run: bool = False, *, accept_large: bool = False
) -> RunView:
    """Order destroyed what an appraisal covers, queue the rest; each family in its transaction.

    `accept_large` is a person's answer to a plan above the limit; jobs never give it.
    """
    require(ctx, caller, Permission.RETENTION_RUN)
    if accept_large and caller.actor.kind is ActorKind.JOB:
        raise Refused("Only a person accepts a plan above the limit.", code="person_needed")
    planned = plan(ctx, None)
    refused = planned.refusal
    if refused == ABOVE_LIMIT and accept_large:
        refused = None
    if dry_run or planned.is_empty:
        return RunView(None, planned, dry_run, refused)
    if refused is not None:
        return _refuse(ctx, caller, planned, refused)
    tally = _Tally()
    for involvement, lines in _by_involvement(planned.lines):
        _apply(ctx, caller, involvement, lines, tally)
    return _finish(ctx, caller, planned, tally)


def abandon_uploads(ctx: Context, caller: Caller) -> list[str]:
    """Erase uploads that nobody finished in a day, if an appraisal covers them (R28)."""
    require(ctx, caller, Permission.RETENTION_RUN)
    with ctx.read() as session:
        allowed = stored.appraisals_in_force(session, london_day(ctx.clock.now()))
        paused = _is_paused(session)
    if retention_records.KINDS[retention_records.UPLOAD].rule not in allowed or paused:
        return []
    return recordings.abandon_stale(ctx, caller)


def confirm_clock(ctx: Context, caller: Caller) -> int:
    """Confirm that date and time are right; automatic destruction goes on. Returns pauses ended."""
    require(ctx, caller, Permission.RETENTION_RUN)
    if caller.actor.kind is ActorKind.JOB:
        raise Refused("Only a person confirms the clock.", code="person_needed")
    with ctx.begin() as uow:
        rows = uow.session.scalars(
            select(ClockPause).where(ClockPause.confirmed_at.is_(None))
        ).all()
        for row in rows:
            row.confirmed_at = uow.at
            row.confirmed_by = caller.id
            uow.record(
                AuditEvent(
                    EventKind.CLOCK_CONFIRMED,
                    caller.actor,
                    row.id,
                    details={"confirmed_at": uow.at.isoformat()},
                )
            )
        return len(rows)


def due(ctx: Context, caller: Caller, until: date | None = None) -> list[DueView]:
    """Return what the caller may see that is due by a day (today without one), soonest first."""
    require(ctx, caller, Permission.RETENTION_READ)
    until = until or london_day(ctx.clock.now())
    with ctx.read() as session:
        return [
            DueView(
                row.id,
                row.kind,
                row.involvement_id,
                row.state,
                row.rule or "",
                row.due_on or until,
                row.gone_by,
            )
            for row in stored.due_assets(session, until)
            if _reached(ctx, session, caller, row.involvement_id)
        ]


def explain(ctx: Context, caller: Caller, asset: str) -> Explanation:
    """Say why an asset is still here: rule, facts, source, and what stands in the way."""
    with ctx.read() as session:
        row = session.get(Asset, asset)
        if row is None:
            raise _no_asset()
        involvement_for(ctx, session, caller, Permission.RETENTION_READ, row.involvement_id)
        now = ctx.clock.now()
        kept = retention_dates.keeping(ctx, session, row.involvement_id, [row], now)[row.id]
        classes = [_class(found) for found in kept.all]
        by = _class(kept.by)
        newest = stored.newest_dispositions(session, [row.id]).get(row.id)
        return Explanation(
            row.id,
            row.kind,
            row.involvement_id,
            row.state,
            kept.due_on,
            kept.gone_by,
            by,
            tuple(c for c in classes if c != by),
            _holds(session, row),
            stored.appraisals_in_force(session, london_day(now)).get(by.rule),
            newest.id if newest is not None and retention_plan.is_open(newest) else None,
        )


def _plan(ctx: Context, session: Session, at: datetime) -> RetentionPlan:
    lines: list[PlanLine] = []
    for involvement, assets in sorted(retention_plan.candidates(ctx, session, at).items()):
        lines += retention_plan.lines_of(ctx, session, involvement, assets, at)
    lines += retention_records.lines(ctx, session, at)
    standing = {**stored.standing_by_rule(session), **retention_records.standing(session)}
    classes = retention_plan.figures_of(lines, standing)
    refusal = None
    if any(c.above_limit for c in classes):
        refusal = ABOVE_LIMIT
    if _is_paused(session):
        refusal = CLOCK_PAUSED
    return RetentionPlan(london_day(at), tuple(lines), classes, refusal)


def _is_paused(session: Session) -> bool:
    return (
        session.scalar(select(ClockPause.id).where(ClockPause.confirmed_at.is_(None)).limit(1))
        is not None
    )


def _by_involvement(
    lines: Sequence[PlanLine],
) -> Iterable[tuple[str | None, tuple[PlanLine, ...]]]:
    ordered = sorted(lines, key=lambda line: line.involvement or "")
    for involvement, group in groupby(ordered, key=lambda line: line.involvement):
        yield involvement, tuple(group)


def _apply(
    ctx: Context,
    caller: Caller,
    involvement: str | None,
    planned: Sequence[PlanLine],
    tally: _Tally,
) -> None:
    """Decide one family again under its lock, and order, queue or keep."""
    with ctx.begin() as uow:
        lines = list(planned)
        if involvement is not None:
            row = uow.lock_involvement(involvement)
            lines = _decided_again(ctx, uow, involvement, planned)
            going = [line for line in lines if line.fate is Fate.DESTROY and _is_film(line)]
            orders = _order(uow, caller, involvement, going)
            row.consent_epoch += 1 if orders else 0
            tally.orders += orders
        for kind, ids in _records_to_end(lines):
            retention_records.end_records(uow, caller.actor, kind, ids)
        _close_queue(uow, lines)
        for line in lines:
            if line.fate is Fate.REVIEW and not line.queued:
                queue(ctx, uow, caller, line)
                tally.queued += 1
    tally.destroyed += sum(line.fate is Fate.DESTROY for line in lines)
    tally.kept += sum(line.fate is Fate.KEEP for line in lines)


def _decided_again(
    ctx: Context, uow: UnitOfWork, involvement: str, planned: Sequence[PlanLine]
) -> list[PlanLine]:
    """Return this moment's lines of what was planned; what a run was not shown, it leaves."""
    retention_dates.recompute(ctx, uow, involvement)
    wanted = {line.subject for line in planned}
    films = retention_plan.lines_of(ctx, uow.session, involvement, wanted, uow.at)
    others = retention_records.lines(ctx, uow.session, uow.at, involvement)
    return [*films, *(line for line in others if line.subject in wanted)]


def _is_film(line: PlanLine) -> bool:
    return line.kind in (retention_plan.ASSET, retention_records.UPLOAD)


def _order(
    uow: UnitOfWork, caller: Caller, involvement: str, lines: Sequence[PlanLine]
) -> list[str]:
    """Order the lines destroyed: one order for each rule and cause."""

    def why(line: PlanLine) -> tuple[str, str, str]:
        return line.rule, line.cause.value, line.appraisal or ""

    orders = []
    for (rule, cause, appraisal), group in groupby(sorted(lines, key=why), key=why):
        wanted = erasure.OrderErasure(
            involvement,
            OrderCause(cause),
            OrderScope(
                assets=tuple(sorted(line.subject for line in group)),
                cascades=cause == OrderCause.CONSENT_REFUSED.value,
            ),
            uow.at,
            appraisal=appraisal,
            rule=rule,
        )
        orders.append(erasure.order_erasure(uow, caller.actor, wanted).id)
    return orders


def _records_to_end(lines: Iterable[PlanLine]) -> Iterable[tuple[str, list[str]]]:
    going = [line for line in lines if line.fate is Fate.DESTROY and not _is_film(line)]
    for kind in sorted({line.kind for line in going}):
        yield kind, [line.subject for line in going if line.kind == kind]


def _close_queue(uow: UnitOfWork, lines: Iterable[PlanLine]) -> None:
    """Take what an appraisal has decided meanwhile off the queue."""
    decided = [line.subject for line in lines if line.fate is Fate.DESTROY and line.queued]
    for row in stored.newest_dispositions(uow.session, decided).values():
        row.decision, row.decided_at = "appraisal", uow.at
        row.confirmed_at = uow.at


def _refuse(ctx: Context, caller: Caller, planned: RetentionPlan, refused: str) -> RunView:
    with ctx.begin() as uow:
        identifier = new_id()
        uow.session.add(
            RetentionRun(
                id=identifier,
                ran_at=uow.at,
                ran_by=caller.id,
                figures={"due": len(planned.lines), "destroy": len(planned.destroyed)},
                refused=refused,
            )
        )
        uow.record(
            AuditEvent(
                EventKind.RETENTION_REFUSED,
                caller.actor,
                identifier,
                details={"reason": refused, "due": len(planned.lines)},
            )
        )
        notify(uow, "retention_refused", role=IG_OFFICER, subject=identifier)
    return RunView(identifier, planned, False, refused)


def _finish(ctx: Context, caller: Caller, planned: RetentionPlan, tally: _Tally) -> RunView:
    with ctx.begin() as uow:
        identifier = new_id()
        uow.session.add(
            RetentionRun(
                id=identifier, ran_at=uow.at, ran_by=caller.id, figures=tally.figures(planned)
            )
        )
        uow.record(
            AuditEvent(
                EventKind.RETENTION_RUN,
                caller.actor,
                identifier,
                details={
                    "on": planned.on.isoformat(),
                    "destroyed": tally.destroyed,
                    "queued": tally.queued,
                    "kept": tally.kept,
                },
            )
        )
        if tally.queued:
            notify(uow, "disposition_waiting", role=IG_OFFICER, subject=identifier)
    return RunView(
        identifier,
        planned,
        False,
        None,
        tuple(tally.orders),
        tally.destroyed,
        tally.queued,
        tally.kept,
    )


def _class(found: Due) -> Class:
    rule = found.rule
    return Class(
        rule.id,
        rule.title,
        rule.mode,
        rule.action,
        found.due_on,
        found.gone_by,
        rule.legal_basis,
        rule.source,
        rule.confidence,
        rule.note,
        found.terms,
    )


def _holds(session: Session, asset: Asset) -> tuple[str, ...]:
    rows = session.scalars(
        select(Hold.id).where(
            Hold.involvement_id == asset.involvement_id,
            Hold.released_at.is_(None),
            Hold.asset_id.is_(None) | Hold.asset_id.in_([asset.id, asset.source_id or asset.id]),
        )
    )
    return tuple(rows)


def _reached(ctx: Context, session: Session, caller: Caller, involvement: str) -> bool:
    team = session.get_one(Involvement, involvement).team_id
    return reaches(ctx, caller, Permission.RETENTION_READ, team)


def _no_asset() -> NotFound:
    return NotFound("There is no such film that you can see.", kind="asset")

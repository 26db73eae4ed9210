"""One run of retention: each family decided again under its own lock, ordered, queued or kept.

Rules kept here: an empty plan does nothing and says so; a refused one says why and destroys
nothing; what a run was not shown by its plan, it leaves for the next.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from consent_service.clock import london_day
from consent_service.db.models.retention import RetentionRun
from consent_service.db.queries import retention as stored
from consent_service.db.queries.erasure import OrderScope
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import ActorKind, AuditEvent, EventKind
from consent_service.domain.erasure import OrderCause
from consent_service.domain.roles import IG_OFFICER, Permission
from consent_service.errors import Refused
from consent_service.ids import new_id
from consent_service.services import (
    erasure,
    recordings,
    retention_dates,
    retention_plan,
    retention_records,
)
from consent_service.services.access import Caller, require
from consent_service.services.context import Context
from consent_service.services.dispositions import queue
from consent_service.services.notices import notify
from consent_service.services.retention_due import (
    ABOVE_LIMIT,
    CLOCK_PAUSED,
    RetentionPlan,
    is_paused,
    plan,
)
from consent_service.services.retention_plan import Fate, PlanLine


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
        return RunView(None, planned, dry_run, None if planned.is_empty else refused)
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
        paused = is_paused(session)
    if retention_records.KINDS[retention_records.UPLOAD].rule not in allowed or paused:
        return []
    return recordings.abandon_stale(ctx, caller)


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

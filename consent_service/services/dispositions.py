"""The disposition queue: what is due and no appraisal covers waits here for people (rule 8).

Rules kept here: one person decides, with a reason; destroying needs a second; whatever is kept is
looked at again on a day, because nothing waits for ever; a hold wins until the very end.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select

from consent_service.clock import london_day
from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset
from consent_service.db.models.retention import Disposition
from consent_service.db.queries import retention as stored
from consent_service.db.queries.erasure import OrderScope, held_among
from consent_service.db.queries.pages import Order, page_of
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.calendar import Period, Unit, keep_until
from consent_service.domain.erasure import OrderCause
from consent_service.domain.paging import Page, PageAsk
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, InvalidInput, NotFound, Refused
from consent_service.ids import new_id
from consent_service.services import erasure, retention_records
from consent_service.services.access import (
    Caller,
    allows,
    reaches,
    require,
    require_fresh,
    teams_reached,
)
from consent_service.services.context import Context
from consent_service.services.retention_plan import ASSET, PlanLine, is_open, team_of

LOOK_AGAIN = Period(1, Unit.YEARS)
_SOONEST_FIRST = Order((Disposition.due_on, Disposition.id), descending=False)


class Decision(StrEnum):
    """What a person decides about something due."""

    KEEP = "keep"
    EXTEND = "extend"
    DESTROY = "destroy"


@dataclass(frozen=True)
class Decide:
    """A decision with its reason. `look_again_on` is needed to extend; keeping: in a year."""

    decision: Decision
    reason: str
    look_again_on: date | None = None


@dataclass(frozen=True)
class DispositionView:
    """One line of the queue. `needs_second` tells that destruction waits for another person."""

    id: str
    kind: str
    subject: str
    involvement: str | None
    rule: str
    why: str
    due_on: date
    queued_at: datetime
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None
    confirmed_by: str | None
    look_again_on: date | None
    reason: str | None
    needs_second: bool
    facts: dict[str, Any]


def queue(ctx: Context, uow: UnitOfWork, caller: Caller, line: PlanLine) -> str:
    """Put one thing on the queue in the caller's transaction; returns the line's id."""
    row = Disposition(
        id=new_id(),
        subject_kind=line.kind,
        subject_id=line.subject,
        involvement_id=line.involvement,
        rule=line.rule,
        why=line.reason,
        facts={
            "cause": line.cause.value,
            "gone_by": line.gone_by.isoformat() if line.gone_by else None,
            "schedule": ctx.policies.schedule.id,
            "schedule_version": ctx.policies.schedule.version,
        },
        due_on=line.due_on,
        queued_at=uow.at,
    )
    uow.session.add(row)
    uow.record(
        AuditEvent(
            EventKind.DISPOSITION_QUEUED,
            caller.actor,
            line.subject,
            line.involvement,
            {"rule": line.rule, "reason": line.reason, "disposition": row.id},
        )
    )
    return row.id


def page_of_dispositions(
    ctx: Context, caller: Caller, ask: PageAsk, *, open_only: bool = True
) -> Page[DispositionView]:
    """Return the queue in the caller's reach, soonest due first."""
    require(ctx, caller, Permission.RETENTION_READ)
    with ctx.read() as session:
        query = select(Disposition)
        if open_only:
            query = query.where(
                Disposition.decided_at.is_(None)
                | ((Disposition.decision == "destroy") & Disposition.confirmed_at.is_(None))
            )
        teams = teams_reached(ctx, caller, Permission.RETENTION_READ)
        if teams is not None:
            query = query.join(Involvement, Involvement.id == Disposition.involvement_id).where(
                Involvement.team_id.in_(teams)
            )
        found = page_of(session, query, _SOONEST_FIRST, ask)
        return found.of([_view(row) for row in found.items])


def disposition(ctx: Context, caller: Caller, identifier: str) -> DispositionView:
    """Return one line of the queue that nobody has done with yet; raises NotFound."""
    require(ctx, caller, Permission.RETENTION_READ)
    with ctx.read() as session:
        row = session.get(Disposition, identifier)
        if row is None or not is_open(row):
            raise _no_line()
        team = team_of(session, row.involvement_id)
        if not reaches(ctx, caller, Permission.RETENTION_READ, team):
            raise _no_line()
        return _view(row)


def decide(ctx: Context, caller: Caller, disposition: str, wanted: Decide) -> DispositionView:
    """Decide about one line of the queue; a destruction waits for `confirm` by a second person.

    Raises NotFound, Conflict (`already_decided`), InvalidInput.
    """
    require(ctx, caller, Permission.DISPOSITION_DECIDE)
    with ctx.begin() as uow:
        row = _open_line(ctx, uow, caller, disposition)
        if row.decided_at is not None:
            raise Conflict("This waits for a second person already.", code="already_decided")
        look_again = _checked(wanted, london_day(uow.at))
        row.decision, row.reason = wanted.decision.value, wanted.reason.strip()
        row.decided_by, row.decided_at = caller.id, uow.at
        row.look_again_on = look_again
        _record(uow, caller, row, wanted.decision.value)
        return _view(row)


def confirm(
    ctx: Context, caller: Caller, disposition: str, *, agree: bool = True
) -> DispositionView:
    """Confirm a destruction that someone else decided, or send it back with `agree` False.

    Raises NotFound, Conflict (`not_decided`, `held`), Refused (`second_person`).
    """
    _require_second(ctx, caller)
    require_fresh(caller)
    with ctx.begin() as uow:
        row = _open_line(ctx, uow, caller, disposition)
        if row.decided_at is None:
            raise Conflict("Nobody has decided to destroy this yet.", code="not_decided")
        if row.decided_by == caller.id:
            raise Refused("A second person confirms this.", code="second_person")
        if not agree:
            row.decision = row.decided_by = row.decided_at = row.reason = None
            _record(uow, caller, row, "sent_back")
            return _view(row)
        row.confirmed_by, row.confirmed_at = caller.id, uow.at
        _destroy(uow, caller, row)
        _record(uow, caller, row, "confirmed")
        return _view(row)


def _checked(wanted: Decide, today: date) -> date | None:
    faults = {}
    if not wanted.reason.strip():
        faults["reason"] = "Give the reason for the decision."
    if wanted.look_again_on is not None and wanted.look_again_on <= today:
        faults["look_again_on"] = "Look again on a later day."
    if wanted.decision is Decision.EXTEND and wanted.look_again_on is None:
        faults["look_again_on"] = "Say until when it stays."
    if faults:
        raise InvalidInput("This cannot be decided like this.", faults)
    if wanted.decision is Decision.DESTROY:
        return None
    return wanted.look_again_on or keep_until(today, LOOK_AGAIN)


def _open_line(ctx: Context, uow: UnitOfWork, caller: Caller, disposition: str) -> Disposition:
    row = uow.session.get(Disposition, disposition)
    if row is None or not _reached(ctx, uow, caller, row):
        raise _no_line()
    if row.involvement_id is not None:
        uow.lock_involvement(row.involvement_id)
        uow.session.refresh(row)
    if not is_open(row):
        raise Conflict("This was decided already.", code="already_decided")
    return row


def _no_line() -> NotFound:
    return NotFound("There is no such line in the queue that you can see.", kind="disposition")


def _reached(ctx: Context, uow: UnitOfWork, caller: Caller, row: Disposition) -> bool:
    team = team_of(uow.session, row.involvement_id)
    return any(reaches(ctx, caller, p, team) for p in _SECOND)


_SECOND = (Permission.DISPOSITION_DECIDE, Permission.APPRAISAL_APPROVE)


def _require_second(ctx: Context, caller: Caller) -> None:
    """Whoever approves appraisals may also be the second person here."""
    if not any(allows(ctx, caller, p) for p in _SECOND):
        require(ctx, caller, Permission.DISPOSITION_DECIDE)


def _destroy(uow: UnitOfWork, caller: Caller, row: Disposition) -> None:
    if row.subject_kind not in (ASSET, retention_records.UPLOAD):
        retention_records.end_records(uow, caller.actor, row.subject_kind, [row.subject_id])
        return
    asset = uow.session.get_one(Asset, row.subject_id)
    involvement = uow.lock_involvement(asset.involvement_id)
    if held_among(uow.session, involvement.id, [asset.id, asset.source_id or asset.id]):
        raise Conflict("A hold stands. It wins until it is released.", code="held")
    ordered = stored.already_ordered(uow.session, involvement.id)
    if asset.state is AssetState.ERASED or asset.id in ordered:
        return
    involvement.consent_epoch += 1
    cause = (
        OrderCause.ABANDONED_UPLOAD
        if row.subject_kind == retention_records.UPLOAD
        else OrderCause.DISPOSITION
    )
    erasure.order_erasure(
        uow,
        caller.actor,
        erasure.OrderErasure(
            involvement.id,
            cause,
            OrderScope(assets=(asset.id,), cascades=False),
            uow.at,
            rule=row.rule,
        ),
    )


def _record(uow: UnitOfWork, caller: Caller, row: Disposition, decision: str) -> None:
    uow.record(
        AuditEvent(
            EventKind.DISPOSITION_DECIDED,
            caller.actor,
            row.id,
            row.involvement_id,
            {"decision": decision, "thing": row.subject_id, "rule": row.rule},
        )
    )


def _view(row: Disposition) -> DispositionView:
    return DispositionView(
        row.id,
        row.subject_kind,
        row.subject_id,
        row.involvement_id,
        row.rule,
        row.why,
        row.due_on,
        row.queued_at,
        row.decision,
        row.decided_by,
        row.decided_at,
        row.confirmed_by,
        row.look_again_on,
        row.reason,
        row.decided_at is not None and is_open(row),
        dict(row.facts),
    )

"""What an information governance officer sees first: exceptions, then counts.

Rules kept here:
  * exceptions are found by asking the ledger, the log and the holds, not by trusting a summary;
  * the page costs the same handful of questions whatever the service holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from consent_service.clock import london_day
from consent_service.db import audit_log
from consent_service.db.models.audit import AuditEntry, AuditPending
from consent_service.db.models.consent import (
    ConsentAct,
    ConsentActCheck,
    ConsentEnding,
    ConsentPaper,
    Dispute,
)
from consent_service.db.models.erasure import Certificate, ErasureOrder, ErasureStep, Withdrawal
from consent_service.db.models.jobs import ClockPause
from consent_service.db.models.people import Involvement
from consent_service.db.models.policies import LeafletVersion
from consent_service.db.models.recordings import Asset, Viewing
from consent_service.db.models.retention import Disposition, Hold
from consent_service.db.models.subject_access import SubjectAccessRequest
from consent_service.db.queries.reconsent import outdated
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.audit import EventKind, instant_text
from consent_service.domain.calendar import keep_until
from consent_service.domain.consent import EndingKind
from consent_service.domain.erasure import OrderState, StepState
from consent_service.domain.roles import Permission
from consent_service.domain.subject_access import DUE_SOON, RequestState
from consent_service.domain.withdrawal import Route
from consent_service.services.access import Caller, reaches, require
from consent_service.services.checks import WARNING, CheckLine, check_settings
from consent_service.services.context import Context

LATE_AFTER = timedelta(minutes=15)
"""Objects and copies are gone so long after an order may begin."""
SEALED_WITHIN = timedelta(minutes=1)
MONTHS_AHEAD = 6
_OPEN = (OrderState.ORDERED, OrderState.RUNNING)


@dataclass(frozen=True)
class Overview:
    """How many there are of each thing that needs a person, and of each thing that does not.

    `exceptions` and `figures` map codes to counts, in the order in which they are shown; `due_in`
    is how much film falls due in each of the next months, named by its first day, what is overdue
    counted to the first; `warnings` are settings that keep too much in one place.
    """

    exceptions: Mapping[str, int]
    figures: Mapping[str, int]
    due_in: tuple[tuple[date, int], ...]
    warnings: tuple[CheckLine, ...]


@dataclass(frozen=True)
class LateConsent:
    """An act that was recorded later than it was done and waits for a second person."""

    act: str
    involvement: str
    person: str
    form: str
    form_version: int
    event_at: datetime
    recorded_at: datetime
    recorded_by: str
    scan_missing: bool


def overview(ctx: Context, caller: Caller) -> Overview:
    """Return what needs a person, and how much there is of everything."""
    require(ctx, caller, Permission.AUDIT_READ)
    now = ctx.clock.now()
    with ctx.read() as session:
        exceptions = _exceptions(session, now)
        figures = _figures(session, now)
        due_in = _due_in(session, london_day(now))
    warnings = tuple(line for line in check_settings(ctx.settings) if line.state == WARNING)
    return Overview(exceptions, figures, due_in, warnings)


def journal_is_broken(session: Session, *, since: datetime | None = None) -> bool:
    """Tell whether the newest that a process wrote down of the journal is that it is broken.

    `since`: and whether it did so at this moment or before it.
    """
    found = (EventKind.JOURNAL_BROKEN.value, EventKind.JOURNAL_WHOLE.value)
    newest = (
        select(AuditEntry.kind, AuditEntry.at)
        .where(AuditEntry.kind.in_(found))
        .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        .limit(1)
    )
    row = session.execute(newest).first()
    if row is None or row.kind != EventKind.JOURNAL_BROKEN.value:
        return False
    return since is None or row.at <= instant_text(since)


def late_consents(ctx: Context, caller: Caller) -> list[LateConsent]:
    """Return acts recorded late that nobody has checked, in the caller's reach, oldest first."""
    require(ctx, caller, Permission.CONSENT_CONFIRM_LATE)
    with ctx.read() as session:
        rows = session.execute(
            select(ConsentAct, Involvement.team_id, ConsentPaper.act_id)
            .join(Involvement, Involvement.id == ConsentAct.involvement_id)
            .outerjoin(ConsentPaper, ConsentPaper.act_id == ConsentAct.id)
            .where(_unchecked())
            .order_by(ConsentAct.recorded_at, ConsentAct.id)
        )
        return [
            LateConsent(
                row.id,
                row.involvement_id,
                row.person_id,
                row.form_id,
                row.form_version,
                row.event_at,
                row.recorded_at,
                row.recorded_by,
                row.route is Route.PAPER and scan is None,
            )
            for row, team, scan in rows
            if reaches(ctx, caller, Permission.CONSENT_CONFIRM_LATE, team)
        ]


def _exceptions(session: Session, now: datetime) -> dict[str, int]:
    return {
        "journal_broken": int(journal_is_broken(session)),
        "clock_paused": _count(session, ClockPause.id, ClockPause.confirmed_at.is_(None)),
        "disputes": _count(session, Dispute.id, Dispute.resolved_at.is_(None)),
        "blocked_erasures": _count(session, ErasureStep.id, ErasureStep.state == StepState.BLOCKED),
        "late_erasures": _count(
            session,
            ErasureOrder.id,
            ErasureOrder.state.in_(_OPEN),
            ErasureOrder.not_before < now - LATE_AFTER,
        ),
        "unsealed": _unsealed(session, now),
        "holds_to_confirm": _count(
            session, Hold.id, Hold.released_at.is_(None), Hold.release_asked_at.is_not(None)
        ),
        "ask_again": len(outdated(session, select(Involvement.id), now)),
        "late_consents": _count(session, ConsentAct.id, _unchecked()),
        "restricted": _count(session, Asset.id, Asset.state == AssetState.RESTRICTED),
        "awaiting": _count(session, Asset.id, Asset.state == AssetState.AWAITING_CONSENT),
        "due": _count(
            session,
            Disposition.id,
            Disposition.decided_at.is_(None)
            | ((Disposition.decision == "destroy") & Disposition.confirmed_at.is_(None)),
        ),
        "requests_due": _count(
            session,
            SubjectAccessRequest.id,
            SubjectAccessRequest.state == RequestState.OPEN,
            SubjectAccessRequest.due_on <= keep_until(london_day(now), DUE_SOON),
        ),
        "reissue": _count(
            session,
            LeafletVersion.id,
            LeafletVersion.reissue_flagged_at.is_not(None),
            LeafletVersion.archived_at.is_(None),
        ),
        "holds": _count(session, Hold.id, Hold.released_at.is_(None)),
    }


def _figures(session: Session, now: datetime) -> dict[str, int]:
    month = now - timedelta(days=30)
    rows = session.execute(
        select(Asset.kind, func.count())
        .where(Asset.state != AssetState.ERASED)
        .group_by(Asset.kind)
    )
    kinds = {row[0]: row[1] for row in rows}
    return {
        "families": _count(session, Involvement.id, Involvement.ended_on.is_(None)),
        "recordings": kinds.get(AssetKind.RECORDING, 0),
        "clips": kinds.get(AssetKind.CLIP, 0),
        "stills": kinds.get(AssetKind.STILL, 0),
        "consents": _count(session, ConsentAct.id, ConsentAct.recorded_at >= month),
        "viewings": _count(session, Viewing.id, Viewing.started_at >= month),
        "withdrawals": _count(session, Withdrawal.id, Withdrawal.recorded_at >= month),
        "certificates": _count(session, Certificate.id),
    }


def _due_in(session: Session, today: date) -> tuple[tuple[date, int], ...]:
    """Count what falls due month by month; one question, however much is kept."""
    months = [_month_after(today, number) for number in range(MONTHS_AHEAD + 1)]
    days = session.execute(
        select(Asset.due_on, func.count())
        .where(Asset.state != AssetState.ERASED, Asset.due_on < months[-1])
        .group_by(Asset.due_on)
    )
    counts = dict.fromkeys(months[:-1], 0)
    for day, number in days:
        if day is None:
            continue
        counts[max(day.replace(day=1), months[0])] += number
    return tuple(counts.items())


def _month_after(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, 1)


def _count(
    session: Session, column: InstrumentedAttribute[str], *where: ColumnElement[bool]
) -> int:
    return session.scalar(select(func.count(column)).where(*where)) or 0


def _unchecked() -> ColumnElement[bool]:
    checked = exists().where(ConsentActCheck.act_id == ConsentAct.id)
    voided = exists().where(
        ConsentEnding.ref == ConsentAct.id, ConsentEnding.kind == EndingKind.INVALIDATED
    )
    return ConsentAct.recorded_late.is_(True) & ~checked & ~voided


def _unsealed(session: Session, now: datetime) -> int:
    """Return how many entries wait for a seal, once the oldest waits too long."""
    oldest = session.scalar(
        select(func.min(AuditEntry.at)).join(AuditPending, AuditPending.entry_id == AuditEntry.id)
    )
    if oldest is None or oldest > instant_text(now - SEALED_WITHIN):
        return 0
    return audit_log.waiting(session)

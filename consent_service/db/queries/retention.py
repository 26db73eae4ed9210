"""Reading what due dates are computed from, and what is due."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentDecision, ConsentEnding
from consent_service.db.models.erasure import ErasureOrder
from consent_service.db.models.handovers import HandoverItem
from consent_service.db.models.people import Involvement, InvolvementPerson, Meeting
from consent_service.db.models.recordings import Asset
from consent_service.db.models.retention import Appraisal, Disposition
from consent_service.db.models.reviews import SessionSummary, SharedReview
from consent_service.db.queries.erasure import OrderScope, assets_in_scope
from consent_service.domain.assets import AssetKind, AssetState, RecordClass
from consent_service.domain.consent import Answer
from consent_service.domain.erasure import OrderState
from consent_service.domain.people import MeetingKind
from consent_service.domain.purposes import CARE
from consent_service.domain.retention import RECORDING

STANDING = (AssetState.STORED, AssetState.AWAITING_CONSENT, AssetState.RESTRICTED)
UNFINISHED_ORDERS = (OrderState.WAITING, OrderState.ORDERED, OrderState.RUNNING)


@dataclass(frozen=True)
class Answered:
    """How an offered still stands: the last day on which it was accepted, or declined, by all."""

    accepted_on: date | None
    declined_on: date | None


def standing_assets(session: Session, involvement: str) -> list[Asset]:
    """Return every asset of an involvement that is kept, by id."""
    return list(
        session.scalars(
            select(Asset)
            .where(Asset.involvement_id == involvement, Asset.state.in_(STANDING))
            .order_by(Asset.id)
        )
    )


def summaries_filed(session: Session, involvement: str) -> dict[str, date]:
    """Return, per recording, the day on which the first summary of its review was filed."""
    rows = session.execute(
        select(SharedReview.recording_id, func.min(SessionSummary.filed_at))
        .join(SessionSummary, SessionSummary.review_id == SharedReview.id)
        .where(SharedReview.involvement_id == involvement, SessionSummary.filed_at.is_not(None))
        .group_by(SharedReview.recording_id)
    )
    return {recording: london_day(filed) for recording, filed in rows if filed is not None}


def review_meetings(session: Session, involvement: str) -> frozenset[str]:
    """Return the meetings at which clips were watched: film of them is film of a review."""
    return frozenset(
        session.scalars(
            select(Meeting.id).where(
                Meeting.involvement_id == involvement, Meeting.kind == MeetingKind.SHARED_REVIEW
            )
        )
    )


def stills_offered(session: Session, stills: Iterable[str]) -> dict[str, Answered]:
    """Return the stills that were offered; days only once everybody has answered."""
    rows = session.execute(
        select(HandoverItem.still_id, HandoverItem.outcome, HandoverItem.decided_at).where(
            HandoverItem.still_id.in_(list(stills))
        )
    )
    items: dict[str, list[tuple[str, datetime | None]]] = {}
    for still, outcome, decided in rows:
        items.setdefault(still, []).append((outcome, decided))
    return {still: _answered(found) for still, found in items.items()}


def decision_days(session: Session, decisions: Iterable[str]) -> dict[str, date]:
    """Return the day of each decision."""
    rows = session.execute(
        select(ConsentDecision.id, ConsentDecision.event_at).where(
            ConsentDecision.id.in_(list(decisions))
        )
    )
    return {decision: london_day(at) for decision, at in rows}


def due_assets(session: Session, until: date) -> list[Asset]:
    """Return what is kept and due by a day; found by index, so the cost follows the due."""
    return list(session.scalars(due_by(until).order_by(Asset.due_on, Asset.id)))


def due_by(until: date) -> Select[Asset]:
    """Return the query for what is kept and due by a day."""
    return select(Asset).where(Asset.state.in_(STANDING), Asset.due_on <= until)


def involvements_with_ended_consent(
    session: Session, today: date, kept_by_care: Iterable[AssetKind]
) -> list[str]:
    """Return involvements with working material where some answer was no or has run out.

    Film of a kind that `care` is a reason to keep is none of these while nobody there ended `care`:
    nearly every family says no to some use of film, and keeps it for another.
    From the answers to the film: the other way round each film would look at every answer.
    """
    ended = or_(ConsentDecision.answer == Answer.NO, ConsentDecision.valid_until < today)
    film = exists().where(
        Asset.involvement_id == ConsentDecision.involvement_id,
        Asset.state.in_(STANDING),
        Asset.record_class == RecordClass.TRANSITORY,
        or_(Asset.kind.not_in(list(kept_by_care)), _care_ended(today)),
    )
    return list(
        session.scalars(
            select(ConsentDecision.involvement_id)
            .where(ConsentDecision.purpose.is_not(None), ended, film)
            .distinct()
            .order_by(ConsentDecision.involvement_id)
        )
    )


def _care_ended(today: date) -> ColumnElement[bool]:
    """Whether `care` was refused, ran out or was ended for a member of a decision's involvement.

    In whichever involvement: a no for a child reaches its others.
    """
    said = aliased(ConsentDecision)
    no = or_(said.answer == Answer.NO, said.valid_until < today)
    here = InvolvementPerson.involvement_id == ConsentDecision.involvement_id
    answered = exists().where(
        here, said.person_id == InvolvementPerson.person_id, said.purpose == CARE, no
    )
    ended = exists().where(
        here,
        ConsentEnding.person_id == InvolvementPerson.person_id,
        ConsentEnding.purpose == CARE,
    )
    return or_(
        answered.correlate(ConsentDecision),
        ended.correlate(ConsentDecision),
    )


def waited_too_long(session: Session, since: datetime) -> list[Asset]:
    """Return what has waited since before `since` for somebody newly noticed to be asked."""
    return list(
        session.scalars(
            select(Asset)
            .where(Asset.state == AssetState.AWAITING_CONSENT, Asset.awaiting_since <= since)
            .order_by(Asset.id)
        )
    )


def unfinished_uploads(session: Session, before: datetime) -> list[Asset]:
    """Return what began to be received before an instant and never was."""
    return list(
        session.scalars(
            select(Asset)
            .where(Asset.state == AssetState.RECEIVING, Asset.created_at < before)
            .order_by(Asset.id)
        )
    )


def quiet_involvements(session: Session, before: datetime) -> list[Involvement]:
    """Return open involvements without an entry since an instant."""
    return list(
        session.scalars(
            select(Involvement)
            .where(Involvement.ended_on.is_(None), Involvement.last_entry_at <= before)
            .order_by(Involvement.id)
        )
    )


def assets_of_the_quiet(session: Session, before: datetime) -> list[tuple[str, str]]:
    """Return (involvement, asset) of all that is kept where no entry was made since an instant."""
    rows = session.execute(
        select(Asset.involvement_id, Asset.id)
        .join(Involvement, Involvement.id == Asset.involvement_id)
        .where(
            Involvement.ended_on.is_(None),
            Involvement.last_entry_at <= before,
            Asset.state.in_(STANDING),
        )
    )
    return [(involvement, asset) for involvement, asset in rows]


def recordings_without_summary(session: Session) -> list[tuple[Asset, Involvement]]:
    """Return recordings due under R01 of which no summary was filed, with their involvement."""
    filed = (
        exists()
        .where(SharedReview.recording_id == Asset.id, SharedReview.id == SessionSummary.review_id)
        .where(SessionSummary.filed_at.is_not(None))
    )
    rows = session.execute(
        select(Asset, Involvement)
        .join(Involvement, Involvement.id == Asset.involvement_id)
        .where(
            Asset.state.in_(STANDING),
            Asset.kind == AssetKind.RECORDING,
            Asset.rule == RECORDING,
            Asset.due_on.is_not(None),
            ~filed,
        )
        .order_by(Asset.id)
    )
    return [(asset, involvement) for asset, involvement in rows]


def standing_under(session: Session, rule: str, most: int) -> int:
    """Return how many assets are kept under a rule, counted no further than `most`."""
    kept = (*STANDING, AssetState.LOCKED)
    some = select(Asset.id).where(Asset.rule == rule, Asset.state.in_(kept)).limit(most)
    return len(session.scalars(some).all())


def already_ordered(session: Session, involvement: str) -> frozenset[str]:
    """Return the assets that an order under way will see to."""
    rows = session.scalars(
        select(ErasureOrder.scope).where(
            ErasureOrder.involvement_id == involvement, ErasureOrder.state.in_(UNFINISHED_ORDERS)
        )
    ).all()
    scopes = [OrderScope.from_json(scope) for scope in rows]
    return frozenset(a.id for s in scopes for a in assets_in_scope(session, involvement, s))


def appraisals_in_force(session: Session, today: date) -> dict[str, str]:
    """Return rule -> id of the approved, unexpired, unrevoked appraisal that covers it."""
    rows = session.scalars(
        select(Appraisal)
        .where(
            Appraisal.approved_at.is_not(None),
            Appraisal.revoked_at.is_(None),
            Appraisal.valid_until >= today,
        )
        .order_by(Appraisal.approved_at, Appraisal.id)
    )
    return {rule: row.id for row in rows for rule in row.rules}


def newest_dispositions(session: Session, subjects: Iterable[str]) -> dict[str, Disposition]:
    """Return the newest line of the queue about each thing."""
    rows = session.scalars(
        select(Disposition)
        .where(Disposition.subject_id.in_(list(subjects)))
        .order_by(Disposition.queued_at, Disposition.id)
    )
    return {row.subject_id: row for row in rows}


def answered_any(session: Session, involvement: str, statements: Iterable[str]) -> set[str]:
    """Return who answered one of these statements for themselves in an involvement."""
    return set(
        session.scalars(
            select(ConsentDecision.person_id).where(
                ConsentDecision.involvement_id == involvement,
                ConsentDecision.statement.in_(sorted(statements)),
                ConsentDecision.decided_by == ConsentDecision.person_id,
            )
        )
    )


def _answered(items: list[tuple[str, datetime | None]]) -> Answered:
    if any(decided is None for _, decided in items):
        return Answered(None, None)
    days = [(outcome, london_day(decided)) for outcome, decided in items if decided is not None]
    accepted = [day for outcome, day in days if outcome == "accepted"]
    declined = [day for outcome, day in days if outcome == "declined"]
    if accepted:
        return Answered(max(day for _, day in days), None)
    return Answered(None, max(declined, default=None))

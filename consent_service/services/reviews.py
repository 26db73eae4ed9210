"""The story of the work: goals, shared reviews, and the summary that is the durable record (16).

Rules kept here: a goal stands in the parent's own words; ratings are theirs, 1 to 10; a summary
filed does not change; filing it starts the recording's retention (R01).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.people import Involvement, Meeting
from consent_service.db.models.recordings import Asset
from consent_service.db.models.reviews import Goal, GoalRating, SessionSummary, SharedReview
from consent_service.db.queries.people import members
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import ARRIVING, AssetKind
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, InvalidInput, NotFound
from consent_service.ids import new_id
from consent_service.services import retention_dates
from consent_service.services.access import Caller, involvement_for, thing_for
from consent_service.services.context import Context

LONGEST_WORDS = 4000


@dataclass(frozen=True)
class GoalView:
    """A goal and its ratings, oldest first."""

    id: str
    involvement: str
    person: str
    words: str
    recorded_at: datetime
    ratings: tuple[tuple[date, int], ...]


@dataclass(frozen=True)
class RecordReview:
    """A shared review that was held: of which recording, with which clips."""

    involvement: str
    recording: str
    held_on: date
    clips: tuple[str, ...] = ()
    meeting: str | None = None


@dataclass(frozen=True)
class ReviewView:
    """A shared review as recorded."""

    id: str
    involvement: str
    recording: str
    held_on: date
    clips: tuple[str, ...]
    summary: str | None


@dataclass(frozen=True)
class WriteSummary:
    """What was agreed at the end of a review, in words."""

    review: str
    strengths: str
    points: str
    next_step: str | None = None


@dataclass(frozen=True)
class SummaryView:
    """A summary; filed once `filed_at` is set."""

    id: str
    involvement: str
    review: str
    strengths: str
    points: str
    next_step: str | None
    written_at: datetime
    signed_at: datetime | None
    filed_at: datetime | None


def record_goal(
    ctx: Context, caller: Caller, involvement: str, person: str, words: str
) -> GoalView:
    """Write down what a parent wants, in their own words."""
    with ctx.begin() as uow:
        row = _lock(ctx, uow, caller, involvement)
        if person not in {p.id for _, p in members(uow.session, involvement)}:
            raise NotFound("This person does not belong to the involvement.", kind="person")
        goal = Goal(
            id=new_id(),
            involvement_id=involvement,
            person_id=person,
            words=_words("words", words),
            recorded_by=caller.id,
            recorded_at=uow.at,
        )
        uow.session.add(goal)
        row.last_entry_at = uow.at
        uow.record(AuditEvent(EventKind.GOAL_RECORDED, caller.actor, goal.id, involvement))
        uow.session.flush()
        return _goal_view(goal, [])


def rate_goal(ctx: Context, caller: Caller, goal: str, rated_on: date, score: int) -> GoalView:
    """Write down the parent's own rating of a goal, 1 to 10."""
    with ctx.begin() as uow:
        row = thing_for(ctx, caller, Permission.REVIEW_WRITE, uow.session.get(Goal, goal), "goal")
        involvement = _lock(ctx, uow, caller, row.involvement_id)
        faults = {}
        if not 1 <= score <= 10:
            faults["score"] = "Enter a number from 1 to 10."
        if not involvement.started_on <= rated_on <= london_day(uow.at):
            faults["rated_on"] = "The rating lies between the start of the involvement and today."
        if faults:
            raise InvalidInput("This rating cannot be recorded like this.", faults)
        uow.session.add(
            GoalRating(
                id=new_id(), goal_id=goal, rated_on=rated_on, score=score, recorded_at=uow.at
            )
        )
        involvement.last_entry_at = uow.at
        uow.record(AuditEvent(EventKind.GOAL_RATED, caller.actor, goal, row.involvement_id))
        uow.session.flush()
        return _goal_view(row, _ratings(uow.session, [goal])[goal])


def goals(ctx: Context, caller: Caller, involvement: str) -> list[GoalView]:
    """Return the goals of an involvement, oldest first."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.REVIEW_READ, involvement)
        rows = session.scalars(
            select(Goal).where(Goal.involvement_id == involvement).order_by(Goal.recorded_at)
        ).all()
        ratings = _ratings(session, [row.id for row in rows])
        return [_goal_view(row, ratings.get(row.id, [])) for row in rows]


def record_review(ctx: Context, caller: Caller, request: RecordReview) -> ReviewView:
    """Write down that a recording was reviewed together."""
    with ctx.begin() as uow:
        involvement = _lock(ctx, uow, caller, request.involvement)
        _check_review(uow, request)
        row = SharedReview(
            id=new_id(),
            involvement_id=request.involvement,
            recording_id=request.recording,
            meeting_id=request.meeting,
            clip_ids=list(request.clips),
            held_on=request.held_on,
            recorded_by=caller.id,
            recorded_at=uow.at,
        )
        uow.session.add(row)
        involvement.last_entry_at = uow.at
        uow.record(AuditEvent(EventKind.REVIEW_RECORDED, caller.actor, row.id, request.involvement))
        uow.session.flush()
        return _review_view(row, None)


def reviews(ctx: Context, caller: Caller, involvement: str) -> list[ReviewView]:
    """Return the shared reviews of an involvement, oldest first."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.REVIEW_READ, involvement)
        rows = session.execute(
            select(SharedReview, SessionSummary.id)
            .outerjoin(SessionSummary, SessionSummary.review_id == SharedReview.id)
            .where(SharedReview.involvement_id == involvement)
            .order_by(SharedReview.held_on, SharedReview.recorded_at)
        )
        return [_review_view(row, summary) for row, summary in rows]


def write_summary(ctx: Context, caller: Caller, request: WriteSummary) -> SummaryView:
    """Write, or write anew while it is not filed, the summary of a review."""
    with ctx.begin() as uow:
        found = uow.session.get(SharedReview, request.review)
        review = thing_for(ctx, caller, Permission.REVIEW_WRITE, found, "review")
        involvement = _lock(ctx, uow, caller, review.involvement_id)
        row = uow.session.scalar(
            select(SessionSummary).where(SessionSummary.review_id == review.id)
        )
        if row is not None and row.signed_at is not None:
            raise Conflict("This summary is signed and does not change.", code="already_filed")
        if row is None:
            row = SessionSummary(
                id=new_id(), involvement_id=review.involvement_id, review_id=review.id
            )
            uow.session.add(row)
        row.strengths = _words("strengths", request.strengths)
        row.points = _words("points", request.points)
        row.next_step = request.next_step
        row.written_by = caller.id
        row.written_at = uow.at
        involvement.last_entry_at = uow.at
        uow.record(
            AuditEvent(EventKind.SUMMARY_DRAFTED, caller.actor, row.id, review.involvement_id)
        )
        uow.session.flush()
        return _summary_view(row)


def file_summary(
    ctx: Context, caller: Caller, summary: str, outside_reference: str | None = None
) -> SummaryView:
    """Sign a summary; it is filed now, or once the outside record system's reference is known.

    Filing starts the recording's retention, so due dates are computed anew.
    """
    with ctx.begin() as uow:
        row = _summary_for(ctx, uow.session, caller, Permission.REVIEW_WRITE, summary)
        involvement = uow.lock_involvement(row.involvement_id)
        uow.session.refresh(row)
        if row.filed_at is not None:
            raise Conflict("This summary is filed already.", code="already_filed")
        outside = ctx.policies.organisation.outside_record_system
        row.signed_at = row.signed_at or uow.at
        row.signed_by = row.signed_by or caller.id
        row.outside_reference = outside_reference or row.outside_reference
        if outside is None or row.outside_reference:
            row.filed_at = uow.at
            uow.record(
                AuditEvent(EventKind.SUMMARY_FILED, caller.actor, row.id, row.involvement_id)
            )
        involvement.last_entry_at = uow.at
        uow.session.flush()
        retention_dates.recompute(ctx, uow, row.involvement_id)
        return _summary_view(row)


def summary(ctx: Context, caller: Caller, identifier: str) -> SummaryView:
    """Return one summary that the caller may see."""
    with ctx.read() as session:
        return _summary_view(_summary_for(ctx, session, caller, Permission.REVIEW_READ, identifier))


def summaries(ctx: Context, caller: Caller, involvement: str) -> list[SummaryView]:
    """Return the summaries of an involvement, oldest first."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.REVIEW_READ, involvement)
        rows = session.scalars(
            select(SessionSummary)
            .where(SessionSummary.involvement_id == involvement)
            .order_by(SessionSummary.written_at)
        )
        return [_summary_view(row) for row in rows]


def _lock(ctx: Context, uow: UnitOfWork, caller: Caller, involvement: str) -> Involvement:
    involvement_for(ctx, uow.session, caller, Permission.REVIEW_WRITE, involvement)
    return uow.lock_involvement(involvement)


def _words(field: str, text: str) -> str:
    if not text.strip() or len(text) > LONGEST_WORDS:
        sentence = f"Write 1 to {LONGEST_WORDS} characters."
        raise InvalidInput(sentence, {field: sentence})
    return text.strip()


def _check_review(uow: UnitOfWork, request: RecordReview) -> None:
    faults: dict[str, str] = {}
    recording = uow.session.get(Asset, request.recording)
    if (
        recording is None
        or recording.involvement_id != request.involvement
        or recording.kind is not AssetKind.RECORDING
        or recording.state in ARRIVING
    ):
        faults["recording"] = "Name a recording of this involvement."
    for clip in request.clips:
        row = uow.session.get(Asset, clip)
        ours = row is not None and row.involvement_id == request.involvement
        if row is None or not ours or row.kind is not AssetKind.CLIP:
            faults["clips"] = "Name clips of this involvement."
    if request.meeting is not None:
        meeting = uow.session.get(Meeting, request.meeting)
        if meeting is None or meeting.involvement_id != request.involvement:
            faults["meeting"] = "Name a meeting of this involvement."
    filmed_on = recording.filmed_on if recording is not None else request.held_on
    if not filmed_on <= request.held_on <= london_day(uow.at):
        faults["held_on"] = "The review lies between the filming and today."
    if faults:
        raise InvalidInput("This review cannot be recorded like this.", faults)


def _summary_for(
    ctx: Context, session: Session, caller: Caller, permission: Permission, identifier: str
) -> SessionSummary:
    return thing_for(ctx, caller, permission, session.get(SessionSummary, identifier), "summary")


def _ratings(session: Session, goals: Sequence[str]) -> dict[str, list[tuple[date, int]]]:
    """Return the ratings of each goal, oldest first; of one day the last that was said."""
    found: dict[str, dict[date, int]] = {}
    for goal, day, score in session.execute(
        select(GoalRating.goal_id, GoalRating.rated_on, GoalRating.score)
        .where(GoalRating.goal_id.in_(goals))
        .order_by(GoalRating.rated_on, GoalRating.recorded_at)
    ):
        found.setdefault(goal, {})[day] = score
    return {goal: list(days.items()) for goal, days in found.items()}


def _goal_view(row: Goal, ratings: Sequence[tuple[date, int]]) -> GoalView:
    return GoalView(
        row.id,
        row.involvement_id,
        row.person_id,
        row.words,
        row.recorded_at,
        tuple(ratings),
    )


def _review_view(row: SharedReview, summary: str | None) -> ReviewView:
    return ReviewView(
        row.id, row.involvement_id, row.recording_id, row.held_on, tuple(row.clip_ids), summary
    )


def _summary_view(row: SessionSummary) -> SummaryView:
    return SummaryView(
        row.id,
        row.involvement_id,
        row.review_id,
        row.strengths,
        row.points,
        row.next_step,
        row.written_at,
        row.signed_at,
        row.filed_at,
    )

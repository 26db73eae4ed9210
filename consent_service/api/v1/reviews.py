"""The story of the work: goals, shared reviews and their summaries."""

from datetime import date, datetime
from typing import Annotated

from flask import Response
from pydantic import Field

from consent_service.api.operations import Answer, Ask, Room
from consent_service.api.papers import PDF, paper
from consent_service.api.shapes import Day, Id, Line, Reply, Request, Whole, Words
from consent_service.domain.roles import Permission as P
from consent_service.services import papers
from consent_service.services import reviews as use

room = Room("reviews")


class NewGoal(Request):
    """What a parent wants, in their own words."""

    involvement: Id
    person: Id
    words: Words


class NewRating(Request):
    """The parent's own rating, 1 to 10."""

    rated_on: Day
    score: Annotated[int, Field(ge=1, le=10), Whole]


class RatingReply(Reply):
    """A rating of a goal."""

    rated_on: date
    score: int


class GoalReply(Reply):
    """A goal and its ratings, oldest first."""

    id: Id
    involvement: Id
    person: Id
    words: str
    recorded_at: datetime
    ratings: tuple[RatingReply, ...]

    @classmethod
    def of(cls, view: use.GoalView) -> "GoalReply":
        """Return the reply for a view."""
        ratings = tuple(RatingReply(rated_on=day, score=score) for day, score in view.ratings)
        return cls(
            id=view.id,
            involvement=view.involvement,
            person=view.person,
            words=view.words,
            recorded_at=view.recorded_at,
            ratings=ratings,
        )


class NewReview(Request):
    """A shared review that was held: of which recording, with which clips."""

    involvement: Id
    recording: Id
    held_on: Day
    clips: Annotated[tuple[Id, ...], Field(max_length=200)] = ()
    meeting: Id | None = None


class ReviewReply(Reply):
    """A shared review as recorded."""

    id: Id
    involvement: Id
    recording: Id
    held_on: date
    clips: tuple[Id, ...]
    summary: Id | None


class NewSummary(Request):
    """What was agreed at the end of a review; it can be written anew until it is filed."""

    review: Id
    strengths: Words
    points: Words
    next_step: Words | None = None


class Filing(Request):
    """Under which reference an outside record system stored it, where there is one."""

    outside_reference: Line | None = None


class SummaryReply(Reply):
    """A summary; filed once `filed_at` is set."""

    id: Id
    involvement: Id
    review: Id
    strengths: str
    points: str
    next_step: str | None
    written_at: datetime
    signed_at: datetime | None
    filed_at: datetime | None


@room.post("/goals", P.REVIEW_WRITE, GoalReply, body=NewGoal, status=201)
def record_goal(ask: Ask, body: NewGoal) -> Answer:
    """Write down what a parent wants, in their own words."""
    view = use.record_goal(ask.ctx, ask.caller, body.involvement, body.person, body.words)
    return Answer(GoalReply.of(view))


@room.post("/goals/{id}/ratings", P.REVIEW_WRITE, GoalReply, body=NewRating, status=201)
def rate_goal(ask: Ask, id: str, body: NewRating) -> Answer:
    """Write down the parent's own rating of a goal."""
    view = use.rate_goal(ask.ctx, ask.caller, id, body.rated_on, body.score)
    return Answer(GoalReply.of(view))


@room.post("/reviews", P.REVIEW_WRITE, ReviewReply, body=NewReview, status=201)
def record_review(ask: Ask, body: NewReview) -> Answer:
    """Write down that a recording was reviewed together."""
    view = use.record_review(ask.ctx, ask.caller, use.RecordReview(**dict(body)))
    return Answer(ReviewReply.model_validate(view))


@room.post("/summaries", P.REVIEW_WRITE, SummaryReply, body=NewSummary, status=201)
def write_summary(ask: Ask, body: NewSummary) -> Answer:
    """Write the summary of a review, or write it anew while it is not filed."""
    view = use.write_summary(ask.ctx, ask.caller, use.WriteSummary(**dict(body)))
    return Answer(SummaryReply.model_validate(view), f"/summaries/{view.id}")


@room.get("/summaries/{id}", P.REVIEW_READ, SummaryReply)
def read_summary(ask: Ask, id: str) -> Answer:
    """Read a summary."""
    return Answer(SummaryReply.model_validate(use.summary(ask.ctx, ask.caller, id)))


@room.post("/summaries/{id}/filing", P.REVIEW_WRITE, SummaryReply, body=Filing)
def file_summary(ask: Ask, id: str, body: Filing) -> Answer:
    """Sign a summary and file it; the recording's retention starts."""
    view = use.file_summary(ask.ctx, ask.caller, id, body.outside_reference)
    return Answer(SummaryReply.model_validate(view))


@room.get("/summaries/{id}.pdf", P.REVIEW_READ, media=(PDF,))
def read_summary_paper(ask: Ask, id: str) -> Response:
    """Read a summary as PDF/A."""
    return paper(papers.summary_paper(ask.ctx, ask.caller, id), f"summary-{id}")

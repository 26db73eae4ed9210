"""The story of the work: goals, shared reviews and summaries (rule 16)."""

from datetime import date, datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db.base import Base, Id, PrimaryId, Words


class Goal(Base):
    """What a parent wants, in their own words."""

    __tablename__ = "goal"
    id: Mapped[PrimaryId]
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), index=True)
    words: Mapped[Words]
    recorded_by: Mapped[Id]
    recorded_at: Mapped[datetime]


class GoalRating(Base):
    """A parent's own rating of a goal, 1 to 10, on a day."""

    __tablename__ = "goal_rating"
    id: Mapped[PrimaryId]
    goal_id: Mapped[Id] = mapped_column(ForeignKey("goal.id"), index=True)
    rated_on: Mapped[date]
    score: Mapped[int]
    recorded_at: Mapped[datetime]


class SharedReview(Base):
    """The meeting at which clips were watched together."""

    __tablename__ = "shared_review"
    id: Mapped[PrimaryId]
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    recording_id: Mapped[Id] = mapped_column(ForeignKey("asset.id"), index=True)
    meeting_id: Mapped[Id | None] = mapped_column(ForeignKey("meeting.id"), index=True)
    clip_ids: Mapped[list[str]] = mapped_column(default=list)
    held_on: Mapped[date]
    recorded_by: Mapped[Id]
    recorded_at: Mapped[datetime]


class SessionSummary(Base):
    """Agreed strengths and points to work on: the durable clinical record."""

    __tablename__ = "session_summary"
    id: Mapped[PrimaryId]
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    review_id: Mapped[Id] = mapped_column(ForeignKey("shared_review.id"), index=True, unique=True)
    strengths: Mapped[Words]
    points: Mapped[Words]
    next_step: Mapped[Words | None]
    written_by: Mapped[Id]
    written_at: Mapped[datetime]
    signed_at: Mapped[datetime | None]
    signed_by: Mapped[Id | None]
    outside_reference: Mapped[str | None] = mapped_column(String(120))
    filed_at: Mapped[datetime | None]

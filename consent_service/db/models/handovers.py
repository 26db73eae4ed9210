"""What left the service, and what parents said: handovers, feedback, quotes, disclosures."""

from datetime import date, datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db.base import Base, Code, Id, PrimaryId, Words


class Handover(Base):
    """Photos offered to a parent, one by one, with a receipt."""

    __tablename__ = "handover"
    id: Mapped[PrimaryId]
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), index=True)
    offered_on: Mapped[date]
    how: Mapped[Code | None]
    recorded_by: Mapped[Id]
    recorded_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class HandoverItem(Base):
    """One photo of a handover: offered, accepted or declined."""

    __tablename__ = "handover_item"
    handover_id: Mapped[Id] = mapped_column(ForeignKey("handover.id"), primary_key=True)
    still_id: Mapped[Id] = mapped_column(ForeignKey("asset.id"), primary_key=True, index=True)
    outcome: Mapped[Code]
    decided_at: Mapped[datetime | None]


class Feedback(Base):
    """What a parent said about the work; anonymised after a year (R16)."""

    __tablename__ = "feedback"
    id: Mapped[PrimaryId]
    involvement_id: Mapped[Id | None] = mapped_column(ForeignKey("involvement.id"), index=True)
    person_id: Mapped[Id | None] = mapped_column(ForeignKey("person.id"), index=True)
    words: Mapped[Words]
    given_on: Mapped[date] = mapped_column(index=True)
    recorded_by: Mapped[Id]
    recorded_at: Mapped[datetime]
    anonymised_at: Mapped[datetime | None]


class Quote(Base):
    """Permission to print exact words, for an audience, until a day (rule 18)."""

    __tablename__ = "quote"
    id: Mapped[PrimaryId]
    feedback_id: Mapped[Id | None] = mapped_column(ForeignKey("feedback.id"), index=True)
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), index=True)
    words: Mapped[Words]
    audience: Mapped[Words]
    until_on: Mapped[date]
    permitted_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


class Disclosure(Base):
    """Film or stills that left the service."""

    __tablename__ = "disclosure"
    id: Mapped[PrimaryId]
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    asset_id: Mapped[Id] = mapped_column(ForeignKey("asset.id"), index=True)
    purpose: Mapped[Code]
    recipient: Mapped[Words]
    disclosed_on: Mapped[date]
    until_on: Mapped[date | None]
    taken_back_on: Mapped[date | None]
    recorded_by: Mapped[Id]
    recorded_at: Mapped[datetime]

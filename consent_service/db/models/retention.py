"""Holds, appraisals and the disposition queue (rule 8)."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db.base import Base, Code, Digest, Id, PrimaryId, Words, code_of
from consent_service.domain.holds import HoldKind


class Hold(Base):
    """Stops disposal for a reason. Without `asset_id` it covers the whole involvement."""

    __tablename__ = "hold"
    __table_args__ = (Index("ix_hold_standing", "involvement_id", "released_at"),)
    id: Mapped[PrimaryId]
    kind: Mapped[HoldKind] = mapped_column(code_of(HoldKind))
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"))
    asset_id: Mapped[Id | None] = mapped_column(ForeignKey("asset.id"), index=True)
    reason: Mapped[Words]
    placed_by: Mapped[Id]
    placed_at: Mapped[datetime]
    review_on: Mapped[date | None]
    release_asked_by: Mapped[Id | None]
    release_asked_at: Mapped[datetime | None]
    release_reason: Mapped[Words | None]
    released_by: Mapped[Id | None]
    released_at: Mapped[datetime | None]
    journal_line: Mapped[int | None]
    release_journal_line: Mapped[int | None]


class Appraisal(Base):
    """The class-level decision that lets a job destroy without asking; approved by two."""

    __tablename__ = "appraisal"
    id: Mapped[PrimaryId]
    code: Mapped[Code] = mapped_column(index=True)
    rules: Mapped[list[str]]
    digest: Mapped[Digest]
    reason: Mapped[Words]
    proposed_at: Mapped[datetime]
    first_approved_by: Mapped[Id | None]
    first_approved_at: Mapped[datetime | None]
    approved_by: Mapped[Id | None]
    approved_at: Mapped[datetime | None]
    valid_until: Mapped[date]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[Id | None]


class Disposition(Base):
    """One thing due that a person must decide about."""

    __tablename__ = "disposition"
    __table_args__ = (Index("ix_disposition_open", "decided_at", "due_on"),)
    id: Mapped[PrimaryId]
    subject_kind: Mapped[Code]
    subject_id: Mapped[Id] = mapped_column(index=True)
    involvement_id: Mapped[Id | None] = mapped_column(ForeignKey("involvement.id"), index=True)
    rule: Mapped[Code]
    why: Mapped[Code]
    facts: Mapped[dict[str, Any]]
    due_on: Mapped[date]
    queued_at: Mapped[datetime]
    decision: Mapped[Code | None]
    decided_by: Mapped[Id | None]
    decided_at: Mapped[datetime | None]
    confirmed_by: Mapped[Id | None]
    confirmed_at: Mapped[datetime | None]
    look_again_on: Mapped[date | None]
    reason: Mapped[Words | None]


class RetentionRun(Base):
    """One run of the retention job: what it planned, did, queued or refused."""

    __tablename__ = "retention_run"
    id: Mapped[PrimaryId]
    ran_at: Mapped[datetime]
    ran_by: Mapped[Id | None]
    figures: Mapped[dict[str, Any]]
    refused: Mapped[Code | None]

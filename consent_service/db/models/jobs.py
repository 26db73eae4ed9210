"""Due times, runs, heartbeats and messages: what the worker works from."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db.base import Base, Code, Id, PrimaryId


class Schedule(Base):
    """When a job is next due; advanced by compare-and-set."""

    __tablename__ = "schedule"
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    trigger: Mapped[str] = mapped_column(String(120))
    next_fire_at: Mapped[datetime] = mapped_column(index=True)
    last_fire_at: Mapped[datetime | None]


class ScheduleRun(Base):
    """One fire of a job: each once, on any number of nodes."""

    __tablename__ = "schedule_run"
    __table_args__ = (Index("ix_schedule_run_open", "finished_at", "lease_until"),)
    schedule: Mapped[str] = mapped_column(ForeignKey("schedule.name"), primary_key=True)
    fire_at: Mapped[datetime] = mapped_column(primary_key=True)
    lease_owner: Mapped[str | None] = mapped_column(String(80))
    lease_until: Mapped[datetime | None]
    fencing_token: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    fault: Mapped[Code | None]
    figures: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Heartbeat(Base):
    """The last sign of life of a node's part, for the clock guard and for health."""

    __tablename__ = "heartbeat"
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    beat_at: Mapped[datetime]


class ClockPause(Base):
    """Automatic destruction is paused because the clock jumped, until someone confirms it."""

    __tablename__ = "clock_pause"
    id: Mapped[PrimaryId]
    found_at: Mapped[datetime]
    last_beat_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None] = mapped_column(index=True)
    confirmed_by: Mapped[Id | None]


class Notice(Base):
    """A message to staff, by role or person: ids and codes, no content after sending."""

    __tablename__ = "notice"
    __table_args__ = (Index("ix_notice_unsent", "sent_at", "created_at"),)
    id: Mapped[PrimaryId]
    kind: Mapped[Code]
    to_role: Mapped[Code | None]
    to_user_id: Mapped[Id | None] = mapped_column(ForeignKey("user_account.id"), index=True)
    subject: Mapped[Code | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]


class JournalDue(Base):
    """A journal line that an act owes, written in the act's own transaction.

    The row goes once the line is durable, so that no crash between commit and journal leaves a
    line out; after a crash a line may stand twice.
    """

    __tablename__ = "journal_due"
    id: Mapped[PrimaryId]
    kind: Mapped[Code]
    body: Mapped[dict[str, Any]]
    due_at: Mapped[datetime] = mapped_column(index=True)


class JournalMark(Base):
    """Where this database stood in the journal: an older mark betrays a restored backup."""

    __tablename__ = "journal_mark"
    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    number: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))
    marked_at: Mapped[datetime]

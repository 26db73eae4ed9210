"""People, who decides for whom, involvements and meetings."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db.base import Base, Code, Id, PrimaryId, Words, code_of
from consent_service.domain.people import Basis, FamilyRole, MeetingKind, MeetingMode


class Team(Base):
    """A clinical team."""

    __tablename__ = "team"
    id: Mapped[PrimaryId]
    name: Mapped[str] = mapped_column(String(200), unique=True)
    created_at: Mapped[datetime]


class Person(Base):
    """Anyone filmed or deciding. Holds personal data: names and numbers stay in this table."""

    __tablename__ = "person"
    id: Mapped[PrimaryId]
    team_id: Mapped[Id] = mapped_column(ForeignKey("team.id"), index=True)
    full_name: Mapped[Words]
    name_key: Mapped[str] = mapped_column(String(200), index=True)
    born_on: Mapped[date | None]
    died_on: Mapped[date | None]
    nhs_number: Mapped[str | None] = mapped_column(String(10), unique=True)
    information_needs: Mapped[dict[str, Any]] = mapped_column(default=dict)
    safe_contact: Mapped[Words | None]
    decides_for_self: Mapped[bool] = mapped_column(default=False)
    decides_basis: Mapped[Code | None]
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class ParentalResponsibility(Base):
    """Who may decide for a child, on what basis, from and until."""

    __tablename__ = "parental_responsibility"
    id: Mapped[PrimaryId]
    child_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), index=True)
    holder_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), index=True)
    basis: Mapped[Basis] = mapped_column(code_of(Basis))
    evidence: Mapped[Words | None]
    court_limits: Mapped[Words | None]
    from_on: Mapped[date]
    until_on: Mapped[date | None]
    may_overrule: Mapped[bool] = mapped_column(default=False)
    recorded_by: Mapped[Id]
    recorded_at: Mapped[datetime]


class Involvement(Base):
    """One family's episode of VIG with a team. Its row is the lock for all that grants or ends."""

    __tablename__ = "involvement"
    __table_args__ = (Index("ix_involvement_quiet", "ended_on", "last_entry_at"),)
    id: Mapped[PrimaryId]
    team_id: Mapped[Id] = mapped_column(ForeignKey("team.id"), index=True)
    guider_id: Mapped[Id] = mapped_column(ForeignKey("user_account.id"), index=True)
    shard: Mapped[int]
    consent_epoch: Mapped[int] = mapped_column(default=0)
    started_on: Mapped[date]
    ended_on: Mapped[date | None]
    last_entry_at: Mapped[datetime]
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)


class InvolvementPerson(Base):
    """Who belongs to an involvement, as what."""

    __tablename__ = "involvement_person"
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), primary_key=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), primary_key=True, index=True)
    role: Mapped[FamilyRole] = mapped_column(code_of(FamilyRole))
    pregnant: Mapped[bool] = mapped_column(default=False)
    added_at: Mapped[datetime]


class Meeting(Base):
    """First talk, filming, shared review or closing; its words are the story (rule 16)."""

    __tablename__ = "meeting"
    id: Mapped[PrimaryId]
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    kind: Mapped[MeetingKind] = mapped_column(code_of(MeetingKind))
    mode: Mapped[MeetingMode] = mapped_column(code_of(MeetingMode))
    held_on: Mapped[date]
    ready_today: Mapped[bool | None]
    what_matters: Mapped[Words | None]
    questions: Mapped[Words | None]
    worries: Mapped[Words | None]
    recorded_by: Mapped[Id]
    recorded_at: Mapped[datetime]


class MeetingPerson(Base):
    """Who was at a meeting."""

    __tablename__ = "meeting_person"
    meeting_id: Mapped[Id] = mapped_column(ForeignKey("meeting.id"), primary_key=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), primary_key=True, index=True)

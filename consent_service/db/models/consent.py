"""Acts of consent and what was answered: appended, never changed (rule 1)."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db.base import Base, Code, Digest, Id, PrimaryId, Words, code_of
from consent_service.domain.consent import Answer, Capacity, EndingKind, SignatureKind
from consent_service.domain.people import Basis
from consent_service.domain.withdrawal import Route


class ConsentAct(Base):
    """One act of answering a form, bound to the exact words (rule 2)."""

    __tablename__ = "consent_act"
    id: Mapped[PrimaryId]
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), index=True)
    form_id: Mapped[Code]
    form_version: Mapped[int]
    form_policy_id: Mapped[Id] = mapped_column(ForeignKey("published_policy.id"), index=True)
    language: Mapped[str] = mapped_column(String(20))
    rendered_text: Mapped[Words]
    rendered_sha256: Mapped[Digest]
    record_class: Mapped[Code]
    leaflet_issue_id: Mapped[Id] = mapped_column(ForeignKey("leaflet_issue.id"), index=True)
    route: Mapped[Route] = mapped_column(code_of(Route))
    capacity: Mapped[Capacity] = mapped_column(code_of(Capacity))
    ask_again_on: Mapped[date | None]
    signature_kind: Mapped[SignatureKind] = mapped_column(code_of(SignatureKind))
    signature: Mapped[dict[str, Any]] = mapped_column(JSON)
    witness: Mapped[Words | None]
    interpreter: Mapped[Words | None]
    recorded_by: Mapped[Id]
    event_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    recorded_late: Mapped[bool] = mapped_column(default=False)
    replaces_draft_id: Mapped[Id | None]


class ConsentActCheck(Base):
    """The second person's check of an act that was recorded late or from paper."""

    __tablename__ = "consent_act_check"
    act_id: Mapped[Id] = mapped_column(ForeignKey("consent_act.id"), primary_key=True)
    checked_by: Mapped[Id]
    checked_at: Mapped[datetime]


class ConsentPaper(Base):
    """The scan of the paper that an act was written down from: cipher text, its key elsewhere."""

    __tablename__ = "consent_paper"
    act_id: Mapped[Id] = mapped_column(ForeignKey("consent_act.id"), primary_key=True)
    paper_id: Mapped[Id]
    media_type: Mapped[Code]
    plain_size: Mapped[int]
    sealed: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    attached_by: Mapped[Id]
    attached_at: Mapped[datetime]


class ConsentDecision(Base):
    """In this act, `decided_by` answered one statement about `person` (who may be the same)."""

    __tablename__ = "consent_decision"
    __table_args__ = (Index("ix_consent_decision_story", "person_id", "purpose", "involvement_id"),)
    id: Mapped[PrimaryId]
    act_id: Mapped[Id] = mapped_column(ForeignKey("consent_act.id"), index=True)
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"))
    decided_by: Mapped[Id] = mapped_column(ForeignKey("person.id"), index=True)
    responsibility_id: Mapped[Id | None] = mapped_column(
        ForeignKey("parental_responsibility.id"), index=True
    )
    basis: Mapped[Basis | None] = mapped_column(code_of(Basis))
    may_overrule: Mapped[bool] = mapped_column(default=False)
    statement: Mapped[Code]
    position: Mapped[int]
    layer: Mapped[str] = mapped_column(String(1))
    purpose: Mapped[Code | None]
    answer: Mapped[Answer] = mapped_column(code_of(Answer))
    named: Mapped[list[str]] = mapped_column(default=list)
    words: Mapped[Words | None]
    valid_until: Mapped[date | None]
    event_at: Mapped[datetime]
    recorded_at: Mapped[datetime]


class ConsentEnding(Base):
    """What ended or settled a consent after it was given; appended, never changed."""

    __tablename__ = "consent_ending"
    __table_args__ = (Index("ix_consent_ending_story", "person_id", "purpose", "involvement_id"),)
    id: Mapped[PrimaryId]
    kind: Mapped[EndingKind] = mapped_column(code_of(EndingKind))
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"))
    purpose: Mapped[Code]
    by_person_id: Mapped[Id | None] = mapped_column(ForeignKey("person.id"), index=True)
    may_overrule: Mapped[bool] = mapped_column(default=False)
    by_user_id: Mapped[Id | None]
    ref: Mapped[Id | None] = mapped_column(index=True)
    reason: Mapped[Words | None]
    event_at: Mapped[datetime]
    recorded_at: Mapped[datetime]


class Dispute(Base):
    """Parents disagree about a child and a purpose: frozen until settled."""

    __tablename__ = "dispute"
    id: Mapped[PrimaryId]
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), index=True)
    purpose: Mapped[Code]
    opened_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    resolution: Mapped[Code | None]
    resolved_by: Mapped[Id | None]
    reason: Mapped[Words | None]


class ConsentDraft(Base):
    """A half-done capture; it never counts and goes after 30 days (R28)."""

    __tablename__ = "consent_draft"
    id: Mapped[PrimaryId]
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("user_account.id"), index=True)
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    edited_at: Mapped[datetime] = mapped_column(index=True)

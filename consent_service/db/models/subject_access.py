"""Requests of people who ask what is held about them. The answer itself is never stored."""

from datetime import date, datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db.base import Base, Id, PrimaryId, Words, code_of
from consent_service.domain.subject_access import RequestState


class SubjectAccessRequest(Base):
    """One request: about whom, who asked, until when, and what was given.

    `asked_by_id` is set when the one who asks is known here; `asked_by` names somebody else, such
    as a solicitor. `appealed_on` stays after the appeal is over: it decides how long the file is
    kept (R23).
    """

    __tablename__ = "subject_access_request"
    id: Mapped[PrimaryId]
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), index=True)
    asked_on: Mapped[date]
    asked_by_id: Mapped[Id | None] = mapped_column(ForeignKey("person.id"), index=True)
    asked_by: Mapped[Words | None]
    authority: Mapped[Words | None]
    due_on: Mapped[date] = mapped_column(index=True)
    state: Mapped[RequestState] = mapped_column(code_of(RequestState), index=True)
    given: Mapped[Words | None]
    answered_on: Mapped[date | None]
    appealed_on: Mapped[date | None]
    closed_on: Mapped[date | None] = mapped_column(index=True)
    opened_by: Mapped[Id]
    opened_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012

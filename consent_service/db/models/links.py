"""Links for families, and the numbers with which a withdrawal by link can be taken back."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db.base import Base, Code, Digest, Id, PrimaryId, code_of
from consent_service.domain.consent import Capacity
from consent_service.domain.links import LinkKind


class OwnLink(Base):
    """A link that opens a page for one person of one involvement; only its digest is kept (R29).

    `session_mark` is that of the browser that opened it last: nobody else goes on. `draft` holds
    what was answered so far in that browser, and goes with it. `form_id`, `language` and
    `capacity` (the guider's finding) are those of a consent link.
    """

    __tablename__ = "own_link"
    id: Mapped[PrimaryId]
    kind: Mapped[LinkKind] = mapped_column(code_of(LinkKind))
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), index=True)
    token_sha256: Mapped[Digest] = mapped_column(unique=True)
    form_id: Mapped[Code | None]
    language: Mapped[str | None] = mapped_column(String(20))
    capacity: Mapped[Capacity | None] = mapped_column(code_of(Capacity))
    made_by: Mapped[Id]
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    wrong_answers: Mapped[int] = mapped_column(default=0)
    session_mark: Mapped[str | None] = mapped_column(String(64))
    used_at: Mapped[datetime | None]
    act_id: Mapped[Id | None] = mapped_column(ForeignKey("consent_act.id"), index=True)
    revoked_at: Mapped[datetime | None]
    draft: Mapped[dict[str, Any] | None]
    drafted_at: Mapped[datetime | None]


class UndoPin(Base):
    """The number that whoever withdrew by link chose, so as to change their mind by link (rule 5).

    Kept as an argon2id hash; five wrong tries leave the way with the guider only.
    """

    __tablename__ = "undo_pin"
    withdrawal_id: Mapped[Id] = mapped_column(ForeignKey("withdrawal.id"), primary_key=True)
    pin_hash: Mapped[str] = mapped_column(String(255))
    wrong_answers: Mapped[int] = mapped_column(default=0)

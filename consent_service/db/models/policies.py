"""What governs, as published: copies of policy files that consents and jobs refer to (rule 20)."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db.base import Base, Code, Digest, Id, PrimaryId, Words


class PublishedPolicy(Base):
    """One published version: its files' text and their digest. Never changed."""

    __tablename__ = "published_policy"
    __table_args__ = (UniqueConstraint("path", "digest"),)
    id: Mapped[PrimaryId]
    path: Mapped[Code] = mapped_column(String(200), index=True)
    digest: Mapped[Digest]
    files: Mapped[dict[str, Any]]
    material: Mapped[bool] = mapped_column(default=False)
    published_at: Mapped[datetime]
    published_by: Mapped[Id]


class Leaflet(Base):
    """A controlled document, by its code."""

    __tablename__ = "leaflet"
    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    created_at: Mapped[datetime]


class LeafletVersion(Base):
    """One version of a leaflet; archived from its archive date on, by the day (rule 9)."""

    __tablename__ = "leaflet_version"
    __table_args__ = (UniqueConstraint("code", "version"),)
    id: Mapped[PrimaryId]
    code: Mapped[str] = mapped_column(ForeignKey("leaflet.code"))
    version: Mapped[int]
    title: Mapped[Words]
    owner: Mapped[str] = mapped_column(String(200))
    issued_on: Mapped[date]
    archive_on: Mapped[date]
    control_line: Mapped[str] = mapped_column(String(200))
    digest: Mapped[Digest | None]
    sources: Mapped[list[str]] = mapped_column(default=list)
    published_at: Mapped[datetime]
    published_by: Mapped[Id]
    reviewed_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]
    reissue_flagged_at: Mapped[datetime | None]


class LeafletWords(Base):
    """The words of a leaflet version in one language, byte for byte as they came."""

    __tablename__ = "leaflet_words"
    leaflet_version_id: Mapped[Id] = mapped_column(
        ForeignKey("leaflet_version.id"), primary_key=True
    )
    language: Mapped[str] = mapped_column(String(20), primary_key=True)
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    sha256: Mapped[Digest]
    notes: Mapped[list[str]] = mapped_column(default=list)


class LeafletQuote(Base):
    """Words of a parent that a leaflet version prints, and whether they may (rule 18)."""

    __tablename__ = "leaflet_quote"
    id: Mapped[PrimaryId]
    leaflet_version_id: Mapped[Id] = mapped_column(ForeignKey("leaflet_version.id"), index=True)
    words: Mapped[Words]
    permission: Mapped[Code]
    quote_id: Mapped[Id | None] = mapped_column(ForeignKey("quote.id"), index=True)


class LeafletOverride(Base):
    """Leave to give an archived version for a while, with reason and end date."""

    __tablename__ = "leaflet_override"
    id: Mapped[PrimaryId]
    leaflet_version_id: Mapped[Id] = mapped_column(ForeignKey("leaflet_version.id"), index=True)
    reason: Mapped[Words]
    until_on: Mapped[date]
    granted_by: Mapped[Id]
    granted_at: Mapped[datetime]


class LeafletIssue(Base):
    """Leaflet version given to a person, on which day, how."""

    __tablename__ = "leaflet_issue"
    id: Mapped[PrimaryId]
    leaflet_version_id: Mapped[Id] = mapped_column(ForeignKey("leaflet_version.id"), index=True)
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), index=True)
    language: Mapped[str] = mapped_column(String(20))
    given_on: Mapped[date]
    how: Mapped[Code]
    given_by: Mapped[Id]
    recorded_at: Mapped[datetime]
    recorded_late: Mapped[bool] = mapped_column(default=False)

"""Film as kept: assets, who can be seen in them, and the wraps of their data keys."""

from datetime import date, datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db.base import Base, Code, Digest, Id, PrimaryId, Words, code_of
from consent_service.domain.assets import AssetKind, AssetState, Depiction, RecordClass


class Asset(Base):
    """A recording, clip or still: one encrypted object with its own key, class and date.

    `blob` names the object, `header` is its first 56 bytes and `stored_size` its length, so that
    a seek is one request. Times within a film are milliseconds.
    """

    __tablename__ = "asset"
    __table_args__ = (
        Index("ix_asset_due", "state", "due_on"),
        Index("ix_asset_kept", "rule", "state"),
    )
    id: Mapped[PrimaryId]
    kind: Mapped[AssetKind] = mapped_column(code_of(AssetKind))
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    meeting_id: Mapped[Id | None] = mapped_column(ForeignKey("meeting.id"), index=True)
    source_id: Mapped[Id | None] = mapped_column(ForeignKey("asset.id"), index=True)
    state: Mapped[AssetState] = mapped_column(code_of(AssetState), index=True)
    record_class: Mapped[RecordClass] = mapped_column(code_of(RecordClass))
    shard: Mapped[int]
    generation: Mapped[int] = mapped_column(default=1)
    asset_key_id: Mapped[Id] = mapped_column(index=True)
    blob: Mapped[str | None] = mapped_column(String(80), unique=True)
    header: Mapped[bytes | None] = mapped_column(LargeBinary)
    stored_size: Mapped[int | None] = mapped_column(BigInteger)
    plain_size: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[Digest | None]
    received_sha256: Mapped[Digest | None]
    media_type: Mapped[str | None] = mapped_column(String(60))
    duration_ms: Mapped[int | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    fps_milli: Mapped[int | None]
    start_ms: Mapped[int | None]
    end_ms: Mapped[int | None]
    cut: Mapped[Code | None]
    title: Mapped[Words | None]
    noticed: Mapped[Words | None]
    principles: Mapped[list[str] | None]
    long_film_reason: Mapped[Words | None]
    filmed_on: Mapped[date]
    created_by: Mapped[Id]
    created_at: Mapped[datetime]
    stored_at: Mapped[datetime | None]
    awaiting_since: Mapped[datetime | None]
    rule: Mapped[Code | None]
    due_on: Mapped[date | None]
    gone_by: Mapped[date | None]
    erased_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class DepictedPerson(Base):
    """Who can be seen or heard in an asset; staff may be present without a key.

    Taking someone out needs two people: one asks, with a reason, another confirms. The row stays,
    as *not seen*, so that the decision can be looked up.
    """

    __tablename__ = "depicted_person"
    asset_id: Mapped[Id] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), primary_key=True, index=True)
    depiction: Mapped[Depiction] = mapped_column(code_of(Depiction))
    added_by: Mapped[Id]
    added_at: Mapped[datetime]
    removal_asked_by: Mapped[Id | None]
    removal_asked_at: Mapped[datetime | None]
    removal_reason: Mapped[Words | None]
    removed_by: Mapped[Id | None]
    removed_at: Mapped[datetime | None]


class AssetWrap(Base):
    """The data key of an asset, wrapped for one purpose under the keys of everyone depicted."""

    __tablename__ = "asset_wrap"
    asset_id: Mapped[Id] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(120), primary_key=True)
    generation: Mapped[int]
    key_ids: Mapped[list[str]]
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[datetime]


class FilmUpload(Base):
    """How far a recording has come in: `received` of `length` bytes, None where not said yet.

    `finishing_at` is when somebody last said that they are making the stored film of it.
    """

    __tablename__ = "film_upload"
    asset_id: Mapped[Id] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    length: Mapped[int | None] = mapped_column(BigInteger)
    received: Mapped[int] = mapped_column(BigInteger, default=0)
    expires_at: Mapped[datetime]
    finishing_at: Mapped[datetime | None]


class UploadPart(Base):
    """One encrypted object of an upload: `size` bytes of the film from `begins` on.

    `header` is the object's first 56 bytes: another object in its place does not open with it.
    """

    __tablename__ = "upload_part"
    asset_id: Mapped[Id] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    begins: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(BigInteger)
    blob: Mapped[str] = mapped_column(String(80), unique=True)
    header: Mapped[bytes] = mapped_column(LargeBinary)


class Viewing(Base):
    """One person watching one asset for one purpose, until 15 minutes without a request."""

    __tablename__ = "viewing"
    __table_args__ = (Index("ix_viewing_who", "asset_id", "user_id", "purpose", "last_at"),)
    id: Mapped[PrimaryId]
    asset_id: Mapped[Id] = mapped_column(ForeignKey("asset.id"))
    user_id: Mapped[Id] = mapped_column(ForeignKey("user_account.id"), index=True)
    purpose: Mapped[str] = mapped_column(String(120))
    started_at: Mapped[datetime]
    last_at: Mapped[datetime]

"""Backups that were made: where they lie, how large they are, and when they are gone."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db.base import Base, Digest, PrimaryId, Words


class Backup(Base):
    """One backup folder. `digest` is SHA-256 of its manifest, sizes are bytes as they lie there.

    `made_at` is the moment whose rows it holds; from `expires_at` on it may not be kept (R31).
    """

    __tablename__ = "backup"
    id: Mapped[PrimaryId]
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    place: Mapped[Words]
    digest: Mapped[Digest]
    size: Mapped[int] = mapped_column(BigInteger)
    objects: Mapped[int]
    gone_at: Mapped[datetime | None]

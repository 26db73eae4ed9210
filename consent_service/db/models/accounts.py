"""Members of staff, their roles and teams, and programs' tokens."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from consent_service.db.base import Base, Code, Digest, Id, PrimaryId


class UserAccount(Base):
    """A member of staff. The columns that Flask-Security needs bear its names."""

    __tablename__ = "user_account"
    id: Mapped[PrimaryId]
    email: Mapped[str] = mapped_column(String(255), unique=True)
    display_name: Mapped[str] = mapped_column(String(200))
    password: Mapped[str | None] = mapped_column(String(255))
    active: Mapped[bool] = mapped_column(default=True)
    fs_uniquifier: Mapped[str] = mapped_column(String(64), unique=True)
    confirmed_at: Mapped[datetime | None]
    tf_primary_method: Mapped[str | None] = mapped_column(String(64))
    tf_totp_secret: Mapped[str | None] = mapped_column(String(255))
    totp_counter: Mapped[int | None]
    mf_recovery_codes: Mapped[list[Any] | None] = mapped_column(JSON)
    failed_sign_ins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    roles: Mapped[list["Role"]] = relationship(secondary="user_role", lazy="selectin")


class Role(Base):
    """A role; what it may do stands in `policies/roles.yaml`."""

    __tablename__ = "role"
    id: Mapped[PrimaryId]
    name: Mapped[str] = mapped_column(String(80), unique=True)
    description: Mapped[str | None] = mapped_column(String(255))


class UserRole(Base):
    """Who has which role."""

    __tablename__ = "user_role"
    user_id: Mapped[Id] = mapped_column(ForeignKey("user_account.id"), primary_key=True)
    role_id: Mapped[Id] = mapped_column(ForeignKey("role.id"), primary_key=True, index=True)


class TeamMember(Base):
    """Who works in which team."""

    __tablename__ = "team_member"
    team_id: Mapped[Id] = mapped_column(ForeignKey("team.id"), primary_key=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("user_account.id"), primary_key=True, index=True)


class ApiToken(Base):
    """A bearer token: only its digest is kept; its scopes are roles of its owner."""

    __tablename__ = "api_token"
    id: Mapped[PrimaryId]
    user_id: Mapped[Id] = mapped_column(ForeignKey("user_account.id"), index=True)
    token_sha256: Mapped[Digest] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class SetUpLink(Base):
    """A one-time link with which an account sets its password; only the digest is kept."""

    __tablename__ = "set_up_link"
    id: Mapped[PrimaryId]
    user_id: Mapped[Id] = mapped_column(ForeignKey("user_account.id"), index=True)
    token_sha256: Mapped[Digest] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """What a POST with an Idempotency-Key answered, for a day."""

    __tablename__ = "idempotency_key"
    user_id: Mapped[Id] = mapped_column(ForeignKey("user_account.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    request_digest: Mapped[Digest]
    status: Mapped[int | None]
    location: Mapped[Code | None] = mapped_column(String(300))
    body: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]

"""The ledger: withdrawals, orders, steps, inventory, certificates and what stays behind.

Written before anything is destroyed; the certificate is printed from these rows.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from consent_service.db.base import Base, Code, Digest, Id, PrimaryId, code_of
from consent_service.domain.assets import AssetKind, RecordClass
from consent_service.domain.erasure import (
    Ground,
    OrderCause,
    OrderState,
    Outcome,
    StepKind,
    StepState,
)
from consent_service.domain.withdrawal import Route, Speed, WithdrawalScope


class Withdrawal(Base):
    """A later act ending everything, some purposes, or named assets, from a moment on."""

    __tablename__ = "withdrawal"
    id: Mapped[PrimaryId]
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), index=True)
    by_person_id: Mapped[Id] = mapped_column(ForeignKey("person.id"), index=True)
    scope: Mapped[WithdrawalScope] = mapped_column(code_of(WithdrawalScope))
    purposes: Mapped[list[str]] = mapped_column(default=list)
    asset_ids: Mapped[list[str]] = mapped_column(default=list)
    keep_purposes: Mapped[list[str]] = mapped_column(default=list)
    speed: Mapped[Speed] = mapped_column(code_of(Speed))
    route: Mapped[Route] = mapped_column(code_of(Route))
    undo_until: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    recorded_by: Mapped[Id | None]
    event_at: Mapped[datetime]
    recorded_at: Mapped[datetime]


class ErasureOrder(Base):
    """What is to be destroyed and why. `scope` holds ids and codes only.

    Three times are told apart: access ended, keys destroyed, irrecoverable. From `keys_going_at` on
    it is settled that consent keys are destroyed and not sealed: a hold placed later is too late.
    """

    __tablename__ = "erasure_order"
    __table_args__ = (Index("ix_erasure_order_due", "state", "not_before"),)
    id: Mapped[PrimaryId]
    reference: Mapped[str] = mapped_column(String(20), unique=True)
    cause: Mapped[OrderCause] = mapped_column(code_of(OrderCause))
    state: Mapped[OrderState] = mapped_column(code_of(OrderState))
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    withdrawal_id: Mapped[Id | None] = mapped_column(ForeignKey("withdrawal.id"), index=True)
    appraisal_id: Mapped[Id | None] = mapped_column(ForeignKey("appraisal.id"), index=True)
    scope: Mapped[dict[str, Any]]
    rule: Mapped[Code | None]
    ordered_at: Mapped[datetime]
    not_before: Mapped[datetime]
    access_ended_at: Mapped[datetime]
    journal_line: Mapped[int | None]
    sealed_at: Mapped[datetime | None]
    keys_going_at: Mapped[datetime | None]
    key_destroyed_at: Mapped[datetime | None]
    inventory_frozen_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    irrecoverable_at: Mapped[datetime | None]
    assurance: Mapped[Code | None]


class ErasureStep(Base):
    """One step of an order; the rows are the work queue (lease, fencing token)."""

    __tablename__ = "erasure_step"
    __table_args__ = (
        UniqueConstraint("order_id", "position"),
        Index("ix_erasure_step_due", "state", "next_try_at"),
    )
    id: Mapped[PrimaryId]
    order_id: Mapped[Id] = mapped_column(ForeignKey("erasure_order.id"))
    position: Mapped[int]
    kind: Mapped[StepKind] = mapped_column(code_of(StepKind))
    state: Mapped[StepState] = mapped_column(code_of(StepState))
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime]
    lease_owner: Mapped[str | None] = mapped_column(String(80))
    lease_until: Mapped[datetime | None]
    fencing_token: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    fault: Mapped[Code | None]
    figures: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Fence(Base):
    """While it stands nothing in its scope may be made or opened again.

    `asset_ids` empty means everything of the persons and purposes in the involvement.
    """

    __tablename__ = "fence"
    id: Mapped[PrimaryId]
    order_id: Mapped[Id] = mapped_column(ForeignKey("erasure_order.id"), index=True)
    involvement_id: Mapped[Id] = mapped_column(ForeignKey("involvement.id"), index=True)
    asset_ids: Mapped[list[str]] = mapped_column(default=list)
    raised_at: Mapped[datetime]
    lifted_at: Mapped[datetime | None]


class ErasureItem(Base):
    """One thing in an order's frozen inventory, and what became of it."""

    __tablename__ = "erasure_item"
    order_id: Mapped[Id] = mapped_column(ForeignKey("erasure_order.id"), primary_key=True)
    asset_id: Mapped[Id] = mapped_column(ForeignKey("asset.id"), primary_key=True, index=True)
    kind: Mapped[AssetKind] = mapped_column(code_of(AssetKind))
    record_class: Mapped[RecordClass] = mapped_column(code_of(RecordClass))
    outcome: Mapped[Outcome] = mapped_column(code_of(Outcome))
    ground: Mapped[Ground | None] = mapped_column(code_of(Ground))
    asset_key_id: Mapped[Id]
    blob: Mapped[str | None] = mapped_column(String(80))
    stored_size: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[Digest | None]
    key_destroyed_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    read_back_at: Mapped[datetime | None]


class Tombstone(Base):
    """What stays of a destroyed thing: id, class, dates, order; no content."""

    __tablename__ = "tombstone"
    asset_id: Mapped[PrimaryId]
    kind: Mapped[AssetKind] = mapped_column(code_of(AssetKind))
    record_class: Mapped[RecordClass] = mapped_column(code_of(RecordClass))
    involvement_id: Mapped[Id] = mapped_column(index=True)
    filmed_on: Mapped[date]
    created_at: Mapped[datetime]
    erased_at: Mapped[datetime]
    order_id: Mapped[Id] = mapped_column(ForeignKey("erasure_order.id"), index=True)


class Certificate(Base):
    """Signed proof of an erasure order; a later revision carries the digest of the one before."""

    __tablename__ = "certificate"
    __table_args__ = (UniqueConstraint("order_id", "revision"),)
    id: Mapped[PrimaryId]
    order_id: Mapped[Id] = mapped_column(ForeignKey("erasure_order.id"))
    revision: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[Digest]
    previous_digest: Mapped[Digest | None]
    signature: Mapped[bytes] = mapped_column(LargeBinary)
    key_id: Mapped[Code]
    issued_at: Mapped[datetime]

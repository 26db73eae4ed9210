"""Who may act on a step: claimed under a lease, renewed while it runs, completed with its token.

Rules kept here:
  * before a step is claimed the journal is looked at: nothing is destroyed out of a database that
    is older than it, nor beside one that cannot be trusted; where no step can be claimed now, as
    while one waits for its next try, the journal is not asked;
  * a step is claimed once however many workers ask, and only the first that is not done;
  * a lease is renewed at a third of its length, so that a long step is not taken over;
  * whoever lost the lease completes nothing: the token has moved on;
  * an order cancelled meanwhile is never begun: its state is read under the lock.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, exists, or_, select
from sqlalchemy.orm import aliased

from consent_service.db.models.erasure import ErasureOrder, ErasureStep
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.erasure import OrderState, StepKind, StepState
from consent_service.errors import Unavailable
from consent_service.services.context import Context
from consent_service.services.erasure_keys import ERASER

LEASE = timedelta(seconds=60)


@dataclass(frozen=True)
class Claimed:
    """A step that this worker holds, with the token that completing it needs."""

    step: str
    order: str
    kind: StepKind
    token: int
    attempts: int


def is_any_due(ctx: Context) -> bool:
    """Tell whether an order is to be carried out, or its keys to be sealed."""
    waiting = select(ErasureOrder.id).where(
        ErasureOrder.state == OrderState.WAITING,
        (ErasureOrder.not_before <= ctx.clock.now()) | ErasureOrder.sealed_at.is_(None),
    )
    with ctx.read() as session:
        if session.scalar(waiting.limit(1)) is not None:
            return True
    return _is_step_due(ctx, None)


def claim(ctx: Context, worker: str, order_id: str | None) -> Claimed | None:
    """Take the next due step under a lease and write down that it is started.

    Raises JournalBroken and Unavailable where nothing may be destroyed now.
    """
    if not _is_step_due(ctx, order_id):
        return None
    ctx.standing.require_newest()
    with ctx.begin() as uow:
        alone = _due(uow.at, order_id).with_for_update(of=ErasureStep, skip_locked=True)
        row = uow.session.scalar(alone)
        if row is None:
            return None
        parent = uow.session.get_one(ErasureOrder, row.order_id)
        uow.lock_involvement(parent.involvement_id)
        uow.session.refresh(parent)  # it may have been cancelled while we waited for the lock
        if parent.state in (OrderState.CANCELLED, OrderState.DONE):
            return None
        parent.state = OrderState.RUNNING
        row.state = StepState.STARTED
        row.attempts += 1
        row.started_at = uow.at
        row.lease_owner = worker[:80]
        row.lease_until = uow.at + LEASE
        row.fencing_token += 1
        uow.record(
            AuditEvent(
                EventKind.ERASURE_STEP_STARTED,
                ERASER,
                row.id,
                parent.involvement_id,
                {"step": row.kind.value, "order": row.order_id},
            )
        )
        return Claimed(row.id, row.order_id, row.kind, row.fencing_token, row.attempts)


def _is_step_due(ctx: Context, order_id: str | None) -> bool:
    with ctx.read() as session:
        return session.scalar(_due(ctx.clock.now(), order_id)) is not None


def _due(at: datetime, order_id: str | None) -> Select[ErasureStep]:
    """Return the query for the next due step: the first of its order that is not done."""
    earlier = aliased(ErasureStep)
    query = (
        select(ErasureStep)
        .join(ErasureOrder, ErasureOrder.id == ErasureStep.order_id)
        .where(
            ErasureOrder.state.in_((OrderState.ORDERED, OrderState.RUNNING)),
            ErasureOrder.not_before <= at,
            or_(
                ErasureStep.state.in_((StepState.PENDING, StepState.FAILED, StepState.BLOCKED))
                & (ErasureStep.next_try_at <= at),
                (ErasureStep.state == StepState.STARTED) & (ErasureStep.lease_until <= at),
            ),
            ~exists().where(
                earlier.order_id == ErasureStep.order_id,
                earlier.position < ErasureStep.position,
                earlier.state != StepState.DONE,
            ),
        )
        .order_by(ErasureStep.next_try_at, ErasureStep.position, ErasureStep.id)
        .limit(1)
    )
    return query.where(ErasureStep.order_id == order_id) if order_id else query


def held_step(uow: UnitOfWork, claimed: Claimed) -> ErasureStep | None:
    """Return the step if it is still ours; None when another worker took it over."""
    return uow.session.scalar(
        select(ErasureStep)
        .where(
            ErasureStep.id == claimed.step,
            ErasureStep.state == StepState.STARTED,
            ErasureStep.fencing_token == claimed.token,
        )
        .with_for_update()
    )


@contextmanager
def renewed(ctx: Context, claimed: Claimed) -> Iterator[None]:
    """Keep the lease of a step while the block runs."""
    over = threading.Event()
    renewing = threading.Thread(
        target=_renew_until, args=(ctx, claimed, over), name="renew-lease", daemon=True
    )
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()


def _renew_until(ctx: Context, claimed: Claimed, over: threading.Event) -> None:
    while not over.wait(LEASE.total_seconds() / 3):
        try:
            with ctx.begin() as uow:
                row = held_step(uow, claimed)
                if row is None:
                    return
                row.lease_until = uow.at + LEASE
        except Unavailable:
            continue  # another third of the lease is left, and then another


def void_leases(ctx: Context) -> int:
    """Let go of every lease, when this is the only worker and it just started."""
    with ctx.begin() as uow:
        rows = uow.session.scalars(
            select(ErasureStep).where(ErasureStep.state == StepState.STARTED)
        )
        held = rows.all()
        for row in held:
            row.lease_until = uow.at
        return len(held)

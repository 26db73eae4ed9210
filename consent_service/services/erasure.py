"""The one door out: carry out what was ordered, step by step, from the ledger.

Rules kept here:
  * every step is written down as started before it acts and as done after; acting twice is safe;
  * the consent key goes before the ciphertext: a crash half-way leaves noise, never a film;
  * a step belongs to whoever holds its lease; completing it needs the fencing token;
  * an order never ends in failure: it is tried again, slowly and with an alarm after many attempts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from consent_service.db.models.erasure import ErasureOrder, ErasureStep, Fence
from consent_service.db.models.people import Involvement
from consent_service.db.queries.erasure import OrderScope
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, AuditEvent, EventKind
from consent_service.domain.erasure import (
    STEP_ORDER,
    OrderCause,
    OrderState,
    StepKind,
    StepState,
)
from consent_service.domain.roles import ADMINISTRATOR, Permission
from consent_service.errors import ConsentServiceError, NotFound
from consent_service.ids import new_id
from consent_service.services import erasure_journal, erasure_steps
from consent_service.services.access import Caller, involvement_for, reaches, require
from consent_service.services.context import Context
from consent_service.services.erasure_steps import ERASER
from consent_service.services.notices import notify

LEASE = timedelta(seconds=60)
ATTEMPT_CAP = 8
FIRST_RETRY = timedelta(seconds=5)
SLOW_RETRY = timedelta(hours=1)


@dataclass(frozen=True)
class OrderErasure:
    """What is to be ordered. `not_before` delays it: an undo window, or a check for holds."""

    involvement: str
    cause: OrderCause
    scope: OrderScope
    not_before: datetime
    withdrawal: str | None = None
    appraisal: str | None = None
    rule: str | None = None


@dataclass(frozen=True)
class StepView:
    """How far a step is."""

    id: str
    kind: StepKind
    state: StepState
    attempts: int
    done_at: datetime | None
    fault: str | None
    figures: dict[str, int]


@dataclass(frozen=True)
class OrderView:
    """An order and its steps."""

    id: str
    reference: str
    cause: OrderCause
    state: OrderState
    involvement: str
    withdrawal: str | None
    scope: OrderScope
    ordered_at: datetime
    not_before: datetime
    access_ended_at: datetime
    key_destroyed_at: datetime | None
    completed_at: datetime | None
    irrecoverable_at: datetime | None
    steps: tuple[StepView, ...]


@dataclass(frozen=True)
class Claimed:
    """A step that this worker holds, with the token that completing it needs."""

    step: str
    order: str
    kind: StepKind
    token: int
    attempts: int


def order_erasure(
    uow: UnitOfWork, actor: Actor, wanted: OrderErasure, *, identifier: str | None = None
) -> ErasureOrder:
    """Write an order, its fence and its steps in the caller's transaction: a fixed number of rows.

    The caller has ended access; the order's moment is the transaction's. The consent epoch moves,
    so that streams of what is fenced are cut. `identifier` is given only when the journal is
    replayed.
    """
    uow.lock_involvement(wanted.involvement).consent_epoch += 1
    identifier = identifier or new_id()
    waiting = wanted.not_before > uow.at
    order = ErasureOrder(
        id=identifier,
        reference=f"E-{identifier[:10].upper()}",
        cause=wanted.cause,
        state=OrderState.WAITING if waiting else OrderState.ORDERED,
        involvement_id=wanted.involvement,
        withdrawal_id=wanted.withdrawal,
        appraisal_id=wanted.appraisal,
        rule=wanted.rule,
        scope=wanted.scope.to_json(),
        ordered_at=uow.at,
        not_before=wanted.not_before,
        access_ended_at=uow.at,
    )
    uow.session.add(order)
    uow.session.flush()
    uow.session.add(
        Fence(
            id=new_id(),
            order_id=order.id,
            involvement_id=wanted.involvement,
            asset_ids=list(wanted.scope.assets),
            raised_at=uow.at,
        )
    )
    uow.session.add_all(
        ErasureStep(
            id=new_id(),
            order_id=order.id,
            position=position,
            kind=kind,
            state=StepState.PENDING,
            next_try_at=wanted.not_before,
        )
        for position, kind in enumerate(STEP_ORDER, start=1)
    )
    uow.record(
        AuditEvent(
            EventKind.ERASURE_ORDERED,
            actor,
            order.id,
            wanted.involvement,
            {"reason": wanted.cause.value, "reference": order.reference},
        )
    )
    return order


def carry_out(ctx: Context, order: str, worker: str, *, until: StepKind | None = None) -> bool:
    """Work through an order's steps as far as they can be done now; True when it is done.

    `until` names the last step to do here; the worker does the rest.
    """
    while (claimed := _claim(ctx, worker, order)) is not None:
        if not perform(ctx, claimed) or claimed.kind is until:
            break
    with ctx.read() as session:
        return session.get_one(ErasureOrder, order).state is OrderState.DONE


def work(ctx: Context, worker: str, limit: int = 1000) -> dict[str, int]:
    """Do what is due: journal what is not journalled, seal what waits, carry out steps.

    Returns figures; a step that fails is written down and tried again later.
    """
    erasure_journal.write_missing_lines(ctx)
    erasure_steps.seal_waiting(ctx)
    _open_waiting(ctx)
    went_well = []
    while len(went_well) < limit and (claimed := _claim(ctx, worker, None)) is not None:
        went_well.append(perform(ctx, claimed))
    return {"steps_done": sum(went_well), "steps_failed": went_well.count(False)}


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


def perform(ctx: Context, claimed: Claimed) -> bool:
    """Act on one claimed step and write down how it went; False when it failed."""
    try:
        figures = erasure_steps.ACTS[claimed.kind](ctx, claimed.order)
    except Exception as fault:  # noqa: BLE001  (any fault of any store is written down and retried)
        _fail(ctx, claimed, fault)
        return False
    _complete(ctx, claimed, figures)
    return True


def order(ctx: Context, caller: Caller, identifier: str) -> OrderView:
    """Return one order, by id or reference, that the caller may see."""
    with ctx.read() as session:
        row = session.scalar(
            select(ErasureOrder).where(
                or_(ErasureOrder.id == identifier, ErasureOrder.reference == identifier)
            )
        )
        if row is None:
            raise NotFound("There is no such erasure order that you can see.", kind="order")
        involvement_for(ctx, session, caller, Permission.ERASURE_READ, row.involvement_id)
        return _view(session, row)


def orders(ctx: Context, caller: Caller, involvement: str | None = None) -> list[OrderView]:
    """Return the orders in the caller's reach, newest first."""
    require(ctx, caller, Permission.ERASURE_READ)
    with ctx.read() as session:
        query = (
            select(ErasureOrder, Involvement.team_id)
            .join(Involvement, Involvement.id == ErasureOrder.involvement_id)
            .order_by(ErasureOrder.ordered_at.desc(), ErasureOrder.id)
        )
        if involvement is not None:
            query = query.where(ErasureOrder.involvement_id == involvement)
        return [
            _view(session, row)
            for row, team in session.execute(query)
            if reaches(ctx, caller, Permission.ERASURE_READ, team)
        ]


def _open_waiting(ctx: Context) -> None:
    """Turn orders whose window has passed into orders to be carried out."""
    with ctx.begin() as uow:
        uow.session.execute(
            update(ErasureOrder)
            .where(ErasureOrder.state == OrderState.WAITING, ErasureOrder.not_before <= uow.at)
            .values(state=OrderState.ORDERED)
        )


def _claim(ctx: Context, worker: str, order_id: str | None) -> Claimed | None:
    """Take the next due step under a lease and write down that it is started."""
    with ctx.begin() as uow:
        row = uow.session.scalar(_due(uow.at, order_id))
        if row is None:
            return None
        parent = uow.session.get_one(ErasureOrder, row.order_id)
        uow.lock_involvement(parent.involvement_id)
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


def _due(at: datetime, order_id: str | None):  # type: ignore[no-untyped-def]
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
        .with_for_update(of=ErasureStep, skip_locked=True)
    )
    return query.where(ErasureStep.order_id == order_id) if order_id else query


def _complete(ctx: Context, claimed: Claimed, figures: dict[str, int]) -> None:
    with ctx.begin() as uow:
        row = _held_step(uow, claimed)
        if row is None:
            return
        row.state = StepState.DONE
        row.done_at = uow.at
        row.figures = dict(figures)
        row.fault = None
        row.lease_until = None
        parent = uow.session.get_one(ErasureOrder, row.order_id)
        if row.position == len(STEP_ORDER):
            parent.state = OrderState.DONE
            parent.completed_at = uow.at
            done = AuditEvent(EventKind.ERASURE_COMPLETED, ERASER, parent.id, parent.involvement_id)
            uow.record(done)
        uow.record(
            AuditEvent(
                EventKind.ERASURE_STEP_DONE,
                ERASER,
                row.id,
                parent.involvement_id,
                {"step": row.kind.value, "order": row.order_id, **figures},
            )
        )


def _fail(ctx: Context, claimed: Claimed, fault: Exception) -> None:
    code = fault.code if isinstance(fault, ConsentServiceError) else type(fault).__name__.lower()
    with ctx.begin() as uow:
        row = _held_step(uow, claimed)
        if row is None:
            return
        blocked = row.attempts >= ATTEMPT_CAP
        row.state = StepState.BLOCKED if blocked else StepState.FAILED
        row.fault = code[:80]
        row.lease_until = None
        row.next_try_at = uow.at + (
            SLOW_RETRY if blocked else FIRST_RETRY * 2 ** min(row.attempts - 1, 9)
        )
        parent = uow.session.get_one(ErasureOrder, row.order_id)
        uow.record(
            AuditEvent(
                EventKind.ERASURE_STEP_BLOCKED if blocked else EventKind.ERASURE_STEP_FAILED,
                ERASER,
                row.id,
                parent.involvement_id,
                {"step": row.kind.value, "order": row.order_id, "reason": row.fault},
            )
        )
        if blocked:
            notify(uow, "erasure_blocked", role=ADMINISTRATOR, subject=row.order_id)


def _held_step(uow: UnitOfWork, claimed: Claimed) -> ErasureStep | None:
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


def _view(session: Session, row: ErasureOrder) -> OrderView:
    return OrderView(
        row.id,
        row.reference,
        row.cause,
        row.state,
        row.involvement_id,
        row.withdrawal_id,
        OrderScope.from_json(row.scope),
        row.ordered_at,
        row.not_before,
        row.access_ended_at,
        row.key_destroyed_at,
        row.completed_at,
        row.irrecoverable_at,
        tuple(_steps(session, row.id)),
    )


def _steps(session: Session, order_id: str) -> Iterator[StepView]:
    mine = select(ErasureStep).where(ErasureStep.order_id == order_id)
    for row in session.scalars(mine.order_by(ErasureStep.position)):
        yield StepView(
            row.id, row.kind, row.state, row.attempts, row.done_at, row.fault, dict(row.figures)
        )

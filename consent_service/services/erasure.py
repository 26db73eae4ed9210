"""The one door out: carry out what was ordered, step by step, from the ledger.

Rules kept here:
  * every step is written down as started before it acts and as done after; acting twice is safe;
  * the consent key goes before the ciphertext: a crash half-way leaves noise, never a film;
  * a step belongs to whoever holds its lease; completing it needs the fencing token;
  * what the key server forbids to the web is left to the worker, and is a failure there;
  * an order never ends in failure: it is tried again, slowly and with an alarm after many attempts.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, or_, select, update
from sqlalchemy.orm import Session

from consent_service.db.models.erasure import ErasureOrder, ErasureStep, Fence
from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset
from consent_service.db.queries.erasure import OrderScope
from consent_service.db.queries.pages import Order, page_of
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import ARRIVING
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.erasure import (
    STEP_ORDER,
    OrderCause,
    OrderState,
    StepKind,
    StepState,
)
from consent_service.domain.paging import Page, PageAsk
from consent_service.domain.roles import ADMINISTRATOR, Permission
from consent_service.errors import ConsentServiceError, JournalBroken, NotFound, Unavailable
from consent_service.services import (
    erasure_again,
    erasure_journal,
    erasure_keys,
    erasure_steps,
    replaced_keys,
)
from consent_service.services.access import Caller, involvement_for, require, teams_reached
from consent_service.services.context import Context
from consent_service.services.erasure_keys import ERASER
from consent_service.services.erasure_lease import (
    Claimed,
    claim,
    held_step,
    is_any_due,
    renewed,
    void_leases,
)
from consent_service.services.erasure_orders import OrderErasure, order_erasure
from consent_service.services.notices import notify
from consent_service.vault.key_providers import is_forbidden

__all__ = [
    "Claimed",
    "OrderErasure",
    "OrderView",
    "StepView",
    "carry_out",
    "carry_out_all",
    "order",
    "order_erasure",
    "page_of_orders",
    "perform",
    "void_leases",
    "work",
]

ATTEMPT_CAP = 8
FIRST_RETRY = timedelta(seconds=5)
SLOW_RETRY = timedelta(hours=1)
NEXT_BEAT = timedelta(seconds=1)
OPEN = (OrderState.WAITING, OrderState.ORDERED, OrderState.RUNNING)
_OPEN_FIRST = Order(
    (case((ErasureOrder.state.in_(OPEN), 1), else_=0), ErasureOrder.ordered_at, ErasureOrder.id)
)
"""What is not finished first, then the newest."""


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


def carry_out(ctx: Context, order: str, worker: str, *, until: StepKind | None = None) -> bool:
    """Work through an order's steps as far as they can be done now; True when it is done.

    `until` names the last step to do here; the worker does the rest, and all of it where the
    journal forbids to destroy now: what was ordered stands.
    """
    carry_out_all(ctx, [order], worker, until=until)
    with ctx.read() as session:
        return session.get_one(ErasureOrder, order).state is OrderState.DONE


def carry_out_all(
    ctx: Context, orders: Iterable[str], worker: str, *, until: StepKind | None = None
) -> None:
    """Work through the steps of orders, one after the other, as `carry_out` does.

    Where one cannot be gone on with, nobody waits to be told the same of the next: what is left is
    the worker's.
    """
    with suppress(JournalBroken, Unavailable):
        for order in orders:
            while (claimed := claim(ctx, worker, order)) is not None:
                if not perform(ctx, claimed, leave=True) or claimed.kind is until:
                    break


def work(ctx: Context, worker: str, limit: int = 1000) -> dict[str, int]:
    """Do what is due: journal what is not journalled, seal what waits, carry out steps.

    Returns figures; a step that fails is written down and tried again later.
    """
    erasure_journal.write_missing_lines(ctx)
    replaced_keys.destroy(ctx)
    if not is_any_due(ctx):
        return {"steps_done": 0, "steps_failed": 0}
    ctx.standing.require_newest()
    went_well: list[bool] = []
    try:
        erasure_keys.seal_waiting(ctx)
    finally:  # a key server that is away keeps nobody's film from going
        _open_waiting(ctx)
        while len(went_well) < limit and (claimed := claim(ctx, worker, None)) is not None:
            went_well.append(perform(ctx, claimed))
    return {"steps_done": sum(went_well), "steps_failed": went_well.count(False)}


def perform(ctx: Context, claimed: Claimed, *, leave: bool = False) -> bool:
    """Act on one claimed step and write down how it went; False when it failed.

    `leave`: what the key server forbids to this process is put back for the worker.
    """
    try:
        with renewed(ctx, claimed):
            figures = erasure_steps.ACTS[claimed.kind](ctx, claimed.order)
    except Exception as fault:  # noqa: BLE001  (any fault of any store is written down and retried)
        if leave and isinstance(fault, ConsentServiceError) and is_forbidden(fault):
            _leave(ctx, claimed)
        else:
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
        return _view(row, _steps(session, [row.id])[row.id])


def page_of_orders(
    ctx: Context,
    caller: Caller,
    ask: PageAsk,
    *,
    involvement: str | None = None,
    open_only: bool = False,
) -> Page[OrderView]:
    """Return the orders in the caller's reach: what is not finished first, then the newest."""
    require(ctx, caller, Permission.ERASURE_READ)
    with ctx.read() as session:
        query = select(ErasureOrder).join(
            Involvement, Involvement.id == ErasureOrder.involvement_id
        )
        if open_only:
            query = query.where(ErasureOrder.state.in_(OPEN))
        if involvement is not None:
            query = query.where(ErasureOrder.involvement_id == involvement)
        teams = teams_reached(ctx, caller, Permission.ERASURE_READ)
        if teams is not None:
            query = query.where(Involvement.team_id.in_(teams))
        found = page_of(session, query, _OPEN_FIRST, ask)
        steps = _steps(session, [row.id for row in found.items])
        return found.of([_view(row, steps.get(row.id, [])) for row in found.items])


def _open_waiting(ctx: Context) -> None:
    """Turn orders whose window has passed into orders to be carried out."""
    with ctx.begin() as uow:
        uow.session.execute(
            update(ErasureOrder)
            .where(ErasureOrder.state == OrderState.WAITING, ErasureOrder.not_before <= uow.at)
            .values(state=OrderState.ORDERED)
        )


def _complete(ctx: Context, claimed: Claimed, figures: dict[str, int]) -> None:
    with ctx.begin() as uow:
        row = held_step(uow, claimed)
        if row is None:
            return
        row.state = StepState.DONE
        row.done_at = uow.at
        row.figures = dict(figures)
        row.fault = None
        row.lease_until = None
        parent = uow.session.get_one(ErasureOrder, row.order_id)
        if row.position == len(STEP_ORDER):
            _close(ctx, uow, parent)
        uow.record(
            AuditEvent(
                EventKind.ERASURE_STEP_DONE,
                ERASER,
                row.id,
                parent.involvement_id,
                {"step": row.kind.value, "order": row.order_id, **figures},
            )
        )


def _close(ctx: Context, uow: UnitOfWork, order: ErasureOrder) -> None:
    """Note that an order is done; what it kept is fenced no longer, and may be due by now.

    Film that has not all come in, or is not stored, has no state that would keep it shut: where a
    hold keeps it, its fence stands on.
    """
    uow.lock_involvement(order.involvement_id).consent_epoch += 1
    order.state = OrderState.DONE
    order.completed_at = uow.at
    for fence in uow.session.scalars(select(Fence).where(Fence.order_id == order.id)):
        arriving = select(Asset.id).where(Asset.id.in_(fence.asset_ids), Asset.state.in_(ARRIVING))
        if unstored := uow.session.scalars(arriving.order_by(Asset.id)).all():
            fence.asset_ids = list(unstored)
        else:
            fence.lifted_at = fence.lifted_at or uow.at
    uow.record(AuditEvent(EventKind.ERASURE_COMPLETED, ERASER, order.id, order.involvement_id))
    uow.session.flush()
    erasure_again.order_what_is_over(ctx, uow, ERASER, order.involvement_id)


def _leave(ctx: Context, claimed: Claimed) -> None:
    """Let go of a step that the worker's token is for; that it was tried here is no attempt."""
    with ctx.begin() as uow:
        row = held_step(uow, claimed)
        if row is not None:
            row.state, row.lease_until = StepState.PENDING, None
            row.attempts -= 1
            row.next_try_at = uow.at + NEXT_BEAT


def _fail(ctx: Context, claimed: Claimed, fault: Exception) -> None:
    code = fault.code if isinstance(fault, ConsentServiceError) else type(fault).__name__.lower()
    with ctx.begin() as uow:
        row = held_step(uow, claimed)
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


def _view(row: ErasureOrder, steps: Sequence[StepView]) -> OrderView:
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
        tuple(steps),
    )


def _steps(session: Session, orders: Sequence[str]) -> dict[str, list[StepView]]:
    """Return the steps of each order, in their order."""
    found: dict[str, list[StepView]] = {}
    mine = select(ErasureStep).where(ErasureStep.order_id.in_(orders))
    for row in session.scalars(mine.order_by(ErasureStep.order_id, ErasureStep.position)):
        view = StepView(
            row.id, row.kind, row.state, row.attempts, row.done_at, row.fault, dict(row.figures)
        )
        found.setdefault(row.order_id, []).append(view)
    return found

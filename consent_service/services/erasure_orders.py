"""Writing an erasure order: order, fence and steps, in the transaction that ends something.

Rules kept here: a fixed number of rows whatever the size; the consent epoch moves, so that open
streams notice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from consent_service.db.models.erasure import ErasureOrder, ErasureStep, Fence
from consent_service.db.queries.erasure import OrderScope
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, AuditEvent, EventKind
from consent_service.domain.erasure import STEP_ORDER, OrderCause, OrderState, StepState
from consent_service.ids import new_id


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


def order_erasure(
    uow: UnitOfWork,
    actor: Actor,
    wanted: OrderErasure,
    *,
    identifier: str | None = None,
    also: Sequence[AuditEvent] = (),
) -> ErasureOrder:
    """Write an order, its fence and its steps in the caller's transaction: a fixed number of rows.

    The caller has ended access; the order's moment is the transaction's. The consent epoch moves,
    so that streams of what is fenced are cut. `identifier` is given where it is known before:
    from the journal, or named by `also`, the events that are written down with this one.
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
    _raise_fence(uow, order, wanted)
    _write_steps(uow, order)
    details = {"reason": wanted.cause.value, "reference": order.reference}
    ordered = AuditEvent(EventKind.ERASURE_ORDERED, actor, order.id, wanted.involvement, details)
    uow.record_all([*also, ordered])
    return order


def _raise_fence(uow: UnitOfWork, order: ErasureOrder, wanted: OrderErasure) -> None:
    row = {
        "id": new_id(),
        "order_id": order.id,
        "involvement_id": wanted.involvement,
        "asset_ids": list(wanted.scope.assets),
        "raised_at": uow.at,
    }
    uow.insert(Fence, [row])


def _write_steps(uow: UnitOfWork, order: ErasureOrder) -> None:
    rows = [
        {
            "id": new_id(),
            "order_id": order.id,
            "position": position,
            "kind": kind,
            "state": StepState.PENDING,
            "next_try_at": order.not_before,
        }
        for position, kind in enumerate(STEP_ORDER, start=1)
    ]
    uow.insert(ErasureStep, rows)

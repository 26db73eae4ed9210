"""Taking a withdrawal back as a whole: in every involvement that it reached.

Rules kept here: an undo names each ending that it takes back; the orders of the act go with it, and
the fences of those orders are lifted.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentEnding
from consent_service.db.models.erasure import ErasureOrder, Fence, Withdrawal
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.consent import EndingKind
from consent_service.domain.erasure import OrderState
from consent_service.errors import Conflict
from consent_service.ids import new_id


def ended_by(session: Session, row: Withdrawal) -> tuple[str, ...]:
    """Return every involvement that a withdrawal reached, the one that it was said in included."""
    found = session.scalars(
        select(ConsentEnding.involvement_id).where(ConsentEnding.ref == row.id).distinct()
    )
    return tuple(sorted({row.involvement_id, *found}))


def orders_of(session: Session, row: Withdrawal) -> list[ErasureOrder]:
    """Return every order of a withdrawal: of the involvement that it was said in first."""
    return orders_of_each(session, [row])[row.id]


def orders_of_each(session: Session, rows: Sequence[Withdrawal]) -> dict[str, list[ErasureOrder]]:
    """Return the orders of each withdrawal, in the order that `orders_of` gives."""
    found = session.scalars(
        select(ErasureOrder)
        .where(ErasureOrder.withdrawal_id.in_([row.id for row in rows]))
        .order_by(ErasureOrder.ordered_at, ErasureOrder.id)
    ).all()
    return {
        row.id: sorted(
            (order for order in found if order.withdrawal_id == row.id),
            key=lambda order: order.involvement_id != row.involvement_id,
        )
        for row in rows
    }


def require_undoable(row: Withdrawal, orders: Sequence[ErasureOrder], at: datetime) -> None:
    """Raise Conflict `already_cancelled`, or `too_late` once the window is over or film goes."""
    if row.cancelled_at is not None:
        raise Conflict("This withdrawal was cancelled already.", code="already_cancelled")
    begun = any(order.state is not OrderState.WAITING for order in orders)
    if row.undo_until is None or at >= row.undo_until or begun:
        raise Conflict(
            "The time to change one's mind is over; what was to go is going or gone.",
            code="too_late",
            withdrawal=row.id,
        )


def undo(uow: UnitOfWork, row: Withdrawal, *, at: datetime, by_user: str | None) -> None:
    """Take back every ending and order of a withdrawal in the caller's transaction."""
    row.cancelled_at = at
    endings = uow.session.scalars(
        select(ConsentEnding).where(
            ConsentEnding.ref == row.id, ConsentEnding.kind == EndingKind.WITHDRAWN
        )
    ).all()
    for ending in endings:
        uow.session.add(_taken_back(uow, ending, at, by_user))
    for order in orders_of(uow.session, row):
        order.state = OrderState.CANCELLED
        for fence in uow.session.scalars(select(Fence).where(Fence.order_id == order.id)):
            fence.lifted_at = uow.at


def _taken_back(
    uow: UnitOfWork, ending: ConsentEnding, at: datetime, by_user: str | None
) -> ConsentEnding:
    return ConsentEnding(
        id=new_id(),
        kind=EndingKind.UNDONE,
        involvement_id=ending.involvement_id,
        person_id=ending.person_id,
        purpose=ending.purpose,
        by_person_id=ending.by_person_id,
        by_user_id=by_user,
        ref=ending.ref,
        event_at=at,
        recorded_at=uow.at,
    )

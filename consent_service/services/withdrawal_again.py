"""The same stop said once more while the first is still to be carried out: one withdrawal, not two.

Rules kept here:
  * whoever asks again, as after an answer that was lost, is told what stands: a second
    act would have a certificate of its own for nothing, and taking back one would leave the other;
  * it is the same stop only where it asks for the very same of the same person, as of no earlier
    moment, while all of it is still over and nothing of it was agreed to since;
  * once the inventory of what goes is frozen, film may have come after it: then it is a new one.
"""

from sqlalchemy import select

from consent_service.db.models.erasure import ErasureOrder, Withdrawal
from consent_service.db.queries.consent import states_now
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.erasure import OrderState
from consent_service.domain.withdrawal import WithdrawalRequest
from consent_service.services.withdrawal_reach import OVER, Reach
from consent_service.services.withdrawal_undo import orders_of

_TO_BE_DONE = frozenset({OrderState.WAITING, OrderState.ORDERED, OrderState.RUNNING})


def standing_same(uow: UnitOfWork, request: WithdrawalRequest, reach: Reach) -> Withdrawal | None:
    """Return the withdrawal that already does all that is asked; None where something is new.

    `reach` is locked, so that of two who ask at once the second finds what the first wrote.
    """
    newest = uow.session.scalar(
        select(Withdrawal)
        .where(
            Withdrawal.involvement_id == request.involvement,
            Withdrawal.person_id == request.person,
            Withdrawal.by_person_id == request.by,
        )
        .order_by(Withdrawal.recorded_at.desc(), Withdrawal.id.desc())
        .limit(1)
    )
    if newest is None or not _asks_the_same(newest, request, reach):
        return None
    orders = orders_of(uow.session, newest)
    going = bool(orders) and all(_is_to_be_done(order) for order in orders)
    return newest if going and _is_over(uow, newest) else None


def _asks_the_same(act: Withdrawal, request: WithdrawalRequest, reach: Reach) -> bool:
    """Tell whether a request is this act again, and reaches nothing that it did not."""
    only_here = len(reach.parts) == 1
    asked = (
        request.scope,
        request.speed,
        sorted(reach.parts[0].purposes),
        sorted(request.assets),
        sorted(request.keep_purposes),
    )
    said = (
        act.scope,
        act.speed,
        sorted(act.purposes),
        sorted(act.asset_ids),
        sorted(act.keep_purposes),
    )
    return only_here and asked == said and act.event_at <= request.moment


def _is_to_be_done(order: ErasureOrder) -> bool:
    return order.state in _TO_BE_DONE and order.inventory_frozen_at is None


def _is_over(uow: UnitOfWork, act: Withdrawal) -> bool:
    """Tell whether every purpose of the act is over still; of named film there is none to ask."""
    states = states_now(uow.session, act.involvement_id, [act.person_id], act.purposes, uow.at)
    return all(found.state in OVER for found in states.values())

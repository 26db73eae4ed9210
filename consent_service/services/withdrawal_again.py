"""The same stop said once more while the first is still to be carried out: one withdrawal, not two.

Rules kept here:
  * whoever asks again, as after an answer that was lost, is told what stands: a second
    act would have a certificate of its own for nothing, and taking back one would leave the other;
  * it is the same stop only where it asks for the very same of the same person, as of no earlier
    moment, while all of it is still over, or frozen by this very word, and nothing of it was agreed
    to since;
  * what is over is the same only under an order of the first; once the inventory of what goes is
    frozen, film may have come after it: then it is a new one.
"""

from collections.abc import Sequence

from sqlalchemy import select

from consent_service.db.models.consent import ConsentEnding
from consent_service.db.models.erasure import ErasureOrder, Withdrawal
from consent_service.db.queries.consent import states_now, yeses_about
from consent_service.db.queries.erasure import OrderScope
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.erasure import OrderState
from consent_service.domain.withdrawal import WithdrawalRequest
from consent_service.services.withdrawal_checks import Part
from consent_service.services.withdrawal_reach import OVER, Reach, in_dispute
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
    if newest is None or newest.cancelled_at is not None:
        return None
    if not _asks_the_same(newest, request, reach):
        return None
    orders = orders_of(uow.session, newest)
    going = all(_is_to_be_done(order) for order in orders)
    stands = going and all(_stands(uow, newest, reach, part, orders) for part in reach.parts)
    return newest if stands else None


def _asks_the_same(act: Withdrawal, request: WithdrawalRequest, reach: Reach) -> bool:
    """Tell whether a request is this act again, in the involvement that it names."""
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
    return asked == said and act.event_at <= request.moment


def _is_to_be_done(order: ErasureOrder) -> bool:
    return order.state in _TO_BE_DONE and order.inventory_frozen_at is None


def _stands(
    uow: UnitOfWork, act: Withdrawal, reach: Reach, part: Part, orders: Sequence[ErasureOrder]
) -> bool:
    """Tell whether the act did in one involvement what is asked there, and all of it holds still.

    What parents disagree about waits under no order; of named film there is no state to ask.
    """
    scopes = [
        OrderScope.from_json(order.scope)
        for order in orders
        if order.involvement_id == part.involvement
    ]
    if not part.purposes:
        return bool(scopes)
    of_child = in_dispute(uow, act.person_id, part) if reach.standing.child else None
    over, disputed = of_child or (part.purposes, ())
    states = states_now(uow.session, part.involvement, [act.person_id], over, uow.at)
    return (
        set(part.purposes) <= _ended_by(uow, act, part.involvement)
        and all(found.state in OVER for found in states.values())
        and set(over) <= {purpose for scope in scopes for purpose in scope.purposes}
        and (not disputed or _freezes(uow, act, part.involvement))
    )


def _ended_by(uow: UnitOfWork, act: Withdrawal, involvement: str) -> set[str]:
    """Return the purposes that an act ended in an involvement."""
    ended = select(ConsentEnding.purpose).where(
        ConsentEnding.ref == act.id, ConsentEnding.involvement_id == involvement
    )
    return set(uow.session.scalars(ended))


def _freezes(uow: UnitOfWork, act: Withdrawal, involvement: str) -> bool:
    """Tell whether what parents disagree about is frozen by this act, as it would be by another.

    Not where whoever said stop said yes to anything after it, nor where its days to think are over:
    then they ask for others.
    """
    if act.undo_until is not None and act.undo_until <= uow.at:
        return False
    return not any(
        yes.by == act.by_person_id and yes.event_at >= act.event_at
        for yes in yeses_about(uow.session, involvement, act.person_id)
    )

"""Of what a withdrawal reached, what its receipt tells the person who withdrew.

Rule kept here: whoever speaks for a child is told of work that they belong to, and of no other: a
receipt must not tell a parent where the other one has gone with the child.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.erasure import ErasureOrder
from consent_service.db.models.people import InvolvementPerson
from consent_service.services.withdrawal_outcome import Elsewhere, OrderedView, Outcome


def orders_told(session: Session, by: str, orders: Sequence[OrderedView]) -> list[OrderedView]:
    """Return those of a withdrawal's orders that `by` is told of."""
    told = session.scalars(
        select(ErasureOrder.id)
        .join(InvolvementPerson, InvolvementPerson.involvement_id == ErasureOrder.involvement_id)
        .where(
            ErasureOrder.id.in_([order.id for order in orders]), InvolvementPerson.person_id == by
        )
    )
    known = frozenset(told)
    return [order for order in orders if order.id in known]


def places_told(session: Session, by: str, outcome: Outcome) -> list[Elsewhere]:
    """Return those of the other places reached that `by` is told of."""
    mine = session.scalars(
        select(InvolvementPerson.involvement_id).where(InvolvementPerson.person_id == by)
    )
    known = frozenset(mine)
    return [other for other in outcome.others if other.involvement in known]

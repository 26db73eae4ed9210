"""Of what a withdrawal reached, what its receipt tells the person who withdrew.

Rules kept here:
  * whoever speaks for a child is told of work that they belong to, and of no other: a receipt must
    not tell a parent where the other one has gone with the child;
  * what is fetched by link names only uses that its holder answered themselves, and tells of no
    hold and of no dispute: either would tell what somebody else said;
  * a certificate is signed as a whole: by link it is told whole or not at all.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentDecision
from consent_service.db.models.erasure import ErasureOrder, Withdrawal
from consent_service.db.models.people import InvolvementPerson
from consent_service.domain.purposes import CARE, split_use
from consent_service.services.access import Caller
from consent_service.services.withdrawal_outcome import Elsewhere, OrderedView, Outcome, PreviewLine

NOT_TOLD = frozenset({"hold", "dispute"})
"""Grounds for keeping that nothing by link tells."""


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


def lines_told(
    caller: Caller, destroyed: Sequence[PreviewLine], kept: Sequence[PreviewLine]
) -> tuple[list[PreviewLine], list[PreviewLine]]:
    """Return what the caller reads as going, and as staying.

    Of what is fetched by link, nothing tells of a hold or a dispute (rule 8): what one keeps for a
    while stands with what goes, as on the page, and a sentence says so of any film.
    """
    if caller.own is None:
        return list(destroyed), list(kept)
    untold = [line for line in kept if (line.ground or "hold") in NOT_TOLD]
    return [*destroyed, *untold], [line for line in kept if line not in untold]


def purposes_told(
    session: Session, caller: Caller, person: str, purposes: Sequence[str]
) -> tuple[str, ...]:
    """Return those of the uses that ended for a person of which the caller may read."""
    if caller.own is None:
        return tuple(purposes)
    answered = set(
        session.scalars(
            select(ConsentDecision.purpose).where(
                ConsentDecision.person_id == person,
                ConsentDecision.decided_by == caller.own.person,
                ConsentDecision.involvement_id == caller.own.involvement,
            )
        )
    )
    return tuple(p for p in purposes if split_use(p)[0] in answered or p == CARE)


def certificate_told(
    session: Session, caller: Caller, order: ErasureOrder, body: Mapping[str, Any]
) -> bool:
    """Tell whether the caller may read a certificate of this order.

    By link: of what its holder stopped, when nothing in it would tell of a hold, a dispute or
    another's answers. Else it looks as one that is not issued yet, and the guider explains it.
    """
    if caller.own is None:
        return True
    act = session.get(Withdrawal, order.withdrawal_id) if order.withdrawal_id else None
    if act is None or act.by_person_id != caller.own.person:
        return False
    grounds = {item["ground"] or "hold" for item in body["kept"]}
    told = purposes_told(session, caller, act.person_id, body["purposes"])
    return (
        not grounds & NOT_TOLD
        and list(told) == body["purposes"]
        and not _sealed_by_a_hold(order, body)
    )


def _sealed_by_a_hold(order: ErasureOrder, body: Mapping[str, Any]) -> bool:
    """Tell whether a hold is why keys were sealed.

    An order seals them also while it waits: for the days to change one's mind, or for the hours in
    which holds are checked.
    """
    if body["keys_sealed_at"] is None:
        return False
    waited = order.not_before > order.ordered_at
    return not waited or body["key_destroyed_at"] is None

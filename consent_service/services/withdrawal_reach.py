"""How far a withdrawal reaches: in which involvements it ends what.

Rules kept here:
  * whoever stops everything stops it in every involvement of theirs, whichever team it is with;
  * a stop for a child covers all of that child's open involvements;
  * named assets, and chosen purposes of an adult, are about the involvement named;
  * all of them are found first and locked in one order, before anything is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.people import InvolvementPerson
from consent_service.db.queries.consent import purposes_answered, states_now
from consent_service.db.queries.people import children_among, open_involvements_of
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.consent import ConsentState
from consent_service.domain.purposes import CARE, split_use
from consent_service.domain.withdrawal import WithdrawalRequest, WithdrawalScope
from consent_service.services import disputes
from consent_service.services.withdrawal_checks import Part, is_kept

OVER = frozenset({ConsentState.WITHDRAWN, ConsentState.REVOKED})


@dataclass(frozen=True)
class Reach:
    """Every row that is locked, and what ends where: the involvement named comes first."""

    locked: tuple[str, ...]
    parts: tuple[Part, ...]


def lock_reach(uow: UnitOfWork, request: WithdrawalRequest) -> Reach:
    """Find and lock everything that a withdrawal reaches, then say what it ends where."""
    others = _others(uow, request)
    locked = disputes.lock_reached(uow, request.involvement, *others)
    named = Part(request.involvement, _ended(uow.session, request, request.involvement))
    more = (_elsewhere(uow, request, other) for other in others)
    return Reach(locked, (named, *(part for part in more if part.purposes)))


def _others(uow: UnitOfWork, request: WithdrawalRequest) -> list[str]:
    """Return the other involvements of this person that the withdrawal is about."""
    if request.scope is WithdrawalScope.ASSETS:
        return []
    person = request.person
    found: set[str] = set()
    if request.scope is WithdrawalScope.EVERYTHING:
        mine = select(InvolvementPerson.involvement_id).where(InvolvementPerson.person_id == person)
        found = set(uow.session.scalars(mine))
    elif children_among(uow.session, [person], london_day(uow.at)):
        found = set(open_involvements_of(uow.session, [person]).get(person, ()))
    return sorted(found - {request.involvement})


def _elsewhere(uow: UnitOfWork, request: WithdrawalRequest, involvement: str) -> Part:
    """Return what ends in another involvement: nothing where nothing stands any more."""
    answered = purposes_answered(uow.session, involvement, request.person)
    states = states_now(uow.session, involvement, [request.person], answered, uow.at)
    standing = [purpose for (_, purpose), found in states.items() if found.state not in OVER]
    ended = _ended(uow.session, request, involvement)
    about = {split_use(purpose)[0] for purpose in ended}
    return Part(involvement, ended if about & {split_use(p)[0] for p in standing} else ())


def _ended(session: Session, request: WithdrawalRequest, involvement: str) -> tuple[str, ...]:
    if request.scope is WithdrawalScope.ASSETS:
        return ()
    answered = purposes_answered(session, involvement, request.person)
    everything = request.scope is WithdrawalScope.EVERYTHING or CARE in request.purposes
    # A no for a child that only another parent has answered for is still this parent's to say.
    more = {*answered, CARE} if everything else set()
    return tuple(sorted(p for p in more | set(request.purposes) if not is_kept(p, request)))


def in_dispute(
    uow: UnitOfWork, person: str, part: Part, spelt: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which purposes of a part may be erased for now, and about which parents disagree.

    `spelt` lists the uses ever named: where a purpose ends as a whole and another parent agreed to
    one use of it, that use is disputed and only the others are over.
    """
    purposes = {*part.purposes, *spelt}
    states = states_now(uow.session, part.involvement, [person], sorted(purposes), uow.at)
    over: list[str] = []
    disputed: list[str] = []
    for purpose in part.purposes:
        uses = [use for use in spelt if split_use(use)[0] == purpose and use != purpose]
        hit = [p for p in (purpose, *uses) if states[person, p].state is ConsentState.DISPUTED]
        disputed += hit
        ended = [u for u in uses if states[person, u].state is ConsentState.WITHDRAWN]
        over += ended if hit else [purpose]
    return tuple(dict.fromkeys(over)), tuple(dict.fromkeys(disputed))

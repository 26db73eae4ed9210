"""How far a withdrawal reaches: in which involvements it ends what.

Rules kept here:
  * whoever stops everything stops it in every involvement of theirs, whichever team it is with;
  * a stop for a child covers all of that child's open involvements;
  * named assets, and chosen purposes of an adult, are about the involvement named;
  * all of them are found first and locked in one order, before anything is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from consent_service.db.queries.consent import (
    Yes,
    purposes_asked_about,
    states_now,
    yeses_about,
)
from consent_service.db.queries.people import Belonging
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.consent import ConsentState
from consent_service.domain.purposes import CARE, split_use
from consent_service.domain.withdrawal import WithdrawalRequest, WithdrawalScope
from consent_service.services import disputes
from consent_service.services.withdrawal_checks import Part, Standing, agreed_since, is_kept

OVER = frozenset({ConsentState.WITHDRAWN, ConsentState.REVOKED})


@dataclass(frozen=True)
class Reach:
    """Every row that is locked, and what ends where: the involvement named comes first."""

    locked: tuple[str, ...]
    parts: tuple[Part, ...]
    standing: Standing


def lock_reach(
    uow: UnitOfWork, request: WithdrawalRequest, standing: Standing, belongs: Belonging
) -> Reach:
    """Find and lock everything that a withdrawal reaches, then say what it ends where."""
    others = _others(request, standing, belongs)
    locked = _lock(uow, [request.involvement, *others], standing)
    named = _part(uow, request, request.involvement, _yeses(uow, request, request.involvement))
    more = (_elsewhere(uow, request, other) for other in others)
    return Reach(locked, (named, *(part for part in more if part.purposes)), standing)


def _lock(uow: UnitOfWork, reached: Sequence[str], standing: Standing) -> tuple[str, ...]:
    """Lock what is reached: nobody else's state hangs on what an adult says about themselves."""
    if standing.child:
        return disputes.lock_reached(uow, *reached)
    locked = tuple(sorted(reached))
    for involvement in locked:
        uow.lock_involvement(involvement)
    return locked


def _others(request: WithdrawalRequest, standing: Standing, belongs: Belonging) -> list[str]:
    """Return the other involvements of this person that the withdrawal is about."""
    found: frozenset[str] = frozenset()
    if request.scope is WithdrawalScope.ASSETS:
        return []
    if request.scope is WithdrawalScope.EVERYTHING:
        found = belongs.involvements[request.person]
    elif standing.child:
        found = belongs.open_ones_of(request.person)
    return sorted(found - {request.involvement})


def _elsewhere(uow: UnitOfWork, request: WithdrawalRequest, involvement: str) -> Part:
    """Return what ends in another involvement: nothing where nothing stands any more."""
    yeses = _yeses(uow, request, involvement)
    answered = sorted({purpose for yes in yeses for purpose in yes.spelt})
    states = states_now(uow.session, involvement, [request.person], answered, uow.at)
    standing = {split_use(p)[0] for (_, p), found in states.items() if found.state not in OVER}
    part = _part(uow, request, involvement, yeses)
    about = {split_use(purpose)[0] for purpose in part.purposes}
    return part if about & standing else Part(involvement, ())


def _yeses(uow: UnitOfWork, request: WithdrawalRequest, involvement: str) -> list[Yes]:
    if request.scope is WithdrawalScope.ASSETS:
        return []
    return yeses_about(uow.session, involvement, request.person)


def _part(
    uow: UnitOfWork, request: WithdrawalRequest, involvement: str, yeses: Sequence[Yes]
) -> Part:
    ended = _ended(request, yeses)
    return Part(involvement, ended, agreed_since=agreed_since(request, uow.at, ended, yeses))


def _ended(request: WithdrawalRequest, yeses: Sequence[Yes]) -> tuple[str, ...]:
    if request.scope is WithdrawalScope.ASSETS:
        return ()
    everything = request.scope is WithdrawalScope.EVERYTHING or CARE in request.purposes
    # A no for a child that only another parent has answered for is still this parent's to say.
    more = {CARE, *(p for yes in yeses for p in yes.spelt)} if everything else set()
    return tuple(sorted(p for p in more | set(request.purposes) if not is_kept(p, request)))


def in_dispute(uow: UnitOfWork, person: str, part: Part) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which purposes of a child may be erased for now, and about which parents disagree.

    Where a purpose ends as a whole and another parent agreed to one use of it, that use is disputed
    and only the others are over.
    """
    spelt = purposes_asked_about(uow.session, [person])
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

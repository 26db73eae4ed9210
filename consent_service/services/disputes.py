"""Parents who disagree about a child: frozen, the IG officer told, nothing erased.

Rules kept here:
  * a dispute counts as a hold; the IG officer settles it either way, with a reason;
  * settled against, where a parent had withdrawn, that takes its course: an order follows, which
    goes with the withdrawal wherever that is taken back;
  * so it does where another comes to say no, and nobody agrees any more;
  * settled either way, what a dispute alone had kept back from another order goes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import select

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentAct, ConsentEnding, Dispute
from consent_service.db.models.erasure import Withdrawal
from consent_service.db.models.people import Involvement
from consent_service.db.queries.consent import (
    findings,
    purposes_asked_about,
    refusals_in,
    states_now,
)
from consent_service.db.queries.erasure import OrderScope
from consent_service.db.queries.people import children_among, members, sharing
from consent_service.db.queries.stories import Pair, Question
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.consent import ConsentState, EndingKind
from consent_service.domain.erasure import OrderCause
from consent_service.domain.purposes import split_use
from consent_service.domain.roles import IG_OFFICER, Permission
from consent_service.errors import Conflict, InvalidInput, NotFound
from consent_service.ids import new_id
from consent_service.services import erasure_again, erasure_journal, keys
from consent_service.services.access import Caller, involvement_for, reaches
from consent_service.services.at_once import at_once
from consent_service.services.context import Context
from consent_service.services.erasure_orders import OrderErasure, order_erasure
from consent_service.services.notices import notify
from consent_service.vault.journal import LineKind

SERVICE = Actor(ActorKind.SYSTEM, "service")
AGAINST = frozenset({ConsentState.DISPUTED, ConsentState.DECLINED, ConsentState.WITHDRAWN})
AGREED = frozenset({ConsentState.DISPUTED, ConsentState.GIVEN})
"""Somebody says yes, whoever else does not."""


@dataclass(frozen=True)
class DisputeView:
    """A disagreement about a child and a purpose; not settled yet."""

    id: str
    involvement: str
    person: str
    purpose: str
    opened_at: datetime


def lock_reached(uow: UnitOfWork, *involvements: str) -> tuple[str, ...]:
    """Lock these involvements and every other open one of their children; returns all, sorted.

    A no for a child reaches its other open involvements. All rows are locked here, in one order
    for everybody and before anything else is locked: two stops at once wait for each other and
    never lock each other out. Raises NotFound when one of `involvements` does not exist.
    """
    reached = tuple(sorted({*involvements, *_shared_with(uow, involvements)}))
    for involvement in reached:
        uow.lock_involvement(involvement)
    return reached


def open_where_parents_disagree(
    ctx: Context,
    uow: UnitOfWork,
    reached: Sequence[str],
    follow: Callable[[Context, str], object] = keys.settle,
) -> list[str]:
    """Open a dispute for each child's purpose that is *disputed* and has none open.

    `reached` is what `lock_reached` locked. A disagreement that has ended since closes its
    dispute. Streams of all of them notice, and their keys follow after the commit: by `follow`.
    Returns the ids newly opened.
    """
    opened = []
    for involvement in reached:
        uow.session.get_one(Involvement, involvement).consent_epoch += 1
        opened += _open_in(uow, involvement)
        uow.after_commit(partial(at_once, ctx, follow, involvement))
    return opened


def _shared_with(uow: UnitOfWork, involvements: Sequence[str]) -> set[str]:
    """Return every other open involvement of these involvements' children."""
    elsewhere = sharing(uow.session, involvements)
    if not elsewhere:
        return set()
    children = children_among(uow.session, elsewhere, london_day(uow.at))
    return {other for child in children for other in elsewhere[child]}


def _open_in(uow: UnitOfWork, involvement: str) -> list[str]:
    states = _children_states(uow, involvement)
    standing = {
        (d.person_id, d.purpose): d
        for d in uow.session.scalars(
            select(Dispute).where(
                Dispute.involvement_id == involvement, Dispute.resolved_at.is_(None)
            )
        )
    }
    opened = []
    for (person, purpose), state in states.items():
        if state is ConsentState.DISPUTED and (person, purpose) not in standing:
            opened.append(_open(uow, involvement, person, purpose))
    for pair, dispute in standing.items():
        if states.get(pair) is not ConsentState.DISPUTED:
            dispute.resolved_at = uow.at
            dispute.resolution = "agreed"
    return opened


def standing(ctx: Context, caller: Caller, involvement: str | None = None) -> list[DisputeView]:
    """Return disputes that nobody settled yet, oldest first: of one family, or all in reach."""
    with ctx.read() as session:
        query = select(Dispute, Involvement.team_id).join(
            Involvement, Involvement.id == Dispute.involvement_id
        )
        if involvement is not None:
            involvement_for(ctx, session, caller, Permission.INVOLVEMENT_READ, involvement)
            query = query.where(Dispute.involvement_id == involvement)
        rows = session.execute(
            query.where(Dispute.resolved_at.is_(None)).order_by(Dispute.opened_at, Dispute.id)
        )
        return [
            DisputeView(row.id, row.involvement_id, row.person_id, row.purpose, row.opened_at)
            for row, team in rows
            if reaches(ctx, caller, Permission.INVOLVEMENT_READ, team)
        ]


def resolve(ctx: Context, caller: Caller, dispute: str, *, give: bool, reason: str) -> None:
    """Settle a dispute either way; raises Conflict when it is settled already."""
    if not reason.strip():
        raise InvalidInput("Say why.", {"reason": "Give the reason for this decision."})
    with ctx.begin() as uow:
        row = uow.session.get(Dispute, dispute)
        if row is None:
            raise NotFound("There is no such dispute.", kind="dispute")
        involvement_for(ctx, uow.session, caller, Permission.DISPUTE_RESOLVE, row.involvement_id)
        involvement = uow.lock_involvement(row.involvement_id)
        uow.session.refresh(row)
        if row.resolved_at is not None:
            raise Conflict("This dispute is settled already.", code="already_settled")
        kind = EndingKind.RESOLVED_GIVEN if give else EndingKind.RESOLVED_DECLINED
        uow.session.add(
            ConsentEnding(
                id=new_id(),
                kind=kind,
                involvement_id=row.involvement_id,
                person_id=row.person_id,
                purpose=row.purpose,
                by_user_id=caller.id,
                ref=row.id,
                reason=reason,
                event_at=uow.at,
                recorded_at=uow.at,
            )
        )
        erasure_journal.owe(uow, LineKind.CONSENT_ENDED, _line_body(row, kind, caller.id, uow.at))
        row.resolved_at = uow.at
        row.resolution = kind.value
        row.resolved_by = caller.id
        row.reason = reason
        involvement.consent_epoch += 1
        uow.record(
            AuditEvent(
                EventKind.DISPUTE_RESOLVED,
                caller.actor,
                row.id,
                row.involvement_id,
                {"decision": kind.value},
            )
        )
        uow.session.flush()
        pair = (row.person_id, row.purpose)
        orders = [] if give else _order_withdrawn(uow, caller, row.involvement_id, [pair])
        orders += erasure_again.order_again(ctx, uow, caller.actor, row.involvement_id)
    erasure_journal.acknowledge(ctx, orders=orders)
    at_once(ctx, keys.settle, row.involvement_id)


def _line_body(row: Dispute, kind: EndingKind, by: str, at: datetime) -> dict[str, Any]:
    return {
        "order": None,
        "involvement": row.involvement_id,
        "dispute": {
            "id": row.id,
            "person": row.person_id,
            "purpose": row.purpose,
            "kind": kind.value,
            "by": by,
            "event_at": at.isoformat(),
        },
    }


def order_what_nobody_wants(
    uow: UnitOfWork, caller: Caller, act: ConsentAct, reached: Sequence[str]
) -> list[str]:
    """Order erased what a parent had withdrawn, where a no in this act took the last yes from it.

    Until then another had agreed, or the IG officer had decided for them: nothing was ordered, and
    nobody is left to settle it. Returns the orders, of every involvement that `act` reaches.
    """
    said = refusals_in(uow.session, act.id)
    people = sorted(children_among(uow.session, {r.person for r in said}, london_day(uow.at)))
    bases = {split_use(refusal.purpose)[0] for refusal in said}
    spelt = purposes_asked_about(uow.session, people) if people else []
    purposes = tuple(purpose for purpose in spelt if split_use(purpose)[0] in bases)
    orders: list[str] = []
    for involvement in reached if purposes else ():
        question = Question(involvement, tuple(people), purposes, london_day(uow.at))
        now = findings(uow.session, question, uow.at)
        before = findings(uow.session, question, uow.at, uow.at - timedelta(microseconds=1))
        over = [
            pair
            for pair, found in sorted(now.items())
            if found.state is ConsentState.WITHDRAWN and before[pair].state in AGREED
        ]
        orders += _order_withdrawn(uow, caller, involvement, over)
    return orders


def _order_withdrawn(
    uow: UnitOfWork, caller: Caller, involvement: str, over: Sequence[Pair]
) -> list[str]:
    """Order erased what withdrawals had ended and were kept from: one order for each of them.

    Not before its days to think are over. Every order of a withdrawal goes with it, however many
    follow: a change of mind must reach all of them, or film goes that everybody agrees to again.
    """
    ended: dict[str, tuple[Withdrawal, list[str]]] = {}
    for person, purpose in over:
        given_up = _newest_withdrawal(uow, involvement, person, purpose)
        if given_up is not None:
            ended.setdefault(given_up.id, (given_up, []))[1].append(purpose)
    return [
        order_erasure(
            uow,
            caller.actor,
            OrderErasure(
                involvement,
                OrderCause.WITHDRAWAL,
                OrderScope(persons=(act.person_id,), purposes=tuple(purposes), ended_at=uow.at),
                max(uow.at, act.undo_until or uow.at),
                withdrawal=act.id,
            ),
        ).id
        for act, purposes in ended.values()
    ]


def _newest_withdrawal(
    uow: UnitOfWork, involvement: str, person: str, purpose: str
) -> Withdrawal | None:
    """Return the act by which a purpose was last ended, of those that nobody took back."""
    return uow.session.scalars(
        select(Withdrawal)
        .join(ConsentEnding, ConsentEnding.ref == Withdrawal.id)
        .where(
            ConsentEnding.kind == EndingKind.WITHDRAWN,
            ConsentEnding.involvement_id == involvement,
            ConsentEnding.person_id == person,
            ConsentEnding.purpose == purpose,
            Withdrawal.cancelled_at.is_(None),
        )
        .order_by(Withdrawal.recorded_at.desc(), Withdrawal.id)
        .limit(1)
    ).one_or_none()


def _children_states(uow: UnitOfWork, involvement: str) -> dict[tuple[str, str], ConsentState]:
    """Return the state of every child's purposes, and of each named use that is disputed alone.

    Somebody's no to the whole of a purpose disputes every use that another has named: that is one
    disagreement and not many, told of the purpose alone.
    """
    people = [person.id for _, person in members(uow.session, involvement)]
    children = sorted(children_among(uow.session, people, london_day(uow.at)))
    purposes = purposes_asked_about(uow.session, children)
    found = states_now(uow.session, involvement, children, purposes, uow.at)
    states = {pair: finding.state for pair, finding in found.items()}
    whole = {
        (person, split_use(purpose)[0])
        for (person, purpose), state in states.items()
        if state is ConsentState.DISPUTED and states[person, split_use(purpose)[0]] in AGAINST
    }
    apart = {
        (person, purpose): state
        for (person, purpose), state in states.items()
        if (person, split_use(purpose)[0]) not in whole
    }
    return apart | dict.fromkeys(whole, ConsentState.DISPUTED)


def _open(uow: UnitOfWork, involvement: str, person: str, purpose: str) -> str:
    row = Dispute(
        id=new_id(),
        involvement_id=involvement,
        person_id=person,
        purpose=purpose,
        opened_at=uow.at,
    )
    uow.session.add(row)
    uow.record(
        AuditEvent(
            EventKind.DISPUTE_OPENED,
            SERVICE,
            row.id,
            involvement,
            {"person": person, "purpose": purpose},
        )
    )
    notify(uow, "dispute_opened", role=IG_OFFICER, subject=row.id)
    return row.id

"""Parents who disagree about a child: frozen, the IG officer told, nothing erased.

Rules kept here:
  * a dispute counts as a hold; the IG officer settles it either way, with a reason;
  * settled against, where a parent had withdrawn, that takes its course: an order follows, which
    goes with the withdrawal wherever that is taken back;
  * so it does where nobody agrees any more, since the other has come to say no as well;
  * settled either way, what a dispute alone had kept back from another order goes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import select

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentEnding, Dispute
from consent_service.db.models.erasure import Withdrawal
from consent_service.db.models.people import Involvement
from consent_service.db.queries.consent import purposes_asked_about, states_now
from consent_service.db.queries.erasure import OrderScope
from consent_service.db.queries.people import children_among, members, sharing
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
) -> list[Dispute]:
    """Open a dispute for each child's purpose that is *disputed* and has none open.

    `reached` is what `lock_reached` locked. A disagreement that has ended since closes its
    dispute. Streams of all of them notice, and their keys follow after the commit: by `follow`.
    Returns the disputes that were closed because nobody agrees any more.
    """
    over = []
    for involvement in reached:
        uow.session.get_one(Involvement, involvement).consent_epoch += 1
        over += _open_in(uow, involvement)
        uow.after_commit(partial(at_once, ctx, follow, involvement))
    return over


def order_what_was_withdrawn(uow: UnitOfWork, caller: Caller, over: Sequence[Dispute]) -> list[str]:
    """Order erased what a parent had withdrawn and a dispute that is over kept back; returns ids.

    Not before the end of that parent's time to change their mind.
    """
    found = [_order_withdrawn(uow, caller, dispute) for dispute in over]
    return [order for order in found if order is not None]


def _shared_with(uow: UnitOfWork, involvements: Sequence[str]) -> set[str]:
    """Return every other open involvement of these involvements' children."""
    elsewhere = sharing(uow.session, involvements)
    if not elsewhere:
        return set()
    children = children_among(uow.session, elsewhere, london_day(uow.at))
    return {other for child in children for other in elsewhere[child]}


def _open_in(uow: UnitOfWork, involvement: str) -> list[Dispute]:
    states = _children_states(uow, involvement)
    standing = {
        (d.person_id, d.purpose): d
        for d in uow.session.scalars(
            select(Dispute).where(
                Dispute.involvement_id == involvement, Dispute.resolved_at.is_(None)
            )
        )
    }
    for (person, purpose), state in states.items():
        if state is ConsentState.DISPUTED and (person, purpose) not in standing:
            _open(uow, involvement, person, purpose)
    over = []
    for pair, dispute in standing.items():
        if states.get(pair) is not ConsentState.DISPUTED:
            dispute.resolved_at = uow.at
            dispute.resolution = "agreed"
            if states.get(pair) is ConsentState.WITHDRAWN:
                over.append(dispute)
    return over


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
        orders = [] if give else order_what_was_withdrawn(uow, caller, [row])
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


def _order_withdrawn(uow: UnitOfWork, caller: Caller, row: Dispute) -> str | None:
    given_up = uow.session.scalars(
        select(Withdrawal)
        .join(ConsentEnding, ConsentEnding.ref == Withdrawal.id)
        .where(
            ConsentEnding.kind == EndingKind.WITHDRAWN,
            ConsentEnding.involvement_id == row.involvement_id,
            ConsentEnding.person_id == row.person_id,
            ConsentEnding.purpose == row.purpose,
            Withdrawal.cancelled_at.is_(None),
        )
        .order_by(Withdrawal.recorded_at.desc(), Withdrawal.id)
        .limit(1)
    ).one_or_none()
    if given_up is None:
        return None
    wanted = OrderErasure(
        row.involvement_id,
        OrderCause.WITHDRAWAL,
        OrderScope(persons=(row.person_id,), purposes=(row.purpose,), ended_at=uow.at),
        max(uow.at, given_up.undo_until or uow.at),
        # Every order of a withdrawal goes with it, however many follow: a change of mind must reach
        # all of them, or film goes that everybody agrees to again.
        withdrawal=given_up.id,
    )
    return order_erasure(uow, caller.actor, wanted).id


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


def _open(uow: UnitOfWork, involvement: str, person: str, purpose: str) -> None:
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

"""Withdrawing consent: as easy as giving it, ended at once, destroyed through the ledger.

Rules kept here:
  * access ends in the transaction of the withdrawal, which writes a fixed number of rows (5) for
    each involvement that it reaches: one order, one fence, one key step;
  * whoever withdraws `care` withdraws every purpose but those kept by name (6);
  * where parents come to disagree, film is frozen and nothing is erased;
  * only the person who withdrew can cancel, within the undo window, and after it nothing does.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import rfc8785
from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentEnding
from consent_service.db.models.erasure import ErasureOrder, Withdrawal
from consent_service.db.models.people import Involvement
from consent_service.db.queries.erasure import OrderScope, assets_in_scope, holdings
from consent_service.db.queries.people import belonging
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.consent import EndingKind
from consent_service.domain.erasure import OrderCause, OrderState, Plan, StepKind, plan
from consent_service.domain.roles import Permission
from consent_service.domain.withdrawal import Speed, WithdrawalRequest, WithdrawalScope
from consent_service.errors import InvalidInput, NotFound, Refused
from consent_service.ids import new_id
from consent_service.services import disputes, erasure, erasure_journal, erasure_keys, keys
from consent_service.services.access import Caller, involvement_for
from consent_service.services.at_once import at_once
from consent_service.services.context import Context
from consent_service.services.journal_people import require_named
from consent_service.services.notices import notify
from consent_service.services.withdrawal_again import standing_same
from consent_service.services.withdrawal_checks import Part, Standing, faults_of, standing_of
from consent_service.services.withdrawal_outcome import (
    Elsewhere,
    OrderedView,
    Outcome,
    PreviewLine,
    PreviewView,
    WithdrawalView,
    left_the_service,
    lines_of,
    outcome,
    sees,
    withdrawal_for,
    withdrawal_view,
    withdrawal_views,
)
from consent_service.services.withdrawal_reach import Reach, in_dispute, lock_reach
from consent_service.services.withdrawal_undo import (
    ended_by,
    orders_of,
    require_undoable,
    undo,
)
from consent_service.vault.journal import LineKind

__all__ = [
    "Elsewhere",
    "OrderedView",
    "Outcome",
    "PreviewLine",
    "PreviewView",
    "WithdrawalView",
    "cancel",
    "outcome",
    "preview",
    "withdraw",
    "withdrawal",
    "withdrawals",
]

WithIt = Callable[[UnitOfWork, str], None]
"""What else is written in the transaction of a withdrawal, told its id."""


@dataclass(frozen=True)
class _Ended:
    """What a withdrawal came to in one involvement."""

    part: Part
    scope: OrderScope
    disputed: tuple[str, ...] = ()
    order: ErasureOrder | None = None


@dataclass(frozen=True)
class _Done:
    """What a withdrawal came to within its transaction: the involvement named comes first."""

    row: Withdrawal
    ended: tuple[_Ended, ...]

    @property
    def orders(self) -> list[ErasureOrder]:
        """Return every order that was written."""
        return [one.order for one in self.ended if one.order is not None]


def preview(ctx: Context, caller: Caller, request: WithdrawalRequest) -> PreviewView:
    """Say what a withdrawal would do; nothing of it is kept.

    The withdrawal is carried out within a savepoint and rolled back, so that the preview and the
    act can never disagree.
    """
    with ctx.begin() as uow:
        row, reach = _admit(ctx, uow, caller, request, Permission.WITHDRAWAL_PREVIEW)
        trial = uow.session.begin_nested()
        done = _apply(ctx, uow, caller, request, reach)
        view = _preview_view(ctx, uow, caller, done)
        trial.rollback()
        uow.session.expire_all()
        uow.effects.clear()
        uow.record(
            AuditEvent(
                EventKind.WITHDRAWAL_PREVIEWED,
                caller.actor,
                row.id,
                row.id,
                {"person": request.person, "scope": request.scope.value},
            )
        )
        return view


def withdraw(
    ctx: Context, caller: Caller, request: WithdrawalRequest, also: WithIt | None = None
) -> WithdrawalView:
    """Record a withdrawal: access is over when this returns; keys go next, the rest follows.

    `also` is done in the same transaction. The same once more, while the first is still to be
    carried out, writes nothing and returns that one. Raises InvalidInput with every fault, NotFound
    for people or assets of other families.
    """
    orders: dict[str, OrderState] = {}
    written: list[bool] = []
    with ctx.begin() as uow:
        _, reach = _admit(ctx, uow, caller, request, Permission.WITHDRAWAL_RECORD)
        # Before what else follows the commit: keys are moved only after the journal was told.
        uow.after_commit(lambda: written.append(erasure_journal.acknowledge(ctx, orders=orders)))
        stands = standing_same(uow, request, reach)
        if stands is not None:
            orders_known = orders_of(uow.session, stands)
            return withdrawal_view(ctx, uow.session, caller, stands, orders_known)
        done = _apply(ctx, uow, caller, request, reach)
        _tell_other_guiders(uow, reach)
        if also is not None:
            also(uow, done.row.id)
        view = withdrawal_view(ctx, uow.session, caller, done.row, done.orders)
        orders |= {order.id: order.state for order in done.orders}
    if OrderState.WAITING in orders.values():
        at_once(ctx, erasure_keys.seal_waiting)
    now = [order for order, state in orders.items() if state is not OrderState.WAITING]
    if all(written):
        erasure.carry_out_all(ctx, now, "at-once", until=StepKind.DESTROY_CONSENT_KEY)
    return view


def cancel(
    ctx: Context, caller: Caller, withdrawal: str, by: str, also: WithIt | None = None
) -> WithdrawalView:
    """Cancel a withdrawal, wherever it reached, within its undo window, by who withdrew.

    `also` is done in the same transaction. Raises Refused `not_who_withdrew`, or `name_lost` for
    somebody whose record a restore has lost, Conflict `too_late` or `already_cancelled`.
    """
    # The orders' lines first, or a line written late would order anew what was cancelled.
    erasure_journal.write_missing_lines(ctx)
    with ctx.begin() as uow:
        row = withdrawal_for(ctx, uow.session, caller, Permission.WITHDRAWAL_CANCEL, withdrawal)
        if by != row.by_person_id:
            raise Refused(
                "Only the person who withdrew can change their mind.", code="not_who_withdrew"
            )
        require_named(uow.session, row.by_person_id)
        ended = ended_by(uow.session, row)
        reached = disputes.lock_reached(uow, *ended)
        uow.session.refresh(row)
        orders = orders_of(uow.session, row)
        require_undoable(row, orders, uow.at)
        undo(uow, row, at=uow.at, by_user=caller.id)
        erasure_journal.owe(uow, LineKind.UNDO, {"withdrawal": withdrawal, "by": by})
        uow.after_commit(partial(erasure_journal.acknowledge, ctx))
        if also is not None:
            also(uow, row.id)
        for involvement in ended:
            kind = EventKind.WITHDRAWAL_CANCELLED
            uow.record(AuditEvent(kind, caller.actor, row.id, involvement))
        uow.session.flush()
        disputes.open_where_parents_disagree(ctx, uow, reached)
        return withdrawal_view(ctx, uow.session, caller, row, orders)


def withdrawal(ctx: Context, caller: Caller, identifier: str) -> WithdrawalView:
    """Return one withdrawal that the caller may see."""
    with ctx.read() as session:
        row = withdrawal_for(ctx, session, caller, Permission.WITHDRAWAL_PREVIEW, identifier)
        return withdrawal_view(ctx, session, caller, row, orders_of(session, row))


def withdrawals(ctx: Context, caller: Caller, involvement: str) -> list[WithdrawalView]:
    """Return every withdrawal said in an involvement, oldest first."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.WITHDRAWAL_PREVIEW, involvement)
        rows = session.scalars(
            select(Withdrawal)
            .where(Withdrawal.involvement_id == involvement)
            .order_by(Withdrawal.recorded_at, Withdrawal.id)
        ).all()
        return withdrawal_views(ctx, session, caller, rows)


def _admit(
    ctx: Context,
    uow: UnitOfWork,
    caller: Caller,
    request: WithdrawalRequest,
    permission: Permission,
) -> tuple[Involvement, Reach]:
    """Return the involvement and all that is locked with it, or raise what a bad request gets."""
    row = involvement_for(ctx, uow.session, caller, permission, request.involvement)
    named = {request.person, request.by}
    belongs = belonging(uow.session, named, london_day(uow.at))
    if any(row.id not in belongs.involvements.get(person, ()) for person in named):
        raise NotFound("This person does not belong to the involvement.", kind="person")
    reach = lock_reach(uow, request, standing_of(uow, request, belongs), belongs)
    faults = faults_of(ctx, uow, row, request, (reach.standing, reach.parts))
    if faults:
        raise InvalidInput("This withdrawal cannot be recorded like this.", faults)
    return row, reach


def _apply(
    ctx: Context, uow: UnitOfWork, caller: Caller, request: WithdrawalRequest, reach: Reach
) -> _Done:
    """Append the act, its endings, orders and fences; nothing here grows with the film kept."""
    act = _append_act(ctx, uow, caller, request, reach.parts[0].purposes)
    overrules = reach.standing.overrules
    for part in reach.parts:
        uow.insert(ConsentEnding, _endings(uow, act, part, caller, overrules=overrules))
    uow.lock_involvement(request.involvement).last_entry_at = uow.at
    if reach.standing.child:
        follow = keys.settle_after_end
        disputes.open_where_parents_disagree(ctx, uow, reach.locked, follow)
    hours = timedelta(hours=ctx.policies.organisation.hold_check_hours)
    not_before = act.undo_until or uow.at + hours
    ended = [_ended(uow, act, part, reach.standing) for part in reach.parts]
    done = _Done(act, tuple(_order(uow, caller, act, one, not_before) for one in ended))
    if not done.orders:
        erasure_journal.owe_withdrawal(uow, act)
    uow.session.flush()
    return done


def _append_act(
    ctx: Context,
    uow: UnitOfWork,
    caller: Caller,
    request: WithdrawalRequest,
    purposes: tuple[str, ...],
) -> Withdrawal:
    undo_days = timedelta(days=ctx.policies.organisation.undo_days)
    values: dict[str, Any] = {
        "id": new_id(),
        "involvement_id": request.involvement,
        "person_id": request.person,
        "by_person_id": request.by,
        "scope": request.scope,
        "purposes": list(purposes),
        "asset_ids": list(request.assets),
        "keep_purposes": list(request.keep_purposes),
        "speed": request.speed,
        "route": request.route,
        "undo_until": None if request.speed is Speed.NOW else uow.at + undo_days,
        "recorded_by": caller.id,
        "event_at": min(request.moment, uow.at),
        "recorded_at": uow.at,
    }
    uow.insert(Withdrawal, [values])
    return Withdrawal(**values)


def _endings(
    uow: UnitOfWork, act: Withdrawal, part: Part, caller: Caller, *, overrules: bool
) -> list[dict[str, object]]:
    return [
        {
            "id": new_id(),
            "kind": EndingKind.WITHDRAWN,
            "involvement_id": part.involvement,
            "person_id": act.person_id,
            "purpose": purpose,
            "by_person_id": act.by_person_id,
            "may_overrule": overrules,
            "by_user_id": caller.id,
            "ref": act.id,
            "event_at": act.event_at,
            "recorded_at": uow.at,
        }
        for purpose in part.purposes
    ]


def _ended(uow: UnitOfWork, act: Withdrawal, part: Part, standing: Standing) -> _Ended:
    """Say what may go in one involvement; what parents disagree about stays for now."""
    if act.scope is WithdrawalScope.ASSETS:
        return _Ended(part, OrderScope(assets=tuple(sorted(act.asset_ids))))
    # Only about a child can there be two words.
    of_child = in_dispute(uow, act.person_id, part) if standing.child else None
    over, disputed = of_child or (part.purposes, ())
    return _Ended(
        part, OrderScope(persons=(act.person_id,), purposes=over, ended_at=act.event_at), disputed
    )


def _order(
    uow: UnitOfWork, caller: Caller, act: Withdrawal, one: _Ended, not_before: datetime
) -> _Ended:
    """Write down what ended in one involvement, and order erased what may go, if anything may."""
    scope = one.scope
    if not scope.assets and not scope.purposes:
        uow.record(_recorded(caller, act, one.part, {}))
        return one
    wanted = erasure.OrderErasure(
        one.part.involvement, _cause(scope), scope, not_before, withdrawal=act.id
    )
    order = new_id()
    told = _recorded(caller, act, one.part, {"order": order})
    made = erasure.order_erasure(uow, caller.actor, wanted, identifier=order, also=(told,))
    return replace(one, order=made)


def _cause(scope: OrderScope) -> OrderCause:
    return OrderCause.ASSETS_WITHDRAWN if scope.assets else OrderCause.WITHDRAWAL


def _recorded(caller: Caller, act: Withdrawal, part: Part, order: dict[str, str]) -> AuditEvent:
    details = {
        "person": act.person_id,
        "scope": act.scope.value,
        "purposes": list(part.purposes),
        "when": act.speed.value,
        **order,
    }
    kind = EventKind.WITHDRAWAL_RECORDED
    return AuditEvent(kind, caller.actor, act.id, part.involvement, details)


def _tell_other_guiders(uow: UnitOfWork, reach: Reach) -> None:
    """Tell whoever works with the family elsewhere: they were not there when it was said."""
    for part in reach.parts[1:]:
        other = uow.session.get_one(Involvement, part.involvement)
        notify(uow, "withdrawn_elsewhere", user=other.guider_id, subject=other.id)


def _plan(ctx: Context, session: Session, person: str, one: _Ended, at: datetime) -> Plan:
    scope = one.scope
    if one.disputed:
        scope = OrderScope(persons=(person,), purposes=scope.purposes)
    assets = assets_in_scope(session, one.part.involvement, scope)
    return plan(holdings(session, ctx.policies.purposes, assets, at), _cause(scope))


def _preview_view(ctx: Context, uow: UnitOfWork, caller: Caller, done: _Done) -> PreviewView:
    session, act = uow.session, done.row
    lines = [lines_of(_plan(ctx, session, act.person_id, one, uow.at)) for one in done.ended]
    listing = [
        [one.part.involvement, [[line.asset, line.outcome, line.ground or ""] for line in found]]
        for one, found in zip(done.ended, lines, strict=True)
    ]
    named = done.ended[0]
    return PreviewView(
        named.part.purposes,
        named.disputed,
        lines[0],
        left_the_service(session, named.part.involvement),
        act.undo_until,
        hashlib.sha256(rfc8785.dumps(listing)).hexdigest(),
        tuple(
            Elsewhere(one.part.involvement, None, one.part.purposes, one.disputed, found)
            if sees(ctx, session, caller, one.part.involvement)
            else Elsewhere()
            for one, found in zip(done.ended[1:], lines[1:], strict=True)
        ),
    )

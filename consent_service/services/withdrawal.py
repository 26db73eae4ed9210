"""Withdrawing consent: as easy as giving it, ended at once, destroyed through the ledger.

Rules kept here:
  * access ends in the transaction of the withdrawal, which writes a fixed number of rows (5);
  * whoever withdraws `care` withdraws every purpose but those kept by name (6);
  * where parents come to disagree, film is frozen and nothing is erased;
  * only the person who withdrew can cancel, within the undo window, and after it nothing does.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import rfc8785
from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentEnding
from consent_service.db.models.erasure import ErasureOrder, Fence, Withdrawal
from consent_service.db.models.people import Involvement
from consent_service.db.queries.consent import purposes_answered, states_now
from consent_service.db.queries.erasure import OrderScope, assets_in_scope, holdings
from consent_service.db.queries.people import members
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.consent import ConsentState, EndingKind
from consent_service.domain.erasure import OrderCause, OrderState, Plan, StepKind, plan
from consent_service.domain.purposes import CARE
from consent_service.domain.roles import Permission
from consent_service.domain.withdrawal import Speed, WithdrawalRequest, WithdrawalScope
from consent_service.errors import Conflict, InvalidInput, NotFound, Refused
from consent_service.ids import new_id
from consent_service.services import disputes, erasure, erasure_journal, erasure_keys, keys
from consent_service.services.access import Caller, involvement_for
from consent_service.services.context import Context
from consent_service.services.withdrawal_checks import faults_of, holding, is_kept
from consent_service.services.withdrawal_outcome import (
    Outcome,
    PreviewLine,
    PreviewView,
    WithdrawalView,
    left_the_service,
    lines_of,
    order_of,
    outcome,
    withdrawal_for,
    withdrawal_view,
)
from consent_service.vault.journal import LineKind

__all__ = [
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


@dataclass(frozen=True)
class _Done:
    """What a withdrawal came to within its transaction."""

    row: Withdrawal
    order: ErasureOrder | None
    scope: OrderScope
    disputed: tuple[str, ...]


def preview(ctx: Context, caller: Caller, request: WithdrawalRequest) -> PreviewView:
    """Say what a withdrawal would do; nothing of it is kept.

    The withdrawal is carried out within a savepoint and rolled back, so that the preview and the
    act can never disagree.
    """
    with ctx.begin() as uow:
        row = _admit(ctx, uow, caller, request, Permission.WITHDRAWAL_PREVIEW)
        trial = uow.session.begin_nested()
        done = _apply(ctx, uow, caller, row, request)
        planned = _plan(ctx, uow.session, row.id, done, uow.at)
        view = _preview_view(uow.session, row, done, planned)
        trial.rollback()
        uow.session.expire_all()
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


def withdraw(ctx: Context, caller: Caller, request: WithdrawalRequest) -> WithdrawalView:
    """Record a withdrawal: access is over when this returns; keys go next, the rest follows.

    Raises InvalidInput with every fault, NotFound for people or assets of other families.
    """
    with ctx.begin() as uow:
        row = _admit(ctx, uow, caller, request, Permission.WITHDRAWAL_RECORD)
        done = _apply(ctx, uow, caller, row, request)
        row.consent_epoch += 1
        row.last_entry_at = uow.at
        view = withdrawal_view(done.row, done.order)
        order = done.order.id if done.order else None
        waiting = done.order is not None and done.order.state is OrderState.WAITING
    keys.ensure_consent_keys(ctx, request.involvement)
    erasure_journal.pay(ctx)
    if order is not None:
        erasure_journal.journal_order(ctx, order)
        if waiting:
            erasure_keys.seal_waiting(ctx)
        else:
            erasure.carry_out(ctx, order, "at-once", until=StepKind.DESTROY_CONSENT_KEY)
    return view


def cancel(ctx: Context, caller: Caller, withdrawal: str, by: str) -> WithdrawalView:
    """Cancel a withdrawal within its undo window, by the person who withdrew.

    Raises Refused `not_who_withdrew`, Conflict `too_late` or `already_cancelled`.
    """
    # The order's line first, or a line written late would order anew what was cancelled.
    erasure_journal.write_missing_lines(ctx)
    with ctx.begin() as uow:
        row = withdrawal_for(ctx, uow.session, caller, Permission.WITHDRAWAL_CANCEL, withdrawal)
        involvement = uow.lock_involvement(row.involvement_id)
        if by != row.by_person_id:
            raise Refused(
                "Only the person who withdrew can change their mind.", code="not_who_withdrew"
            )
        uow.session.refresh(row)
        order = order_of(uow.session, row)
        _require_undoable(row, order, uow.at)
        row.cancelled_at = uow.at
        for purpose in row.purposes:
            _end(uow, row, purpose, EndingKind.UNDONE, caller)
        if order is not None:
            order.state = OrderState.CANCELLED
            for fence in uow.session.scalars(select(Fence).where(Fence.order_id == order.id)):
                fence.lifted_at = uow.at
        involvement.consent_epoch += 1
        erasure_journal.owe(uow, LineKind.UNDO, {"withdrawal": withdrawal, "by": by})
        uow.record(
            AuditEvent(EventKind.WITHDRAWAL_CANCELLED, caller.actor, row.id, row.involvement_id)
        )
        uow.session.flush()
        disputes.open_where_parents_disagree(ctx, uow, row.involvement_id)
        view = withdrawal_view(row, order)
    erasure_journal.pay(ctx)
    keys.settle(ctx, view.involvement)
    return view


def withdrawal(ctx: Context, caller: Caller, identifier: str) -> WithdrawalView:
    """Return one withdrawal that the caller may see."""
    with ctx.read() as session:
        row = withdrawal_for(ctx, session, caller, Permission.WITHDRAWAL_PREVIEW, identifier)
        return withdrawal_view(row, order_of(session, row))


def withdrawals(ctx: Context, caller: Caller, involvement: str) -> list[WithdrawalView]:
    """Return every withdrawal of an involvement, oldest first."""
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.WITHDRAWAL_PREVIEW, involvement)
        rows = session.execute(
            select(Withdrawal, ErasureOrder)
            .outerjoin(ErasureOrder, ErasureOrder.withdrawal_id == Withdrawal.id)
            .where(Withdrawal.involvement_id == involvement)
            .order_by(Withdrawal.recorded_at, Withdrawal.id)
        )
        return [withdrawal_view(row, order) for row, order in rows]


def _admit(
    ctx: Context,
    uow: UnitOfWork,
    caller: Caller,
    request: WithdrawalRequest,
    permission: Permission,
) -> Involvement:
    """Return the locked involvement, or raise what a request that cannot be taken gets."""
    involvement_for(ctx, uow.session, caller, permission, request.involvement)
    row = uow.lock_involvement(request.involvement)
    belonging = {person.id for _, person in members(uow.session, row.id)}
    if not {request.person, request.by} <= belonging:
        raise NotFound("This person does not belong to the involvement.", kind="person")
    faults = faults_of(ctx, uow, row, request)
    if faults:
        raise InvalidInput("This withdrawal cannot be recorded like this.", faults)
    return row


def _apply(
    ctx: Context, uow: UnitOfWork, caller: Caller, row: Involvement, request: WithdrawalRequest
) -> _Done:
    """Append the act, its endings, its order and fence; nothing here grows with the film kept."""
    purposes = _ended_purposes(uow.session, request)
    now_speed = request.speed is Speed.NOW
    organisation = ctx.policies.organisation
    undo_until = None if now_speed else uow.at + timedelta(days=organisation.undo_days)
    held = holding(uow, request)
    act = Withdrawal(
        id=new_id(),
        involvement_id=row.id,
        person_id=request.person,
        by_person_id=request.by,
        scope=request.scope,
        purposes=list(purposes),
        asset_ids=list(request.assets),
        keep_purposes=list(request.keep_purposes),
        speed=request.speed,
        route=request.route,
        undo_until=undo_until,
        recorded_by=caller.id,
        event_at=min(request.moment, uow.at),
        recorded_at=uow.at,
    )
    uow.session.add(act)
    uow.session.flush()
    overrules = held.may_overrule if held else False
    for purpose in purposes:
        _end(uow, act, purpose, EndingKind.WITHDRAWN, caller, overrules=overrules)
    uow.session.flush()
    disputes.open_where_parents_disagree(ctx, uow, row.id)
    scope, disputed = _scope(uow, act, purposes)
    not_before = undo_until or uow.at + timedelta(hours=organisation.hold_check_hours)
    order = _order(uow, caller, act, scope, not_before)
    if order is None:
        erasure_journal.owe_withdrawal(uow, act, overrules=overrules)
    uow.record(
        AuditEvent(
            EventKind.WITHDRAWAL_RECORDED,
            caller.actor,
            act.id,
            row.id,
            {
                "person": request.person,
                "scope": request.scope.value,
                "purposes": list(purposes),
                "when": request.speed.value,
                **({"order": order.id} if order else {}),
            },
        )
    )
    uow.session.flush()
    return _Done(act, order, scope, disputed)


def _ended_purposes(session: Session, request: WithdrawalRequest) -> tuple[str, ...]:
    if request.scope is WithdrawalScope.ASSETS:
        return ()
    answered = purposes_answered(session, request.involvement, request.person)
    everything = request.scope is WithdrawalScope.EVERYTHING or CARE in request.purposes
    # A no for a child that only another parent has answered for is still this parent's to say.
    more = {*answered, CARE} if everything else set()
    return tuple(sorted(p for p in more | set(request.purposes) if not is_kept(p, request)))


def _end(
    uow: UnitOfWork,
    act: Withdrawal,
    purpose: str,
    kind: EndingKind,
    caller: Caller,
    *,
    overrules: bool = False,
) -> None:
    undo = kind is EndingKind.UNDONE
    uow.session.add(
        ConsentEnding(
            id=new_id(),
            kind=kind,
            involvement_id=act.involvement_id,
            person_id=act.person_id,
            purpose=purpose,
            by_person_id=act.by_person_id,
            may_overrule=overrules,
            by_user_id=caller.id,
            ref=act.id,
            event_at=uow.at if undo else act.event_at,
            recorded_at=uow.at,
        )
    )


def _scope(
    uow: UnitOfWork, act: Withdrawal, purposes: tuple[str, ...]
) -> tuple[OrderScope, tuple[str, ...]]:
    """Return what may be erased now, and the purposes about which parents disagree."""
    if act.scope is WithdrawalScope.ASSETS:
        return OrderScope(assets=tuple(sorted(act.asset_ids))), ()
    states = states_now(uow.session, act.involvement_id, [act.person_id], purposes, uow.at)
    disputed = tuple(p for p in purposes if states[act.person_id, p].state is ConsentState.DISPUTED)
    ended = tuple(p for p in purposes if p not in disputed)
    scope = OrderScope(persons=(act.person_id,), purposes=ended, ended_at=act.event_at)
    return scope, disputed


def _order(
    uow: UnitOfWork,
    caller: Caller,
    act: Withdrawal,
    scope: OrderScope,
    not_before: datetime,
) -> ErasureOrder | None:
    if not scope.assets and not scope.purposes:
        return None
    cause = OrderCause.ASSETS_WITHDRAWN if scope.assets else OrderCause.WITHDRAWAL
    return erasure.order_erasure(
        uow,
        caller.actor,
        erasure.OrderErasure(act.involvement_id, cause, scope, not_before, withdrawal=act.id),
    )


def _plan(ctx: Context, session: Session, involvement: str, done: _Done, at: datetime) -> Plan:
    cause = OrderCause.ASSETS_WITHDRAWN if done.scope.assets else OrderCause.WITHDRAWAL
    scope = done.scope
    if done.disputed and not scope.assets:
        scope = OrderScope(persons=(done.row.person_id,), purposes=scope.purposes)
    assets = assets_in_scope(session, involvement, scope)
    return plan(holdings(session, ctx.policies.purposes, assets, at), cause)


def _preview_view(session: Session, row: Involvement, done: _Done, planned: Plan) -> PreviewView:
    lines = lines_of(planned)
    listing = [[line.asset, line.outcome, line.ground or ""] for line in lines]
    return PreviewView(
        tuple(done.row.purposes),
        done.disputed,
        lines,
        left_the_service(session, row.id),
        done.row.undo_until,
        hashlib.sha256(rfc8785.dumps(listing)).hexdigest(),
    )


def _require_undoable(row: Withdrawal, order: ErasureOrder | None, at: datetime) -> None:
    if row.cancelled_at is not None:
        raise Conflict("This withdrawal was cancelled already.", code="already_cancelled")
    begun = order is not None and order.state is not OrderState.WAITING
    if row.undo_until is None or at >= row.undo_until or begun:
        raise Conflict(
            "The time to change one's mind is over; what was to go is going or gone.",
            code="too_late",
            withdrawal=row.id,
        )

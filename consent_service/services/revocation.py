"""Ending a consent as the organisation: a use is over, or the promise made cannot be kept.

Rules kept here:
  * access ends in the transaction, which writes a fixed number of rows; keys and film go through
    the ledger as after a withdrawal, with the same grounds for keeping (rules 4 and 5);
  * ending `care` ends every use of that person in this involvement, and of this one only;
  * the guider is told, so that the family hears of it from somebody they know;
  * the reason in words stays in the row; log and journal hold its code.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentEnding
from consent_service.db.models.erasure import ErasureOrder
from consent_service.db.models.people import Involvement
from consent_service.db.queries.consent import purposes_answered, states_now
from consent_service.db.queries.erasure import OrderScope, assets_in_scope, holdings
from consent_service.db.queries.people import members
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.consent import ConsentState, EndingKind
from consent_service.domain.consent_ends import RevokedBecause
from consent_service.domain.erasure import OrderCause, OrderState, StepKind, plan
from consent_service.domain.purposes import CARE, split_use
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, NotFound
from consent_service.ids import new_id
from consent_service.services import disputes, erasure, erasure_journal, erasure_keys, keys
from consent_service.services.access import Caller, involvement_for, require_fresh
from consent_service.services.at_once import at_once
from consent_service.services.context import Context
from consent_service.services.invalidation import reason_said
from consent_service.services.notices import notify
from consent_service.services.withdrawal_outcome import PreviewLine, left_the_service, lines_of

ENDABLE = frozenset({ConsentState.GIVEN, ConsentState.DISPUTED, ConsentState.EXPIRED})


@dataclass(frozen=True)
class RevokeConsent:
    """Whose consent ends, to what, and why. Without `purposes`: to everything, here."""

    involvement: str
    person: str
    because: RevokedBecause
    reason: str
    purposes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RevocationPreview:
    """What ending a consent would destroy and keep, and what cannot be called back."""

    purposes: tuple[str, ...]
    lines: tuple[PreviewLine, ...]
    cannot_recall: tuple[str, ...]

    @property
    def destroyed(self) -> tuple[PreviewLine, ...]:
        """What goes."""
        return tuple(line for line in self.lines if line.outcome == "destroy")

    @property
    def kept(self) -> tuple[PreviewLine, ...]:
        """What stays, each with its ground."""
        return tuple(line for line in self.lines if line.outcome == "keep")


@dataclass(frozen=True)
class RevocationView:
    """A consent that the organisation ended; the order's certificate proves what became of it."""

    involvement: str
    person: str
    purposes: tuple[str, ...]
    because: RevokedBecause
    at: datetime
    erasure_order: str
    reference: str


def preview(ctx: Context, caller: Caller, request: RevokeConsent) -> RevocationPreview:
    """Say what ending a consent would do, and write down that it was asked; nothing else is kept.

    The reason may be empty yet. Raises NotFound, Conflict `nothing_to_end`.
    """
    with ctx.begin() as uow:
        row = _admit(ctx, uow, caller, request)
        trial = uow.session.begin_nested()
        order = _end(ctx, uow, caller, row, request)
        scope = OrderScope.from_json(order.scope)
        assets = assets_in_scope(uow.session, row.id, scope)
        planned = plan(holdings(uow.session, ctx.policies.purposes, assets, uow.at), order.cause)
        recall = left_the_service(uow.session, row.id)
        view = RevocationPreview(scope.purposes, lines_of(planned), recall)
        trial.rollback()
        uow.session.expire_all()
        uow.effects.clear()
        asked: dict[str, Any] = {"person": request.person, "purposes": list(view.purposes)}
        kind = EventKind.CONSENT_REVOCATION_PREVIEWED
        uow.record(AuditEvent(kind, caller.actor, row.id, row.id, asked))
        return view


def revoke(ctx: Context, caller: Caller, request: RevokeConsent) -> RevocationView:
    """End a consent as the organisation: access is over when this returns, keys go next.

    Raises Refused `sign_in_again`, NotFound, Conflict `nothing_to_end`, InvalidInput without a
    reason.
    """
    require_fresh(caller)
    reason_said(request.reason)
    with ctx.begin() as uow:
        row = _admit(ctx, uow, caller, request)
        order = _end(ctx, uow, caller, row, request)
        row.consent_epoch += 1
        row.last_entry_at = uow.at
        purposes = OrderScope.from_json(order.scope).purposes
        _record(uow, caller, row, request, order)
        waiting = order.state is OrderState.WAITING
        view = RevocationView(
            row.id,
            request.person,
            purposes,
            request.because,
            uow.at,
            order.id,
            order.reference,
        )
    at_once(ctx, keys.ensure_consent_keys, view.involvement)
    written = erasure_journal.acknowledge(ctx, orders=[view.erasure_order])
    if waiting:
        at_once(ctx, erasure_keys.seal_waiting)
    elif written:
        last = StepKind.DESTROY_CONSENT_KEY
        erasure.carry_out(ctx, view.erasure_order, "at-once", until=last)
    return view


def _admit(ctx: Context, uow: UnitOfWork, caller: Caller, request: RevokeConsent) -> Involvement:
    involvement_for(ctx, uow.session, caller, Permission.CONSENT_REVOKE, request.involvement)
    disputes.lock_reached(uow, request.involvement)
    row = uow.lock_involvement(request.involvement)
    if request.person not in {person.id for _, person in members(uow.session, row.id)}:
        raise NotFound("This person does not belong to the involvement.", kind="person")
    return row


def _end(
    ctx: Context, uow: UnitOfWork, caller: Caller, row: Involvement, request: RevokeConsent
) -> ErasureOrder:
    """Append the endings and the order in the caller's transaction."""
    purposes = _standing(uow.session, request, uow.at)
    if not purposes:
        raise Conflict("There is no consent of this person here to end.", code="nothing_to_end")
    reached = disputes.lock_reached(uow, row.id)
    hours = ctx.policies.organisation.hold_check_hours
    scope = OrderScope(persons=(request.person,), purposes=purposes, ended_at=uow.at)
    wanted = erasure.OrderErasure(
        row.id, OrderCause.CONSENT_REVOKED, scope, uow.at + timedelta(hours=hours)
    )
    order = erasure.order_erasure(uow, caller.actor, wanted)
    append_endings(uow, order, caller.id, request.reason.strip() or None)
    disputes.open_where_parents_disagree(ctx, uow, reached)
    return order


def append_endings(
    uow: UnitOfWork, order: ErasureOrder, by: str | None, reason: str | None
) -> None:
    """Append what an order of this cause ended, in a transaction that has written the order."""
    scope = OrderScope.from_json(order.scope)
    uow.session.add_all(
        ConsentEnding(
            id=new_id(),
            kind=EndingKind.REVOKED,
            involvement_id=order.involvement_id,
            person_id=person,
            purpose=purpose,
            by_user_id=by,
            ref=order.id,
            reason=reason,
            event_at=scope.ended_at or uow.at,
            recorded_at=uow.at,
        )
        for person in scope.persons
        for purpose in scope.purposes
    )
    uow.session.flush()


def _standing(session: Session, request: RevokeConsent, at: datetime) -> tuple[str, ...]:
    """Return the uses asked about that were said yes to here and have not ended, sorted."""
    answered = purposes_answered(session, request.involvement, request.person)
    everything = not request.purposes or CARE in request.purposes
    wanted = set(request.purposes)
    chosen = [p for p in answered if everything or {p, split_use(p)[0]} & wanted]
    states = states_now(session, request.involvement, [request.person], chosen, at)
    return tuple(sorted(p for p in chosen if states[request.person, p].state in ENDABLE))


def _record(
    uow: UnitOfWork, caller: Caller, row: Involvement, request: RevokeConsent, order: ErasureOrder
) -> None:
    purposes = OrderScope.from_json(order.scope).purposes
    uow.record(
        AuditEvent(
            EventKind.CONSENT_REVOKED,
            caller.actor,
            request.person,
            row.id,
            {"reason": request.because.value, "purposes": list(purposes), "order": order.id},
        )
    )
    notify(uow, "consent_revoked", user=row.guider_id, subject=row.id)

"""What an end leaves in the journal, so that a restored backup cannot bring anything back.

Rules kept here:
  * an end is committed first, journalled next, and only then do keys go;
  * what is committed is acknowledged: where the journal is away (full, not writable, out of reach)
    the line stays owed, for the worker to write, and nobody is told that nothing happened; beside
    a journal that is broken the refusal goes on;
  * a line may be written twice after a crash, which replay tolerates, but never left out: orders
    and holds carry the number of their line, every other act owes its line in a row of its own.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentAct, ConsentEnding
from consent_service.db.models.erasure import ErasureOrder, Withdrawal
from consent_service.db.models.jobs import JournalDue
from consent_service.db.models.retention import Hold
from consent_service.db.queries.consent import refusals_in
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.consent import EndingKind
from consent_service.domain.erasure import OrderCause, OrderState
from consent_service.errors import Unavailable
from consent_service.ids import new_id
from consent_service.services.context import Context
from consent_service.vault.journal import LineKind

_log = logging.getLogger(__name__)
_ORDERS_OWED = (ErasureOrder.journal_line.is_(None), ErasureOrder.state != OrderState.CANCELLED)
_DUES = (
    select(JournalDue)
    .where(JournalDue.kind != LineKind.KEY_DESTROYED.value)
    .order_by(JournalDue.due_at, JournalDue.id)
)
_HOLDS_OWED = Hold.journal_line.is_(None) | (
    Hold.released_at.is_not(None) & Hold.release_journal_line.is_(None)
)


def owe(uow: UnitOfWork, kind: LineKind, body: Mapping[str, Any]) -> None:
    """Note in the act's transaction that its line is to be written; `pay` follows the commit."""
    uow.session.add(JournalDue(id=new_id(), kind=kind.value, body=dict(body), due_at=uow.at))


def owe_withdrawal(uow: UnitOfWork, row: Withdrawal) -> None:
    """Owe the line of a withdrawal that has no order, since parents disagree about all of it."""
    body = {
        "order": None,
        "involvement": row.involvement_id,
        "withdrawal": _withdrawal_body(uow.session, row),
    }
    owe(uow, LineKind.CONSENT_ENDED, body)


def owe_refusal(uow: UnitOfWork, act: ConsentAct) -> None:
    """Owe the line of an act that says no to what somebody once agreed to, if it does.

    A database from before it would believe the earlier yes and bring its sealed key back.
    """
    refused = refusals_in(uow.session, act.id)
    if not refused:
        return
    body = {
        "order": None,
        "involvement": act.involvement_id,
        "refusal": {
            "act": act.id,
            "by": act.person_id,
            "event_at": _instant(act.event_at),
            "recorded_by": act.recorded_by,
            "refused": [
                {"person": one.person, "purpose": one.purpose, "overrules": one.may_overrule}
                for one in refused
            ],
        },
    }
    owe(uow, LineKind.CONSENT_ENDED, body)


def acknowledge(ctx: Context, *, orders: Iterable[str] = (), hold: str | None = None) -> bool:
    """Write what was just committed: every line owed, these orders', this hold's; or leave it owed.

    False where the journal is away: the act stands and may be told, and no key of it may go yet.
    Raises JournalBroken.
    """
    try:
        pay(ctx)
        if hold is not None:
            journal_hold(ctx, hold)
        for order in orders:
            journal_order(ctx, order)
    except Unavailable as fault:
        _log.warning("owed to the journal, which is away: %s", fault.code)
        return False
    return True


def pay(ctx: Context) -> int:
    """Write every line that is owed, oldest first; returns how many.

    Not those of keys that are to go: a line without its key's end is for `replaced_keys` alone.
    """
    with ctx.read() as session:
        rows = session.scalars(_DUES).all()
    for row in rows:
        _pay(ctx, row)
    return len(rows)


def _pay(ctx: Context, row: JournalDue) -> None:
    ctx.journal.append(LineKind(row.kind), row.body, row.due_at)
    with ctx.begin() as uow:
        uow.session.execute(delete(JournalDue).where(JournalDue.id == row.id))


def journal_order(ctx: Context, order: str) -> None:
    """Write the order's consent-ended line unless it was written before."""
    with ctx.read() as session:
        row = session.get_one(ErasureOrder, order)
        if row.journal_line is not None:
            return
        withdrawal = session.get(Withdrawal, row.withdrawal_id) if row.withdrawal_id else None
        body = _order_body(row)
        if withdrawal is not None:
            body["withdrawal"] = _withdrawal_body(session, withdrawal)
        if row.cause is OrderCause.CONSENT_REVOKED:
            body["revoked"] = {"by": _revoked_by(session, row)}
    line = ctx.journal.append(LineKind.CONSENT_ENDED, body, ctx.clock.now())
    with ctx.begin() as uow:
        uow.session.get_one(ErasureOrder, order).journal_line = line.number


def journal_hold(ctx: Context, hold: str) -> None:
    """Write the lines of a hold's placing and release unless they were written before."""
    with ctx.read() as session:
        row = session.get_one(Hold, hold)
        body = {
            "hold": row.id,
            "kind": row.kind.value,
            "involvement": row.involvement_id,
            "asset": row.asset_id,
            "placed_by": row.placed_by,
            "placed_at": _instant(row.placed_at),
        }
        placed, released = row.journal_line, row.release_journal_line
        release_due = row.released_at is not None and released is None
        released_body = {"hold": row.id, "released_by": row.released_by}
    now = ctx.clock.now()
    if placed is None:
        placed = ctx.journal.append(LineKind.HOLD_PLACED, body, now).number
    if release_due:
        released = ctx.journal.append(LineKind.HOLD_RELEASED, released_body, now).number
    with ctx.begin() as uow:
        held = uow.session.get_one(Hold, hold)
        held.journal_line, held.release_journal_line = placed, released


def write_missing_lines(ctx: Context) -> int:
    """Write every line that a crash, or a journal that was away, left out; returns how many.

    In the order in which people acted, which replay keeps to.
    """
    with ctx.read() as session:
        owed: list[tuple[datetime, Callable[[], None]]] = [
            (row.due_at, partial(_pay, ctx, row)) for row in session.scalars(_DUES)
        ]
        for order in session.scalars(select(ErasureOrder).where(*_ORDERS_OWED)):
            owed.append((order.ordered_at, partial(journal_order, ctx, order.id)))
        for hold in session.scalars(select(Hold).where(_HOLDS_OWED)):
            placed = hold.placed_at if hold.journal_line is None else hold.released_at
            owed.append((placed or hold.placed_at, partial(journal_hold, ctx, hold.id)))
    for _, write in sorted(owed, key=itemgetter(0)):
        write()
    return len(owed)


def owed_since(ctx: Context) -> datetime | None:
    """Return since when the journal lacks the line of an act; None where it has them all."""
    with ctx.read() as session:
        oldest = [
            session.scalar(select(func.min(ErasureOrder.ordered_at)).where(*_ORDERS_OWED)),
            session.scalar(
                select(func.min(func.coalesce(Hold.released_at, Hold.placed_at))).where(_HOLDS_OWED)
            ),
            session.scalar(select(func.min(JournalDue.due_at))),
        ]
    return min((at for at in oldest if at is not None), default=None)


def _order_body(row: ErasureOrder) -> dict[str, Any]:
    return {
        "order": row.id,
        "reference": row.reference,
        "cause": row.cause.value,
        "involvement": row.involvement_id,
        "scope": row.scope,
        "ordered_at": _instant(row.ordered_at),
        "not_before": _instant(row.not_before),
        "rule": row.rule,
    }


def _revoked_by(session: Session, row: ErasureOrder) -> str | None:
    """Return who ended a consent for the organisation."""
    ending = select(ConsentEnding.by_user_id).where(ConsentEnding.ref == row.id)
    return session.scalar(ending.limit(1))


def _withdrawal_body(session: Session, row: Withdrawal) -> dict[str, Any]:
    """Return the whole act, in whichever of its involvements the line is about one.

    `ended` says of each involvement which purposes it ended there.
    """
    endings = session.scalars(
        select(ConsentEnding)
        .where(ConsentEnding.ref == row.id, ConsentEnding.kind == EndingKind.WITHDRAWN)
        .order_by(ConsentEnding.involvement_id, ConsentEnding.purpose)
    ).all()
    ended: dict[str, list[str]] = {}
    for ending in endings:
        ended.setdefault(ending.involvement_id, []).append(ending.purpose)
    return {
        "id": row.id,
        "involvement": row.involvement_id,
        "person": row.person_id,
        "by": row.by_person_id,
        "scope": row.scope.value,
        "purposes": row.purposes,
        "ended": [{"involvement": i, "purposes": ended[i]} for i in sorted(ended)],
        "assets": row.asset_ids,
        "keep_purposes": row.keep_purposes,
        "speed": row.speed.value,
        "route": row.route.value,
        "undo_until": _instant(row.undo_until) if row.undo_until else None,
        "event_at": _instant(row.event_at),
        "recorded_by": row.recorded_by,
        "overrules": any(ending.may_overrule for ending in endings),
    }


def _instant(at: datetime) -> str:
    return at.isoformat()

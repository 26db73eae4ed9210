"""What an end leaves in the journal, so that a restored backup cannot bring anything back.

Rules kept here: an end is committed first, journalled next, and only then do keys go; a line may be
written twice after a crash, which replay tolerates, but never left out.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import select

from consent_service.db.models.erasure import ErasureOrder, Withdrawal
from consent_service.db.models.retention import Hold
from consent_service.domain.erasure import OrderState
from consent_service.services.context import Context
from consent_service.vault.journal import LineKind


def journal_order(ctx: Context, order: str) -> None:
    """Write the order's consent-ended line unless it was written before."""
    with ctx.read() as session:
        row = session.get_one(ErasureOrder, order)
        if row.journal_line is not None:
            return
        withdrawal = session.get(Withdrawal, row.withdrawal_id) if row.withdrawal_id else None
        body = _order_body(row, withdrawal)
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
    """Write every line that a crash between commit and journal left out; returns how many."""
    with ctx.read() as session:
        orders = list(
            session.scalars(
                select(ErasureOrder.id).where(
                    ErasureOrder.journal_line.is_(None),
                    ErasureOrder.state != OrderState.CANCELLED,
                )
            )
        )
        holds = list(
            session.scalars(
                select(Hold.id).where(
                    Hold.journal_line.is_(None)
                    | (Hold.released_at.is_not(None) & Hold.release_journal_line.is_(None))
                )
            )
        )
    for order in orders:
        journal_order(ctx, order)
    for hold in holds:
        journal_hold(ctx, hold)
    return len(orders) + len(holds)


def _order_body(row: ErasureOrder, withdrawal: Withdrawal | None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "order": row.id,
        "reference": row.reference,
        "cause": row.cause.value,
        "involvement": row.involvement_id,
        "scope": row.scope,
        "ordered_at": _instant(row.ordered_at),
        "not_before": _instant(row.not_before),
        "rule": row.rule,
    }
    if withdrawal is not None:
        body["withdrawal"] = {
            "id": withdrawal.id,
            "person": withdrawal.person_id,
            "by": withdrawal.by_person_id,
            "scope": withdrawal.scope.value,
            "purposes": withdrawal.purposes,
            "assets": withdrawal.asset_ids,
            "keep_purposes": withdrawal.keep_purposes,
            "speed": withdrawal.speed.value,
            "route": withdrawal.route.value,
            "undo_until": _instant(withdrawal.undo_until) if withdrawal.undo_until else None,
            "event_at": _instant(withdrawal.event_at),
            "recorded_by": withdrawal.recorded_by,
        }
    return body


def _instant(at: datetime) -> str:
    return at.isoformat()

"""How the keys of an order go: sealed while something asks for it, destroyed otherwise.

Rules kept here:
  * where a hold, parents who disagree or the health-record class keep something, consent keys are
    sealed instead; which of the two is settled once, under the lock, so that a hold either wins or
    is told "too late";
  * whatever was sealed or destroyed is in the audit log, also after a crash in between;
  * what an order sealed stays sealed: where an older keyring was put in place, it is sealed again.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.erasure import ErasureOrder
from consent_service.db.queries.erasure import (
    OrderScope,
    any_must_be_sealed,
    consent_keys_ended,
    orders_under_seal,
    yeses_under_seal,
)
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.erasure import OrderState
from consent_service.errors import IntegrityFault
from consent_service.services import erasure_journal, key_ends, keys
from consent_service.services.context import Context
from consent_service.vault.keyring_values import KeyStatus, shard_of

_log = logging.getLogger(__name__)

PAGE = 200
ERASER = Actor(ActorKind.JOB, "carry-out-erasures")


def consent_key_ids(ctx: Context, session: Session, order: ErasureOrder, at: datetime) -> list[str]:
    """Return the ids of every consent key that this order ends."""
    scope = OrderScope.from_json(order.scope)
    if not scope.persons:
        return []
    return consent_keys_ended(session, order.involvement_id, scope, ctx.policies.purposes, at)


def seal_waiting(ctx: Context) -> int:
    """Seal the keys of orders in their undo window, so that serving code cannot open anything.

    A damaged key keeps no other order's from it: nobody can open it, and it is tried again. Returns
    how many orders were looked at; raises Unavailable while the key server is away.
    """
    with ctx.read() as session:
        rows = session.scalars(
            select(ErasureOrder).where(
                ErasureOrder.state == OrderState.WAITING, ErasureOrder.sealed_at.is_(None)
            )
        )
        now = ctx.clock.now()
        waiting = [(row.id, consent_key_ids(ctx, session, row, now)) for row in rows]
    damaged = 0
    for order, key_ids in waiting:
        try:
            seal_keys(ctx, order, key_ids)
        except IntegrityFault:
            damaged += 1
    if damaged:
        _log.error("orders with damaged consent keys that cannot be sealed: %d", damaged)
    return len(waiting)


def live_though_sealed(ctx: Context, newest: int | None = None) -> dict[str, list[str]]:
    """Return the consent keys that an order had sealed and that are live all the same: by order.

    The database tells which: sealing leaves no line in the journal, and a keyring put back from
    before it knows nothing of it. Where all is well, two statements and one look at the keyring for
    each page of orders; memory holds one. The order sealed last comes last; `newest`: only so many.
    """
    with ctx.read() as session:
        orders = orders_under_seal(session, newest)
    found: dict[str, list[str]] = {}
    for start in range(0, len(orders), PAGE):
        found |= _live_among(ctx, orders[start : start + PAGE])
    return found


def _live_among(ctx: Context, orders: Sequence[str]) -> dict[str, list[str]]:
    with ctx.read() as session:
        said = yeses_under_seal(session, orders, ctx.clock.now())
    status = ctx.keyring.status(sorted({key for yeses in said.values() for key in yeses}))
    live = {key for key, state in status.items() if state is KeyStatus.LIVE}
    suspect = [order for order, yeses in said.items() if live & set(yeses)]
    if not suspect:
        return {}
    found = {}
    with ctx.read() as session:
        for order in suspect:
            row = session.get_one(ErasureOrder, order)
            found[order] = consent_key_ids(ctx, session, row, ctx.clock.now())
    wrong = {order: [key for key in ended if key in live] for order, ended in found.items()}
    return {order: key_ids for order, key_ids in wrong.items() if key_ids}


def seal_again(ctx: Context) -> list[str]:
    """Seal what an order had sealed and a keyring put back has made live; returns those keys.

    Safe to run at any time. A key that is damaged there stops no other: nobody can open it, and
    reconciliation goes on telling of it. Raises Unavailable while the key server is away.
    """
    again, damaged = set(), set()
    for order, key_ids in live_though_sealed(ctx).items():
        for key in key_ids:
            try:
                seal_keys(ctx, order, [key])
                again.add(key)
            except IntegrityFault:
                damaged.add(key)
    if again:
        _log.warning("consent keys that had been sealed were live, and are sealed: %d", len(again))
    if damaged:
        _log.error("consent keys to be sealed again are damaged: %d", len(damaged))
    return sorted(again)


def seal_keys(ctx: Context, order: str, key_ids: Sequence[str]) -> None:
    """Move an order's consent keys under escrow and write that down.

    A withdrawal that was cancelled meanwhile has its keys brought back at once.
    """
    newly = ctx.keyring.seal(key_ids, ctx.clock.now()) if key_ids else set()
    states = ctx.keyring.status(key_ids)
    with ctx.begin() as uow:
        row = uow.session.get_one(ErasureOrder, order)
        uow.lock_involvement(row.involvement_id)
        uow.session.refresh(row)
        first = row.sealed_at is None
        row.sealed_at = row.sealed_at or uow.at
        # Also those that a try before this one sealed, if a crash kept it from saying so.
        sealed = newly | {
            key for key, state in states.items() if first and state is KeyStatus.SEALED
        }
        for key in sorted(sealed):
            uow.record(AuditEvent(EventKind.CONSENT_KEY_SEALED, ERASER, key, row.involvement_id))
    if row.state is OrderState.CANCELLED:
        keys.settle(ctx, row.involvement_id)


def destroy_consent_key(ctx: Context, order: str) -> dict[str, int]:
    """Destroy, or seal where something is kept, the consent keys of the order."""
    erasure_journal.journal_order(ctx, order)
    key_ids, sealing = _decide(ctx, order)
    if not key_ids:
        return {"keys": 0}
    if sealing:
        seal_keys(ctx, order, key_ids)
        return {"sealed": len(key_ids)}
    destroy_keys(ctx, order, key_ids)
    with ctx.begin() as uow:
        row = uow.session.get_one(ErasureOrder, order)
        if row.key_destroyed_at is None:
            row.key_destroyed_at = uow.at
            for key in key_ids:
                kind = EventKind.CONSENT_KEY_DESTROYED
                uow.record(AuditEvent(kind, ERASER, key, row.involvement_id))
    return {"keys": len(key_ids)}


def _decide(ctx: Context, order: str) -> tuple[list[str], bool]:
    """Settle under the lock whether consent keys are destroyed or sealed; returns (ids, sealed).

    Settled once: a hold placed before this wins, one placed after it is told that it is too late.
    """
    with ctx.begin() as uow:
        row = uow.session.get_one(ErasureOrder, order)
        uow.lock_involvement(row.involvement_id)
        uow.session.refresh(row)
        key_ids = consent_key_ids(ctx, uow.session, row, uow.at)
        persons = OrderScope.from_json(row.scope).persons
        if not key_ids or row.keys_going_at is not None:
            return key_ids, False
        purposes = ctx.policies.purposes
        if any_must_be_sealed(uow.session, purposes, row.involvement_id, persons, uow.at):
            return key_ids, True
        row.keys_going_at = uow.at
        return key_ids, False


def destroy_keys(ctx: Context, order: str, key_ids: Sequence[str]) -> None:
    """Destroy keys of consent or film in the involvement of an order, as `key_ends` does."""
    with ctx.read() as session:
        shard = shard_of(session.get_one(ErasureOrder, order).involvement_id)
    key_ends.destroy(ctx, order, key_ids, shard)

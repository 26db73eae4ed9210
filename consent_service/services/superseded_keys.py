"""Keys of a yes that was followed by a no: sealed, until a later yes takes their place.

Rules kept here:
  * only a key that no order ended may be read out of escrow: what was withdrawn stays shut, however
    often somebody agrees to new film later; nor is any read for film that an order found without a
    use: it waits for its end, or is kept shut;
  * it is read to wrap film anew for what everyone in it agrees to now, and for nothing else;
  * once the state is *given* by a newer yes and no wrap asks for the old key, it is destroyed, its
    journal line first; never out of a database that may be older than the journal.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.erasure import ErasureOrder
from consent_service.db.models.recordings import Asset, AssetWrap
from consent_service.db.queries.erasure import (
    OrderScope,
    assets_in_scope,
    consent_keys_ended,
    holdings,
)
from consent_service.db.queries.superseded import superseded_yeses
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.erasure import OrderState
from consent_service.services import key_ends
from consent_service.services.context import Context
from consent_service.vault.keyring_values import KeyStatus, shard_of

KEY_MAKER = Actor(ActorKind.JOB, "make-keys")


def opening(
    ctx: Context, involvement: str, live: Mapping[str, bytes], shut: Collection[str]
) -> Callable[[str], Mapping[str, bytes]]:
    """Return what says, for each asset, which keys may open it to wrap it anew.

    These are the live ones and, of these shut ones, those that no order ended and that a later yes
    took the place of. Raises Refused (`key_server_forbids`) where this process may not open escrow.
    """
    with ctx.read() as session:
        now = ctx.clock.now()
        if not shut or not superseded_yeses(session, involvement, now).keys() & set(shut):
            return lambda _: live
        ended = _ended_by_orders(ctx, session, involvement, now)
        unused = _found_without_use(ctx, session, involvement, now)
    both = {**live, **ctx.keyring.read_sealed(sorted(set(shut) - ended))}
    return lambda asset: live if asset in unused else both


def destroy(ctx: Context, involvement: str) -> list[str]:
    """Destroy every sealed key that a newer yes has replaced and no wrap asks for; returns them.

    Raises JournalBroken and Unavailable where nothing may be destroyed now.
    """
    if not _to_go(ctx, involvement):
        return []
    ctx.standing.require_newest()
    replaced = _to_go(ctx, involvement)  # what was forgotten may ask for one
    for key, act in replaced.items():
        # The yes that took its place stands where an order would: it is why the key went.
        key_ends.destroy(ctx, act, [key], shard_of(involvement))
    if replaced:
        with ctx.begin() as uow:
            for key in replaced:
                kind = EventKind.CONSENT_KEY_DESTROYED
                uow.record(AuditEvent(kind, KEY_MAKER, key, involvement))
    return list(replaced)


def _to_go(ctx: Context, involvement: str) -> dict[str, str]:
    """Return every sealed key that may go: key -> the yes that took its place."""
    with ctx.read() as session:
        now = ctx.clock.now()
        replaced = superseded_yeses(session, involvement, now)
        if not replaced:
            return {}
        wrapped = session.scalars(
            select(AssetWrap.key_ids)
            .join(Asset, Asset.id == AssetWrap.asset_id)
            .where(Asset.involvement_id == involvement)
        )
        asked_for = {key for keys in wrapped for key in keys}
        asked_for |= _ended_by_orders(ctx, session, involvement, now)
    status = ctx.keyring.status(sorted(replaced.keys() - asked_for))
    return {key: replaced[key] for key, state in status.items() if state is KeyStatus.SEALED}


def _ended_by_orders(
    ctx: Context, session: Session, involvement: str, at: datetime
) -> frozenset[str]:
    """Return every consent key that an order ends, or has ended, in this involvement."""
    purposes = ctx.policies.purposes
    return frozenset(
        key
        for scope in _scopes(session, involvement)
        for key in consent_keys_ended(session, involvement, scope, purposes, at)
    )


def _found_without_use(
    ctx: Context, session: Session, involvement: str, at: datetime
) -> frozenset[str]:
    """Return the assets that nothing permitted any more when an order ended somebody's consent."""
    found: set[str] = set()
    for scope in _scopes(session, involvement):
        ended = scope.ended_at or at
        there = [a for a in assets_in_scope(session, involvement, scope) if a.created_at <= ended]
        for one in holdings(session, ctx.policies.purposes, there, ended, known_at=at):
            if not one.sustained_by and not one.disputed:
                found.add(one.asset)
    return frozenset(found)


def _scopes(session: Session, involvement: str) -> list[OrderScope]:
    """Return what each order that stands is about, of those that are about people."""
    orders = session.scalars(
        select(ErasureOrder.scope).where(
            ErasureOrder.involvement_id == involvement,
            ErasureOrder.state != OrderState.CANCELLED,
        )
    )
    scopes = [OrderScope.from_json(scope) for scope in orders]
    return [scope for scope in scopes if scope.persons]

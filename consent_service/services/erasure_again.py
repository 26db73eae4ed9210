"""Ordering anew what an earlier order had to keep, once nothing asks for it any more.

A hold released, a dispute settled, the last health record gone: what a withdrawal had asked to
destroy then goes, under an order of its own, and keys that were sealed are destroyed.

Rules kept here: nothing is ordered anew while something still keeps it, nor by itself while days to
think are running, since who takes a stop back may disagree again; each scope once at a time; an
order that waited ends no consent if it is about film alone, and so has no keys under seal.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.erasure import ErasureItem, ErasureOrder
from consent_service.db.models.recordings import Asset
from consent_service.db.queries.erasure import (
    OrderScope,
    any_must_be_sealed,
    assets_in_scope,
    holdings,
    still_keeping,
)
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import Actor
from consent_service.domain.erasure import (
    GROUNDS,
    Ground,
    OrderCause,
    OrderState,
    Outcome,
    plan,
)
from consent_service.services import erasure_keys
from consent_service.services.context import Context
from consent_service.services.erasure_orders import OrderErasure, order_erasure

PASSING = (Ground.HOLD, Ground.DISPUTE)
"""Grounds that end of themselves; a health record waits for the IG officer's decision."""


def order_again(ctx: Context, uow: UnitOfWork, actor: Actor, involvement: str) -> list[str]:
    """Order anew, in the caller's transaction, whatever nothing keeps any more; returns the ids."""
    orders = uow.session.scalars(
        select(ErasureOrder)
        .where(
            ErasureOrder.involvement_id == involvement,
            ErasureOrder.state != OrderState.CANCELLED,
        )
        .order_by(ErasureOrder.ordered_at.desc(), ErasureOrder.id)
    ).all()
    again = []
    for same in _by_scope(orders):
        if all(row.state is OrderState.DONE for row in same) and _has_more_to_do(ctx, uow, same):
            again.append(_order(uow, actor, same[0]))
    return again


def order_what_is_over(ctx: Context, uow: UnitOfWork, actor: Actor, involvement: str) -> None:
    """Order anew whatever nothing keeps any more, unless days to think are running there."""
    waiting = select(ErasureOrder.id).where(
        ErasureOrder.involvement_id == involvement, ErasureOrder.state == OrderState.WAITING
    )
    if uow.session.scalar(waiting.limit(1)) is None:
        order_again(ctx, uow, actor, involvement)


def order_everywhere(ctx: Context, actor: Actor) -> None:
    """Order anew what nothing keeps any more, in every family of whom something is kept so far.

    Parents who disagreed may agree, or a yes that was disputed run out, and no order closes then.
    """
    with ctx.read() as session:
        involvements = still_keeping(session, PASSING)
    for involvement in involvements:
        with ctx.begin() as uow:
            uow.lock_involvement(involvement)
            order_what_is_over(ctx, uow, actor, involvement)


def _by_scope(rows: Iterable[ErasureOrder]) -> list[list[ErasureOrder]]:
    """Put orders about the same thing together: one consent that ended, or the same film."""
    groups: list[list[ErasureOrder]] = []
    for row in rows:
        group = next((g for g in groups if g[0].scope == row.scope), None)
        if group is None:
            groups.append([row])
        else:
            group.append(row)
    return groups


def _has_more_to_do(ctx: Context, uow: UnitOfWork, same: Sequence[ErasureOrder]) -> bool:
    scope, involvement = OrderScope.from_json(same[0].scope), same[0].involvement_id
    if _has_sealed_keys(ctx, uow, same) and not any_must_be_sealed(
        uow.session, ctx.policies.purposes, involvement, scope.persons, uow.at
    ):
        return True
    kept = _kept_in_passing(uow.session, same)
    if not kept:
        return False
    assets = [a for a in assets_in_scope(uow.session, involvement, scope) if a.id in kept]
    found = holdings(uow.session, ctx.policies.purposes, assets, uow.at)
    return any(line.outcome is Outcome.DESTROY for line in plan(found, _cause(same[0])).lines)


def _has_sealed_keys(ctx: Context, uow: UnitOfWork, same: Sequence[ErasureOrder]) -> bool:
    if not any(row.sealed_at for row in same) or any(row.keys_going_at for row in same):
        return False
    return bool(erasure_keys.consent_key_ids(ctx, uow.session, same[0], uow.at))


def _kept_in_passing(session: Session, same: Sequence[ErasureOrder]) -> set[str]:
    return set(
        session.scalars(
            select(ErasureItem.asset_id)
            .join(Asset, Asset.id == ErasureItem.asset_id)
            .where(
                ErasureItem.order_id.in_([row.id for row in same]),
                ErasureItem.ground.in_(PASSING),
                Asset.state != AssetState.ERASED,
            )
        )
    )


def _order(uow: UnitOfWork, actor: Actor, row: ErasureOrder) -> str:
    scope = OrderScope.from_json(row.scope)
    wanted = OrderErasure(row.involvement_id, _cause(row), scope, uow.at, rule=row.rule)
    return order_erasure(uow, actor, wanted).id


def _cause(row: ErasureOrder) -> OrderCause:
    """Return the cause of the new order; one that leaves room for the same grounds as before."""
    same = GROUNDS[row.cause] == GROUNDS[OrderCause.HOLD_RELEASED]
    return OrderCause.HOLD_RELEASED if same else row.cause

"""What a withdrawal does: planned while it is previewed, read from the ledger once it is frozen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.erasure import ErasureItem, ErasureOrder, Withdrawal
from consent_service.db.models.handovers import Disclosure, Handover
from consent_service.db.models.people import Involvement
from consent_service.db.queries.erasure import OrderScope, assets_in_scope, holdings
from consent_service.domain.erasure import OrderCause, Plan, plan
from consent_service.domain.roles import Permission
from consent_service.domain.withdrawal import Speed, WithdrawalScope
from consent_service.services.access import Caller, reaches, thing_for
from consent_service.services.context import Context
from consent_service.services.withdrawal_undo import ended_by, orders_of, orders_of_each

_SEES = Permission.WITHDRAWAL_PREVIEW


@dataclass(frozen=True)
class PreviewLine:
    """What happens to one asset."""

    asset: str
    kind: str
    outcome: str
    ground: str | None


@dataclass(frozen=True)
class Elsewhere:
    """What the same withdrawal ends in another involvement of this person.

    Without that involvement's id, purposes and lines where the caller may not see it: it ends all
    the same. `reference` is its erasure order's, once there is one.
    """

    involvement: str | None = None
    reference: str | None = None
    purposes: tuple[str, ...] = ()
    disputed: tuple[str, ...] = ()
    lines: tuple[PreviewLine, ...] = ()

    @property
    def destroyed(self) -> tuple[PreviewLine, ...]:
        """What goes."""
        return tuple(line for line in self.lines if line.outcome == "destroy")

    @property
    def kept(self) -> tuple[PreviewLine, ...]:
        """What stays, each with its ground."""
        return tuple(line for line in self.lines if line.outcome == "keep")


@dataclass(frozen=True)
class PreviewView:
    """What a withdrawal would do, before it is done. `digest` names exactly this outcome.

    Purposes and lines are those of the involvement named; `others` are the person's others.
    """

    purposes: tuple[str, ...]
    disputed: tuple[str, ...]
    lines: tuple[PreviewLine, ...]
    cannot_recall: tuple[str, ...]
    undo_until: datetime | None
    digest: str
    others: tuple[Elsewhere, ...] = ()

    @property
    def destroyed(self) -> tuple[PreviewLine, ...]:
        """What goes."""
        return tuple(line for line in self.lines if line.outcome == "destroy")

    @property
    def kept(self) -> tuple[PreviewLine, ...]:
        """What stays, each with its ground."""
        return tuple(line for line in self.lines if line.outcome == "keep")


@dataclass(frozen=True)
class Outcome:
    """What a recorded withdrawal does or did: from the frozen inventory, or planned until then."""

    route: str
    lines: tuple[PreviewLine, ...]
    cannot_recall: tuple[str, ...]
    others: tuple[Elsewhere, ...] = ()

    @property
    def destroyed(self) -> tuple[PreviewLine, ...]:
        """What goes."""
        return tuple(line for line in self.lines if line.outcome == "destroy")

    @property
    def kept(self) -> tuple[PreviewLine, ...]:
        """What stays, each with its ground."""
        return tuple(line for line in self.lines if line.outcome == "keep")


@dataclass(frozen=True)
class OrderedView:
    """One erasure order of a withdrawal; its involvement is None where the caller may not see it.

    Its reference is told all the same: it stands on the receipt of the person who withdrew.
    """

    id: str
    reference: str
    involvement: str | None


@dataclass(frozen=True)
class WithdrawalView:
    """A withdrawal as recorded. `erasure_order` is None where parents disagree.

    `erasure_order` and `reference` are those of the involvement named; `erasure_orders` are all:
    one for each involvement that the withdrawal reached.
    """

    id: str
    involvement: str
    person: str
    by: str
    scope: WithdrawalScope
    purposes: tuple[str, ...]
    speed: Speed
    recorded_at: datetime
    undo_until: datetime | None
    cancelled_at: datetime | None
    erasure_order: str | None
    reference: str | None
    erasure_orders: tuple[OrderedView, ...] = ()


def outcome(ctx: Context, caller: Caller, withdrawal: str) -> Outcome:
    """Return what a recorded withdrawal destroys and keeps."""
    with ctx.read() as session:
        row = withdrawal_for(ctx, session, caller, Permission.WITHDRAWAL_PREVIEW, withdrawal)
        orders = {order.involvement_id: order for order in reversed(orders_of(session, row))}
        named = row.involvement_id
        recall = left_the_service(session, named)
        lines = _lines(ctx, session, row, named, orders.get(named))
        others = tuple(
            _elsewhere(ctx, session, caller, row, (other, orders.get(other)))
            for other in ended_by(session, row)
            if other != named
        )
        return Outcome(row.route.value, lines, recall, others)


def _elsewhere(
    ctx: Context,
    session: Session,
    caller: Caller,
    row: Withdrawal,
    place: tuple[str, ErasureOrder | None],
) -> Elsewhere:
    involvement, order = place
    reference = order.reference if order else None
    if not sees(ctx, session, caller, involvement):
        return Elsewhere(reference=reference)
    purposes = OrderScope.from_json(order.scope).purposes if order else ()
    lines = _lines(ctx, session, row, involvement, order)
    return Elsewhere(involvement, reference, purposes, lines=lines)


def _lines(
    ctx: Context, session: Session, row: Withdrawal, involvement: str, order: ErasureOrder | None
) -> tuple[PreviewLine, ...]:
    """Return what becomes of film: as frozen, or as planned until then."""
    if order is not None:
        return lines_of_order(ctx, session, order)
    scope = OrderScope((row.person_id,))
    return _planned(ctx, session, involvement, scope, OrderCause.WITHDRAWAL)


def lines_of_order(ctx: Context, session: Session, order: ErasureOrder) -> tuple[PreviewLine, ...]:
    """Return what an order does to film: from its frozen inventory, or planned until then."""
    if order.inventory_frozen_at is not None:
        return tuple(_frozen_lines(session, order.id))
    scope = OrderScope.from_json(order.scope)
    return _planned(ctx, session, order.involvement_id, scope, order.cause)


def _planned(
    ctx: Context, session: Session, involvement: str, scope: OrderScope, cause: OrderCause
) -> tuple[PreviewLine, ...]:
    assets = assets_in_scope(session, involvement, scope)
    found = holdings(session, ctx.policies.purposes, assets, ctx.clock.now())
    return lines_of(plan(found, cause))


def sees(ctx: Context, session: Session, caller: Caller, involvement: str) -> bool:
    """Tell whether the caller may see what a withdrawal does in this involvement."""
    return involvement in _seen(ctx, session, caller, [involvement])


def _seen(
    ctx: Context, session: Session, caller: Caller, involvements: Sequence[str]
) -> frozenset[str]:
    """Return those of these involvements that the caller may see."""
    rows = session.execute(
        select(Involvement.id, Involvement.team_id).where(Involvement.id.in_(involvements))
    )
    return frozenset(involvement for involvement, team in rows if reaches(ctx, caller, _SEES, team))


def lines_of(planned: Plan) -> tuple[PreviewLine, ...]:
    return tuple(
        PreviewLine(
            line.asset,
            line.kind.value,
            line.outcome.value,
            line.ground.value if line.ground else None,
        )
        for line in planned.lines
    )


def _frozen_lines(session: Session, order: str) -> Iterator[PreviewLine]:
    rows = session.scalars(
        select(ErasureItem).where(ErasureItem.order_id == order).order_by(ErasureItem.asset_id)
    )
    for row in rows:
        ground = row.ground.value if row.ground else None
        yield PreviewLine(row.asset_id, row.kind.value, row.outcome.value, ground)


def left_the_service(session: Session, involvement: str) -> tuple[str, ...]:
    """Return the ids of handovers and disclosures that nobody can call back."""
    given = session.scalars(
        select(Handover.id).where(
            Handover.involvement_id == involvement, Handover.closed_at.is_not(None)
        )
    )
    disclosed = session.scalars(
        select(Disclosure.id).where(
            Disclosure.involvement_id == involvement, Disclosure.taken_back_on.is_(None)
        )
    )
    return (*given, *disclosed)


def withdrawal_for(
    ctx: Context, session: Session, caller: Caller, permission: Permission, identifier: str
) -> Withdrawal:
    return thing_for(ctx, caller, permission, session.get(Withdrawal, identifier), "withdrawal")


def withdrawal_view(
    ctx: Context,
    session: Session,
    caller: Caller,
    row: Withdrawal,
    orders: Sequence[ErasureOrder],
) -> WithdrawalView:
    """Return a withdrawal as the caller may see it; `orders` are all of its orders."""
    # One by one: whoever wrote the orders holds these rows already.
    found = [session.get_one(Involvement, order.involvement_id) for order in orders]
    seen = {one.id for one in found if reaches(ctx, caller, _SEES, one.team_id)}
    return _view(row, orders, frozenset(seen))


def withdrawal_views(
    ctx: Context, session: Session, caller: Caller, rows: Sequence[Withdrawal]
) -> list[WithdrawalView]:
    """Return withdrawals as the caller may see them, in the same few queries for any number."""
    orders = orders_of_each(session, rows)
    reached = sorted({o.involvement_id for found in orders.values() for o in found})
    seen = _seen(ctx, session, caller, reached)
    return [_view(row, orders[row.id], seen) for row in rows]


def _view(row: Withdrawal, orders: Sequence[ErasureOrder], seen: frozenset[str]) -> WithdrawalView:
    named = next((o for o in orders if o.involvement_id == row.involvement_id), None)
    return WithdrawalView(
        row.id,
        row.involvement_id,
        row.person_id,
        row.by_person_id,
        row.scope,
        tuple(row.purposes),
        row.speed,
        row.recorded_at,
        row.undo_until,
        row.cancelled_at,
        named.id if named else None,
        named.reference if named else None,
        tuple(
            OrderedView(
                order.id,
                order.reference,
                order.involvement_id if order.involvement_id in seen else None,
            )
            for order in orders
        ),
    )

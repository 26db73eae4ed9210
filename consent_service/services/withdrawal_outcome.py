"""What a withdrawal does: planned while it is previewed, read from the ledger once it is frozen."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.erasure import ErasureItem, ErasureOrder, Withdrawal
from consent_service.db.models.handovers import Disclosure, Handover
from consent_service.db.queries.erasure import OrderScope, assets_in_scope, holdings
from consent_service.domain.erasure import OrderCause, Plan, plan
from consent_service.domain.roles import Permission
from consent_service.domain.withdrawal import Speed, WithdrawalScope
from consent_service.errors import NotFound
from consent_service.services.access import Caller, involvement_for
from consent_service.services.context import Context


@dataclass(frozen=True)
class PreviewLine:
    """What happens to one asset."""

    asset: str
    kind: str
    outcome: str
    ground: str | None


@dataclass(frozen=True)
class PreviewView:
    """What a withdrawal would do, before it is done. `digest` names exactly this outcome."""

    purposes: tuple[str, ...]
    disputed: tuple[str, ...]
    lines: tuple[PreviewLine, ...]
    cannot_recall: tuple[str, ...]
    undo_until: datetime | None
    digest: str

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

    @property
    def destroyed(self) -> tuple[PreviewLine, ...]:
        """What goes."""
        return tuple(line for line in self.lines if line.outcome == "destroy")

    @property
    def kept(self) -> tuple[PreviewLine, ...]:
        """What stays, each with its ground."""
        return tuple(line for line in self.lines if line.outcome == "keep")


@dataclass(frozen=True)
class WithdrawalView:
    """A withdrawal as recorded. `erasure_order` is None where parents disagree."""

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


def outcome(ctx: Context, caller: Caller, withdrawal: str) -> Outcome:
    """Return what a recorded withdrawal destroys and keeps."""
    with ctx.read() as session:
        row = withdrawal_for(ctx, session, caller, Permission.WITHDRAWAL_PREVIEW, withdrawal)
        order = order_of(session, row)
        recall = left_the_service(session, row.involvement_id)
        if order is not None and order.inventory_frozen_at is not None:
            lines = tuple(_frozen_lines(session, order.id))
        else:
            scope = OrderScope.from_json(order.scope) if order else OrderScope((row.person_id,))
            cause = order.cause if order else OrderCause.WITHDRAWAL
            assets = assets_in_scope(session, row.involvement_id, scope)
            found = holdings(session, ctx.policies.purposes, assets, ctx.clock.now())
            lines = lines_of(plan(found, cause))
        return Outcome(row.route.value, lines, recall)


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
    row = session.get(Withdrawal, identifier)
    if row is None:
        raise NotFound("There is no such withdrawal that you can see.", kind="withdrawal")
    involvement_for(ctx, session, caller, permission, row.involvement_id)
    return row


def order_of(session: Session, row: Withdrawal) -> ErasureOrder | None:
    return session.scalar(select(ErasureOrder).where(ErasureOrder.withdrawal_id == row.id))


def withdrawal_view(row: Withdrawal, order: ErasureOrder | None) -> WithdrawalView:
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
        order.id if order else None,
        order.reference if order else None,
    )

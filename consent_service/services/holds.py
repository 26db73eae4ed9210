"""Holds: they stop disposal, and any hold wins (rule 8).

Rules kept here:
  * placed in one step, also by a guider for safeguarding, before the keys go;
  * a hold that comes too late says so and names what is gone;
  * released by one person asking and another confirming, each freshly signed in; a safeguarding
    hold is never released by who placed it;
  * releasing opens a new order for what a withdrawal had asked to destroy.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import case, select

from consent_service.db.models.erasure import ErasureItem, ErasureOrder
from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset
from consent_service.db.models.retention import Hold
from consent_service.db.queries.erasure import OrderScope, assets_in_scope, holdings
from consent_service.db.queries.pages import Order, page_of
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.erasure import Outcome, plan
from consent_service.domain.holds import HoldKind
from consent_service.domain.paging import Page, PageAsk, every
from consent_service.domain.roles import IG_OFFICER, Permission
from consent_service.errors import Conflict, InvalidInput, NotFound, Refused
from consent_service.ids import new_id
from consent_service.services import erasure_again, erasure_journal
from consent_service.services.access import (
    Caller,
    involvement_for,
    require,
    require_fresh,
    teams_reached,
    thing_for,
)
from consent_service.services.context import Context
from consent_service.services.notices import notify

_ASKED_FIRST = Order(
    (case((Hold.release_asked_at.is_not(None), 1), else_=0), Hold.placed_at, Hold.id)
)
"""What waits for a second person first, then the newest."""


@dataclass(frozen=True)
class PlaceHold:
    """A hold on one asset, or on everything of an involvement when `asset` is None."""

    involvement: str
    kind: HoldKind
    reason: str
    asset: str | None = None
    review_on: date | None = None


@dataclass(frozen=True)
class HoldView:
    """A hold as it stands. `too_late` names assets whose keys were gone when it was placed."""

    id: str
    kind: HoldKind
    involvement: str
    asset: str | None
    reason: str
    placed_by: str
    placed_at: datetime
    release_asked_by: str | None
    released_at: datetime | None
    too_late: tuple[str, ...] = ()


def place(ctx: Context, caller: Caller, request: PlaceHold) -> HoldView:
    """Place a hold. Raises Conflict `too_late`, naming the assets, when all of it is gone."""
    permission = (
        Permission.HOLD_PLACE_SAFEGUARDING
        if request.kind is HoldKind.SAFEGUARDING
        else Permission.HOLD_PLACE
    )
    if not request.reason.strip():
        raise InvalidInput("Say why.", {"reason": "Give the reason for the hold."})
    with ctx.begin() as uow:
        involvement_for(ctx, uow.session, caller, permission, request.involvement)
        row = uow.lock_involvement(request.involvement)
        gone, standing = _split(ctx, uow, request)
        if gone and not standing:
            raise Conflict(
                "This came too late: what it names is destroyed already.",
                code="too_late",
                assets=gone,
            )
        hold = Hold(
            id=new_id(),
            kind=request.kind,
            involvement_id=request.involvement,
            asset_id=request.asset,
            reason=request.reason,
            placed_by=caller.id,
            placed_at=uow.at,
            review_on=request.review_on,
        )
        uow.session.add(hold)
        row.consent_epoch += 1
        uow.record(
            AuditEvent(
                EventKind.HOLD_PLACED,
                caller.actor,
                hold.id,
                request.involvement,
                {"hold": request.kind.value, "things": [request.asset or request.involvement]},
            )
        )
        notify(uow, "hold_placed", role=IG_OFFICER, subject=hold.id)
        view = _view(hold, tuple(gone))
    erasure_journal.acknowledge(ctx, hold=view.id)
    return view


def ask_release(ctx: Context, caller: Caller, hold: str, reason: str) -> HoldView:
    """Ask for a hold to be released; another person confirms."""
    require_fresh(caller)
    if not reason.strip():
        raise InvalidInput("Say why.", {"reason": "Give the reason for releasing the hold."})
    with ctx.begin() as uow:
        row = _standing_hold(ctx, uow, caller, hold)
        if row.kind is HoldKind.SAFEGUARDING and row.placed_by == caller.id:
            raise Refused("Two others release a safeguarding hold.", code="second_person")
        row.release_asked_by = caller.id
        row.release_asked_at = uow.at
        row.release_reason = reason
        uow.record(
            AuditEvent(EventKind.HOLD_RELEASE_ASKED, caller.actor, row.id, row.involvement_id)
        )
        return _view(row)


def confirm_release(ctx: Context, caller: Caller, hold: str) -> HoldView:
    """Confirm a release that someone else asked for; what it kept back is ordered anew."""
    require_fresh(caller)
    with ctx.begin() as uow:
        row = _standing_hold(ctx, uow, caller, hold)
        _require_second_person(row, caller)
        row.released_by = caller.id
        row.released_at = uow.at
        uow.session.flush()
        orders = erasure_again.order_again(ctx, uow, caller.actor, row.involvement_id)
        uow.record(
            AuditEvent(
                EventKind.HOLD_RELEASED,
                caller.actor,
                row.id,
                row.involvement_id,
                {"asked_by": row.release_asked_by or ""},
            )
        )
        view = _view(row)
    erasure_journal.acknowledge(ctx, orders=orders, hold=hold)
    return view


def holds(ctx: Context, caller: Caller, *, standing: bool = True) -> list[HoldView]:
    """Return all that `page_of_holds` returns page by page."""
    return list(every(lambda ask: page_of_holds(ctx, caller, ask, standing=standing)))


def page_of_holds(
    ctx: Context, caller: Caller, ask: PageAsk, *, standing: bool = True
) -> Page[HoldView]:
    """Return holds in the caller's reach: those to confirm first, then the newest.

    `standing` leaves out released ones.
    """
    require(ctx, caller, Permission.HOLD_READ)
    with ctx.read() as session:
        query = select(Hold)
        teams = teams_reached(ctx, caller, Permission.HOLD_READ)
        if teams is not None:
            query = query.join(Involvement, Involvement.id == Hold.involvement_id).where(
                Involvement.team_id.in_(teams)
            )
        if standing:
            query = query.where(Hold.released_at.is_(None))
        found = page_of(session, query, _ASKED_FIRST, ask)
        return found.of([_view(row) for row in found.items])


def hold(ctx: Context, caller: Caller, identifier: str) -> HoldView:
    """Return one hold that the caller may see."""
    with ctx.read() as session:
        found = session.get(Hold, identifier)
        return _view(thing_for(ctx, caller, Permission.HOLD_READ, found, "hold"))


def _split(ctx: Context, uow: UnitOfWork, request: PlaceHold) -> tuple[list[str], list[str]]:
    """Return what the hold names that is gone (its keys too), and what still stands."""
    query = select(Asset).where(Asset.involvement_id == request.involvement)
    if request.asset is not None:
        query = query.where(Asset.id == request.asset)
    rows = list(uow.session.scalars(query.order_by(Asset.id)))
    if request.asset is not None and not rows:
        raise NotFound("There is no such film in this involvement.", kind="asset")
    going = set(
        uow.session.scalars(
            select(ErasureItem.asset_id).where(
                ErasureItem.asset_id.in_([r.id for r in rows]),
                ErasureItem.outcome == Outcome.DESTROY,
            )
        )
    ) | _losing_keys(ctx, uow, request.involvement)
    gone = [r.id for r in rows if r.state is AssetState.ERASED or r.id in going]
    return gone, [r.id for r in rows if r.id not in set(gone)]


def _losing_keys(ctx: Context, uow: UnitOfWork, involvement: str) -> set[str]:
    """Return what stands in no inventory yet, but whose consent keys are going."""
    orders = uow.session.scalars(
        select(ErasureOrder).where(
            ErasureOrder.involvement_id == involvement,
            ErasureOrder.keys_going_at.is_not(None),
            ErasureOrder.inventory_frozen_at.is_(None),
        )
    ).all()
    found: set[str] = set()
    for order in orders:
        assets = assets_in_scope(uow.session, involvement, OrderScope.from_json(order.scope))
        planned = plan(holdings(uow.session, ctx.policies.purposes, assets, uow.at), order.cause)
        found |= {line.asset for line in planned.destroyed}
    return found


def _standing_hold(ctx: Context, uow: UnitOfWork, caller: Caller, hold: str) -> Hold:
    found = uow.session.get(Hold, hold)
    row = thing_for(ctx, caller, Permission.HOLD_RELEASE, found, "hold")
    uow.lock_involvement(row.involvement_id)
    uow.session.refresh(row)
    if row.released_at is not None:
        raise Conflict("This hold was released already.", code="already_released")
    return row


def _require_second_person(row: Hold, caller: Caller) -> None:
    if row.release_asked_by is None:
        raise Conflict("Nobody has asked to release this hold yet.", code="release_not_asked")
    barred = {row.release_asked_by}
    if row.kind is HoldKind.SAFEGUARDING:
        barred.add(row.placed_by)
    if caller.id in barred:
        raise Refused("A second person confirms this.", code="second_person")


def _view(row: Hold, too_late: tuple[str, ...] = ()) -> HoldView:
    return HoldView(
        row.id,
        row.kind,
        row.involvement_id,
        row.asset_id,
        row.reason,
        row.placed_by,
        row.placed_at,
        row.release_asked_by,
        row.released_at,
        too_late,
    )

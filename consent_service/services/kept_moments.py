"""Clips and photos after they were cut: named anew, and removed when nobody needs them.

Rules kept here:
  * the words about a moment can be changed while it is kept; the moment itself cannot;
  * removing one is an erasure like any other: ordered, fenced at once, certified, never silent;
  * what a hold, a dispute or the health record keeps is not removed, and what was filmed never is.
"""

from dataclasses import dataclass

from consent_service.db.models.recordings import Asset
from consent_service.db.queries import retention as stored
from consent_service.db.queries.erasure import OrderScope, held_among
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetKind, RecordClass
from consent_service.domain.attunement import Principle, in_order
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.erasure import OrderCause
from consent_service.domain.purposes import CARE
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, InvalidInput
from consent_service.services import permission
from consent_service.services.access import Caller
from consent_service.services.assets import AssetView, asset_for, read_view
from consent_service.services.context import Context
from consent_service.services.cutting import TITLE_MAX
from consent_service.services.erasure_orders import OrderErasure, order_erasure


@dataclass(frozen=True)
class DescribeCut:
    """What a clip or photo is called from now on, and what was noticed in it."""

    asset: str
    title: str
    noticed: str | None = None
    principles: tuple[Principle, ...] = ()


def describe(ctx: Context, caller: Caller, request: DescribeCut) -> AssetView:
    """Change the words about a clip or photo; a clip keeps a name.

    Raises InvalidInput, Conflict (`not_a_cut`), and what watching it for `care` would.
    """
    with ctx.begin() as uow:
        row = _cut_for(ctx, uow, caller, request.asset)
        title = request.title.strip()
        if not title and row.kind is AssetKind.CLIP:
            raise InvalidInput("A clip has a name.", {"title": "Give the clip a title."})
        if len(title) > TITLE_MAX:
            sentence = f"A title has at most {TITLE_MAX} characters."
            raise InvalidInput(sentence, {"title": sentence})
        before = (row.title, row.noticed, row.principles or [])
        row.title = title or None
        row.noticed = (request.noticed or "").strip() or None
        row.principles = [str(principle) for principle in in_order(request.principles)]
        after = (row.title, row.noticed, row.principles)
        names = ("title", "noticed", "principles")
        changed = [n for n, old, new in zip(names, before, after, strict=True) if old != new]
        uow.record(
            AuditEvent(
                EventKind.ASSET_DESCRIBED,
                caller.actor,
                row.id,
                row.involvement_id,
                {"fields": changed},
            )
        )
    return read_view(ctx, request.asset)


def remove(ctx: Context, caller: Caller, asset: str) -> str:
    """Order the erasure of a clip or photo; nobody can watch it from now on.

    Photos taken from a clip stay. Returns the order's reference. Raises Conflict (`not_a_cut`,
    `held`, `health_record`), and what watching it for `care` would.
    """
    with ctx.begin() as uow:
        row = _cut_for(ctx, uow, caller, asset)
        _require_removable(uow, row)
        wanted = OrderErasure(
            row.involvement_id,
            OrderCause.CUT_REMOVED,
            OrderScope(assets=(row.id,), cascades=False),
            uow.at,
        )
        return order_erasure(uow, caller.actor, wanted).reference


def _cut_for(ctx: Context, uow: UnitOfWork, caller: Caller, asset: str) -> Asset:
    row = asset_for(ctx, uow.session, caller, Permission.FILM_CUT, asset)
    uow.lock_involvement(row.involvement_id).last_entry_at = uow.at
    uow.session.refresh(row)
    if row.kind is AssetKind.RECORDING:
        raise Conflict("Only a clip or a photo can be changed like this.", code="not_a_cut")
    permission.require_permitted(ctx, uow.session, row, CARE, uow.at, caller)
    return row


def _require_removable(uow: UnitOfWork, row: Asset) -> None:
    if held_among(uow.session, row.involvement_id, [row.id, row.source_id or row.id]):
        raise Conflict("A hold stands. It wins until it is released.", code="held")
    if row.record_class is RecordClass.HEALTH_RECORD:
        raise Conflict(
            "This is part of the health record. The IG officer decides what becomes of it.",
            code="health_record",
        )
    if row.id in stored.already_ordered(uow.session, row.involvement_id):
        raise Conflict("This is being removed already.", code="already_ordered")

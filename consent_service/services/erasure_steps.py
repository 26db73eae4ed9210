"""What each step of an erasure order does. Every act is idempotent: already gone is success.

Rules kept here:
  * journal line durable before a key goes; keys before wraps, wraps before ciphertext;
  * where a hold or the health-record class keeps something, the consent keys are sealed instead;
  * a retention order touches asset keys only: consent stands, and derived assets stay.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from consent_service.db.models.erasure import ErasureItem, ErasureOrder, Tombstone
from consent_service.db.models.recordings import Asset, AssetWrap
from consent_service.db.queries.consent import yes_decisions
from consent_service.db.queries.erasure import (
    OrderScope,
    any_must_be_sealed,
    assets_in_scope,
    holdings,
)
from consent_service.domain.assets import AssetKind, AssetState, require_move
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.erasure import (
    Ground,
    OrderCause,
    OrderState,
    Outcome,
    PlanLine,
    StepKind,
    plan,
)
from consent_service.errors import Unavailable
from consent_service.services import certificates, erasure_journal, keys
from consent_service.services.context import Context
from consent_service.vault.journal import LineKind
from consent_service.vault.keyring_values import KeyStatus

ERASER = Actor(ActorKind.JOB, "carry-out-erasures")
BATCH = 1000
RESTRICTING = frozenset({Ground.HOLD, Ground.HEALTH_RECORD, Ground.DISPUTE})
RESTRICTING_CAUSES = frozenset(
    {
        OrderCause.WITHDRAWAL,
        OrderCause.ASSETS_WITHDRAWN,
        OrderCause.HOLD_RELEASED,
        OrderCause.CONSENT_REFUSED,
    }
)

T = TypeVar("T")
Act = Callable[[Context, str], dict[str, int]]

_ERASED_EVENTS: Mapping[AssetKind, EventKind] = {
    AssetKind.RECORDING: EventKind.RECORDING_ERASED,
    AssetKind.CLIP: EventKind.CLIP_ERASED,
    AssetKind.STILL: EventKind.STILL_ERASED,
}


def consent_key_ids(session: Session, order: ErasureOrder) -> list[str]:
    """Return the ids of every consent key that this order ends."""
    scope = OrderScope.from_json(order.scope)
    found: set[str] = set()
    for person in scope.persons:
        for purpose in scope.purposes:
            found |= set(yes_decisions(session, order.involvement_id, person, purpose))
    return sorted(found)


def seal_waiting(ctx: Context) -> int:
    """Seal the keys of orders in their undo window, so that serving code cannot open anything."""
    with ctx.read() as session:
        rows = session.scalars(
            select(ErasureOrder).where(
                ErasureOrder.state == OrderState.WAITING, ErasureOrder.sealed_at.is_(None)
            )
        )
        waiting = [(row.id, consent_key_ids(session, row)) for row in rows]
    for order, key_ids in waiting:
        seal_keys(ctx, order, key_ids)
    return len(waiting)


def seal_keys(ctx: Context, order: str, key_ids: Sequence[str]) -> None:
    """Move an order's consent keys under escrow and write that down."""
    sealed = ctx.keyring.seal(key_ids, ctx.clock.now()) if key_ids else set()
    with ctx.begin() as uow:
        row = uow.session.get_one(ErasureOrder, order)
        row.sealed_at = row.sealed_at or uow.at
        for key in sorted(sealed):
            uow.record(AuditEvent(EventKind.CONSENT_KEY_SEALED, ERASER, key, row.involvement_id))


def destroy_consent_key(ctx: Context, order: str) -> dict[str, int]:
    """Destroy, or seal where something is kept, the consent keys of the order."""
    erasure_journal.journal_order(ctx, order)
    with ctx.read() as session:
        row = session.get_one(ErasureOrder, order)
        key_ids = consent_key_ids(session, row)
        persons = OrderScope.from_json(row.scope).persons
        sealing = bool(key_ids) and any_must_be_sealed(session, row.involvement_id, persons)
    if not key_ids:
        return {"keys": 0}
    if sealing:
        seal_keys(ctx, order, key_ids)
        return {"sealed": len(key_ids)}
    _destroy(ctx, order, key_ids)
    with ctx.begin() as uow:
        row = uow.session.get_one(ErasureOrder, order)
        row.key_destroyed_at = row.key_destroyed_at or uow.at
        for key in key_ids:
            uow.record(AuditEvent(EventKind.CONSENT_KEY_DESTROYED, ERASER, key, row.involvement_id))
    return {"keys": len(key_ids)}


def freeze_inventory(ctx: Context, order: str) -> dict[str, int]:
    """Write down what goes and what stays, once; lock or restrict each asset."""
    with ctx.begin() as uow:
        row = uow.session.get_one(ErasureOrder, order)
        uow.lock_involvement(row.involvement_id)
        if row.inventory_frozen_at is None:
            scope = OrderScope.from_json(row.scope)
            assets = assets_in_scope(uow.session, row.involvement_id, scope)
            found = holdings(uow.session, ctx.policies.purposes, assets, uow.at)
            lines = plan(found, row.cause).lines
            by_id = {asset.id: asset for asset in assets}
            for line in lines:
                _freeze(uow.session, row, by_id[line.asset], line)
            row.inventory_frozen_at = uow.at
        uow.session.flush()
        items = list(_items(uow.session, order))
    gone = sum(item.outcome is Outcome.DESTROY for item in items)
    return {"destroy": gone, "keep": len(items) - gone}


def destroy_asset_keys(ctx: Context, order: str) -> dict[str, int]:
    """Destroy the asset key of everything that goes."""
    with ctx.read() as session:
        ids = [i.asset_key_id for i in _going(session, order) if i.key_destroyed_at is None]
    for batch in _batches(ids):
        _destroy(ctx, order, batch)
        with ctx.begin() as uow:
            for item in _going(uow.session, order):
                if item.asset_key_id in set(batch):
                    item.key_destroyed_at = uow.at
    if ids:
        with ctx.begin() as uow:
            row = uow.session.get_one(ErasureOrder, order)
            row.key_destroyed_at = row.key_destroyed_at or uow.at
    return {"keys": len(ids)}


def delete_wraps(ctx: Context, order: str) -> dict[str, int]:
    """Delete wraps and sidecars of what goes; drop wraps of what stays that lost a key."""
    with ctx.read() as session:
        involvement = session.get_one(ErasureOrder, order).involvement_id
        assets = [item.asset_id for item in _going(session, order)]
    for batch in _batches(assets):
        with ctx.begin() as uow:
            uow.session.execute(delete(AssetWrap).where(AssetWrap.asset_id.in_(batch)))
        for asset in batch:
            ctx.blobs.delete(keys.sidecar_name(asset))
    keys.ensure_wraps(ctx, involvement)
    return {"assets": len(assets)}


def delete_ciphertext(ctx: Context, order: str) -> dict[str, int]:
    """Delete the stored objects of what goes, every version and every unfinished upload."""
    with ctx.read() as session:
        pairs = [(item.asset_id, item.blob) for item in _going(session, order)]
    for batch in _batches(pairs):
        for _, blob in batch:
            if blob is not None:
                ctx.blobs.delete(blob)
        with ctx.begin() as uow:
            wanted = {asset for asset, _ in batch}
            for item in _going(uow.session, order):
                if item.asset_id in wanted:
                    item.deleted_at = item.deleted_at or uow.at
    return {"objects": len(pairs)}


def delete_derived(ctx: Context, order: str) -> dict[str, int]:
    """Delete whatever else is stored under the assets' names: uploads, parts, exports."""
    with ctx.read() as session:
        wanted = {item.asset_id for item in _going(session, order)}
    found = 0
    for asset in sorted(wanted):
        for name in list(ctx.blobs.list(asset)):
            ctx.blobs.delete(name)
            found += 1
    for unfinished in list(ctx.blobs.list_unfinished()):
        if unfinished.name.split(".")[0] in wanted:
            ctx.blobs.discard_unfinished(unfinished.name)
            found += 1
    return {"objects": found}


def erase_titles(ctx: Context, order: str) -> dict[str, int]:
    """Erase titles and notes, and leave a tombstone in the place of each thing that went."""
    with ctx.begin() as uow:
        row = uow.session.get_one(ErasureOrder, order)
        uow.lock_involvement(row.involvement_id)
        erased = 0
        for item in _going(uow.session, order):
            asset = uow.session.get_one(Asset, item.asset_id)
            if asset.state is AssetState.ERASED:
                continue
            _erase(uow.session, asset, row, uow.at)
            uow.record(
                AuditEvent(
                    _ERASED_EVENTS[asset.kind],
                    ERASER,
                    asset.id,
                    row.involvement_id,
                    {"order": row.id},
                )
            )
            erased += 1
    return {"assets": erased}


def read_back(ctx: Context, order: str) -> dict[str, int]:
    """Look for everything that was to go; raises Unavailable while anything is still there."""
    with ctx.read() as session:
        items = [(i.asset_id, i.asset_key_id) for i in _going(session, order)]
        row = session.get_one(ErasureOrder, order)
        kept = sum(1 for _ in _items(session, order)) - len(items)
        consent_keys = [] if row.sealed_at else consent_key_ids(session, row)
        assets = [asset for asset, _ in items]
        wraps = set(
            session.scalars(select(AssetWrap.asset_id).where(AssetWrap.asset_id.in_(assets)))
        )
    states = ctx.keyring.status([key for _, key in items] + consent_keys)
    for asset, key in items:
        if asset in wraps or states[key] is not KeyStatus.DESTROYED or any(ctx.blobs.list(asset)):
            raise Unavailable(f"Asset {asset} is not gone yet.", code="not_gone", asset=asset)
    for key in consent_keys:
        if states[key] is not KeyStatus.DESTROYED:
            raise Unavailable(f"Consent key {key} is not gone yet.", code="not_gone")
    with ctx.begin() as uow:
        for item in _going(uow.session, order):
            item.read_back_at = item.read_back_at or uow.at
        uow.record(
            AuditEvent(
                EventKind.ERASURE_READ_BACK,
                ERASER,
                order,
                row.involvement_id,
                {"gone": len(items), "kept": kept},
            )
        )
    return {"gone": len(items), "kept": kept}


def certify(ctx: Context, order: str) -> dict[str, int]:
    """Issue the first revision of the certificate."""
    certificates.issue(ctx, order)
    return {"certificates": 1}


ACTS: Mapping[StepKind, Act] = {
    StepKind.DESTROY_CONSENT_KEY: destroy_consent_key,
    StepKind.FREEZE_INVENTORY: freeze_inventory,
    StepKind.DESTROY_ASSET_KEYS: destroy_asset_keys,
    StepKind.DELETE_WRAPS: delete_wraps,
    StepKind.DELETE_CIPHERTEXT: delete_ciphertext,
    StepKind.DELETE_DERIVED: delete_derived,
    StepKind.ERASE_TITLES: erase_titles,
    StepKind.READ_BACK: read_back,
    StepKind.CERTIFY: certify,
}


def _destroy(ctx: Context, order: str, key_ids: Sequence[str]) -> None:
    """Write the journal's line, durable, and only then let the keys go."""
    now = ctx.clock.now()
    ctx.journal.append(LineKind.KEY_DESTROYED, {"order": order, "keys": list(key_ids)}, now)
    ctx.keyring.destroy(key_ids, order, now)


def _freeze(session: Session, order: ErasureOrder, asset: Asset, line: PlanLine) -> None:
    session.add(
        ErasureItem(
            order_id=order.id,
            asset_id=asset.id,
            kind=asset.kind,
            record_class=asset.record_class,
            outcome=line.outcome,
            ground=line.ground,
            asset_key_id=asset.asset_key_id,
            blob=asset.blob,
            stored_size=asset.stored_size,
            sha256=asset.sha256,
        )
    )
    if line.outcome is Outcome.DESTROY:
        asset.state = require_move(asset.id, asset.state, AssetState.LOCKED)
    elif (
        line.ground in RESTRICTING
        and order.cause in RESTRICTING_CAUSES
        and asset.state is not AssetState.RECEIVING
    ):
        asset.state = require_move(asset.id, asset.state, AssetState.RESTRICTED)


def _erase(session: Session, asset: Asset, order: ErasureOrder, at: datetime) -> None:
    asset.state = require_move(asset.id, asset.state, AssetState.ERASED)
    asset.erased_at = at
    asset.title = asset.noticed = asset.long_film_reason = None
    asset.blob = asset.header = None
    session.add(
        Tombstone(
            asset_id=asset.id,
            kind=asset.kind,
            record_class=asset.record_class,
            involvement_id=asset.involvement_id,
            filmed_on=asset.filmed_on,
            created_at=asset.created_at,
            erased_at=at,
            order_id=order.id,
        )
    )


def _items(session: Session, order: str) -> Iterator[ErasureItem]:
    yield from session.scalars(
        select(ErasureItem).where(ErasureItem.order_id == order).order_by(ErasureItem.asset_id)
    )


def _going(session: Session, order: str) -> Iterator[ErasureItem]:
    return (item for item in _items(session, order) if item.outcome is Outcome.DESTROY)


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]

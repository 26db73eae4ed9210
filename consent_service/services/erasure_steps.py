"""What each step of an erasure order does. Every act is idempotent: already gone is success.

Rules kept here:
  * keys go before wraps, wraps before ciphertext; see `erasure_keys` for how keys go;
  * what no key opens any more is not kept, whatever asks for it: keeping noise keeps nothing;
  * a retention order touches asset keys only: consent stands, and derived assets stay.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from datetime import datetime
from typing import TypeVar

from sqlalchemy import bindparam, delete, func, null, select, update
from sqlalchemy.orm import Session

from consent_service.db.models.erasure import ErasureItem, ErasureOrder, Tombstone
from consent_service.db.models.recordings import Asset, AssetWrap, FilmUpload, UploadPart
from consent_service.db.queries.columns import Columns, rows_of
from consent_service.db.queries.erasure import (
    OrderScope,
    assets_in_scope,
    holdings,
)
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import ARRIVING, AssetKind, AssetState, require_move
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.erasure import (
    Ground,
    OrderCause,
    Outcome,
    PlanLine,
    StepKind,
    plan,
)
from consent_service.errors import Unavailable
from consent_service.services import certificates, keys, replaced_keys
from consent_service.services.context import Context
from consent_service.services.erasure_keys import (
    ERASER,
    consent_key_ids,
    destroy_consent_key,
    destroy_keys,
)
from consent_service.vault.keyring_values import KeyStatus

BATCH = 1000
RESTRICTING = frozenset({Ground.HOLD, Ground.HEALTH_RECORD, Ground.DISPUTE})
RESTRICTING_CAUSES = frozenset(
    {
        OrderCause.WITHDRAWAL,
        OrderCause.ASSETS_WITHDRAWN,
        OrderCause.HOLD_RELEASED,
        OrderCause.CONSENT_REFUSED,
        OrderCause.CONSENT_REVOKED,
    }
)

T = TypeVar("T")
Act = Callable[[Context, str], dict[str, int]]

_ERASED_EVENTS: Mapping[AssetKind, EventKind] = {
    AssetKind.RECORDING: EventKind.RECORDING_ERASED,
    AssetKind.CLIP: EventKind.CLIP_ERASED,
    AssetKind.STILL: EventKind.STILL_ERASED,
}


_ITEM = ErasureItem.__table__.c
_GOING = (
    select(_ITEM.asset_id, _ITEM.asset_key_id, _ITEM.blob, _ITEM.key_destroyed_at)
    .where(_ITEM.order_id == bindparam("order"), _ITEM.outcome == Outcome.DESTROY)
    .order_by(_ITEM.asset_id)
)


def freeze_inventory(ctx: Context, order: str) -> dict[str, int]:
    """Write down what goes and what stays, once; lock or restrict each asset."""
    with ctx.read() as session:
        noise = _already_noise(ctx, session, session.get_one(ErasureOrder, order))
    with ctx.begin() as uow:
        row = uow.session.get_one(ErasureOrder, order)
        uow.lock_involvement(row.involvement_id).consent_epoch += 1
        uow.session.refresh(row)
        if row.inventory_frozen_at is None:
            assets = assets_in_scope(
                uow.session, row.involvement_id, OrderScope.from_json(row.scope)
            )
            # What was ended after this order has an order of its own: each says what it did.
            found = holdings(
                uow.session, ctx.policies.purposes, assets, row.ordered_at, known_at=uow.at
            )
            lines = [_or_gone(line, noise) for line in plan(found, row.cause).lines]
            by_id = {asset.id: asset for asset in assets}
            uow.insert(ErasureItem, [_item(row, by_id[line.asset], line) for line in lines])
            _move(uow.session, _moves(row, by_id, lines))
            row.inventory_frozen_at = uow.at
        gone, kept = _how_many(uow.session, order)
    return {"destroy": gone, "keep": kept}


def _already_noise(ctx: Context, session: Session, order: ErasureOrder) -> set[str]:
    """Return the assets of the order that no key opens any more: keeping them keeps nothing."""
    scope = OrderScope.from_json(order.scope)
    assets = [a.id for a in assets_in_scope(session, order.involvement_id, scope)]
    wraps = keys.wraps_by_asset(session, assets)
    key_ids = {key for rows in wraps.values() for wrap in rows for key in wrap.key_ids}
    states = ctx.keyring.status(sorted(key_ids))
    gone = {key for key, state in states.items() if state is KeyStatus.DESTROYED}
    return {asset for asset, rows in wraps.items() if all(gone & set(w.key_ids) for w in rows)}


def _or_gone(line: PlanLine, noise: Set[str]) -> PlanLine:
    lost = line.asset in noise and line.ground is not Ground.PURPOSE_REMAINS
    return PlanLine(line.asset, line.kind, Outcome.DESTROY) if lost else line


def destroy_asset_keys(ctx: Context, order: str) -> dict[str, int]:
    """Destroy the asset key of everything that goes, and every one that a newer has replaced.

    Also what was made to take its place, and never did.
    """
    replaced_keys.destroy(ctx)
    with ctx.read() as session:
        ids = [i.asset_key_id for i in _going(session, order) if i.key_destroyed_at is None]
    for batch in _batches(ids):
        destroy_keys(ctx, order, [*replaced_keys.left_over(ctx, batch), *batch])
        with ctx.begin() as uow:
            uow.session.execute(
                update(ErasureItem)
                .where(ErasureItem.order_id == order, ErasureItem.asset_key_id.in_(batch))
                .values(key_destroyed_at=uow.at)
            )
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
            for table in (AssetWrap, UploadPart, FilmUpload):
                uow.session.execute(delete(table).where(table.asset_id.in_(batch)))
        ctx.blobs.delete_many([keys.sidecar_name(asset) for asset in batch])
    keys.ensure_wraps(ctx, involvement)
    return {"assets": len(assets)}


def delete_ciphertext(ctx: Context, order: str) -> dict[str, int]:
    """Delete the stored objects of what goes, every version and every unfinished upload."""
    with ctx.read() as session:
        pairs = [(item.asset_id, item.blob) for item in _going(session, order)]
    for batch in _batches(pairs):
        ctx.blobs.delete_many([blob for _, blob in batch if blob is not None])
        with ctx.begin() as uow:
            uow.session.execute(
                update(ErasureItem)
                .where(
                    ErasureItem.order_id == order,
                    ErasureItem.asset_id.in_([asset for asset, _ in batch]),
                    ErasureItem.deleted_at.is_(None),
                )
                .values(deleted_at=uow.at)
            )
    return {"objects": len(pairs)}


def delete_derived(ctx: Context, order: str) -> dict[str, int]:
    """Delete whatever else is stored under the assets' names: uploads, and their parts."""
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
        ids = [item.asset_id for item in _going(uow.session, order)]
        return {"assets": sum(_erase(uow, row, batch) for batch in _batches(ids))}


def read_back(ctx: Context, order: str) -> dict[str, int]:
    """Look for everything that was to go; raises Unavailable while anything is still there."""
    with ctx.read() as session:
        items = [(i.asset_id, i.asset_key_id) for i in _going(session, order)]
        row = session.get_one(ErasureOrder, order)
        _, kept = _how_many(session, order)
        now = ctx.clock.now()
        consent_keys = consent_key_ids(ctx, session, row, now) if row.keys_going_at else []
        assets = [asset for asset, _ in items]
        wraps = set(
            session.scalars(select(AssetWrap.asset_id).where(AssetWrap.asset_id.in_(assets)))
        )
    _delete_strays(ctx, assets)
    if late := replaced_keys.left_over(ctx, [key for _, key in items]):
        destroy_keys(ctx, order, late)
    states = ctx.keyring.status([key for _, key in items] + consent_keys)
    for asset, key in items:
        if asset in wraps or states[key] is not KeyStatus.DESTROYED or any(ctx.blobs.list(asset)):
            raise Unavailable(f"Asset {asset} is not gone yet.", code="not_gone", asset=asset)
    for key in consent_keys:
        if states[key] is not KeyStatus.DESTROYED:
            raise Unavailable(f"Consent key {key} is not gone yet.", code="not_gone")
    with ctx.begin() as uow:
        uow.session.execute(
            update(ErasureItem)
            .where(
                ErasureItem.order_id == order,
                ErasureItem.outcome == Outcome.DESTROY,
                ErasureItem.read_back_at.is_(None),
            )
            .values(read_back_at=uow.at)
        )
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


def _delete_strays(ctx: Context, assets: Sequence[str]) -> None:
    """Delete what somebody late wrote under the name of a thing that went, a sidecar above all."""
    for asset in assets:
        for name in list(ctx.blobs.list(asset)):
            ctx.blobs.delete(name)


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


def _item(order: ErasureOrder, asset: Asset, line: PlanLine) -> dict[str, object]:
    return {
        "order_id": order.id,
        "asset_id": asset.id,
        "kind": asset.kind,
        "record_class": asset.record_class,
        "outcome": line.outcome,
        "ground": line.ground,
        "asset_key_id": asset.asset_key_id,
        "blob": asset.blob,
        "stored_size": asset.stored_size,
        "sha256": asset.sha256,
    }


def _moves(
    order: ErasureOrder, assets: Mapping[str, Asset], lines: Sequence[PlanLine]
) -> dict[AssetState, list[str]]:
    """Return the assets to lock, to restrict and to let go on, by the state they come to."""
    moves: dict[AssetState, list[str]] = {}
    for line in lines:
        asset = assets[line.asset]
        if (state := _state_after(order, asset, line)) is not None:
            moves.setdefault(require_move(asset.id, asset.state, state), []).append(asset.id)
    return moves


def _state_after(order: ErasureOrder, asset: Asset, line: PlanLine) -> AssetState | None:
    if line.outcome is Outcome.DESTROY:
        return AssetState.LOCKED
    if line.ground is Ground.PURPOSE_REMAINS and asset.state is AssetState.RESTRICTED:
        return AssetState.STORED
    restricted = line.ground in RESTRICTING and order.cause in RESTRICTING_CAUSES
    return AssetState.RESTRICTED if restricted and asset.state not in ARRIVING else None


def _move(session: Session, moves: Mapping[AssetState, Sequence[str]]) -> None:
    for state, ids in moves.items():
        for batch in _batches(ids):
            _update(session, batch, {"state": state})


def _update(session: Session, ids: Sequence[str], values: Mapping[str, object]) -> None:
    """Change many assets in one statement, each to its next version."""
    session.execute(
        update(Asset).where(Asset.id.in_(ids)).values({**values, "version": Asset.version + 1}),
        execution_options={"synchronize_session": False},
    )


def _erase(uow: UnitOfWork, order: ErasureOrder, ids: Sequence[str]) -> int:
    """Leave tombstones in the place of these assets; returns how many were not erased before."""
    wanted = select(Asset).where(Asset.id.in_(ids), Asset.state != AssetState.ERASED)
    assets = uow.session.scalars(wanted.order_by(Asset.id)).all()
    for asset in assets:
        require_move(asset.id, asset.state, AssetState.ERASED)
    words = ("title", "noticed", "long_film_reason", "principles", "blob", "header")
    gone = {"state": AssetState.ERASED, "erased_at": uow.at, **dict.fromkeys(words, null())}
    _update(uow.session, [asset.id for asset in assets], gone)
    uow.insert(Tombstone, [_tombstone(asset, order, uow.at) for asset in assets])
    uow.record_all(
        AuditEvent(
            _ERASED_EVENTS[asset.kind], ERASER, asset.id, order.involvement_id, {"order": order.id}
        )
        for asset in assets
    )
    return len(assets)


def _tombstone(asset: Asset, order: ErasureOrder, at: datetime) -> dict[str, object]:
    return {
        "asset_id": asset.id,
        "kind": asset.kind,
        "record_class": asset.record_class,
        "involvement_id": asset.involvement_id,
        "filmed_on": asset.filmed_on,
        "created_at": asset.created_at,
        "erased_at": at,
        "order_id": order.id,
    }


def _going(session: Session, order: str) -> Sequence[Columns]:
    """Return (asset_id, asset_key_id, blob, key_destroyed_at) of what goes."""
    return rows_of(session, _GOING, order=order)


def _how_many(session: Session, order: str) -> tuple[int, int]:
    """Return how many things go and how many stay."""
    mine = select(ErasureItem.outcome, func.count()).where(ErasureItem.order_id == order)
    gone = kept = 0
    for outcome, count in session.execute(mine.group_by(ErasureItem.outcome)):
        if outcome is Outcome.DESTROY:
            gone += count
        else:
            kept += count
    return gone, kept


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]

"""What lies in the store held against the rows that stand for it, both ways.

Rules kept here: leftovers of erased film and of uploads go; what no row knows goes as
`unknown_things` says; what is missing is reported.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.recordings import Asset, UploadPart
from consent_service.domain.assets import ARRIVING, AssetState
from consent_service.services import film_objects, keys
from consent_service.services.comparing import GRACE, Comparing, Fault, Finding
from consent_service.services.context import Context

HELD_STATES = (AssetState.STORED, AssetState.AWAITING_CONSENT, AssetState.RESTRICTED)


@dataclass(frozen=True)
class KnownAsset:
    """An asset as the comparison needs it."""

    id: str
    involvement: str
    state: AssetState
    key: str
    blob: str | None
    settled: bool
    begun: datetime


def known_assets(ctx: Context, session: Session) -> dict[str, KnownAsset]:
    """Return every asset, by id."""
    limit = ctx.clock.now() - GRACE
    rows = session.execute(
        select(
            Asset.id,
            Asset.involvement_id,
            Asset.state,
            Asset.asset_key_id,
            Asset.blob,
            Asset.stored_at,
            Asset.created_at,
        )
    )
    return {
        row.id: KnownAsset(
            row.id,
            row.involvement_id,
            row.state,
            row.asset_key_id,
            row.blob,
            row.stored_at is not None and row.stored_at <= limit,
            row.created_at,
        )
        for row in rows
    }


def arriving_parts(session: Session) -> Iterator[tuple[str, str]]:
    """Yield object and asset of every part of a film that is still coming in."""
    rows = session.execute(
        select(UploadPart.blob, UploadPart.asset_id)
        .join(Asset, Asset.id == UploadPart.asset_id)
        .where(Asset.state.in_(ARRIVING))
        .order_by(UploadPart.asset_id, UploadPart.begins)
    )
    yield from rows


def compare_objects(
    run: Comparing,
    names: Sequence[str],
    assets: Mapping[str, KnownAsset],
    parts: Mapping[str, str],
) -> Iterator[Finding]:
    """Find objects that should not be there, and film that should."""
    yield from _objects(run, names, assets)
    yield from _missing_objects(names, assets.values())
    yield from _missing_parts(names, parts)


def _objects(
    run: Comparing, names: Sequence[str], assets: Mapping[str, KnownAsset]
) -> Iterator[Finding]:
    for name in names:
        asset = assets.get(name.split(".")[0])
        if asset is None or _is_unknown_film(run, asset, name):
            yield from _unknown(run, name)
        elif asset.state is AssetState.ERASED:
            yield from _removed(run, Fault.OBJECT_OF_ERASED, name, run.repair)
        elif asset.settled and name not in (asset.blob, keys.sidecar_name(asset.id)):
            yield from _removed(run, Fault.LEFTOVER_UPLOAD, name, run.repair)


def _is_unknown_film(run: Comparing, asset: KnownAsset, name: str) -> bool:
    """Tell whether a newer database may know a film of what this one has as on its way in."""
    arriving = asset.state in ARRIVING and run.things.may_know_more(asset.begun)
    return arriving and film_objects.is_of_film(name)


def _unknown(run: Comparing, name: str) -> Iterator[Finding]:
    if run.things.object_may_go():
        yield from _removed(run, Fault.UNKNOWN_OBJECT, name, run.may_go(name))
    else:
        yield Finding(Fault.KEPT_OBJECT, name, False)


def _removed(run: Comparing, fault: Fault, name: str, mend: bool) -> Iterator[Finding]:
    with run.about(name):
        if mend:
            run.ctx.blobs.delete(name)
        yield Finding(fault, name, mend)


def _missing_objects(names: Sequence[str], assets: Iterable[KnownAsset]) -> Iterator[Finding]:
    present = set(names)
    for asset in assets:
        if asset.state in HELD_STATES and asset.blob not in present:
            yield Finding(Fault.OBJECT_MISSING, asset.id, False)


def _missing_parts(names: Sequence[str], parts: Mapping[str, str]) -> Iterator[Finding]:
    """Find uploads that can never be finished, since a part that was acknowledged is gone."""
    present = set(names)
    broken = {asset for name, asset in parts.items() if name not in present}
    for asset in sorted(broken):
        yield Finding(Fault.OBJECT_MISSING, asset, False)


def compare_unfinished(run: Comparing, assets: Mapping[str, KnownAsset]) -> Iterator[Finding]:
    """Find what was left of uploads that nobody goes on with."""
    limit = run.ctx.clock.now() - GRACE
    for part in list(run.ctx.blobs.list_unfinished()):
        asset = assets.get(part.name.split(".")[0])
        receiving = asset is not None and asset.state in ARRIVING
        if part.started_at > limit or receiving:
            continue
        with run.about(part.name):
            if run.repair:
                run.ctx.blobs.discard_unfinished(part.name)
            yield Finding(Fault.LEFTOVER_UPLOAD, part.name, run.repair)

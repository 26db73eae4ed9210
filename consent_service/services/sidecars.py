"""Whether what stands beside each film in the store is what the database would write there now.

A sidecar is written after the commit that it tells of, so a store that was away, or a process that
was killed, leaves an old one or none; blobs and keyring alone would then not open the film.

Rules kept here:
  * each asset that is kept is compared, a page at a time, and read once where all is well;
  * what is missing or differs is written anew, from what the database says and nothing else;
  * a store that cannot be read is Unavailable: it says nothing of what stands there.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import select

from consent_service.db.models.recordings import Asset
from consent_service.domain.assets import AssetState
from consent_service.errors import Gone, NotFound
from consent_service.services import keys
from consent_service.services.context import Context
from consent_service.vault.wraps import Wrap

KEPT = (*keys.OPENABLE, AssetState.RESTRICTED)
BATCH = 500


def compare(ctx: Context, *, repair: bool) -> Iterator[str]:
    """Yield each asset whose sidecar was missing or wrong, after it is written anew if `repair`.

    Raises Unavailable where the store cannot be read, or takes nothing.
    """
    for asset, content in _kept(ctx):
        # What differs may just have been changed: then the rows of a moment ago are the old ones.
        if _stands(ctx, asset, content) or _stands(ctx, asset, keys.sidecar_of(*_now(ctx, asset))):
            continue
        if repair:
            _write_anew(ctx, asset)
        yield asset


def _kept(ctx: Context) -> Iterator[tuple[str, bytes]]:
    """Yield every asset that is kept, with what its sidecar should be."""
    after = ""
    while True:
        with ctx.read() as session:
            page = session.scalars(
                select(Asset)
                .where(Asset.state.in_(KEPT), Asset.id > after)
                .order_by(Asset.id)
                .limit(BATCH)
            ).all()
            wraps = keys.wraps_by_asset(session, [row.id for row in page])
        if not page:
            return
        yield from ((row.id, keys.sidecar_of(row, wraps.get(row.id, ()))) for row in page)
        after = page[-1].id


def _now(ctx: Context, asset: str) -> tuple[Asset, Sequence[Wrap]]:
    with ctx.read() as session:
        row = session.get_one(Asset, asset)
        return row, keys.wraps_by_asset(session, [asset]).get(asset, ())


def _stands(ctx: Context, asset: str, content: bytes) -> bool:
    try:
        # One byte more than there should be, so that a longer one is not taken for it.
        return ctx.blobs.read_range(keys.sidecar_name(asset), 0, len(content) + 1) == content
    except (NotFound, Gone):
        return False


def _write_anew(ctx: Context, asset: str) -> None:
    """Write until what was written is what the database says afterwards.

    Somebody may replace a key, or erase the film, while this writes: their word stands.
    """
    row, wraps = _now(ctx, asset)
    written = None
    while row.state in KEPT and written != keys.sidecar_of(row, wraps):
        keys.write_sidecar(ctx, row, wraps)
        written = keys.sidecar_of(row, wraps)
        row, wraps = _now(ctx, asset)
    if written is not None and row.state is AssetState.ERASED:
        ctx.blobs.delete(keys.sidecar_name(asset))

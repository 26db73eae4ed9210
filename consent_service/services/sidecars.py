"""Whether what stands beside each film in the store is what the database would write there now.

A sidecar is written after the commit that it tells of, so a store that was away, or a process that
was killed, leaves an old one or none; blobs and keyring alone would then not open the film.

Rules kept here:
  * each asset that is kept is compared, a page at a time, and read once where all is well; a few
    are read at once, since a bucket takes as long for each as for eight;
  * what is missing or differs is written anew, from what the database says and nothing else;
  * but where a database was put back, one that may open film with what this database lacks (keys or
    wraps made since its backup) stays until a person confirms, as unknown keys and objects do: it
    is the only copy of that, and the newer database may still be put in its place;
  * what cannot be read says nothing of what stands there: that is told of, film by film, or once
    where it is the store that is away.
"""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import select

from consent_service.db.models.recordings import Asset
from consent_service.domain.assets import AssetState
from consent_service.errors import ConsentServiceError, ContainerCorrupt, Gone, NotFound
from consent_service.services import keys
from consent_service.services.comparing import FORGIVEN, Comparing, Fault, Finding
from consent_service.services.context import Context
from consent_service.vault.keyring_values import KeyStatus
from consent_service.vault.side_by_side import side_by_side
from consent_service.vault.wraps import Wrap, parse_sidecar

KEPT = (*keys.OPENABLE, AssetState.RESTRICTED)
BATCH = 500
MOST_BYTES = 2**20
"""No sidecar is longer; what is, cannot be read."""


def compare(run: Comparing) -> Iterator[Finding]:
    """Yield each asset whose sidecar was missing or wrong, after it is written anew."""
    for page in _kept(run.ctx):
        for asset in _differing(run, page):
            with run.about(asset):
                yield from _compared(run, asset)


def _differing(run: Comparing, page: Mapping[str, bytes]) -> list[str]:
    """Return the assets of a page beside which something else stands, or nothing."""

    def look(asset: str) -> tuple[str, bool, ConsentServiceError | None]:
        try:
            return asset, _stands(run.ctx, asset, page[asset]), None
        except FORGIVEN as fault:
            return asset, False, fault

    found = []
    for asset, stands, fault in side_by_side(look, page):
        if fault is not None:
            run.forgive(asset, fault)
        elif not stands:
            found.append(asset)
    return sorted(found)


def _compared(run: Comparing, asset: str) -> Iterator[Finding]:
    ctx = run.ctx
    # What differs may just have been changed: then the rows of a moment ago are the old ones.
    if _stands(ctx, asset, keys.sidecar_of(*_now(ctx, asset))):
        return
    if run.things.in_doubt and _is_only_copy(ctx, asset):
        mend = run.things.object_may_go() and run.may_go(asset)
        fault = Fault.KEPT_SIDECAR
    else:
        mend, fault = run.repair, Fault.SIDECAR_WRONG
    if mend:
        _write_anew(ctx, asset)
    yield Finding(fault, asset, mend)


def _is_only_copy(ctx: Context, asset: str) -> bool:
    """Tell whether what stands there may open the film with what the database lacks.

    Only a key that was destroyed can never open it: one that is not here may still be put back.
    """
    row, wraps = _now(ctx, asset)
    try:
        beside = parse_sidecar(ctx.blobs.read_range(keys.sidecar_name(asset), 0, MOST_BYTES))
    except (NotFound, Gone):
        return False
    except ContainerCorrupt:
        return True  # what is left of it may still be worth something to somebody
    known = {_needed(row.asset_key_id, wrap) for wrap in wraps}
    lacking = {_needed(beside.asset_key_id, wrap) for wrap in beside.wraps} - known
    if beside.asset_key_id != row.asset_key_id:
        lacking.add(frozenset({beside.asset_key_id}))
    states = ctx.keyring.status(sorted(frozenset[str]().union(*lacking)))
    gone = {key for key, state in states.items() if state is KeyStatus.DESTROYED}
    return any(needed.isdisjoint(gone) for needed in lacking)


def _needed(asset_key: str, wrap: Wrap) -> frozenset[str]:
    """Return the ids of all keys that open a wrap."""
    return frozenset({asset_key, *wrap.key_ids})


def _kept(ctx: Context) -> Iterator[Mapping[str, bytes]]:
    """Yield every asset that is kept, with what its sidecar should be, a page at a time."""
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
        yield {row.id: keys.sidecar_of(row, wraps.get(row.id, ())) for row in page}
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

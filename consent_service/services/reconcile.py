"""Compare what should be with what is: store, database, ledger and keyring, both ways.

Rules kept here: only what is certainly ours to remove is removed (leftovers of erased film, wraps
of destroyed keys, keys that the ledger says are gone); an object or key that no row knows goes
only when it was reported a day before, and where the database was put back only when a person
confirms it besides (`unknown_things`); whatever is missing is reported, never papered over, but
for a sidecar, which is written anew from the database (`sidecars`). What cannot be compared is told
of and keeps nothing else from it (`comparing`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from sqlalchemy import select

from consent_service.db.models.consent import ConsentDecision, ConsentPaper
from consent_service.db.models.erasure import ErasureItem
from consent_service.db.models.recordings import Asset, AssetWrap
from consent_service.domain.assets import AssetState
from consent_service.domain.erasure import Outcome
from consent_service.domain.roles import Permission
from consent_service.services import consent_papers, erasure_keys, key_ends, keys, sidecars
from consent_service.services.access import Caller, require, require_fresh
from consent_service.services.compared_objects import (
    HELD_STATES,
    KnownAsset,
    arriving_parts,
    compare_objects,
    compare_unfinished,
    known_assets,
)
from consent_service.services.comparing import Comparing, Fault, Finding, Part, Report
from consent_service.services.context import Context
from consent_service.vault.keyring_values import KeyStatus, home_shard

__all__ = ["Fault", "Finding", "Report", "reconcile"]

BATCH = 500


def _nobody(_report: Report) -> None:
    """Where nobody waits for the report but who reads what is written down."""


def reconcile(
    ctx: Context,
    caller: Caller,
    *,
    repair: bool = True,
    confirm_unknown: bool = False,
    tell: Callable[[Report], object] = _nobody,
) -> Report:
    """Compare everything both ways; mend what is safe to mend, report the rest.

    `confirm_unknown`: no newer database will be put back, so that what this one does not know may
    go. Only what was reported a day before and no hold may cover goes; no job may say it.

    Raises JournalBroken and Unavailable where something is to be mended and the journal forbids it;
    and, after all that can be compared is, what kept a part from it. Either way what was found and
    done until then is written down, and `tell` is called with it.
    """
    require(ctx, caller, Permission.ERASURE_RUN)
    if confirm_unknown:
        require(ctx, caller, Permission.DISPOSITION_DECIDE)
        require_fresh(caller)
    if repair:
        ctx.standing.require_newest()
    run = Comparing(ctx, repair=repair, confirmed=confirm_unknown)
    # Listed before the rows are read: whatever is there then has its row, if it ever has one.
    names: list[str] | None = None
    with run.part(Part.STORE):
        names = list(ctx.blobs.list())
    with ctx.read() as session:
        assets = known_assets(ctx, session)
        parts = dict(arriving_parts(session))
    try:
        if names is not None:
            run.compare(Part.OBJECTS, compare_objects(run, names, assets, parts))
            run.compare(Part.UPLOADS, compare_unfinished(run, assets))
        _compare_keys(run, assets.values())
        if names is not None:
            run.compare(Part.SIDECARS, sidecars.compare(run))
    finally:
        report = Report(
            len(names or ()),
            len(assets),
            len({a.key for a in assets.values()}),
            tuple(run.findings),
        )
        try:
            run.write_down(caller, report)
        finally:
            tell(report)
    if run.left is not None:
        raise run.left
    return report


def _compare_keys(run: Comparing, assets: Iterable[KnownAsset]) -> None:
    run.compare(Part.LEDGER, _ledger(run))
    run.compare(Part.ASSET_KEYS, _keys_of_assets(run.ctx, assets))
    run.compare(Part.WRAPS, _wraps(run))
    run.compare(Part.CONSENT_KEYS, _consent_keys(run))
    run.compare(Part.SEALED_KEYS, _sealed_keys(run))
    run.compare(Part.UNKNOWN_KEYS, _unknown_keys(run))


def _ledger(run: Comparing) -> Iterator[Finding]:
    """Hold the keyring to the ledger: a key that was destroyed stays destroyed."""
    with run.ctx.read() as session:
        rows = session.execute(
            select(ErasureItem.asset_key_id, ErasureItem.order_id).where(
                ErasureItem.outcome == Outcome.DESTROY, ErasureItem.key_destroyed_at.is_not(None)
            )
        )
        gone = {row.asset_key_id: row.order_id for row in rows}
    keyring = run.ctx.keyring
    for batch in _batches(sorted(gone)):
        for key, state in keyring.status(batch).items():
            if state is KeyStatus.DESTROYED:
                continue
            with run.about(key):
                if run.repair:
                    keyring.destroy([key], gone[key], run.ctx.clock.now())
                yield Finding(Fault.KEY_ALIVE, key, run.repair)


def _keys_of_assets(ctx: Context, assets: Iterable[KnownAsset]) -> Iterator[Finding]:
    held = {a.key: a.id for a in assets if a.state in HELD_STATES}
    for batch in _batches(sorted(held)):
        for key, state in ctx.keyring.status(batch).items():
            if state not in (KeyStatus.LIVE, KeyStatus.SEALED):
                yield Finding(Fault.KEY_MISSING, held[key], False)


def _wraps(run: Comparing) -> Iterator[Finding]:
    """Find wraps of destroyed keys or erased film, and let the key work drop them."""
    with run.ctx.read() as session:
        rows = session.execute(
            select(AssetWrap.asset_id, AssetWrap.key_ids, Asset.involvement_id, Asset.state).join(
                Asset, Asset.id == AssetWrap.asset_id
            )
        ).all()
    every = sorted({key for row in rows for key in row.key_ids})
    gone = {
        key
        for batch in _batches(every)
        for key, state in run.ctx.keyring.status(batch).items()
        if state is KeyStatus.DESTROYED
    }
    wrong = {
        row.asset_id: row.involvement_id
        for row in rows
        if row.state is AssetState.ERASED or gone & set(row.key_ids)
    }
    mended = set()
    for involvement in sorted(set(wrong.values()) if run.repair else ()):
        with run.about(involvement):
            keys.ensure_wraps(run.ctx, involvement)
            mended.add(involvement)
    for asset in sorted(wrong):
        yield Finding(Fault.WRAP_WITHOUT_RIGHT, asset, wrong[asset] in mended)


def _consent_keys(run: Comparing) -> Iterator[Finding]:
    """Find keys that are live although nobody agrees any more, and people who have none."""
    with run.ctx.read() as session:
        asked = session.scalars(select(ConsentDecision.involvement_id).distinct()).all()
    for involvement in sorted(asked):
        with run.about(involvement):
            yield from _consent_keys_of(run, involvement)


def _consent_keys_of(run: Comparing, involvement: str) -> Iterator[Finding]:
    wrong = keys.live_without_right(run.ctx, involvement)
    if wrong and run.repair:
        keys.settle(run.ctx, involvement)
    for key in wrong:
        yield Finding(Fault.CONSENT_KEY_WITHOUT_RIGHT, key, run.repair)
    for person, _ in sorted(keys.given_without_key(run.ctx, involvement)):
        yield Finding(Fault.CONSENT_WITHOUT_KEY, person, False)


def _sealed_keys(run: Comparing) -> Iterator[Finding]:
    """Find keys that an order had sealed and that are live all the same."""
    found = {key for some in erasure_keys.live_though_sealed(run.ctx).values() for key in some}
    if found and run.repair:
        with run.part(Part.SEALED_KEYS):
            erasure_keys.seal_again(run.ctx)
    states = run.ctx.keyring.status(sorted(found))
    told = {one.subject for one in run.findings if one.fault is Fault.CONSENT_KEY_WITHOUT_RIGHT}
    for key in sorted(found - told):
        yield Finding(Fault.SEALED_KEY_LIVE, key, states[key] is not KeyStatus.LIVE)


def _unknown_keys(run: Comparing) -> Iterator[Finding]:
    """Find keys that no row stands for: what a restored database lost, or a crash left behind.

    Rows come before their keys, but where a key is replaced: so nothing is done within a day.
    """
    # Read first: whatever is written meanwhile is in the ledger when that is read.
    entries = list(run.ctx.keyring.list_keys())
    with run.ctx.read() as session:
        known = set(session.scalars(select(Asset.asset_key_id)))
        known |= set(session.scalars(select(ConsentDecision.id)))
        known |= set(session.scalars(select(ErasureItem.asset_key_id)))
        known |= set(map(consent_papers.key_of, session.scalars(select(ConsentPaper.paper_id))))
    lost = [entry for entry in entries if entry.key_id not in known]
    going = run.things.keys_that_may_go(lost)
    for entry in lost:
        key = entry.key_id
        mend = key in going and run.may_go(key)
        with run.about(key):
            if mend:
                key_ends.destroy(run.ctx, key, [key], home_shard(entry.shard))
            yield Finding(Fault.UNKNOWN_KEY if key in going else Fault.KEPT_KEY, key, mend)


def _batches(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]

"""Compare what should be with what is: store, database, ledger and keyring, both ways.

Rules kept here: only what is certainly ours to remove is removed (leftovers of erased film, wraps
of destroyed keys, keys that the ledger says are gone); an object or key that no row knows goes
only when it was reported a day before, and where the database was put back only when a person
confirms it besides (`unknown_things`); whatever is missing is reported, never papered over, but
for a sidecar, which holds nothing that the database does not.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentDecision, ConsentPaper
from consent_service.db.models.erasure import ErasureItem
from consent_service.db.models.jobs import Notice
from consent_service.db.models.recordings import Asset, AssetWrap, UploadPart
from consent_service.domain.assets import ARRIVING, AssetState
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.erasure import Outcome
from consent_service.domain.roles import ADMINISTRATOR, Permission
from consent_service.ids import is_id
from consent_service.services import consent_papers, erasure_keys, keys, sidecars
from consent_service.services.access import Caller, require, require_fresh
from consent_service.services.context import Context
from consent_service.services.notices import notify
from consent_service.services.unknown_things import UnknownThings
from consent_service.vault.keyring_values import KeyStatus

GRACE = timedelta(days=1)
BATCH = 500
MOST_TOLD = 50
"""So many things that need a person stand in the log by id; more are counted."""
HELD_STATES = (AssetState.STORED, AssetState.AWAITING_CONSENT, AssetState.RESTRICTED)
_NOTICE = "reconcile_unknown_object"
_NOTICE_OF_KEPT = "reconcile_unknown_kept"
_FINDING = "reconcile_finding"


class Fault(StrEnum):
    """What does not fit together."""

    OBJECT_OF_ERASED = "object_of_erased"
    UNKNOWN_OBJECT = "unknown_object"
    LEFTOVER_UPLOAD = "leftover_upload"
    OBJECT_MISSING = "object_missing"
    KEY_ALIVE = "key_alive"
    KEY_MISSING = "key_missing"
    WRAP_WITHOUT_RIGHT = "wrap_without_right"
    SIDECAR_WRONG = "sidecar_wrong"
    CONSENT_KEY_WITHOUT_RIGHT = "consent_key_without_right"
    SEALED_KEY_LIVE = "sealed_key_live"
    CONSENT_WITHOUT_KEY = "consent_without_key"
    UNKNOWN_KEY = "unknown_key"
    KEPT_OBJECT = "kept_object"
    KEPT_KEY = "kept_key"


UNKNOWN = {
    Fault.UNKNOWN_OBJECT: _NOTICE,
    Fault.UNKNOWN_KEY: _NOTICE,
    Fault.KEPT_OBJECT: _NOTICE_OF_KEPT,
    Fault.KEPT_KEY: _NOTICE_OF_KEPT,
}
"""What nothing stands for, and how people are told, once: the first two are removed a day later,
if it is still so; the others may belong to a database that is still to be put back, or are held."""


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit; `subject` is an asset, key or object; `repaired` if mended."""

    fault: Fault
    subject: str
    repaired: bool


@dataclass(frozen=True)
class Report:
    """What was compared and what was found."""

    objects: int
    assets: int
    keys: int
    findings: tuple[Finding, ...]

    @property
    def kept(self) -> int:
        """How many unknown things a person is asked about."""
        return sum(f.fault in (Fault.KEPT_OBJECT, Fault.KEPT_KEY) for f in self.findings)

    @property
    def gone(self) -> int:
        """How many unknown things were destroyed."""
        return sum(f.repaired for f in self.findings if f.fault in UNKNOWN)

    @property
    def open(self) -> tuple[Finding, ...]:
        """Findings that need a person."""
        return tuple(f for f in self.findings if not f.repaired)

    def figures(self) -> dict[str, int]:
        """Return how many of each fault were found."""
        return dict(Counter(f.fault.value for f in self.findings))


@dataclass(frozen=True)
class _Unknown:
    """How what no row knows is dealt with: `reported` was told of long enough ago to go."""

    things: UnknownThings
    reported: frozenset[str]


@dataclass(frozen=True)
class _Known:
    """An asset as the comparison needs it."""

    id: str
    involvement: str
    state: AssetState
    key: str
    blob: str | None
    settled: bool


def reconcile(
    ctx: Context, caller: Caller, *, repair: bool = True, confirm_unknown: bool = False
) -> Report:
    """Compare everything both ways; mend what is safe to mend, report the rest.

    `confirm_unknown`: no newer database will be put back, so that what this one does not know may
    go. Only what was reported a day before and no hold may cover goes; no job may say it.

    Raises JournalBroken and Unavailable where something is to be mended and the journal forbids it.
    """
    require(ctx, caller, Permission.ERASURE_RUN)
    if confirm_unknown:
        require(ctx, caller, Permission.DISPOSITION_DECIDE)
        require_fresh(caller)
    if repair:
        ctx.standing.require_newest()
    names = list(ctx.blobs.list())
    with ctx.read() as session:
        assets = _known(ctx, session)
        reported = _reported_before(ctx, session, confirm_unknown)
        parts = dict(_parts(session))
    unknown = _Unknown(UnknownThings(ctx, confirmed=confirm_unknown), reported)
    findings = [
        *_objects(ctx, names, assets, unknown, repair),
        *_missing_objects(names, assets.values()),
        *_missing_parts(names, parts),
        *_unfinished(ctx, assets, repair),
        *_ledger(ctx, repair),
        *_keys_of_assets(ctx, assets.values()),
        *_wraps(ctx, repair),
        *(Finding(Fault.SIDECAR_WRONG, a, repair) for a in sidecars.compare(ctx, repair=repair)),
        *_consent_keys(ctx, repair),
        *_unknown_keys(ctx, unknown, repair),
    ]
    report = Report(len(names), len(assets), len({a.key for a in assets.values()}), tuple(findings))
    _write_down(ctx, caller, report, confirm_unknown)
    return report


def _known(ctx: Context, session: Session) -> dict[str, _Known]:
    limit = ctx.clock.now() - GRACE
    rows = session.execute(
        select(
            Asset.id,
            Asset.involvement_id,
            Asset.state,
            Asset.asset_key_id,
            Asset.blob,
            Asset.stored_at,
        )
    )
    return {
        row.id: _Known(
            row.id,
            row.involvement_id,
            row.state,
            row.asset_key_id,
            row.blob,
            row.stored_at is not None and row.stored_at <= limit,
        )
        for row in rows
    }


def _reported_before(ctx: Context, session: Session, confirmed: bool) -> frozenset[str]:
    """Return what was said to go tomorrow; once that is confirmed, also what was said to stay."""
    kinds = {_NOTICE, _NOTICE_OF_KEPT} if confirmed else {_NOTICE}
    rows = session.scalars(
        select(Notice.subject).where(
            Notice.kind.in_(kinds), Notice.created_at <= ctx.clock.now() - GRACE
        )
    )
    return frozenset(name for name in rows if name)


def _objects(
    ctx: Context,
    names: Sequence[str],
    assets: dict[str, _Known],
    unknown: _Unknown,
    repair: bool,
) -> Iterator[Finding]:
    for name in names:
        asset = assets.get(name.split(".")[0])
        if asset is None and not unknown.things.object_may_go():
            yield Finding(Fault.KEPT_OBJECT, name, False)
        elif asset is None:
            mend = repair and name in unknown.reported
            yield _removed(ctx, Fault.UNKNOWN_OBJECT, name, mend)
        elif asset.state is AssetState.ERASED:
            yield _removed(ctx, Fault.OBJECT_OF_ERASED, name, repair)
        elif asset.settled and name not in (asset.blob, keys.sidecar_name(asset.id)):
            yield _removed(ctx, Fault.LEFTOVER_UPLOAD, name, repair)


def _removed(ctx: Context, fault: Fault, name: str, mend: bool) -> Finding:
    if mend:
        ctx.blobs.delete(name)
    return Finding(fault, name, mend)


def _missing_objects(names: Sequence[str], assets: Iterable[_Known]) -> Iterator[Finding]:
    present = set(names)
    for asset in assets:
        if asset.state in HELD_STATES and asset.blob not in present:
            yield Finding(Fault.OBJECT_MISSING, asset.id, False)


def _parts(session: Session) -> Iterator[tuple[str, str]]:
    """Yield object and asset of every part of a film that is still coming in."""
    rows = session.execute(
        select(UploadPart.blob, UploadPart.asset_id)
        .join(Asset, Asset.id == UploadPart.asset_id)
        .where(Asset.state.in_(ARRIVING))
        .order_by(UploadPart.asset_id, UploadPart.begins)
    )
    yield from rows


def _missing_parts(names: Sequence[str], parts: Mapping[str, str]) -> Iterator[Finding]:
    """Find uploads that can never be finished, since a part that was acknowledged is gone."""
    present = set(names)
    broken = {asset for name, asset in parts.items() if name not in present}
    for asset in sorted(broken):
        yield Finding(Fault.OBJECT_MISSING, asset, False)


def _unfinished(ctx: Context, assets: dict[str, _Known], repair: bool) -> Iterator[Finding]:
    limit = ctx.clock.now() - GRACE
    for part in list(ctx.blobs.list_unfinished()):
        asset = assets.get(part.name.split(".")[0])
        receiving = asset is not None and asset.state in ARRIVING
        if part.started_at > limit or receiving:
            continue
        if repair:
            ctx.blobs.discard_unfinished(part.name)
        yield Finding(Fault.LEFTOVER_UPLOAD, part.name, repair)


def _ledger(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Hold the keyring to the ledger: a key that was destroyed stays destroyed."""
    with ctx.read() as session:
        rows = session.execute(
            select(ErasureItem.asset_key_id, ErasureItem.order_id).where(
                ErasureItem.outcome == Outcome.DESTROY, ErasureItem.key_destroyed_at.is_not(None)
            )
        )
        gone = {row.asset_key_id: row.order_id for row in rows}
    for batch in _batches(sorted(gone)):
        for key, state in ctx.keyring.status(batch).items():
            if state is KeyStatus.DESTROYED:
                continue
            if repair:
                ctx.keyring.destroy([key], gone[key], ctx.clock.now())
            yield Finding(Fault.KEY_ALIVE, key, repair)


def _keys_of_assets(ctx: Context, assets: Iterable[_Known]) -> Iterator[Finding]:
    held = {a.key: a.id for a in assets if a.state in HELD_STATES}
    for batch in _batches(sorted(held)):
        for key, state in ctx.keyring.status(batch).items():
            if state not in (KeyStatus.LIVE, KeyStatus.SEALED):
                yield Finding(Fault.KEY_MISSING, held[key], False)


def _wraps(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Find wraps of destroyed keys or erased film, and let the key work drop them."""
    with ctx.read() as session:
        rows = session.execute(
            select(AssetWrap.asset_id, AssetWrap.key_ids, Asset.involvement_id, Asset.state).join(
                Asset, Asset.id == AssetWrap.asset_id
            )
        ).all()
    every = sorted({key for row in rows for key in row.key_ids})
    gone = {
        key
        for batch in _batches(every)
        for key, state in ctx.keyring.status(batch).items()
        if state is KeyStatus.DESTROYED
    }
    wrong = {
        row.asset_id: row.involvement_id
        for row in rows
        if row.state is AssetState.ERASED or gone & set(row.key_ids)
    }
    if repair:
        for involvement in sorted(set(wrong.values())):
            keys.ensure_wraps(ctx, involvement)
    for asset in sorted(wrong):
        yield Finding(Fault.WRAP_WITHOUT_RIGHT, asset, repair)


def _consent_keys(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Find keys that are live although nobody agrees any more, and people who have none."""
    told = set()
    with ctx.read() as session:
        asked = session.scalars(select(ConsentDecision.involvement_id).distinct()).all()
    for involvement in sorted(asked):
        wrong = keys.live_without_right(ctx, involvement)
        if wrong and repair:
            keys.settle(ctx, involvement)
        told |= set(wrong)
        for key in wrong:
            yield Finding(Fault.CONSENT_KEY_WITHOUT_RIGHT, key, repair)
        for person, _ in sorted(keys.given_without_key(ctx, involvement)):
            yield Finding(Fault.CONSENT_WITHOUT_KEY, person, False)
    ended = {key for some in erasure_keys.live_though_sealed(ctx).values() for key in some}
    if ended and repair:
        erasure_keys.seal_again(ctx)
    for key in sorted(ended - told):
        yield Finding(Fault.SEALED_KEY_LIVE, key, repair)


def _unknown_keys(ctx: Context, unknown: _Unknown, repair: bool) -> Iterator[Finding]:
    """Find keys that no row stands for: what a restored database lost, or a crash left behind.

    Rows come before their keys, but where a key is replaced: so nothing is done within a day.
    """
    # Read first: whatever is written meanwhile is in the ledger when that is read.
    entries = list(ctx.keyring.list_keys())
    with ctx.read() as session:
        known = set(session.scalars(select(Asset.asset_key_id)))
        known |= set(session.scalars(select(ConsentDecision.id)))
        known |= set(session.scalars(select(ErasureItem.asset_key_id)))
        known |= set(map(consent_papers.key_of, session.scalars(select(ConsentPaper.paper_id))))
    lost = [entry for entry in entries if entry.key_id not in known]
    going = unknown.things.keys_that_may_go(lost)
    for key in (entry.key_id for entry in lost):
        mend = repair and key in going and key in unknown.reported
        if mend:
            erasure_keys.destroy_keys(ctx, key, [key])
        yield Finding(Fault.UNKNOWN_KEY if key in going else Fault.KEPT_KEY, key, mend)


def _write_down(ctx: Context, caller: Caller, report: Report, confirmed: bool) -> None:
    named = [f"{f.fault.value}/{f.subject}" for f in report.open if is_id(f.subject.split(".")[0])]
    with ctx.begin() as uow:
        uow.record(
            AuditEvent(
                EventKind.RECONCILE_REPORTED,
                caller.actor,
                details={
                    "findings": len(report.findings),
                    **report.figures(),
                    **({"confirmed": report.gone} if confirmed else {}),
                    **({"open": named[:MOST_TOLD]} if named else {}),
                },
            )
        )
        told = _told_of_unknown(uow.session)
        for finding in report.open:
            if kind := UNKNOWN.get(finding.fault):
                if (kind, finding.subject) not in told and len(finding.subject) <= 80:
                    notify(uow, kind, role=ADMINISTRATOR, subject=finding.subject)
            else:
                notify(uow, _FINDING, role=ADMINISTRATOR, subject=finding.subject)


def _told_of_unknown(session: Session) -> set[tuple[str, str | None]]:
    rows = session.execute(
        select(Notice.kind, Notice.subject).where(Notice.kind.in_(set(UNKNOWN.values())))
    )
    return {(row.kind, row.subject) for row in rows}


def _batches(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]

"""Consent becomes keys: the cryptographic state is made to follow the consent state.

Rules kept here:
  * a consent key is live only while the state is *given*; where parents dispute it, somebody has
    said no since, its time is over, or the act was never valid, it is sealed;
  * a wrap is made only of live keys, opens only with live keys, and goes once one is destroyed;
    under a sealed key it stays, closed, since the seal may be lifted;
  * a later yes wraps the film anew under its own key, out of escrow, but never what an order ended;
    the key of the yes before it then goes for good, once no wrap asks for it;
  * a wrap stands for exactly as many people as are depicted; `depicted` replaces the others;
  * everything here is idempotent: it runs right after a commit and again by a job;
  * key work never happens inside a database transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentDecision
from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset, AssetWrap, DepictedPerson
from consent_service.db.queries.consent import states_now, yes_decisions
from consent_service.db.queries.people import members
from consent_service.db.queries.stories import Pair
from consent_service.db.queries.voided import voided_yeses
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetKind, AssetState, Depiction
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.consent import ConsentState, Finding
from consent_service.services import superseded_keys
from consent_service.services.context import Context
from consent_service.vault.container import ObjectKind
from consent_service.vault.keyring import KeyKind
from consent_service.vault.keyring_values import KeyStatus, NewKey
from consent_service.vault.wraps import Sidecar, Wrap, make_wrap, open_wrap, sidecar_bytes

KEY_MAKER = Actor(ActorKind.JOB, "make-keys")
SHUT = frozenset({ConsentState.DISPUTED, ConsentState.DECLINED, ConsentState.EXPIRED})
"""States in which an earlier yes keeps its key under escrow."""
OPENABLE = (AssetState.STORED, AssetState.AWAITING_CONSENT)

OBJECT_KINDS: Mapping[AssetKind, ObjectKind] = {
    AssetKind.RECORDING: ObjectKind.RECORDING,
    AssetKind.CLIP: ObjectKind.CLIP,
    AssetKind.STILL: ObjectKind.STILL,
}


@dataclass(frozen=True)
class KeyChanges:
    """What had to be done so that keys follow consent."""

    made: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()
    unsealed: tuple[str, ...] = ()
    destroyed: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Picture:
    """Everyone's consent in an involvement, by (person, purpose), and the keys to be sealed."""

    shard: int
    findings: Mapping[Pair, Finding]
    sealed: tuple[str, ...]


def settle(ctx: Context, involvement: str) -> KeyChanges:
    """Make keys and wraps of an involvement follow its consents; safe to run at any time.

    Raises JournalBroken and Unavailable, after all else, where what is to go may not go now.
    """
    changes = settle_but_destroy_nothing(ctx, involvement)
    return replace(changes, destroyed=tuple(superseded_keys.destroy(ctx, involvement)))


def settle_but_destroy_nothing(ctx: Context, involvement: str) -> KeyChanges:
    """As `settle`; keys that a newer yes has replaced stay."""
    changes = ensure_consent_keys(ctx, involvement)
    ensure_wraps(ctx, involvement)
    return changes


def settle_after_end(ctx: Context, involvement: str) -> KeyChanges:
    """Seal what an end closes, in the same time however much film there is.

    An end permits nothing new: film is wrapped anew only where another yes has to take the place of
    the one that ended.
    """
    changes = ensure_consent_keys(ctx, involvement)
    if changes.made or changes.unsealed:
        ensure_wraps(ctx, involvement)
    return changes


def live_without_right(ctx: Context, involvement: str) -> list[str]:
    """Return the consent keys that are live although what they were made for is not *given*."""
    with ctx.read() as session:
        picture = _picture(ctx, session, involvement)
    status = ctx.keyring.status(picture.sealed)
    return [key for key in picture.sealed if status[key] is KeyStatus.LIVE]


def given_without_key(ctx: Context, involvement: str) -> frozenset[Pair]:
    """Return every (person, purpose) that is *given* though each key it could stand on is gone.

    So it is where a newer yes took the place of an older one, whose key was destroyed, and was then
    found never to have been valid. Film of it stays shut and none can be taken in until they agree
    once more, which makes another key.
    """
    with ctx.read() as session:
        findings = consent_picture(ctx, session, involvement)
    gone = _destroyed(ctx, {key for finding in findings.values() for key in finding.granting})
    return frozenset(
        pair for pair, found in findings.items() if found.granting and gone >= set(found.granting)
    )


def ensure_consent_keys(ctx: Context, involvement: str) -> KeyChanges:
    """Make the keys that a yes calls for, unseal what is *given* again, seal what no longer is."""
    with ctx.read() as session:
        picture = _picture(ctx, session, involvement)
    granting = [f.granting for f in picture.findings.values() if f.granting]
    now = ctx.clock.now()
    sealed = _seal(ctx, picture.sealed)
    unsealed = _unseal_granted(ctx, granting)
    status = ctx.keyring.status(sorted({key for keys in granting for key in keys}))
    fresh = [NewKey(k, KeyKind.CONSENT, picture.shard) for k in _to_make(granting, status)]
    made = ctx.keyring.create_many(fresh, now) if fresh else set()
    changes = KeyChanges(tuple(sorted(made)), tuple(sorted(sealed)), tuple(sorted(unsealed)))
    _record_changes(ctx, involvement, changes)
    return changes


def ensure_wraps(ctx: Context, involvement: str) -> int:
    """Give every stored asset exactly the wraps that live keys allow; returns assets changed."""
    with ctx.read() as session:
        picture = _picture(ctx, session, involvement)
        mine = select(Asset).where(Asset.involvement_id == involvement, Asset.state.in_(OPENABLE))
        assets = session.scalars(mine.order_by(Asset.id)).all()
        depicted = depicted_by_asset(session, [a.id for a in assets])
        wraps = wraps_by_asset(session, [a.id for a in assets])
    key_ids = {k for f in picture.findings.values() for k in f.granting}
    key_ids |= {k for rows in wraps.values() for wrap in rows for k in wrap.key_ids}
    key_ids |= {a.asset_key_id for a in assets}
    live = ctx.keyring.read(sorted(key_ids))
    gone = _destroyed(ctx, key_ids - live.keys())
    shut = key_ids - live.keys() - gone
    opening = superseded_keys.opening(ctx, involvement, live, shut)
    changed = 0
    for asset in assets:
        people = depicted.get(asset.id, ())
        before = wraps.get(asset.id, ())
        standing = [w for w in before if not gone & set(w.key_ids)]
        if any(len(w.key_ids) != len(people) for w in standing):
            continue
        wanted = wanted_keys(picture.findings, people, live)
        changed += _settle_asset(
            ctx, asset, _Standing(standing, before, opening(asset.id)), wanted, live
        )
    return changed


def wanted_keys(
    findings: Mapping[Pair, Finding], depicted: Sequence[str], live: Mapping[str, bytes]
) -> dict[str, tuple[str, ...]]:
    """Return, per purpose that everyone depicted permits, the live keys that wrap for it."""
    purposes = {purpose for _, purpose in findings}
    found: dict[str, tuple[str, ...]] = {}
    for purpose in sorted(purposes):
        keys = [_live_key(findings.get((person, purpose)), live) for person in depicted]
        whole = [key for key in keys if key is not None]
        if depicted and len(whole) == len(depicted):
            found[purpose] = tuple(sorted(whole))
    return found


def make_wraps(
    asset: tuple[str, int],
    data_key: bytes,
    asset_key: bytes,
    wanted: Mapping[str, Mapping[str, bytes]],
) -> list[Wrap]:
    """Wrap a data key once for each purpose; `wanted` maps purpose to consent keys by id."""
    identifier, generation = asset
    return [
        make_wrap((identifier, generation, purpose), data_key, asset_key, keys)
        for purpose, keys in sorted(wanted.items())
    ]


def write_sidecar(ctx: Context, asset: Asset, wraps: Iterable[Wrap]) -> None:
    """Write the asset's sidecar anew, so that blobs and keyring alone suffice for recovery."""
    with ctx.blobs.put(sidecar_name(asset.id), replace=True) as sink:
        sink.write(sidecar_of(asset, wraps))


def sidecar_of(asset: Asset, wraps: Iterable[Wrap]) -> bytes:
    """Return what stands in an asset's sidecar with these wraps."""
    place = (asset.id, asset.generation, asset.kind.value, asset.asset_key_id)
    return sidecar_bytes(Sidecar(*place, tuple(wraps)))


def sidecar_name(asset: str) -> str:
    """Return the name of an asset's sidecar object."""
    return f"{asset}.json"


def depicted_by_asset(session: Session, assets: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return who is seen or heard in each asset, sorted."""
    rows = session.execute(
        select(DepictedPerson.asset_id, DepictedPerson.person_id)
        .where(
            DepictedPerson.asset_id.in_(list(assets)),
            DepictedPerson.depiction == Depiction.DEPICTED,
        )
        .order_by(DepictedPerson.asset_id, DepictedPerson.person_id)
    )
    found: dict[str, list[str]] = {}
    for asset, person in rows:
        found.setdefault(asset, []).append(person)
    return {asset: tuple(people) for asset, people in found.items()}


def wraps_by_asset(session: Session, assets: Sequence[str]) -> dict[str, list[Wrap]]:
    """Return the wraps of each asset."""
    found: dict[str, list[Wrap]] = {}
    for row in session.scalars(select(AssetWrap).where(AssetWrap.asset_id.in_(list(assets)))):
        wrap = Wrap(row.asset_id, row.generation, row.purpose, tuple(row.key_ids), row.wrapped)
        found.setdefault(row.asset_id, []).append(wrap)
    return found


def consent_picture(ctx: Context, session: Session, involvement: str) -> Mapping[Pair, Finding]:
    """Return everyone's present consent in an involvement, named uses spelt out."""
    return _picture(ctx, session, involvement).findings


def _picture(ctx: Context, session: Session, involvement: str) -> _Picture:
    row = session.get_one(Involvement, involvement)
    persons = [person.id for _, person in members(session, involvement)]
    named = session.execute(
        select(ConsentDecision.purpose, ConsentDecision.named).where(
            ConsentDecision.involvement_id == involvement, ConsentDecision.purpose.is_not(None)
        )
    )
    answered: set[str] = set()
    for purpose, uses in named:
        answered |= {f"{purpose}:{use}" for use in uses} if uses else {purpose or ""}
    found = states_now(session, involvement, persons, sorted(answered), ctx.clock.now())
    shut = {
        key
        for (person, purpose), finding in found.items()
        if finding.state in SHUT
        for key in yes_decisions(session, involvement, person, purpose)
    }
    shut |= {
        key
        for key, person, purposes in voided_yeses(session, involvement)
        if any(found[person, p].state is not ConsentState.GIVEN for p in purposes)
    }
    # One yes may name two uses: what still grants the other is nobody's to seal.
    granting = {key for finding in found.values() for key in finding.granting}
    return _Picture(row.shard, found, tuple(sorted(shut - granting)))


def _seal(ctx: Context, wanted: Sequence[str]) -> set[str]:
    """Seal what is no longer agreed; an id without a key is fenced, so that none is made late."""
    status = ctx.keyring.status(wanted)
    open_yet = [k for k in wanted if status[k] in (KeyStatus.LIVE, KeyStatus.ABSENT)]
    return ctx.keyring.seal(open_yet, ctx.clock.now()) if open_yet else set()


def _unseal_granted(ctx: Context, granting: Sequence[Sequence[str]]) -> set[str]:
    """Bring back what is *given* again after an undo or a settled dispute."""
    status = ctx.keyring.status(sorted({key for keys in granting for key in keys}))
    without = [keys for keys in granting if not any(status[k] is KeyStatus.LIVE for k in keys)]
    sealed = sorted({k for keys in without for k in keys if status[k] is KeyStatus.SEALED})
    return ctx.keyring.unseal(sealed, ctx.clock.now()) if sealed else set()


def _to_make(granting: Iterable[Sequence[str]], status: Mapping[str, KeyStatus]) -> list[str]:
    """Return the keys to make so that each grant has one live key."""
    wanted = set()
    for keys in granting:
        if any(status[k] is KeyStatus.LIVE for k in keys):
            continue
        absent = [k for k in keys if status[k] is KeyStatus.ABSENT]
        wanted |= set(absent[:1])
    return sorted(wanted)


def _live_key(finding: Finding | None, live: Mapping[str, bytes]) -> str | None:
    granting = finding.granting if finding is not None else ()
    return next((key for key in granting if key in live), None)


@dataclass(frozen=True)
class _Standing:
    """The wraps of an asset of which no key is destroyed, and all that it has, as they were read.

    `opening` holds the keys that may open one of them, to wrap anew for what is permitted now.
    """

    wraps: Sequence[Wrap]
    before: Sequence[Wrap]
    opening: Mapping[str, bytes]

    def that_opens(self) -> Wrap | None:
        """Return a wrap of which every key is at hand."""
        return next((w for w in self.wraps if all(k in self.opening for k in w.key_ids)), None)


def _destroyed(ctx: Context, key_ids: Iterable[str]) -> set[str]:
    status = ctx.keyring.status(sorted(key_ids))
    return {key for key, state in status.items() if state is KeyStatus.DESTROYED}


def _settle_asset(
    ctx: Context,
    asset: Asset,
    standing: _Standing,
    wanted: Mapping[str, tuple[str, ...]],
    live: Mapping[str, bytes],
) -> int:
    """Add the wraps that are missing and drop those whose keys are gone; 1 when changed."""
    asset_key = live.get(asset.asset_key_id)
    if asset_key is None:
        return 0
    good = [w for w in standing.wraps if all(k in live for k in w.key_ids)]
    missing = {p: k for p, k in wanted.items() if p not in {w.purpose for w in good}}
    added = []
    opens = standing.that_opens() if missing else None
    if opens is not None:
        data_key = open_wrap(opens, asset_key, standing.opening)
        keys = {p: {k: live[k] for k in ids} for p, ids in missing.items()}
        added = make_wraps((asset.id, asset.generation), data_key, asset_key, keys)
    if not added and len(standing.before) == len(standing.wraps):
        return 0
    renewed = {w.purpose for w in added}
    kept = [w for w in standing.wraps if w.purpose not in renewed]
    if not _store_wraps(ctx, asset, standing.before, kept, added):
        return 0
    if kept or added:  # else what stands there, of a newer database, may be all that opens the film
        write_sidecar(ctx, asset, [*kept, *added])
    return 1


def _store_wraps(
    ctx: Context, asset: Asset, before: Sequence[Wrap], good: Sequence[Wrap], added: Sequence[Wrap]
) -> bool:
    """Write the wraps down; False when they, the key or the state are not what was read."""
    with ctx.begin() as uow:
        uow.lock_involvement(asset.involvement_id)
        row = uow.session.get_one(Asset, asset.id)
        if row.asset_key_id != asset.asset_key_id or row.state not in OPENABLE:
            return False
        if {*wraps_by_asset(uow.session, [asset.id]).get(asset.id, ())} != {*before}:
            return False
        kept = [w.purpose for w in good]
        uow.session.execute(
            delete(AssetWrap).where(AssetWrap.asset_id == asset.id, AssetWrap.purpose.not_in(kept))
        )
        uow.session.add_all(wrap_row(wrap, uow) for wrap in added)
        uow.record(
            AuditEvent(
                EventKind.ASSET_WRAPS_CHANGED,
                KEY_MAKER,
                asset.id,
                asset.involvement_id,
                {"purposes": sorted([*kept, *(w.purpose for w in added)])},
            )
        )
    return True


def wrap_row(wrap: Wrap, uow: UnitOfWork) -> AssetWrap:
    """Return the row of a wrap."""
    return AssetWrap(
        asset_id=wrap.asset_id,
        purpose=wrap.purpose,
        generation=wrap.generation,
        key_ids=list(wrap.key_ids),
        wrapped=wrap.wrapped,
        made_at=uow.at,
    )


def _record_changes(ctx: Context, involvement: str, changes: KeyChanges) -> None:
    kinds = (
        (EventKind.CONSENT_KEY_MADE, changes.made),
        (EventKind.CONSENT_KEY_SEALED, changes.sealed),
        (EventKind.CONSENT_KEY_UNSEALED, changes.unsealed),
    )
    events = [AuditEvent(kind, KEY_MAKER, key, involvement) for kind, keys in kinds for key in keys]
    if events:
        with ctx.begin() as uow:
            uow.record_all(events)

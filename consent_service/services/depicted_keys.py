"""Keys follow who is in a film, as they follow consent.

Rules kept here:
  * where somebody was added or taken out, the asset's key is replaced and the data key wrapped anew
    for exactly those who are in it now;
  * while somebody has not been asked, the data key lies sealed under escrow and there is no wrap:
    serving code cannot open the film (rule 12);
  * their yes makes the wraps again; their no, or the end of the time to ask them, orders erasure;
  * while the clock is in doubt nothing goes for want of an answer;
  * a key is replaced, and the old one destroyed, only after a good look at the journal;
  * the old key goes before anything else is written down: until then an old sidecar opens the film;
  * everything here is idempotent: it runs right after a commit and again by a job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentDecision
from consent_service.db.models.jobs import ClockPause
from consent_service.db.models.recordings import Asset, AssetWrap
from consent_service.db.queries.erasure import OrderScope
from consent_service.db.queries.recordings import unsettled_involvements
from consent_service.db.queries.stories import Pair
from consent_service.domain.assets import AssetState, require_move
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.consent import ConsentState, Finding
from consent_service.domain.erasure import OrderCause
from consent_service.domain.purposes import CARE
from consent_service.services import erasure, keys, replaced_keys
from consent_service.services.context import Context
from consent_service.vault.keyring import KeyKind
from consent_service.vault.wraps import Wrap, open_wrap

SETTLER = Actor(ActorKind.JOB, "settle-awaiting")
REFUSING = frozenset({ConsentState.DECLINED, ConsentState.WITHDRAWN, ConsentState.REVOKED})
UNASKED = frozenset({ConsentState.NOT_ASKED, ConsentState.NOT_ANSWERED})


@dataclass(frozen=True)
class _Scene:
    """The assets of an involvement that can be settled, and what they are settled by.

    `givers`: about whom each decision is, which has the id of its key.
    """

    assets: Sequence[Asset]
    depicted: Mapping[str, tuple[str, ...]]
    wraps: Mapping[str, list[Wrap]]
    givers: Mapping[str, str]
    findings: Mapping[Pair, Finding]

    def care(self, asset: Asset) -> frozenset[ConsentState]:
        """Return the states of `care` of everyone in an asset."""
        people = self.depicted.get(asset.id, ())
        found = (self.findings.get((person, CARE)) for person in people)
        return frozenset(f.state if f else ConsentState.NOT_ASKED for f in found)

    def is_stale(self, asset: Asset) -> bool:
        """Tell whether a wrap stands for other people than those depicted."""
        people = set(self.depicted.get(asset.id, ()))
        wraps = self.wraps.get(asset.id, ())
        return any({self.givers.get(key) for key in wrap.key_ids} != people for wrap in wraps)


@dataclass(frozen=True)
class _Fresh:
    """A key that is to take the place of an asset's, and what killed processes left before it."""

    key: str
    left: tuple[str, ...]


def settle(ctx: Context, involvement: str) -> int:
    """Make keys and wraps of an involvement follow who is in its films; returns assets changed."""
    with ctx.read() as session:
        scene = _scene(ctx, session, involvement)
    changed = 0
    for asset in scene.assets:
        given = scene.care(asset) == {ConsentState.GIVEN}
        if asset.state is AssetState.AWAITING_CONSENT:
            changed += _readmit(ctx, asset, scene) if given else _seal_away(ctx, asset, scene)
        elif given and scene.is_stale(asset):
            changed += _readmit(ctx, asset, scene)
    return changed


def settle_awaiting(ctx: Context, involvement: str | None = None) -> dict[str, int]:
    """Bring every film that waits for somebody's answer to its end, if it has one (rule 12).

    First goes every replaced key that a crash, or a journal out of reach, left alive.
    Yes: it can be watched again. No, or no answer in the days that policy gives: erasure is
    ordered and carried out. Where parents disagree it goes on waiting. Returns figures.
    """
    replaced_keys.destroy(ctx)
    with ctx.read() as session:
        waiting = [involvement] if involvement else unsettled_involvements(session)
    figures = {"settled": 0, "refused": 0}
    for identifier in waiting:
        keys.ensure_consent_keys(ctx, identifier)
        figures["settled"] += settle(ctx, identifier)
        figures["refused"] += _refuse(ctx, identifier)
    return figures


def _refuse(ctx: Context, involvement: str) -> int:
    """Order erased what somebody in it refused, or has not answered for in time."""
    last = _last_moment(ctx)
    with ctx.read() as session:
        if not _refused(_scene(ctx, session, involvement), last):
            return 0
    with ctx.begin() as uow:
        uow.lock_involvement(involvement)
        # Looked at again: who was giving their answer held the lock until now.
        refused = _refused(_scene(ctx, uow.session, involvement), last)
        if not refused:
            return 0
        order = erasure.order_erasure(
            uow,
            SETTLER,
            erasure.OrderErasure(
                involvement, OrderCause.CONSENT_REFUSED, OrderScope(assets=refused), uow.at
            ),
        ).id
    erasure.carry_out(ctx, order, "settle-awaiting")
    return len(refused)


def _refused(scene: _Scene, last: datetime | None) -> tuple[str, ...]:
    """Return the waiting films that have come to their end, sorted."""
    return tuple(asset.id for asset in scene.assets if _is_refused(asset, scene, last))


def _last_moment(ctx: Context) -> datetime | None:
    """Return the moment before which no answer counts as none; None while the clock is in doubt."""
    with ctx.read() as session:
        if session.scalar(select(ClockPause.id).where(ClockPause.confirmed_at.is_(None)).limit(1)):
            return None
    return ctx.clock.now() - timedelta(days=ctx.policies.organisation.awaiting_consent_days)


def _is_refused(asset: Asset, scene: _Scene, last: datetime | None) -> bool:
    """Tell whether a waiting film has come to its end: a no, or no answer since before `last`."""
    if asset.state is not AssetState.AWAITING_CONSENT or asset.awaiting_since is None:
        return False
    care = scene.care(asset)
    if ConsentState.DISPUTED in care:
        return False
    if care & REFUSING:
        return True
    return last is not None and asset.awaiting_since <= last and bool(care & UNASKED)


def _scene(ctx: Context, session: Session, involvement: str) -> _Scene:
    assets = session.scalars(
        select(Asset)
        .where(
            Asset.involvement_id == involvement,
            Asset.state.in_((AssetState.STORED, AssetState.AWAITING_CONSENT)),
        )
        .order_by(Asset.id)
    ).all()
    ids = [asset.id for asset in assets]
    said = select(ConsentDecision.id, ConsentDecision.person_id)
    yeses = session.execute(said.where(ConsentDecision.involvement_id == involvement))
    return _Scene(
        assets,
        keys.depicted_by_asset(session, ids),
        keys.wraps_by_asset(session, ids),
        {row.id: row.person_id for row in yeses},
        keys.consent_picture(ctx, session, involvement),
    )


def _readmit(ctx: Context, asset: Asset, scene: _Scene) -> int:
    """Give an asset a new key and the wraps that everyone in it permits; 1 when done."""
    people = scene.depicted.get(asset.id, ())
    granting = {k for f in scene.findings.values() for k in f.granting}
    live = ctx.keyring.read(sorted(granting))
    wanted = keys.wanted_keys(scene.findings, people, live)
    data_key = _data_key(ctx, asset, scene.wraps.get(asset.id, ()))
    if CARE not in wanted or data_key is None:
        return 0
    ctx.standing.require_newest()
    fresh = _Fresh(
        *replaced_keys.make_next(
            ctx,
            asset.asset_key_id,
            lambda key: ctx.keyring.create(key, KeyKind.ASSET, asset.shard, ctx.clock.now()),
        )
    )
    asset_key = ctx.keyring.read([fresh.key]).get(fresh.key)
    if asset_key is None:
        return 0  # another was quicker, and has destroyed what it found before its own
    consent_keys = {purpose: {k: live[k] for k in ids} for purpose, ids in wanted.items()}
    wraps = keys.make_wraps((asset.id, asset.generation), data_key, asset_key, consent_keys)
    return _replace_key(ctx, asset, scene, fresh, wraps)


def _seal_away(ctx: Context, asset: Asset, scene: _Scene) -> int:
    """Move the data key under escrow and drop every wrap; 1 when done, 0 when it was before."""
    wraps = scene.wraps.get(asset.id, ())
    data_key = _data_key(ctx, asset, wraps) if wraps else None
    if data_key is None:
        return 0
    ctx.standing.require_newest()
    fresh = _Fresh(
        *replaced_keys.make_next(
            ctx,
            asset.asset_key_id,
            lambda key: ctx.keyring.seal_secret(key, data_key, asset.shard, ctx.clock.now()),
        )
    )
    return _replace_key(ctx, asset, scene, fresh, [])


def _data_key(ctx: Context, asset: Asset, wraps: Sequence[Wrap]) -> bytes | None:
    """Return the data key, from escrow or from a wrap whose keys all live; None otherwise."""
    sealed = ctx.keyring.read_sealed([asset.asset_key_id])
    if sealed:
        return sealed[asset.asset_key_id]
    wanted = {asset.asset_key_id, *(k for w in wraps for k in w.key_ids)}
    live = ctx.keyring.read(sorted(wanted))
    if asset.asset_key_id not in live:
        return None
    opening = next((w for w in wraps if all(k in live for k in w.key_ids)), None)
    return open_wrap(opening, live[asset.asset_key_id], live) if opening else None


def _replace_key(
    ctx: Context, asset: Asset, scene: _Scene, fresh: _Fresh, wraps: Sequence[Wrap]
) -> int:
    """Put a new key in the place of the asset's, with its wraps, and destroy the old one."""
    replaced = _write_replacement(ctx, asset, scene, fresh, wraps)
    replaced_keys.destroy(ctx)
    if replaced:
        # A sidecar that still names the old key opens nothing; reconciliation writes it anew.
        asset.asset_key_id = fresh.key
        keys.write_sidecar(ctx, asset, wraps)
    return int(replaced)


def _write_replacement(
    ctx: Context, asset: Asset, scene: _Scene, fresh: _Fresh, wraps: Sequence[Wrap]
) -> bool:
    """Write key, wraps and state down, unless anything changed since they were prepared.

    Either way it is noted which of the two keys is to go.
    """
    with ctx.begin() as uow:
        involvement = uow.lock_involvement(asset.involvement_id)
        row = uow.session.get_one(Asset, asset.id)
        people = keys.depicted_by_asset(uow.session, [asset.id]).get(asset.id, ())
        same = (row.asset_key_id, row.state) == (asset.asset_key_id, asset.state)
        findings = keys.consent_picture(ctx, uow.session, involvement.id)
        if (
            not same
            or people != scene.depicted.get(asset.id, ())
            or {p: findings.get((p, CARE)) for p in people}
            != {p: scene.findings.get((p, CARE)) for p in people}
        ):
            replaced_keys.owe(uow, asset.id, fresh.key)
            return False
        replaced_keys.owe(uow, asset.id, row.asset_key_id, *fresh.left)
        row.asset_key_id = fresh.key
        uow.session.execute(delete(AssetWrap).where(AssetWrap.asset_id == asset.id))
        uow.session.add_all(keys.wrap_row(wrap, uow) for wrap in wraps)
        if wraps and row.state is AssetState.AWAITING_CONSENT:
            row.state = require_move(row.id, row.state, AssetState.STORED)
            row.awaiting_since = None
            involvement.consent_epoch += 1
            uow.record(
                AuditEvent(
                    EventKind.ASSET_UNLOCKED,
                    SETTLER,
                    row.id,
                    row.involvement_id,
                    {"reason": "consent_given"},
                )
            )
        uow.record(
            AuditEvent(
                EventKind.ASSET_WRAPS_CHANGED,
                SETTLER,
                row.id,
                row.involvement_id,
                {"purposes": sorted(w.purpose for w in wraps)},
            )
        )
    return True

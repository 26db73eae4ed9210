"""The one key of all parts of an upload, made with the first of them.

Rules kept here:
  * it is wrapped under the asset's key and everyone's consent keys, so it outlives a process but
    not consent;
  * where somebody said no while their film came in, and yes again, it is wrapped anew under the
    later yes, as stored film is: never what an order ended;
  * what this process may not take out of escrow, the worker does; until then one tries again.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.recordings import Asset, AssetWrap
from consent_service.domain.assets import ARRIVING
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.purposes import CARE
from consent_service.errors import Conflict, Gone, KeyDestroyed, Refused
from consent_service.services import film_keys, jobs, keys, storing, superseded_keys
from consent_service.services.at_once import KEY_JOBS
from consent_service.services.context import Context
from consent_service.services.film_objects import UPLOAD_GENERATION
from consent_service.vault.container import new_data_key
from consent_service.vault.key_providers import is_forbidden
from consent_service.vault.wraps import Wrap, open_wrap

WRAPPED_FOR = "upload"
"""What stands for the purpose in the wrap of an upload's key; no policy can name it."""


def key_of(ctx: Context, place: storing.Place) -> bytes:
    """Return the key of an upload's parts, made with the first of them.

    Raises Gone, Refused or Unavailable when a key that it stands on is not live.
    """
    with ctx.read() as session:
        wrap = _standing_wrap(session, place.asset)
    if wrap is None:
        wrap = _first_wrap(ctx, place)
    try:
        return _opened(ctx, place, wrap)
    except KeyDestroyed:
        _wrap_anew_or_ask(ctx, place)
    with ctx.read() as session:
        wrap = _standing_wrap(session, place.asset) or wrap
    try:
        return _opened(ctx, place, wrap)
    except KeyDestroyed:
        wanted = [*wrap.key_ids, place.asset_key]
        live = ctx.keyring.read(wanted)
        absent = [key for key in wanted if key not in live]
        raise film_keys.not_live(ctx, place.asset, absent) from None


def settle(ctx: Context, involvement: str) -> None:
    """Wrap anew what comes in of an involvement, wherever a later yes stands for an older one."""
    with ctx.read() as session:
        rows = session.scalars(
            select(Asset)
            .join(AssetWrap, AssetWrap.asset_id == Asset.id)
            .where(
                Asset.involvement_id == involvement,
                Asset.state.in_(ARRIVING),
                AssetWrap.purpose == WRAPPED_FOR,
            )
            .order_by(Asset.id)
        )
        places = [storing.place_of(row) for row in rows]
    for place in places:
        try:
            wrap_anew(ctx, place)
        except (Conflict, Gone, Refused) as fault:
            if is_forbidden(fault):
                raise
            # It ended, is stored, or is not agreed to: whoever sends it hears so.


def wrap_anew(ctx: Context, place: storing.Place) -> None:
    """Wrap an upload's key under what everyone in it agrees to now, if an older yes shut it.

    Does nothing where no later yes took its place. Raises Refused (`key_server_forbids`) where
    this process may not open escrow, and what `storing.live_keys` does.
    """
    with ctx.read() as session:
        wrap = _standing_wrap(session, place.asset)
    if wrap is None:
        return
    live = ctx.keyring.read([*wrap.key_ids, place.asset_key])
    shut = set(wrap.key_ids) - live.keys()
    asset_key = live.get(place.asset_key)
    if not shut or asset_key is None:
        return
    opening = superseded_keys.opening(ctx, place.involvement, live, shut)(place.asset)
    if not opening.keys() >= set(wrap.key_ids):
        return
    _replace(ctx, place, wrap, _wrapped(ctx, place, open_wrap(wrap, asset_key, opening)))


def _opened(ctx: Context, place: storing.Place, wrap: Wrap) -> bytes:
    live = ctx.keyring.read([*wrap.key_ids, place.asset_key])
    return open_wrap(wrap, live.get(place.asset_key), live)


def _wrap_anew_or_ask(ctx: Context, place: storing.Place) -> None:
    """Wrap anew, or have the worker do it; raises Unavailable until it has."""
    try:
        wrap_anew(ctx, place)
    except Refused as fault:
        if not is_forbidden(fault):
            raise
        jobs.ask(ctx, KEY_JOBS)
        raise film_keys.not_ready(place.asset) from None


def _first_wrap(ctx: Context, place: storing.Place) -> Wrap:
    """Make the key and write its wrap down; whoever was quicker, theirs is the key."""
    storing.ensure_asset_key(ctx, place)
    made = _wrapped(ctx, place, new_data_key())
    with ctx.begin() as uow:
        uow.lock_involvement(place.involvement)
        storing.require_arriving(uow.session, uow.session.get_one(Asset, place.asset))
        standing = _standing_wrap(uow.session, place.asset)
        if standing is None:
            uow.session.add(keys.wrap_row(made, uow))
        return standing or made


def _wrapped(ctx: Context, place: storing.Place, data_key: bytes) -> Wrap:
    live = storing.live_keys(ctx, place)
    consent_keys = {WRAPPED_FOR: live.consent_keys[CARE]}
    (made,) = keys.make_wraps(
        (place.asset, UPLOAD_GENERATION), data_key, live.asset_key, consent_keys
    )
    return made


def _replace(ctx: Context, place: storing.Place, before: Wrap, made: Wrap) -> None:
    """Put a wrap in the place of the one before it, unless another was quicker."""
    with ctx.begin() as uow:
        uow.lock_involvement(place.involvement)
        storing.require_arriving(uow.session, uow.session.get_one(Asset, place.asset))
        row = uow.session.get(AssetWrap, (place.asset, WRAPPED_FOR))
        if row is None or _wrap_of(row) != before:
            return
        row.key_ids, row.wrapped, row.made_at = list(made.key_ids), made.wrapped, uow.at
        details = {"purposes": [WRAPPED_FOR]}
        kind = EventKind.ASSET_WRAPS_CHANGED
        uow.record(AuditEvent(kind, keys.KEY_MAKER, place.asset, place.involvement, details))


def _standing_wrap(session: Session, asset: str) -> Wrap | None:
    row = session.get(AssetWrap, (asset, WRAPPED_FOR))
    return None if row is None else _wrap_of(row)


def _wrap_of(row: AssetWrap) -> Wrap:
    return Wrap(row.asset_id, row.generation, row.purpose, tuple(row.key_ids), row.wrapped)

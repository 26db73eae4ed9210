"""The one door in, shared by recordings, clips and stills: a row, an object, then *stored*.

Rules kept here:
  * an asset is *receiving*, or *received*, until its object is whole in the store and its keys
    are wrapped;
  * consent is read again under the lock before anything becomes *stored*: whoever said stop
    meanwhile is heard, and already while bytes still flow;
  * keys are read and wraps prepared before that transaction, and made anew if anything was granted,
    ended, held or fenced in between;
  * whatever fails leaves through the way out, with a certificate, and nothing half-done is visible.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset, AssetWrap, DepictedPerson
from consent_service.db.queries.erasure import OrderScope, held_among
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import ARRIVING, AssetState, Depiction, require_move
from consent_service.domain.audit import Actor, AuditEvent, EventKind
from consent_service.domain.erasure import OrderCause
from consent_service.domain.purposes import CARE
from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, ConsentServiceError, Gone, Unavailable
from consent_service.services import erasure, film_objects, keys, permission, retention_dates
from consent_service.services.access import Caller
from consent_service.services.at_once import at_once
from consent_service.services.context import Context
from consent_service.services.film_objects import StoredObject
from consent_service.services.standing_use import StandingUse
from consent_service.vault.keyring import KeyKind, KeyStatus
from consent_service.vault.wraps import Wrap

UNFINISHED = ARRIVING | {AssetState.LOCKED, AssetState.ERASED}
"""States in which nothing under an asset's name can be a film that somebody may watch."""

_TRIES = 8
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Which asset is being received, and where it belongs; `generation` of its object."""

    asset: str
    involvement: str
    shard: int
    asset_key: str
    generation: int


@dataclass(frozen=True)
class LiveKeys:
    """What may wrap for an asset now: its own key, and per purpose everyone's consent keys."""

    epoch: int
    asset: Asset
    asset_key: bytes
    consent_keys: Mapping[str, Mapping[str, bytes]]


@dataclass(frozen=True)
class FilmFacts:
    """What was measured of a film; times in milliseconds, `fps_milli` in thousandths."""

    media_type: str
    duration_ms: int | None = None
    width: int | None = None
    height: int | None = None
    fps_milli: int | None = None


@dataclass(frozen=True)
class Finished:
    """A whole object that is to become *stored*, with its data key and what to write down."""

    place: Place
    stored: StoredObject
    data_key: bytes
    facts: FilmFacts
    events: tuple[AuditEvent, ...]
    received_sha256: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    cut: str | None = None


@dataclass(frozen=True)
class _Prepared:
    """Wraps for everything that everyone permits, as of one consent epoch."""

    epoch: int
    asset: Asset
    wraps: list[Wrap]


def place_of(row: Asset) -> Place:
    """Return the place of an asset that is being received."""
    return Place(row.id, row.involvement_id, row.shard, row.asset_key_id, row.generation)


def add_people(
    uow: UnitOfWork, caller: Caller, asset: str, people: Iterable[tuple[str, Depiction]]
) -> None:
    """Record who is in an asset."""
    uow.session.add_all(
        DepictedPerson(
            asset_id=asset,
            person_id=person,
            depiction=depiction,
            added_by=caller.id,
            added_at=uow.at,
        )
        for person, depiction in people
    )


def ensure_asset_key(ctx: Context, place: Place) -> None:
    """Make the asset's key if it is not there; raises Gone when it was destroyed already."""
    status = ctx.keyring.status([place.asset_key])[place.asset_key]
    if status is KeyStatus.DESTROYED:
        raise _ended(place.asset)
    ctx.keyring.create(place.asset_key, KeyKind.ASSET, place.shard, ctx.clock.now())


@contextmanager
def or_given_up(ctx: Context, caller: Caller, place: Place) -> Iterator[None]:
    """Do the block, or send what it began through the way out and raise what it raised."""
    try:
        yield
    except Exception as fault:
        code = fault.code if isinstance(fault, ConsentServiceError) else "interrupted"
        give_up(ctx, caller.actor, place, code)
        raise


def give_up(ctx: Context, actor: Actor, place: Place, code: str) -> bool:
    """Order what was begun erased and carry it out; leftovers are the worker's to finish.

    An asset that did become *stored* (the answer to a commit was lost) stays as it is, and so does
    what is held: nothing is ordered or deleted until the hold is released. False where one is.
    """
    order = None
    with ctx.begin() as uow:
        uow.lock_involvement(place.involvement)
        row = uow.session.get_one(Asset, place.asset)
        if row.state not in UNFINISHED or row.generation != place.generation:
            return True
        if row.state in ARRIVING and held_among(uow.session, place.involvement, [place.asset]):
            return False
        if row.state in ARRIVING and not permission.is_fenced(uow.session, row):
            order = erasure.order_erasure(
                uow,
                actor,
                erasure.OrderErasure(
                    place.involvement,
                    OrderCause.UPLOAD_REFUSED,
                    OrderScope(assets=(place.asset,)),
                    uow.at,
                ),
            ).id
        uow.record(
            AuditEvent(
                EventKind.RECORDING_REFUSED, actor, place.asset, place.involvement, {"reason": code}
            )
        )
    if order is not None:
        erasure.carry_out(ctx, order, "at-once")
    else:
        _clear_after_another(ctx, place.asset)
    return True


def finish(ctx: Context, finished: Finished) -> None:
    """Make an asset *stored*: sidecar, wraps and row, if everyone still permits `care`.

    Raises Gone when consent ended or erasure was ordered meanwhile, Refused where it is disputed or
    missing since, Unavailable when keys cannot be had.
    """
    place = finished.place
    for _ in range(_TRIES):
        prepared = _prepare(ctx, finished)
        keys.write_sidecar(ctx, prepared.asset, prepared.wraps)
        with ctx.begin() as uow:
            involvement = uow.lock_involvement(place.involvement)
            row = uow.session.get_one(Asset, place.asset)
            require_arriving(uow.session, row)
            if row.generation != place.generation:
                raise _received(row)
            if involvement.consent_epoch != prepared.epoch:
                continue
            _set_facts(row, finished)
            row.state = require_move(row.id, row.state, AssetState.STORED)
            row.stored_at = uow.at
            involvement.last_entry_at = uow.at
            uow.session.execute(delete(AssetWrap).where(AssetWrap.asset_id == row.id))
            uow.session.add_all(keys.wrap_row(wrap, uow) for wrap in prepared.wraps)
            for event in finished.events:
                uow.record(event)
            uow.session.flush()
            retention_dates.recompute(ctx, uow, place.involvement)
            return
    raise Unavailable("Consents of this family keep changing. Try again in a minute.")


def require_receiving(session: Session, row: Asset) -> None:
    """Raise Gone or Conflict unless the asset waits for its film."""
    require_arriving(session, row)
    if row.blob is not None or row.state is AssetState.RECEIVED:
        raise Conflict(
            "This film is being received already. Begin a new recording to try again.",
            code="already_received",
            asset=row.id,
        )


def require_unended(session: Session, row: Asset) -> None:
    """Raise Gone when the asset was erased, or is about to be."""
    if row.state in (AssetState.ERASED, AssetState.LOCKED) or permission.is_fenced(session, row):
        raise _ended(row.id)


def require_arriving(session: Session, row: Asset) -> None:
    """Raise Gone when the asset ended, Conflict `already_received` when it is stored."""
    require_unended(session, row)
    if row.state not in ARRIVING:
        raise _received(row)


def arriving(
    ctx: Context, place: Place, epoch: int, caller: Caller | None = None
) -> Callable[[], None]:
    """Return the look that ends a film on its way in, which was wanted as of `epoch`.

    It raises as `require_arriving`, and what is raised where `care` is not permitted any more, or
    to `caller`, who sends it, no upload: once it came in whole it is nobody's to break off. Where
    the database is away for a moment the film goes on coming in: nobody is shown anything of it,
    and before it is *stored* all of this is asked again, under the lock.
    """

    def ask(session: Session, at: datetime) -> None:
        row = session.get_one(Asset, place.asset)
        require_arriving(session, row)
        permission.require_still_wanted(ctx, session, row, at)

    by = None if caller is None else (caller, Permission.FILM_UPLOAD)
    use = StandingUse(ctx, place.involvement, epoch, ask, by)

    def look() -> None:
        with suppress(Unavailable):
            use()

    return look


def _received(row: Asset) -> Conflict:
    return Conflict(
        "This film is stored already.", code="already_received", asset=row.id, state=row.state
    )


def _prepare(ctx: Context, finished: Finished) -> _Prepared:
    """Wrap the data key for every purpose that everyone depicted permits now."""
    place, live = finished.place, live_keys(ctx, finished.place)
    wraps = keys.make_wraps(
        (place.asset, place.generation), finished.data_key, live.asset_key, live.consent_keys
    )
    return _Prepared(live.epoch, live.asset, wraps)


def live_keys(ctx: Context, place: Place) -> LiveKeys:
    """Return the keys that may wrap for an asset; those of `care` are among them.

    Raises Gone when consent to `care` or the asset ended, Refused while it is missing or disputed,
    Unavailable when keys cannot be had.
    """
    at_once(ctx, keys.ensure_consent_keys, place.involvement)
    with ctx.read() as session:
        asset = session.get_one(Asset, place.asset)
        if asset.generation != place.generation:
            raise _received(asset)
        permission.require_still_wanted(ctx, session, asset, ctx.clock.now())
        epoch = session.get_one(Involvement, place.involvement).consent_epoch
        findings = keys.consent_picture(ctx, session, place.involvement)
        people = permission.depicted_in(session, place.asset)
    wanted_ids = {key for finding in findings.values() for key in finding.granting}
    live = ctx.keyring.read([*sorted(wanted_ids), place.asset_key])
    wanted = keys.wanted_keys(findings, people, live)
    if place.asset_key not in live:
        raise _ended(place.asset)
    if CARE not in wanted:
        raise Unavailable("Keys for this film cannot be had at the moment. Try again in a minute.")
    consent_keys = {purpose: {k: live[k] for k in ids} for purpose, ids in wanted.items()}
    return LiveKeys(epoch, asset, live[place.asset_key], consent_keys)


def _set_facts(row: Asset, finished: Finished) -> None:
    stored, facts = finished.stored, finished.facts
    row.blob = stored.name
    row.header = stored.header
    row.stored_size = stored.stored_size
    row.plain_size = stored.plain_size
    row.sha256 = stored.sha256
    row.received_sha256 = finished.received_sha256
    row.media_type = facts.media_type
    row.duration_ms = facts.duration_ms
    row.width = facts.width
    row.height = facts.height
    row.fps_milli = facts.fps_milli
    row.start_ms = finished.start_ms
    row.end_ms = finished.end_ms
    row.cut = finished.cut


def _clear_after_another(ctx: Context, asset: str) -> None:
    """Delete what this request put beside an erasure that was ordered meanwhile."""
    try:
        film_objects.clear(ctx, asset)
    except ConsentServiceError as fault:
        _log.warning("objects of %s are left to reconciliation: %s", asset, fault.code)


def _ended(asset: str) -> Gone:
    return Gone(
        "Consent ended, or erasure was ordered, while this film was being received. Nothing of it"
        " is kept.",
        asset=asset,
    )

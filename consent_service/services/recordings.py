"""Recordings come in: reserved while everyone permits it, encrypted as they arrive, then stored.

Rules kept here:
  * no film without `care` from everyone in it, each named with what is missing (rule 11), and none
    on an old form once a material change was published (rule 10);
  * a recording keeps the class that its own forms printed (rule 7);
  * the upload as received is erased as soon as what is served has been made of it;
  * a reservation that never becomes a film is erased after a day (R28), and so is a film that came
    in whole and may not be stored, since somebody in it said no or the time agreed is over.
"""

from dataclasses import dataclass
from datetime import timedelta

from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset, FilmUpload
from consent_service.db.queries.erasure import OrderScope, held_among
from consent_service.db.queries.recordings import (
    received_since,
    record_class_of,
    unfinished_since,
)
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import ARRIVING, AssetKind, AssetState
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.erasure import OrderCause
from consent_service.domain.roles import Permission
from consent_service.errors import (
    Conflict,
    ConsentServiceError,
    Refused,
    TooLarge,
)
from consent_service.ids import new_id
from consent_service.services import admission, erasure, film_objects, permission, storing
from consent_service.services.access import Caller, involvement_for, require
from consent_service.services.admission import ReserveFilm
from consent_service.services.assets import (
    AssetView,
    asset,
    asset_for,
    assets,
    read_view,
)
from consent_service.services.context import Context
from consent_service.services.film_making import Received, facts_of, make_film
from consent_service.services.film_objects import Upload, refuse_oversize
from consent_service.services.unknown_things import UnknownThings

__all__ = [
    "AssetView",
    "ReserveFilm",
    "Upload",
    "abandon_stale",
    "asset",
    "assets",
    "facts_of",
    "give_back",
    "receive",
    "refuse_oversize",
    "reserve",
    "store",
]

ABANDONED_AFTER = timedelta(hours=24)


@dataclass(frozen=True)
class _Begun:
    """A reservation that one upload claimed, why its film is long, and the consent epoch then."""

    place: storing.Place
    reason: str | None
    epoch: int


def reserve(ctx: Context, caller: Caller, request: ReserveFilm) -> AssetView:
    """Make room for a recording, in state *receiving*, if everyone in it permits being filmed.

    Raises Refused `consent_missing` (details `missing`: person, purpose and state of each),
    `reconsent_needed`, `access_frozen` or `not_today`; TooLarge; InvalidInput by field.
    """
    try:
        with ctx.begin() as uow:
            involvement_for(ctx, uow.session, caller, Permission.FILM_UPLOAD, request.involvement)
            involvement = uow.lock_involvement(request.involvement)
            refuse_oversize(ctx, request.declared_size)
            people = admission.people_in_film(ctx, uow, involvement, request)
            decisions = admission.require_permission_to_film(uow, request, people)
            row = _reserved(uow, caller, involvement, request)
            row.record_class = record_class_of(uow.session, decisions)
            uow.session.add(row)
            uow.session.flush()
            uow.session.add(_upload(row, request))
            storing.add_people(uow, caller, row.id, people.items())
            involvement.last_entry_at = uow.at
            uow.record(
                AuditEvent(
                    EventKind.RECORDING_RESERVED,
                    caller.actor,
                    row.id,
                    involvement.id,
                    {"people": len(people), "class": row.record_class.value},
                )
            )
            place = storing.place_of(row)
    except (Refused, TooLarge) as refusal:
        _record_refusal(ctx, caller, request.involvement, refusal)
        raise
    storing.ensure_asset_key(ctx, place)
    return read_view(ctx, place.asset)


def receive(ctx: Context, caller: Caller, identifier: str, upload: Upload) -> AssetView:
    """Take in the film that was reserved; returns it *stored*.

    `upload` is read once, in order. Raises Conflict when the film was received before, NotAFilm,
    TooLarge, InvalidInput for its length, Gone when consent ended meanwhile, Unavailable or
    DiskFull: after each of them nothing of the film is kept.
    """
    begun = _begin(ctx, caller, identifier)
    with storing.or_given_up(ctx, caller, begun.place):
        storing.ensure_asset_key(ctx, begun.place)
        storing.finish(ctx, _take_in(ctx, caller, begun, upload))
    return read_view(ctx, identifier)


def store(ctx: Context, caller: Caller, request: ReserveFilm, upload: Upload) -> AssetView:
    """Reserve a film and take it in: both in one."""
    return receive(ctx, caller, reserve(ctx, caller, request).id, upload)


def abandon_stale(ctx: Context, caller: Caller) -> list[str]:
    """Erase what began to come in more than a day ago and never became a film; returns the ids.

    But where a database was put back, what it knows as reserved may have become a film since: what
    has one in the store stays, as unknown objects do, until a person confirms that this may go.
    """
    require(ctx, caller, Permission.ERASURE_RUN)
    now = ctx.clock.now()
    things = UnknownThings(ctx, confirmed=False)
    with ctx.read() as session:
        unfinished = unfinished_since(session, now - ABANDONED_AFTER)
        whole = received_since(session, now - ABANDONED_AFTER)
        refused = [r for r in whole if permission.is_refused_for_good(ctx, session, r, now)]
    abandoned = []
    for row in (*unfinished, *refused):
        if things.may_know_more(row.created_at) and _has_film(ctx, row.id):
            continue
        states = frozenset({row.state})
        order = _order_abandoned(ctx, caller, row.id, row.involvement_id, states)
        if order is not None:
            erasure.carry_out(ctx, order, "abandon-stale")
            abandoned.append(row.id)
    return abandoned


def _has_film(ctx: Context, asset: str) -> bool:
    return any(map(film_objects.is_of_film, ctx.blobs.list(asset)))


def give_back(ctx: Context, caller: Caller, identifier: str) -> None:
    """Erase a film that is not stored yet, because whoever sends it ends it.

    Raises Conflict `already_received` once it is stored, `too_late` under a hold; Gone.
    """
    with ctx.begin() as uow:
        row = asset_for(ctx, uow.session, caller, Permission.FILM_UPLOAD, identifier)
        uow.lock_involvement(row.involvement_id)
        uow.session.refresh(row)
        storing.require_arriving(uow.session, row)
        involvement = row.involvement_id
    order = _order_abandoned(ctx, caller, identifier, involvement, ARRIVING)
    if order is None:
        raise Conflict("This film is held, or stored already, and stays.", code="too_late")
    erasure.carry_out(ctx, order, "upload-ended")


def _order_abandoned(
    ctx: Context,
    caller: Caller,
    identifier: str,
    involvement: str,
    states: frozenset[AssetState],
) -> str | None:
    """Order a film erased that is in one of `states` and not held; None where it is not so."""
    with ctx.begin() as uow:
        uow.lock_involvement(involvement)
        row = uow.session.get_one(Asset, identifier)
        held = held_among(uow.session, involvement, [identifier])
        if row.state not in states or held:
            return None
        uow.record(AuditEvent(EventKind.RECORDING_ABANDONED, caller.actor, identifier, involvement))
        return erasure.order_erasure(
            uow,
            caller.actor,
            erasure.OrderErasure(
                involvement,
                OrderCause.ABANDONED_UPLOAD,
                OrderScope(assets=(identifier,)),
                uow.at,
            ),
        ).id


def _reserved(
    uow: UnitOfWork, caller: Caller, involvement: Involvement, request: ReserveFilm
) -> Asset:
    return Asset(
        id=new_id(),
        kind=AssetKind.RECORDING,
        involvement_id=involvement.id,
        meeting_id=request.meeting,
        state=AssetState.RECEIVING,
        shard=involvement.shard,
        asset_key_id=new_id(),
        title=_words(request.title),
        long_film_reason=_words(request.reason_for_length),
        filmed_on=request.filmed_on,
        created_by=caller.id,
        created_at=uow.at,
    )


def _upload(row: Asset, request: ReserveFilm) -> FilmUpload:
    return FilmUpload(
        asset_id=row.id,
        length=request.declared_size,
        received=0,
        expires_at=row.created_at + ABANDONED_AFTER,
    )


def _begin(ctx: Context, caller: Caller, identifier: str) -> _Begun:
    """Claim a reservation for this one upload."""
    with ctx.begin() as uow:
        row = asset_for(ctx, uow.session, caller, Permission.FILM_UPLOAD, identifier)
        involvement = uow.lock_involvement(row.involvement_id)
        uow.session.refresh(row)
        storing.require_receiving(uow.session, row)
        _take_back_parts(uow, row)
        row.blob = film_objects.object_name(row.id, film_objects.FIRST_GENERATION)
        return _Begun(storing.place_of(row), row.long_film_reason, involvement.consent_epoch)


def _take_back_parts(uow: UnitOfWork, row: Asset) -> None:
    """Let no part be added to what comes in whole; raises Conflict when some came already."""
    upload = uow.session.get(FilmUpload, row.id)
    if upload is None:
        return
    if upload.received:
        raise Conflict(
            "This film comes in by parts. Send the rest of it there.",
            code="already_received",
            asset=row.id,
        )
    uow.session.delete(upload)


def _take_in(ctx: Context, caller: Caller, begun: _Begun, upload: Upload) -> storing.Finished:
    """Encrypt the upload, make the film that is served of it, and erase the upload."""
    place = begun.place
    sent = storing.arriving(ctx, place, begun.epoch, caller)
    received, upload_key = film_objects.take_in(ctx, place.asset, upload, sent)
    came = Received(received.plain_size, received.sha256, begun.reason)
    source = film_objects.upload_place(place.asset)
    look = storing.arriving(ctx, place, begun.epoch)
    with film_objects.reading(ctx, source, upload_key, look) as film:
        finished = make_film(ctx, caller, place, film, came)
    ctx.blobs.delete(received.name)
    return finished


def _record_refusal(
    ctx: Context, caller: Caller, involvement: str, refusal: ConsentServiceError
) -> None:
    with ctx.begin() as uow:
        known = uow.session.get(Involvement, involvement) is not None
        missing = sorted({str(m["person"]) for m in refusal.details.get("missing", ())})
        uow.record(
            AuditEvent(
                EventKind.RECORDING_REFUSED,
                caller.actor,
                involvement=involvement if known else None,
                details={"reason": refusal.code, **({"missing": missing} if missing else {})},
            )
        )


def _words(text: str | None) -> str | None:
    stripped = (text or "").strip()
    return stripped or None

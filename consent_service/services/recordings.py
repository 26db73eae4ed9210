"""Recordings come in: reserved while everyone permits it, encrypted as they arrive, then stored.

Rules kept here:
  * no film without `care` from everyone in it, each named with what is missing (rule 11), and none
    on an old form once a material change was published (rule 10);
  * a recording keeps the class that its own forms printed (rule 7);
  * from a length on the guider is asked why, from another it is refused (rule 15);
  * the upload as received is erased as soon as what is served has been made of it;
  * a reservation that never becomes a film is erased after a day (R28).
"""

from datetime import timedelta

from consent_service import media
from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset
from consent_service.db.queries.erasure import OrderScope, held_among
from consent_service.db.queries.recordings import record_class_of, unfinished_since
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.erasure import OrderCause
from consent_service.domain.roles import Permission
from consent_service.errors import (
    ConsentServiceError,
    InvalidInput,
    Refused,
    TooLarge,
)
from consent_service.ids import new_id
from consent_service.services import admission, erasure, film_objects, storing
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
from consent_service.services.film_objects import Upload, refuse_oversize
from consent_service.vault.container import new_data_key

__all__ = [
    "AssetView",
    "ReserveFilm",
    "Upload",
    "abandon_stale",
    "asset",
    "assets",
    "receive",
    "refuse_oversize",
    "reserve",
    "store",
]

ABANDONED_AFTER = timedelta(hours=24)
MEDIA_TYPES = {"mp4": "video/mp4", "webm": "video/webm"}


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
    place, reason = _begin(ctx, caller, identifier)
    with storing.or_given_up(ctx, caller, place):
        storing.ensure_asset_key(ctx, place)
        storing.finish(ctx, _take_in(ctx, caller, place, upload, reason))
    return read_view(ctx, identifier)


def store(ctx: Context, caller: Caller, request: ReserveFilm, upload: Upload) -> AssetView:
    """Reserve a film and take it in: both in one."""
    return receive(ctx, caller, reserve(ctx, caller, request).id, upload)


def abandon_stale(ctx: Context, caller: Caller) -> list[str]:
    """Erase what began to be received more than a day ago and never was; returns the asset ids."""
    require(ctx, caller, Permission.ERASURE_RUN)
    with ctx.read() as session:
        stale = unfinished_since(session, ctx.clock.now() - ABANDONED_AFTER)
    abandoned = []
    for identifier, involvement in stale:
        order = _order_abandoned(ctx, caller, identifier, involvement)
        if order is not None:
            erasure.carry_out(ctx, order, "abandon-stale")
            abandoned.append(identifier)
    return abandoned


def _order_abandoned(ctx: Context, caller: Caller, identifier: str, involvement: str) -> str | None:
    with ctx.begin() as uow:
        uow.lock_involvement(involvement)
        row = uow.session.get_one(Asset, identifier)
        held = held_among(uow.session, involvement, [identifier])
        if row.state is not AssetState.RECEIVING or held:
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


def _begin(ctx: Context, caller: Caller, identifier: str) -> tuple[storing.Place, str | None]:
    """Claim a reservation for this one upload; returns its place and the reason for its length."""
    with ctx.begin() as uow:
        row = asset_for(ctx, uow.session, caller, Permission.FILM_UPLOAD, identifier)
        uow.lock_involvement(row.involvement_id)
        uow.session.refresh(row)
        storing.require_receiving(uow.session, row)
        row.blob = film_objects.object_name(row.id, film_objects.FIRST_GENERATION)
        return storing.place_of(row), row.long_film_reason


def _take_in(
    ctx: Context, caller: Caller, place: storing.Place, upload: Upload, reason: str | None
) -> storing.Finished:
    """Encrypt the upload, make the film that is served of it, and erase the upload."""
    received, upload_key = film_objects.take_in(ctx, place.asset, upload)
    data_key = new_data_key()
    target = film_objects.film_place(
        place.asset, AssetKind.RECORDING, film_objects.FIRST_GENERATION
    )
    with (
        film_objects.reading(ctx, film_objects.upload_place(place.asset), upload_key) as film,
        film_objects.writing(ctx, target, data_key, expected_size=received.plain_size) as writer,
    ):
        made = media.remux(film, film_objects.output_to(writer))
        _check_length(ctx, made.probe.duration_s / 60, reason)
    ctx.blobs.delete(received.name)
    stored = film_objects.written(target, writer)
    return storing.Finished(
        place,
        stored,
        data_key,
        facts_of(made.probe),
        (
            AuditEvent(
                EventKind.RECORDING_RECEIVED,
                caller.actor,
                place.asset,
                place.involvement,
                {"size": received.plain_size, "digest": received.sha256},
            ),
            AuditEvent(
                EventKind.RECORDING_STORED,
                caller.actor,
                place.asset,
                place.involvement,
                {"size": stored.plain_size, "digest": stored.sha256},
            ),
        ),
        received_sha256=received.sha256,
    )


def facts_of(probe: media.Probe) -> storing.FilmFacts:
    """Return what to write down of a film as its viewers see it."""
    width, height = probe.shown_size
    return storing.FilmFacts(
        MEDIA_TYPES[probe.container],
        round(probe.duration_s * 1000),
        width,
        height,
        round(probe.fps * 1000),
    )


def _check_length(ctx: Context, minutes: float, reason: str | None) -> None:
    """Refuse a film that is too long, or long without a reason (rule 15)."""
    limits = ctx.policies.organisation.film_length
    if minutes >= limits.refuse_from_minutes:
        sentence = f"A film lasts less than {limits.refuse_from_minutes} minutes. Film less."
        raise InvalidInput(sentence, {"content": sentence}, code="film_too_long")
    if minutes >= limits.ask_from_minutes and not reason:
        sentence = f"Say why this film lasts {limits.ask_from_minutes} minutes or more."
        raise InvalidInput(sentence, {"reason_for_length": sentence}, code="reason_needed")


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

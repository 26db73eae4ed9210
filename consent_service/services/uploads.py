"""Film that comes in piece by piece and goes on after a break: tus 1.0 as use cases.

A recording is *receiving* until its last byte is durable, *received* until the film that is served
has been made of its parts, then *stored*. An upload has its recording's id. Rules kept here:
  * an offset is told only once every byte before it lies encrypted in the store and in the ledger;
  * each part asks again whether everyone still permits the film; whoever said stop is heard, and
    within a part too: a body is read no further, whether or not a checksum holds it together;
    nor is it once whoever sends it may send no more;
  * of several who send or finish at once one counts: an offset is taken once, and a film is stored
    by whoever holds the newest generation;
  * what cannot be stored for what it is leaves through the way out; what only could not be stored
    now waits, and a job goes on with it.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from consent_service.db.models.recordings import Asset, FilmUpload, UploadPart
from consent_service.domain.assets import AssetState, require_move
from consent_service.domain.roles import Permission
from consent_service.domain.tus import Offered
from consent_service.errors import (
    Conflict,
    ConsentServiceError,
    ContainerCorrupt,
    Gone,
    InvalidInput,
    NotAFilm,
    TooLarge,
    Unavailable,
)
from consent_service.services import (
    film_objects,
    keys,
    permission,
    recordings,
    storing,
    upload_keys,
    upload_parts,
    upload_pauses,
)
from consent_service.services.access import Caller, require
from consent_service.services.assets import asset_for
from consent_service.services.context import Context
from consent_service.services.film_making import Received, make_film
from consent_service.services.film_objects import Upload
from consent_service.services.upload_parts import Incoming, Part, PartsFilm

MOST_PARTS = 10_000
HOPELESS = (NotAFilm, InvalidInput, TooLarge, Gone, ContainerCorrupt)
"""Faults of the film itself, or of consent: trying again would not help."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UploadView:
    """How far a film has come in: `offset` of `length` bytes, None where not said yet.

    `sha256` is of every byte that came, None until the film is stored. `may_be_long` tells whether
    somebody said why it is long (rule 15).
    """

    asset: str
    state: AssetState
    offset: int
    length: int | None
    expires_at: datetime
    sha256: str | None
    may_be_long: bool


@dataclass(frozen=True)
class Piece:
    """What a PATCH brings: its headers' word, its body and, if known, the body's size in bytes."""

    offered: Offered
    body: Upload
    size: int | None


@dataclass(frozen=True)
class _Claim:
    """A received film that this process may finish, as long as its generation is the newest."""

    place: storing.Place
    parts: tuple[Part, ...]
    reason: str | None
    epoch: int


@dataclass(frozen=True)
class _Begun:
    """A piece that may come in: where, after what, and the consent epoch as of which it may."""

    place: storing.Place
    view: UploadView
    epoch: int


def upload(ctx: Context, caller: Caller, identifier: str) -> UploadView:
    """Return how far a film has come in.

    Raises Gone when it ended or its day is over, Refused while consent is missing, Conflict
    `already_received` when it comes in whole.
    """
    with ctx.read() as session:
        row = asset_for(ctx, session, caller, Permission.FILM_UPLOAD, identifier)
        found = _upload_of(session, row)
        if row.state is AssetState.RECEIVING:
            _require_open(ctx, session, row, found, ctx.clock.now())
        else:
            storing.require_unended(session, row)
        return _view(row, found)


def append(ctx: Context, caller: Caller, identifier: str, piece: Piece) -> UploadView:
    """Take in a piece of a film; with its last byte, make the film and store it.

    Raises Conflict `wrong_offset` (details `offset`) for a piece that does not begin where the
    last one ended, TooLarge before reading, Gone or Refused when consent ended, and once whole
    what `recordings.receive` does. What breaks off keeps what came of it.
    """
    begun = _begin(ctx, caller, identifier, piece)
    view = begun.view
    whole, broken = view.state is AssetState.RECEIVED, None
    if view.state is AssetState.RECEIVING and piece.size != 0:
        most = view.length or ctx.settings.max_upload
        checksum = piece.offered.checksum
        look = storing.arriving(ctx, begun.place, begun.epoch, caller)
        incoming = Incoming(piece.body, most - view.offset, checksum, ctx.clock.now, look)
        whole = _take_in(ctx, begun.place, incoming, view.offset)
        broken = incoming.broken
    if whole:
        _finish(ctx, caller, begun.place.asset)
    elif broken is not None:
        raise broken
    return upload(ctx, caller, identifier)


def end(ctx: Context, caller: Caller, identifier: str) -> None:
    """Erase an upload that is not wanted any more; raises Gone, Conflict once it is stored."""
    recordings.give_back(ctx, caller, identifier)


def finish_received(ctx: Context, caller: Caller) -> list[str]:
    """Finish what was received but not stored, as after a crash; returns the assets looked at.

    Also erases parts that a crash left beside a stored film.
    """
    require(ctx, caller, Permission.ERASURE_RUN)
    with ctx.read() as session:
        waiting = list(
            session.scalars(
                select(Asset.id).where(Asset.state == AssetState.RECEIVED).order_by(Asset.id)
            )
        )
        left_over = set(
            session.scalars(
                select(UploadPart.asset_id)
                .join(Asset, Asset.id == UploadPart.asset_id)
                .where(Asset.state == AssetState.STORED)
            )
        )
    for identifier in waiting:
        try:
            _finish(ctx, caller, identifier)
        except ConsentServiceError as fault:
            _log.warning("received film %s is not stored: %s", identifier, fault.code)
    for identifier in sorted(left_over):
        upload_parts.erase(ctx, identifier)
    return waiting


def _begin(ctx: Context, caller: Caller, identifier: str, piece: Piece) -> _Begun:
    """Check everything that can be known before a byte is read; note a length told only now."""
    offered = piece.offered
    with ctx.begin() as uow:
        row = asset_for(ctx, uow.session, caller, Permission.FILM_UPLOAD, identifier)
        involvement = uow.lock_involvement(row.involvement_id)
        uow.session.refresh(row)
        found = _upload_of(uow.session, row)
        if row.state is AssetState.RECEIVING:
            _require_open(ctx, uow.session, row, found, uow.at)
            _note_length(ctx, row, found, offered.length)
        else:
            storing.require_unended(uow.session, row)
        if offered.offset != found.received:
            raise _wrong_offset(found)
        most = found.length or ctx.settings.max_upload
        if offered.offset + (piece.size or 0) > most:
            raise TooLarge("This is more than the film was said to have.", max_bytes=most)
        return _Begun(storing.place_of(row), _view(row, found), involvement.consent_epoch)


def _note_length(ctx: Context, row: Asset, found: FilmUpload, length: int | None) -> None:
    if length is None or length == found.length:
        return
    if found.length is not None or length < max(found.received, 1):
        raise Conflict("The length of this film is known already.", code="wrong_length")
    film_objects.refuse_oversize(ctx, length)
    found.length = length
    _mark_if_whole(row, found)


def _take_in(ctx: Context, place: storing.Place, incoming: Incoming, begins: int) -> bool:
    """Store a body part by part; returns whether the film is whole now.

    Of a body with a checksum all is kept, once it sums up, or nothing.
    """
    key = upload_keys.key_of(ctx, place)
    waiting: list[Part] = []
    whole = False
    try:
        while incoming.more():
            part = upload_parts.write(ctx, key, place.asset, begins, incoming.part())
            waiting.append(part)
            begins = part.end
            if not incoming.is_summed:
                whole = _keep(ctx, place, waiting)
                waiting = []
        if incoming.is_summed and incoming.broken is None:
            incoming.require_sum()
            whole = _keep(ctx, place, waiting)
            waiting = []
    except (Unavailable, DBAPIError):
        # A commit that failed may still be found done after a restart: leave its parts. Those that
        # were not counted go with the rest when the film is stored or erased.
        waiting = []
        raise
    finally:
        upload_parts.drop(ctx, waiting)
    return whole


def _keep(ctx: Context, place: storing.Place, parts: list[Part]) -> bool:
    """Count parts in, if they begin where the film ends and everyone still permits it.

    Returns whether the film is whole now.
    """
    with ctx.begin() as uow:
        uow.lock_involvement(place.involvement)
        row = uow.session.get_one(Asset, place.asset)
        found = _upload_of(uow.session, row)
        storing.require_arriving(uow.session, row)
        _require_open(ctx, uow.session, row, found, uow.at)
        _require_few(uow.session, place.asset, len(parts))
        for part in parts:
            if part.begins != found.received:
                raise _wrong_offset(found)
            uow.session.add(
                UploadPart(
                    asset_id=place.asset,
                    begins=part.begins,
                    size=part.size,
                    blob=part.name,
                    header=part.header,
                )
            )
            found.received = part.end
        _mark_if_whole(row, found)
        return row.state is AssetState.RECEIVED


def _mark_if_whole(row: Asset, found: FilmUpload) -> None:
    if found.length is not None and found.received == found.length:
        row.state = require_move(row.id, row.state, AssetState.RECEIVED)


def _finish(ctx: Context, caller: Caller, identifier: str) -> None:
    """Make the film of its parts and store it, unless another is at it; then erase the parts."""
    claim = _claim(ctx, identifier)
    if claim is None:
        return
    try:
        storing.finish(ctx, _made_of_parts(ctx, caller, claim))
    except Conflict:
        _leave_to_another(ctx, identifier)
        return
    except HOPELESS as fault:
        if not storing.give_up(ctx, caller.actor, claim.place, fault.code):
            upload_pauses.put_off(ctx, claim.place)
        raise
    except Exception:
        upload_pauses.let_go(ctx, claim.place)
        raise
    upload_parts.erase(ctx, identifier)


def _made_of_parts(ctx: Context, caller: Caller, claim: _Claim) -> storing.Finished:
    place = claim.place
    key = upload_keys.key_of(ctx, place)
    word = upload_pauses.Word(ctx, place, storing.arriving(ctx, place, claim.epoch))
    with PartsFilm(ctx, key, place.asset, claim.parts, word) as film:
        received = Received(film.size, film.sha256(), claim.reason)
        return make_film(ctx, caller, place, film, received)


def _claim(ctx: Context, identifier: str) -> _Claim | None:
    """Take a received film on; None when it is not one, is ordered erased, or another is at it."""
    with ctx.begin() as uow:
        row = uow.session.get_one(Asset, identifier)
        involvement = uow.lock_involvement(row.involvement_id)
        uow.session.refresh(row)
        if row.state is not AssetState.RECEIVED or permission.is_fenced(uow.session, row):
            return None
        found = _upload_of(uow.session, row)
        if upload_pauses.is_left_alone(uow.session, row, found, uow.at):
            return None
        found.finishing_at = uow.at
        if row.blob is not None:
            # Somebody began before: their object may be there, or may still come.
            row.generation += 1
        row.blob = film_objects.object_name(row.id, row.generation)
        parts = tuple(upload_parts.parts_of(uow.session, identifier))
        return _Claim(storing.place_of(row), parts, row.long_film_reason, involvement.consent_epoch)


def _leave_to_another(ctx: Context, identifier: str) -> None:
    """Put right what was written beside a film that another has stored meanwhile: its sidecar."""
    with ctx.read() as session:
        row = session.get_one(Asset, identifier)
        wraps = keys.wraps_by_asset(session, [identifier]).get(identifier, [])
    if row.state in keys.OPENABLE:
        keys.write_sidecar(ctx, row, wraps)


def _upload_of(session: Session, row: Asset) -> FilmUpload:
    found = session.get(FilmUpload, row.id)
    if found is None:
        storing.require_unended(session, row)
        raise Conflict(
            "This film comes in whole, or is stored already.",
            code="already_received",
            asset=row.id,
        )
    return found


def _require_open(
    ctx: Context, session: Session, row: Asset, found: FilmUpload, at: datetime
) -> None:
    """Raise Gone or Refused unless more of the film may come in now."""
    storing.require_unended(session, row)
    if at >= found.expires_at:
        raise Gone(
            "This upload was not finished within a day. Begin a new recording.",
            code="upload_expired",
            asset=row.id,
        )
    permission.require_still_wanted(ctx, session, row, at)


def _require_few(session: Session, asset: str, more: int) -> None:
    count = session.scalar(select(func.count()).where(UploadPart.asset_id == asset)) or 0
    if count + more > MOST_PARTS:
        raise TooLarge(
            f"A film comes in at most {MOST_PARTS} parts. Send larger ones.", most_parts=MOST_PARTS
        )


def _wrong_offset(found: FilmUpload) -> Conflict:
    return Conflict(
        "This part does not begin where the last one ended. Ask for the offset, and go on there.",
        code="wrong_offset",
        offset=found.received,
    )


def _view(row: Asset, found: FilmUpload) -> UploadView:
    return UploadView(
        row.id,
        row.state,
        found.received,
        found.length,
        found.expires_at,
        row.received_sha256,
        bool(row.long_film_reason),
    )

"""Recordings: reserved, taken in as one raw stream, watched under a stated purpose."""

from dataclasses import replace
from typing import Annotated

from flask import Response, request
from pydantic import Field
from werkzeug.exceptions import LengthRequired, UnsupportedMediaType

from consent_service.api import film
from consent_service.api.operations import PREFIX, Answer, Ask, Room, Traffic
from consent_service.api.shapes import (
    Day,
    Id,
    Line,
    Milliseconds,
    Reply,
    Request,
    StatedPurpose,
    Whole,
    Words,
)
from consent_service.api.v1.assets import AssetReply
from consent_service.domain import tus
from consent_service.domain.assets import AssetKind
from consent_service.domain.attunement import Principle
from consent_service.domain.roles import Permission as P
from consent_service.services import assets, cutting, depicted
from consent_service.services import recordings as use

room = Room("recordings")

MOST_PEOPLE = 50


class NewRecording(Request):
    """A film that is about to come in; `declared_size` is in bytes."""

    involvement: Id
    depicted: Annotated[tuple[Id, ...], Field(min_length=1, max_length=MOST_PEOPLE)]
    filmed_on: Day
    meeting: Id | None = None
    present: Annotated[tuple[Id, ...], Field(max_length=MOST_PEOPLE)] = ()
    reason_for_length: Words | None = None
    declared_size: Annotated[int, Field(ge=1, le=2**50), Whole] | None = None
    title: Line | None = None


class UploadReply(Reply):
    """Where the film is to be put whole, or by parts (tus 1.0); its most length in bytes."""

    href: str
    method: str
    resumable: str
    max_bytes: int


class NewRecordingReply(Reply):
    """The recording that waits for its film, and where to put it."""

    recording: AssetReply
    upload: UploadReply


class ContentQuery(Request):
    """What the film is watched for."""

    purpose: StatedPurpose


class NewDepicted(Request):
    """Someone who can be seen or heard after all."""

    person: Id


class Removal(Request):
    """Who is not seen or heard after all, and how that is known."""

    person: Id
    reason: Words


class RemovalDecision(Request):
    """Whether the second person agrees that this person is not in it."""

    person: Id
    agree: bool


class NewClip(Request):
    """Marks in milliseconds; `exact` encodes anew so that nothing outside them is kept."""

    start_ms: Milliseconds
    end_ms: Milliseconds
    title: Line
    noticed: Words | None = None
    principles: tuple[Principle, ...] = ()
    exact: bool = False


class NewStill(Request):
    """One picture at a mark in milliseconds; `max_width` in pixels."""

    at_ms: Milliseconds
    title: Line | None = None
    max_width: Annotated[int, Field(ge=16, le=7680), Whole] | None = None


@room.post("/recordings", P.FILM_UPLOAD, NewRecordingReply, body=NewRecording, status=201)
def reserve_recording(ask: Ask, body: NewRecording) -> Answer:
    """Make room for a film; refused unless everyone in it permits being filmed.

    The Location takes it by parts (tus 1.0), `upload.href` as one raw stream.
    """
    wanted = use.ReserveFilm(**dict(body))
    declared = tus.declared_length(request.headers)
    if declared is not None:
        wanted = replace(wanted, declared_size=declared)
    view = use.reserve(ask.ctx, ask.caller, wanted)
    where = f"/uploads/{view.id}"
    upload = UploadReply(
        href=f"{PREFIX}/recordings/{view.id}/content",
        method="PUT",
        resumable=PREFIX + where,
        max_bytes=ask.ctx.settings.max_upload,
    )
    recording = AssetReply.model_validate(view)
    told = tus.answer_headers(201)
    return Answer(NewRecordingReply(recording=recording, upload=upload), where, headers=told)


@room.put("/recordings/{id}/content", P.FILM_UPLOAD, AssetReply, traffic=Traffic.FILM)
def put_recording(ask: Ask, id: str) -> Answer:
    """Put the film of a recording, as one raw stream; it is encrypted as it arrives."""
    if request.mimetype not in film.UPLOADS:
        raise UnsupportedMediaType("Send the film itself, as video/mp4 or video/webm.")
    if request.content_length is None and not request.environ.get("wsgi.input_terminated"):
        raise LengthRequired("Send Content-Length, or a chunked body.")
    # Raw and once: a form parser, or reading the body whole, would put film into memory or files.
    view = use.receive(ask.ctx, ask.caller, id, request.stream)
    return Answer(AssetReply.model_validate(view))


@room.get("/recordings/{id}", P.FILM_LIST, AssetReply)
def read_recording(ask: Ask, id: str) -> Answer:
    """Read what is known of a recording, clip or still."""
    return Answer(AssetReply.model_validate(assets.asset(ask.ctx, ask.caller, id)))


@room.get(
    "/recordings/{id}/content",
    P.FILM_WATCH,
    query=ContentQuery,
    media=film.MEDIA,
    ranges=AssetKind.RECORDING,
)
def watch_recording(ask: Ask, id: str, query: ContentQuery) -> Response:
    """Watch a recording for a purpose; each viewing is written down."""
    return film.serve(ask, AssetKind.RECORDING, id, query.purpose)


@room.post(
    "/recordings/{id}/depicted-people", P.DEPICTED_WRITE, AssetReply, body=NewDepicted, status=201
)
def add_depicted(ask: Ask, id: str, body: NewDepicted) -> Answer:
    """Write down that someone else is seen or heard; nobody can watch until they were asked."""
    view = depicted.add_depicted(ask.ctx, ask.caller, id, body.person)
    return Answer(AssetReply.model_validate(view))


@room.delete("/recordings/{id}/depicted-people", P.DEPICTED_WRITE, AssetReply, body=Removal)
def remove_depicted(ask: Ask, id: str, body: Removal) -> Answer:
    """Ask that someone be recorded as not seen or heard; a second person decides."""
    view = depicted.ask_removal(ask.ctx, ask.caller, id, body.person, body.reason)
    return Answer(AssetReply.model_validate(view))


@room.post(
    "/recordings/{id}/depicted-people/removal",
    P.DEPICTED_WRITE,
    AssetReply,
    body=RemovalDecision,
)
def decide_removal(ask: Ask, id: str, body: RemovalDecision) -> Answer:
    """Confirm or refuse, as a second person, that someone is not in it."""
    decide = depicted.confirm_removal if body.agree else depicted.refuse_removal
    return Answer(AssetReply.model_validate(decide(ask.ctx, ask.caller, id, body.person)))


@room.post(
    "/recordings/{id}/clips",
    P.FILM_CUT,
    AssetReply,
    body=NewClip,
    status=201,
    refusals={410, 422, 507},
)
def make_clip(ask: Ask, id: str, body: NewClip) -> Answer:
    """Make a clip of a recording, an encrypted object of its own."""
    view = cutting.clip(ask.ctx, ask.caller, cutting.MakeClip(source=id, **dict(body)))
    return Answer(AssetReply.model_validate(view), f"/clips/{view.id}/content")


@room.post(
    "/recordings/{id}/stills",
    P.FILM_CUT,
    AssetReply,
    body=NewStill,
    status=201,
    refusals={410, 422, 507},
)
def make_still(ask: Ask, id: str, body: NewStill) -> Answer:
    """Take a picture out of a recording or clip, an encrypted object of its own."""
    view = cutting.still(ask.ctx, ask.caller, cutting.MakeStill(source=id, **dict(body)))
    return Answer(AssetReply.model_validate(view), f"/stills/{view.id}/content")

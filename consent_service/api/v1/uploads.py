"""Resumable upload of a recording: tus 1.0, core with termination, expiration and checksum.

An upload is made by `POST /recordings`, and has the recording's id. OPTIONS is answered for
everybody, as the protocol has it.
"""

from flask import request
from werkzeug.exceptions import LengthRequired, PreconditionFailed, UnsupportedMediaType

from consent_service.api.operations import Answer, Ask, Room, Traffic
from consent_service.domain import tus
from consent_service.domain.roles import Permission as P
from consent_service.services import uploads
from consent_service.services.uploads import UploadView

room = Room("uploads")


@room.head("/uploads/{id}", P.FILM_UPLOAD, resumable=True)
def look_at_upload(ask: Ask, id: str) -> Answer:
    """Say how far a film has come in: every byte before Upload-Offset is kept.

    Once it is stored, Repr-Digest is of all that came.
    """
    _require_version()
    return Answer(headers=_state(uploads.upload(ask.ctx, ask.caller, id)))


@room.patch(
    "/uploads/{id}",
    P.FILM_UPLOAD,
    status=204,
    traffic=Traffic.PART,
    resumable=True,
    refusals={460},
)
def append_to_upload(ask: Ask, id: str) -> Answer:
    """Send a film on from Upload-Offset; with its last byte it is measured and stored."""
    _require_version()
    if request.mimetype != tus.MEDIA_TYPE:
        raise UnsupportedMediaType(f"Send the part itself, as {tus.MEDIA_TYPE}.")
    piece = uploads.Piece(tus.offered(request.headers), request.stream, _size())
    return Answer(headers=_state(uploads.append(ask.ctx, ask.caller, id, piece)))


@room.delete("/uploads/{id}", P.FILM_UPLOAD, status=204, resumable=True)
def end_upload(ask: Ask, id: str) -> Answer:
    """Give an upload up: what came of it is erased, with a certificate."""
    _require_version()
    uploads.end(ask.ctx, ask.caller, id)
    return Answer()


def _require_version() -> None:
    if not tus.speaks(request.headers):
        raise PreconditionFailed(f"Send the header Tus-Resumable: {tus.VERSION}.")


def _size() -> int | None:
    """Return how long the body is; None for one in chunks. Said by nothing, it is empty."""
    if request.content_length is not None or request.environ.get("wsgi.input_terminated"):
        return request.content_length
    if "Transfer-Encoding" in request.headers:
        raise LengthRequired("Send Content-Length: this server does not read chunks.")
    return 0


def _state(view: UploadView) -> dict[str, str]:
    return tus.state_headers(view.offset, view.length, view.expires_at, view.sha256)

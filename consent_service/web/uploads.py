"""Film from the browser in pieces: tus 1.0 under the session and its form token.

The addresses speak the same protocol as the API's; a PATCH or DELETE carries the form token in the
header X-CSRFToken, like every change that a page makes.
"""

from flask import Blueprint, Response, request
from werkzeug.exceptions import LengthRequired, PreconditionFailed, UnsupportedMediaType

from consent_service.domain import tus
from consent_service.services import uploads
from consent_service.services.uploads import UploadView
from consent_service.web.here import caller, ctx

upload_pages = Blueprint("uploads", __name__)


@upload_pages.route("/uploads/<id:asset>", methods=["HEAD"])
def look(asset: str) -> Response:
    """Say how far a film has come in."""
    _require_version()
    return _answer(200, uploads.upload(ctx(), caller(), asset))


@upload_pages.patch("/uploads/<id:asset>")
def append(asset: str) -> Response:
    """Take in a film from Upload-Offset on, as it comes."""
    _require_version()
    if request.mimetype != tus.MEDIA_TYPE:
        raise UnsupportedMediaType(f"Send the part itself, as {tus.MEDIA_TYPE}.")
    piece = uploads.Piece(tus.offered(request.headers), request.stream, _size())
    return _answer(204, uploads.append(ctx(), caller(), asset, piece))


@upload_pages.delete("/uploads/<id:asset>")
def end(asset: str) -> Response:
    """Give an upload up: what came of it is erased."""
    _require_version()
    uploads.end(ctx(), caller(), asset)
    return _answer(204)


@upload_pages.after_request
def say_version(response: Response) -> Response:
    """Put into every answer, refusals too, which protocol is spoken; OPTIONS says all of it."""
    if request.method == "OPTIONS":
        response.headers.update(tus.capabilities(ctx().settings.max_upload))
    response.headers.update(tus.answer_headers(response.status_code))
    return response


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


def _answer(status: int, view: UploadView | None = None) -> Response:
    state = {} if view is None else _state(view)
    response = Response(status=status, headers=state)
    del response.headers["Content-Type"]
    return response


def _state(view: UploadView) -> dict[str, str]:
    return tus.state_headers(view.offset, view.length, view.expires_at, view.sha256)

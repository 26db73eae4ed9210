"""Every refusal as a problem document (RFC 9457): one table from kind to status, never HTML.

Rules kept here:
  * another team's thing and one that does not exist give the same answer, and both are written
    down;
  * headers that belong to a status stay: Allow, Content-Range, Retry-After, WWW-Authenticate;
  * what we did not foresee says nothing of itself to the client, and its place to the log.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Blueprint, Response, current_app, g, request
from pydantic_core import to_jsonable_python
from werkzeug.exceptions import HTTPException

from consent_service import errors
from consent_service.errors import ConsentServiceError
from consent_service.ids import is_id
from consent_service.services import access
from consent_service.services.access import Caller
from consent_service.services.context import Context

log = structlog.get_logger("consent_service.api")

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:consent-service:problem:"
KEPT_HEADERS = ("Allow", "Content-Range", "Retry-After", "WWW-Authenticate")


@dataclass(frozen=True)
class Kind:
    """How one kind of refusal is answered. `says` shows its own sentence and details."""

    status: int
    title: str
    says: bool = True
    retry_after: int | None = None


KINDS: dict[type[ConsentServiceError], Kind] = {
    errors.InvalidInput: Kind(400, "Some details need to be put right"),
    errors.PolicyFault: Kind(503, "A policy is not as it was published", False, 300),
    errors.NotSignedIn: Kind(401, "A valid token is needed"),
    errors.Refused: Kind(403, "Not allowed"),
    errors.NotFound: Kind(404, "No such thing", says=False),
    errors.Conflict: Kind(409, "Does not fit the present state"),
    errors.Gone: Kind(410, "Withdrawn or erased"),
    errors.KeyDestroyed: Kind(410, "Withdrawn or erased", says=False),
    errors.Stale: Kind(412, "Changed in the meantime"),
    errors.TooLarge: Kind(413, "Too large"),
    errors.ChecksumMismatch: Kind(460, "Not what was sent"),
    errors.RangeInvalid: Kind(416, "No such part"),
    errors.NotAFilm: Kind(422, "Not a film that can be read"),
    errors.TooManyRequests: Kind(429, "Too many requests", retry_after=60),
    errors.DiskFull: Kind(507, "No room left", retry_after=300),
    errors.Unavailable: Kind(503, "Not available at the moment", retry_after=60),
    errors.JournalBroken: Kind(503, "Stopped to keep a promise", False, 300),
    errors.IntegrityFault: Kind(503, "Something is not as it was signed", False, 300),
    errors.ContainerCorrupt: Kind(503, "A stored object is not as it was stored", False, 300),
    errors.SettingsFault: Kind(503, "The service is not set up", False, 300),
    ConsentServiceError: Kind(500, "Something went wrong", says=False),
}
"""The one mapping; a kind that is not here is answered as the nearest kind above it."""

HTTP_CODES = {
    400: "malformed",
    404: "not_found",
    405: "method_not_allowed",
    408: "upload_broken_off",
    411: "length_required",
    412: "precondition_failed",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_invalid",
    428: "precondition_required",
    429: "too_many_requests",
}
NOTHING_HERE = "There is no such thing that you can see."
PAGE_OF_A_LIST = "page"
"""What is not there but is nobody's secret: the caller can be told."""


def kind_of(fault: ConsentServiceError) -> Kind:
    """Return how the nearest kind is answered."""
    return next(KINDS[kind] for kind in type(fault).__mro__ if kind in KINDS)


def register(
    blueprint: Blueprint, ctx: Context, written: Callable[[Response], Response] = lambda r: r
) -> None:
    """Give a blueprint its refusals; `written` turns a problem document into another form."""

    def refusal(fault: ConsentServiceError) -> Response:
        _write_down(ctx, fault)
        return written(of(fault))

    blueprint.register_error_handler(ConsentServiceError, refusal)
    blueprint.register_error_handler(HTTPException, lambda fault: written(of_http(fault)))
    blueprint.register_error_handler(Exception, lambda fault: written(_unforeseen(fault)))


def of(fault: ConsentServiceError) -> Response:
    """Return the problem document of a refusal."""
    kind = kind_of(fault)
    members: dict[str, Any] = {}
    if kind.says:
        members = {k: v for k, v in fault.details.items() if k not in ("retry_after", "kind")}
    if isinstance(fault, errors.InvalidInput):
        members["faults"] = fault.faults
    detail = fault.message if kind.says else f"{kind.title}."
    if isinstance(fault, errors.NotFound):
        # Word for word the same, whoever's it is and whatever it is.
        is_page = fault.details.get("kind") == PAGE_OF_A_LIST
        detail = fault.message if is_page else NOTHING_HERE
    code = errors.NotFound.default_code if isinstance(fault, errors.NotFound) else fault.code
    response = document(kind.status, kind.title, code, detail, members)
    if kind.retry_after is not None:
        wait = fault.details.get("retry_after", kind.retry_after)
        response.headers["Retry-After"] = str(wait)
    if isinstance(fault, errors.RangeInvalid):
        response.headers["Content-Range"] = f"bytes */{fault.details.get('size', '*')}"
    if isinstance(fault, errors.NotSignedIn):
        response.headers["WWW-Authenticate"] = _challenge()
    return response


def of_http(fault: HTTPException) -> Response:
    """Return the problem document of what the web framework refused, its headers kept."""
    given = fault.get_response()
    status = given.status_code
    title = fault.name
    detail = NOTHING_HERE if status == 404 else _sentence(fault)
    response = document(status, title, HTTP_CODES.get(status, "http_error"), detail, {})
    for name in KEPT_HEADERS:
        if name in given.headers:
            response.headers[name] = given.headers[name]
    if status == 429:
        response.headers.setdefault("Retry-After", "60")
    return response


def document(status: int, title: str, code: str, detail: str, members: dict[str, Any]) -> Response:
    """Return a problem document; `members` never replace what RFC 9457 names."""
    body = {
        **to_jsonable_python(members),
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
    }
    return current_app.response_class(
        current_app.json.dumps(body), status=status, mimetype=MEDIA_TYPE
    )


def _sentence(fault: HTTPException) -> str:
    text = fault.description or fault.name
    return text if text.endswith(".") else f"{text}."


def _challenge() -> str:
    given = 'error="invalid_token"' if "Authorization" in request.headers else ""
    return ", ".join(part for part in ('Bearer realm="consent-service"', given) if part)


def _unforeseen(fault: Exception) -> Response:
    # No trace in the log: its local values and messages may be personal.
    log.error(
        "unforeseen",
        kind=type(fault).__name__,
        endpoint=request.endpoint,
        request_id=g.get("request_id"),
        at=place_of(fault),
    )
    detail = "Something went wrong. Try again; if it stays, tell your administrator."
    return document(500, "Something went wrong", "error", detail, {})


def place_of(fault: BaseException) -> str:
    """Return file and line of the innermost frame: code, never values."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _write_down(ctx: Context, fault: ConsentServiceError) -> None:
    """Record that somebody asked for what is not theirs, or for an act beyond their role."""
    beyond = isinstance(fault, errors.Refused) and fault.code == "role"
    caller: Caller | None = g.get("api_caller")
    if caller is None or not (beyond or isinstance(fault, errors.NotFound)):
        return
    access.record_refusal(ctx, caller, _named(), fault.code)


def _named() -> str:
    """Return the id that was asked for, or the operation where none was."""
    paths = [v for v in (request.view_args or {}).values() if isinstance(v, str)]
    named = next((v for v in (*paths, *g.get("api_ids", ())) if is_id(v)), None)
    return named or str(request.endpoint)

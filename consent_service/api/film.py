"""Film over HTTP: one range of bytes at a time (RFC 9110, section 14), straight from decryption.

Rules kept here:
  * what cannot be decrypted is refused before the first header leaves: the last chunk and the
    first piece are read by then;
  * a failure after that breaks the connection off; the film never ends as if it were whole;
  * one pass, 256 KiB at a time, nothing put aside.
"""

import re
from collections.abc import Iterator

import structlog
from flask import Response, request
from werkzeug.datastructures import IfRange
from werkzeug.wsgi import ClosingIterator

from consent_service.api.operations import Ask
from consent_service.api.problems import place_of
from consent_service.domain.assets import AssetKind
from consent_service.errors import NotFound, RangeInvalid
from consent_service.services import viewing
from consent_service.services.viewing import OpenFilm

log = structlog.get_logger("consent_service.api")

MEDIA = ("video/mp4", "video/webm")
PICTURES = ("image/jpeg",)
UPLOADS = (
    "application/octet-stream",
    "video/mp4",
    "video/webm",
    "video/quicktime",
    "video/x-matroska",
)
"""What a film may call itself; what it is, its bytes say."""
_ONE_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*")


def serve(ask: Ask, kind: AssetKind, asset: str, purpose: str) -> Response:
    """Return an asset, or the range of it that is asked for, under a stated purpose.

    Raises NotFound when it is of another kind than the address says.
    """
    film = viewing.open_film(ask.ctx, ask.caller, asset, purpose)
    try:
        if film.kind is not kind:
            raise NotFound("There is no such thing that you can see.", kind=kind.value)
        wanted = _wanted(film)
        start, end = wanted or (0, film.size)
        if request.method == "HEAD":
            start, end, wanted = 0, film.size, None
        pieces = iter(()) if request.method == "HEAD" else film.iter_range(start, end)
    except BaseException:
        film.close()
        raise
    # Whoever goes away before the first piece never begins `sent`, which then closes nothing.
    return Response(
        ClosingIterator(sent(film, pieces), film.close),
        206 if wanted else 200,
        headers_of(film, start, end, wanted is not None),
        direct_passthrough=True,
    )


def _wanted(film: OpenFilm) -> tuple[int, int] | None:
    """Return the range asked for, end not included; None for the whole. Raises RangeInvalid."""
    header = request.headers.get("Range")
    if header is None or not header.strip().startswith("bytes=") or not _still_the_same(film):
        return None
    if "," in header:
        return None
    match = _ONE_RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        raise _outside(film)
    first, last = match.groups()
    if not first:
        start, end = max(0, film.size - int(last)), film.size
    else:
        start = int(first)
        end = min(int(last) + 1, film.size) if last else film.size
    if start >= film.size or end <= start:
        raise _outside(film)
    return start, end


def _still_the_same(film: OpenFilm) -> bool:
    """Tell whether If-Range holds; a date never does, since film has no date of change."""
    condition: IfRange = request.if_range
    if condition.date is not None:
        return False
    return condition.etag is None or (
        condition.etag == film.sha256 and "W/" not in request.headers.get("If-Range", "")
    )


def _outside(film: OpenFilm) -> RangeInvalid:
    return RangeInvalid("That part does not lie inside the film.", size=film.size)


def headers_of(film: OpenFilm, start: int, end: int, partial: bool) -> dict[str, str]:
    """Return the headers of these bytes of a film, `end` not included."""
    headers = {
        "Content-Type": film.media_type,
        "Content-Length": str(end - start),
        "Accept-Ranges": "bytes",
        "ETag": film.etag,
        "Content-Disposition": f'inline; filename="{film.filename}"',
    }
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{film.size}"
    return headers


def sent(film: OpenFilm, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces and close the film; a failure is logged and raised on."""
    try:
        yield from pieces
    except Exception as fault:
        # Raised on: the server then breaks off, and the client knows that bytes are missing.
        log.warning(
            "film_broken_off", kind=type(fault).__name__, asset=film.asset, at=place_of(fault)
        )
        raise
    finally:
        film.close()

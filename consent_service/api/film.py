"""Film over HTTP: one range of bytes at a time (RFC 9110, section 14), straight from decryption.

Rules kept here:
  * what cannot be decrypted is refused before the first header leaves: the last chunk and the
    first piece are read by then;
  * a failure after that breaks the connection off; the film never ends as if it were whole;
  * one pass, 256 KiB at a time, nothing put aside.
"""

from collections.abc import Iterator

import structlog
from flask import Response, request
from werkzeug.wsgi import ClosingIterator

from consent_service.api.operations import Ask
from consent_service.api.problems import place_of
from consent_service.domain.assets import AssetKind
from consent_service.domain.byte_ranges import ByteRange, asked_range
from consent_service.errors import NotFound
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


def serve(ask: Ask, kind: AssetKind, asset: str, purpose: str) -> Response:
    """Return an asset, or the range of it that is asked for, under a stated purpose.

    Raises NotFound when it is of another kind than the address says.
    """
    film = viewing.open_film(ask.ctx, ask.caller, asset, purpose)
    try:
        if film.kind is not kind:
            raise NotFound("There is no such thing that you can see.", kind=kind.value)
        wanted, pieces = _looked_at(film) if request.method == "HEAD" else _asked_of(film)
    except BaseException:
        film.close()
        raise
    # Whoever goes away before the first piece never begins `sent`, which then closes nothing.
    return Response(
        ClosingIterator(sent(film, pieces), film.close),
        206 if wanted.partial else 200,
        headers_of(film, wanted),
        direct_passthrough=True,
    )


def _asked_of(film: OpenFilm) -> tuple[ByteRange, Iterator[bytes]]:
    asked, version = request.headers.get("Range"), request.headers.get("If-Range")
    wanted = asked_range(asked, version, film.etag, film.size)
    return wanted, film.iter_range(wanted.start, wanted.end)


def _looked_at(film: OpenFilm) -> tuple[ByteRange, Iterator[bytes]]:
    """Return the whole and none of its bytes: of a HEAD no range is asked (RFC 9110, 14.2)."""
    return ByteRange(0, film.size, partial=False), iter(())


def headers_of(film: OpenFilm, wanted: ByteRange) -> dict[str, str]:
    """Return the headers of these bytes of a film."""
    headers = {
        "Content-Type": film.media_type,
        "Content-Length": str(wanted.length),
        "Accept-Ranges": "bytes",
        "ETag": film.etag,
        "Content-Disposition": f'inline; filename="{film.filename}"',
    }
    if wanted.partial:
        headers["Content-Range"] = wanted.content_range(film.size)
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

"""What every answer carries, and what is refused before it is read.

Rules kept here:
  * a page runs and loads only what this service sends: no `unsafe-*`, no third party;
  * whatever stands behind the sign-in is never kept by a browser or a proxy;
  * forms are small: more is refused before a byte of it is read;
  * a file that comes with a form stays in memory: no page of ours puts one on a disk.
"""

import io
import secrets
from functools import cache
from importlib.resources import files
from typing import IO

from flask import Flask, Request, Response, g, request
from werkzeug.exceptions import UnsupportedMediaType

from consent_service.errors import TooLarge
from consent_service.services.consent_papers import LARGEST_SCAN
from consent_service.web.here import ctx

LARGEST_FORM = 512 * 1024
WITH_SCAN = frozenset({"consents.sign", "consents.attach"})
"""Forms that bring a scan of a paper along."""
STREAMED = frozenset({"uploads.append"})
"""Bodies that are read as they come; how much of them is taken, the use case decides."""
KEPT_BY_BROWSERS = frozenset({"static"})
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(self), microphone=(self), geolocation=(), payment=(), usb=(),"
        " display-capture=(), browsing-topics=()"
    ),
    "X-Frame-Options": "DENY",
}
HSTS = "max-age=63072000; includeSubDomains"


class PageRequest(Request):
    """A request whose files are held in memory, where Werkzeug would put larger ones on disk."""

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        return io.BytesIO()


def register(app: Flask) -> None:
    """Put limits before and headers after every request of an app."""
    app.request_class = PageRequest
    app.config["MAX_FORM_MEMORY_SIZE"] = LARGEST_FORM
    app.before_request(_begin)
    app.after_request(_finish)


def with_player() -> None:
    """Let this page load the player, whose controls carry their own style sheets."""
    g.player = True


def with_drawn_code() -> None:
    """Let this page show a picture that it carries itself (the square code of an app)."""
    g.own_picture = True


def content_security_policy() -> str:
    """Return the policy of this answer."""
    styles = " ".join(("'self'", *player_styles())) if g.get("player") else "'self'"
    pictures = "'self' data:" if g.get("own_picture") else "'self'"
    return (
        "default-src 'none'; script-src 'self'; "
        f"style-src {styles}; img-src {pictures}; media-src 'self'; connect-src 'self'; "
        "worker-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


@cache
def player_styles() -> tuple[str, ...]:
    """Return the digests of the style sheets within the player's controls."""
    listed = files("consent_service.web") / "static/vendor/media-chrome/style-hashes.txt"
    return tuple(line for line in listed.read_text("ascii").splitlines() if line)


def _begin() -> None:
    g.request_id = secrets.token_hex(8)
    if request.endpoint in STREAMED:
        _refuse_form()
        return
    if _is_program():
        return
    largest = LARGEST_FORM + (LARGEST_SCAN if request.endpoint in WITH_SCAN else 0)
    request.max_content_length = largest
    if (request.content_length or 0) > largest:
        raise TooLarge("This form is too large. Send less.", limit=largest)


def _refuse_form() -> None:
    """Refuse a film sent as a form: parts of forms would be put into files, unencrypted."""
    if request.mimetype in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raise UnsupportedMediaType("Send the film itself, not a form.")


def _is_program() -> bool:
    return request.path.startswith(("/api/", "/fhir/"))


def _finish(response: Response) -> Response:
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", content_security_policy())
    response.headers["X-Request-Id"] = g.get("request_id", "")
    if ctx().settings.secure:
        response.headers["Strict-Transport-Security"] = HSTS
    if request.endpoint not in KEPT_BY_BROWSERS:
        response.headers["Cache-Control"] = "no-store"
    elif "v" not in request.args:
        # A script that another script names: its address stays the same when it changes.
        response.headers["Cache-Control"] = "no-cache"
    return response

"""What every answer carries, and what is refused before it is read.

Rules kept here:
  * a page runs and loads only what this service sends: no `unsafe-*`, no third party;
  * whatever stands behind the sign-in is never kept by a browser or a proxy;
  * forms are small: more is refused before a byte of it is read;
  * a file that comes with a form stays in memory: no page of ours puts one on a disk.
"""

import io
import secrets
import time
from functools import cache
from importlib.resources import files
from typing import IO

from flask import Flask, Request, Response, g, request
from werkzeug.exceptions import UnsupportedMediaType

from consent_service.errors import TooLarge
from consent_service.services.consent_papers import LARGEST_SCAN
from consent_service.settings import Settings
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
    """Number and time every request of an app, and put headers after it."""
    app.request_class = PageRequest
    app.config["MAX_FORM_MEMORY_SIZE"] = LARGEST_FORM
    app.before_request(_begin)
    app.after_request(_finish)


def limit_forms(app: Flask) -> None:
    """Put a limit before every request for a page."""
    app.before_request(_limit_form)


def with_player() -> None:
    """Let this page load the player, whose controls carry their own style sheets."""
    g.player = True


def with_drawn_code() -> None:
    """Let this page show a picture that it carries itself (the square code of an app)."""
    g.own_picture = True


def common(settings: Settings, request_id: str, policy: str) -> list[tuple[str, str]]:
    """Return the headers of every answer, whichever app gives it."""
    found = [*_ALWAYS.items(), ("Content-Security-Policy", policy), ("X-Request-Id", request_id)]
    return [*found, ("Strict-Transport-Security", HSTS)] if settings.secure else found


def new_request_id() -> str:
    """Return a number for a request, by which its answer and its line of log are found."""
    return secrets.token_hex(8)


@cache
def content_security_policy(player: bool = False, own_picture: bool = False) -> str:
    """Return the policy of a page: with the player, with a picture that it carries itself."""
    styles = " ".join(("'self'", *player_styles())) if player else "'self'"
    pictures = "'self' data:" if own_picture else "'self'"
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
    g.began = time.perf_counter()
    g.request_id = new_request_id()


def _limit_form() -> None:
    if request.endpoint in STREAMED:
        _refuse_form()
        return
    largest = LARGEST_FORM + (LARGEST_SCAN if request.endpoint in WITH_SCAN else 0)
    request.max_content_length = largest
    if (request.content_length or 0) > largest:
        raise TooLarge("This form is too large. Send less.", limit=largest)


def _refuse_form() -> None:
    """Refuse a film sent as a form: parts of forms would be put into files, unencrypted."""
    if request.mimetype in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raise UnsupportedMediaType("Send the film itself, not a form.")


def _finish(response: Response) -> Response:
    given = {name.lower() for name in response.headers.keys()}  # noqa: SIM118  (pairs otherwise)
    policy = content_security_policy(bool(g.get("player")), bool(g.get("own_picture")))
    added = common(ctx().settings, g.get("request_id", ""), policy)
    response.headers.extend((n, v) for n, v in added if n.lower() not in given)
    if request.endpoint not in KEPT_BY_BROWSERS:
        response.headers["Cache-Control"] = "no-store"
    elif "v" not in request.args:
        # A script that another script names: its address stays the same when it changes.
        response.headers["Cache-Control"] = "no-cache"
    return response

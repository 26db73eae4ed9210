"""Who holds a family's link in this browser: a short cookie of its own, apart from staff sign-in.

Rules kept here:
  * the cookie names the link and the mark of this browser, signed; what it opens is asked of the
    database at every request, so an ended link ends here too;
  * half an hour idle or two hours in all end it, and so does leaving;
  * it opens no page of the team, and no session of the team opens a page here.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Flask, Response, g, request, session
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf.csrf import CSRFError, validate_csrf
from itsdangerous import BadSignature, URLSafeSerializer
from wtforms import ValidationError

from consent_service.domain.links import LinkKind
from consent_service.errors import LinkClosed, NotFound, Unavailable
from consent_service.services import link_sessions, sign_in
from consent_service.services.access import Caller
from consent_service.services.link_sessions import LinkSession, Opened
from consent_service.web import languages
from consent_service.web.here import ctx

IDLE = timedelta(minutes=30)
LONGEST = languages.LONGEST
BARE: Mapping[str, Any] = {"signed_in": False, "navigation": (), "languages": ()}
"""What a family's page shows of the team's menu, whoever is signed in beside it: nothing."""
_CLOSED = _l("This page has closed. Open your link again.")


@dataclass(frozen=True)
class _Cookie:
    link: str
    mark: str
    begun: float
    seen: float


def begin(opened: Opened) -> None:
    """Let this browser go on with a link; whoever of the team was signed in here is not any more.

    What a parent sees on a borrowed tablet must not lead back to other families.
    """
    session.clear()
    g.pop("_login_user", None)
    now = ctx().clock.now().timestamp()
    g.own_cookie = _Cookie(opened.link, opened.mark, now, now)


def leave() -> None:
    """Forget the link in this browser, and what was answered in it.

    A session of the team stays: no mere link may sign somebody out.
    """
    languages.forget()
    found = _read()
    if found is None:
        return
    g.own_cookie = None
    # Whoever has to leave now leaves, database or not; a session without its cookie runs out.
    with suppress(Unavailable):
        link_sessions.close_session(ctx(), found.link, found.mark)


def find() -> LinkSession | None:
    """Return who holds a link here; None when nobody does, or not any more."""
    if "own_holder" not in g:
        g.own_holder = _find()
    found: LinkSession | None = g.own_holder
    return found


def holder(kind: LinkKind) -> LinkSession:
    """Return who holds a link of this kind here; raises LinkClosed, NotFound for another kind."""
    found = find()
    if found is None:
        raise LinkClosed(str(_CLOSED))
    if found.own.kind is not kind:
        raise NotFound(_("Your link does not open this page."), kind="page")
    return found


def caller(kind: LinkKind) -> Caller:
    """Return the holder of a link of this kind, as the caller of use cases."""
    return holder(kind).caller


def register(app: Flask) -> None:
    """Keep the cookie of an app's families."""
    app.after_request(_keep)


def choose_language() -> None:
    """Settle in which language a family reads: as they chose, or as their link says."""
    if request.endpoint == "own.leave":
        return
    found = find()
    languages.choose(found.language if found else languages.ENGLISH)


def require_form_token() -> None:
    """Refuse a form without its token.

    Families' pages send no referrer, which the usual check over https would ask for.
    """
    if request.method == "POST":
        try:
            validate_csrf(request.form.get("csrf_token"))
        except ValidationError as fault:
            raise CSRFError(str(fault)) from fault


def say_nothing_of_here(response: Response) -> Response:
    """Tell no page that is opened from here where its reader came from."""
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _find() -> LinkSession | None:
    cookie = _read()
    if cookie is None:
        return None
    try:
        return link_sessions.session_of(ctx(), cookie.link, cookie.mark)
    except LinkClosed:
        return None


def _read() -> _Cookie | None:
    try:
        found = _signer().loads(request.cookies.get(_name(), ""))
        cookie = _Cookie(**found)
    except (BadSignature, TypeError):
        return None
    now = ctx().clock.now().timestamp()
    idle, whole = now - cookie.seen, now - cookie.begun
    if idle > IDLE.total_seconds() or whole > LONGEST.total_seconds():
        return None
    return cookie


def _keep(response: Response) -> Response:
    """Write the cookie that began, move on the one in use, take away the one that ended."""
    unset: Any = object()
    cookie = g.get("own_cookie", unset)
    if cookie is unset:
        if g.get("own_holder") is None or (found := _read()) is None:
            return response
        now = ctx().clock.now().timestamp()
        cookie = _Cookie(found.link, found.mark, found.begun, now)
    secure = ctx().settings.secure
    options: dict[str, Any] = {"secure": secure, "httponly": True, "samesite": "Lax", "path": "/"}
    if cookie is None:
        response.delete_cookie(_name(), **options)
    else:
        response.set_cookie(_name(), str(_signer().dumps(vars(cookie))), **options)
    return response


def _name() -> str:
    return "__Host-own" if ctx().settings.secure else "own"


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(sign_in.secret_for(ctx().settings, "own pages"), salt="own")

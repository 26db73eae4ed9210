"""What a refusal looks like: one plain page per kind, never a trace.

Rules kept here:
  * another team's thing gets the same page as a thing that does not exist, and is written down;
  * whoever reads a family's page can leave it from here too, at once, and reads it in their
    language and in their own words;
  * who must prove themselves again is sent to do so and comes back;
  * a script of ours that asks for JSON gets the code and the sentence.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from flask import (
    Flask,
    Response,
    g,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from consent_service import errors
from consent_service.services import access
from consent_service.web import here, own_faults, own_session

log = structlog.get_logger("consent_service.web")


@dataclass(frozen=True)
class FaultPage:
    """Status, heading and what to do next. `says` shows the refusal's own sentence."""

    status: int
    heading: str
    advice: str
    says: bool = True
    retry_after: int | None = None


PAGES: dict[type[errors.ConsentServiceError], FaultPage] = {
    errors.InvalidInput: FaultPage(400, "Some details need to be put right", "Go back and check."),
    errors.PolicyFault: FaultPage(400, "This file cannot be used", "Put the line right."),
    errors.NotSignedIn: FaultPage(401, "Sign in first", "Sign in, then try again."),
    errors.LinkClosed: FaultPage(
        401,
        "This page has closed",
        "Open your link again and give your date of birth. If it does not open, ask your guider for"
        " a new one.",
        says=False,
    ),
    errors.Refused: FaultPage(
        403,
        "You cannot do this",
        "It may be for another role or team. If you think that you should be able to, ask your"
        " administrator.",
    ),
    errors.NotFound: FaultPage(
        404,
        "Page not found",
        "Check the address, or go to the start page and look for what you need there.",
        says=False,
    ),
    errors.Conflict: FaultPage(
        409, "This does not fit any more", "Load the page again to see how things stand."
    ),
    errors.Gone: FaultPage(
        410, "This is gone", "Nobody can see it any more. The certificate says when and why."
    ),
    errors.KeyDestroyed: FaultPage(
        410, "This is gone", "Nobody can see it any more. The certificate says when and why."
    ),
    errors.Stale: FaultPage(
        412, "Someone changed this in the meantime", "Load the page again and repeat your change."
    ),
    errors.TooLarge: FaultPage(413, "That is too much", "Send less, or choose a smaller file."),
    errors.RangeInvalid: FaultPage(416, "There is no such part", "Load the film again."),
    errors.ChecksumMismatch: FaultPage(
        460, "This is not what was sent", "Nothing of it was kept. Send it again."
    ),
    errors.NotAFilm: FaultPage(
        422, "This is not a film we can read", "Nothing of it was kept. Choose an MP4 or WebM film."
    ),
    errors.TooManyRequests: FaultPage(
        429, "Too many tries", "Wait a few minutes, then try again.", retry_after=60
    ),
    errors.DiskFull: FaultPage(
        507, "There is no room left", "Nothing was lost. Tell your administrator.", retry_after=300
    ),
    errors.Unavailable: FaultPage(
        503,
        "This does not work at the moment",
        "Nothing was lost and nothing was released. Try again in a minute.",
        retry_after=60,
    ),
    errors.JournalBroken: FaultPage(
        503,
        "The service has stopped to keep a promise",
        "Its journal of endings needs mending first. Tell your administrator.",
        says=False,
        retry_after=300,
    ),
    errors.IntegrityFault: FaultPage(
        503,
        "Something is not as it was signed",
        "Nothing was released. Tell your information governance officer.",
        retry_after=300,
    ),
    errors.ContainerCorrupt: FaultPage(
        503,
        "This film is not as it was stored",
        "Nothing of it was shown. Tell your information governance officer.",
        says=False,
        retry_after=300,
    ),
    errors.SettingsFault: FaultPage(
        503, "The service is not set up", "Tell your administrator.", retry_after=300
    ),
    errors.ConsentServiceError: FaultPage(
        500, "Something went wrong", "Try again. If it stays, tell your administrator.", says=False
    ),
}


def register(app: Flask) -> None:
    """Give an app its refusals."""
    app.register_error_handler(errors.ConsentServiceError, _refusal)
    app.register_error_handler(CSRFError, _form_too_old)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unforeseen)


def page_for(fault: errors.ConsentServiceError) -> FaultPage:
    """Return the page of the nearest kind."""
    return next(PAGES[kind] for kind in type(fault).__mro__ if kind in PAGES)


def _refusal(fault: errors.ConsentServiceError) -> ResponseReturnValue:
    page = page_for(fault)
    _write_down(fault)
    if fault.code == "sign_in_again" and not _wants_json():
        return redirect(url_for("security.verify", next=_where_from()))
    staff = isinstance(fault, errors.NotSignedIn) and not isinstance(fault, errors.LinkClosed)
    if staff and request.method == "GET" and not _wants_json():
        return redirect(url_for("security.login", next=request.full_path.rstrip("?")))
    # The sentence names the verb of the role, which says nothing to who reads a page.
    beyond = fault.code == "role" and not _wants_json()
    sentence = fault.message if page.says and not beyond else ""
    response = app_response(page, sentence, fault.code)
    if page.retry_after:
        wait = str(fault.details.get("retry_after", page.retry_after))
        response.headers["Retry-After"] = wait
    if isinstance(fault, errors.RangeInvalid):
        response.headers["Content-Range"] = f"bytes */{fault.details.get('size', '*')}"
    return response


def app_response(page: FaultPage, sentence: str, code: str) -> Response:
    """Return a refusal as a page, or as JSON for our own scripts."""
    if _wants_json():
        body = {"code": code, "message": sentence or page.heading, "advice": page.advice}
        return make_response(jsonify(body), page.status)
    if _is_familys():
        html = render_template(
            "errors/own_refusal.html",
            page=own_faults.page_of(page.status, code),
            sentence=own_faults.known(sentence),
            code=code,
            **own_session.BARE,
        )
    else:
        html = render_template("errors/refusal.html", page=page, sentence=sentence, code=code)
    return make_response(html, page.status)


def _is_familys() -> bool:
    """Tell whether a family's own page was asked for, which leads to nothing of the team's."""
    return (request.blueprint or "").startswith("own")


def _form_too_old(_fault: CSRFError) -> ResponseReturnValue:
    page = FaultPage(
        400,
        "This page is too old to send",
        "You may have signed in again since. Go back, load the page again and repeat your entry.",
    )
    return app_response(page, "", "csrf")


def _http(fault: HTTPException) -> ResponseReturnValue:
    status = fault.code or 500
    if status < 400:
        return fault.get_response()
    pages = {
        404: PAGES[errors.NotFound],
        413: PAGES[errors.TooLarge],
        416: PAGES[errors.RangeInvalid],
        429: PAGES[errors.TooManyRequests],
    }
    page = pages.get(status) or FaultPage(
        status, "This address does not work like that", "Go to the start page and try from there."
    )
    response = app_response(page, "", str(status))
    for name, value in fault.get_response().headers.items():
        if name in ("Allow", "Retry-After", "Content-Range"):
            response.headers[name] = value
    if status == 429:
        response.headers.setdefault("Retry-After", "60")
    return response


def _unforeseen(fault: Exception) -> ResponseReturnValue:
    # The trace stays out of the log: its local values and messages may be personal.
    log.error(
        "unforeseen",
        kind=type(fault).__name__,
        endpoint=request.endpoint,
        request_id=g.get("request_id"),
        at=_place(fault),
    )
    return app_response(PAGES[errors.ConsentServiceError], "", "error")


def _place(fault: Exception) -> str:
    """Return file and line of the innermost frame: code, never values."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _write_down(fault: errors.ConsentServiceError) -> None:
    """Record that somebody was refused: another's things, or an act beyond their role."""
    beyond = isinstance(fault, errors.Refused) and fault.code == "role"
    if not (beyond or isinstance(fault, errors.NotFound)) or request.endpoint is None:
        return
    holder = own_session.find() if _is_familys() else None
    if holder is None and not here.signed_in():
        return
    caller = holder.caller if holder is not None else here.caller()
    arguments = request.view_args or {}
    named = next((str(v) for k, v in arguments.items() if _is_ours(k)), request.endpoint)
    access.record_refusal(here.ctx(), caller, named, fault.code)


def _is_ours(name: str) -> bool:
    return name not in {"filename", "token", "path"}


def _where_from() -> str:
    if request.method == "GET":
        return request.full_path.rstrip("?")
    came_from = urlsplit(request.referrer or "")
    return came_from.path or "/" if came_from.netloc == request.host else "/"


def _wants_json() -> bool:
    return request.accept_mimetypes.best == "application/json"

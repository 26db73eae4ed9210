"""The one place that knows every blueprint: pages, sign-in, API, machines' addresses.

Rules kept here:
  * every app carries its own Context; tests hand one in;
  * the order of what runs before a request: limits, session, the table of routes.
"""

import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter

from consent_service import wiring
from consent_service.errors import SettingsFault
from consent_service.services import startup
from consent_service.services.context import Context
from consent_service.services.journal_watch import JournalWatch
from consent_service.settings import Settings
from consent_service.web import (
    about,
    account,
    certificates,
    consent_acts,
    families,
    fault_pages,
    films,
    handovers,
    headers,
    health,
    here,
    ig_audit,
    ig_consents,
    ig_holds,
    ig_overview,
    ig_retention,
    ig_subject_access,
    jobs,
    kept_moments,
    layout,
    leaflets,
    links,
    logs,
    offline,
    own,
    own_consent,
    own_session,
    own_withdrawal,
    photo_screen,
    reviews,
    routes,
    shared_screen,
    sign_in,
    standing,
    uploads,
    users,
    withdrawals,
)
from consent_service.web.method_said import MethodSaid

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SIGN_IN_LIMIT = "20 per minute; 100 per hour"
LIMITED = (
    "security.login",
    "security.two_factor_token_validation",
    "security.mf_recovery",
    "security.verify",
    "account.set_up",
    "own.open_link",
    "own_stop.keep",
)
OWN_PAGES = (own.own, own_withdrawal.own_stop, own_consent.own_answers)
"""The pages of families, which check their forms' tokens themselves."""


class OpaqueId(BaseConverter):
    """An id in an address: 32 hexadecimal digits, so nothing personal can stand there."""

    regex = "[0-9a-f]{32}"


def create_app(source: Settings | Context, **fakes: object) -> Flask:
    """Return the web application for these settings, or for a Context that a test made.

    Serves only; whoever starts it replays the journal first (`services.startup`).
    """
    context = _context(source, fakes)
    app = Flask("consent_service.web", static_folder="static", template_folder="templates")
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 3600 * 24 * 30
    app.extensions[here.EXTENSION] = context
    app.url_map.converters["id"] = OpaqueId
    app.wsgi_app = MethodSaid(app.wsgi_app)  # type: ignore[method-assign]
    _behind_proxies(app, context.settings)
    headers.register(app)
    _log_requests(app)
    csrf = CSRFProtect()
    sign_in.configure(app, context)
    csrf.init_app(app)
    fault_pages.register(app)
    layout.register(app)
    routes.register(app)
    health.register(app)
    for blueprint in page_groups():
        app.register_blueprint(blueprint)
    for blueprint in OWN_PAGES:
        csrf.exempt(blueprint)
    own_session.register(app)
    _api(app, context, csrf)
    _limit_sign_in(app)
    return app


def create_served_app() -> Flask:
    """Return the application of this process's settings, the journal replayed before it answers.

    The journal is looked at again and again for as long as the process lives. Raises SettingsFault
    under waitress, which keeps uploads in files, unencrypted.
    """
    if "waitress" in sys.modules:
        raise SettingsFault(
            "waitress keeps uploads in files, unencrypted. Serve with granian or gunicorn instead."
        )
    settings = wiring.settings_from()
    logs.configure(settings)
    context = wiring.build_context(settings)
    startup.require_ready(context)
    app = create_app(context)
    watch = JournalWatch(context)
    standing.register(app, watch)
    standing.watch_on(watch)
    return app


def _context(source: Settings | Context, fakes: dict[str, object]) -> Context:
    if isinstance(source, Context):
        return replace(source, **fakes)  # type: ignore[arg-type]
    return wiring.build_context(source, **fakes)  # type: ignore[arg-type]


def page_groups() -> list[Any]:
    """Return the blueprints of the pages."""
    return [
        about.about,
        offline.offline,
        account.account,
        families.families,
        leaflets.leaflet_pages,
        consent_acts.consents,
        withdrawals.withdrawals,
        links.link_pages,
        *OWN_PAGES,
        certificates.certificate_pages,
        users.users,
        jobs.job_pages,
        films.films,
        kept_moments.moments,
        uploads.upload_pages,
        reviews.review_pages,
        shared_screen.together,
        handovers.handover_pages,
        photo_screen.photo_screen,
        ig_overview.governance,
        ig_consents.consent_ends,
        ig_holds.hold_pages,
        ig_retention.retention_pages,
        ig_audit.audit_pages,
        ig_subject_access.subject_access_pages,
    ]


def _api(app: Flask, context: Context, csrf: CSRFProtect) -> None:
    """Mount the API; it guards itself with tokens, so no form token is asked of it."""
    api = import_module("consent_service.api")
    register = getattr(api, "register", None)
    if register is not None:
        for blueprint in register(app, context) or ():
            csrf.exempt(blueprint)


def _limit_sign_in(app: Flask) -> None:
    """Slow down guessing. Each process counts for itself; lock-out counts in the database."""
    limiter = Limiter(get_remote_address, app=app, storage_uri="memory://", headers_enabled=True)
    for endpoint in LIMITED:
        view = app.view_functions[endpoint]
        limited = limiter.limit(SIGN_IN_LIMIT, methods=["POST"])(view)
        app.view_functions[endpoint] = limited  # type: ignore[assignment]


class TrustedProxies:
    """Believes what a proxy says about the browser, but only the proxies that the settings name.

    `CONSENT_TRUSTED_PROXIES` lists addresses or networks, separated by commas.
    """

    def __init__(self, app: "WSGIApplication", named: str) -> None:
        self._plain = app
        self._told = ProxyFix(app, x_for=1, x_proto=1, x_host=1)
        self._networks = [ip_network(part.strip(), strict=False) for part in named.split(",")]

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> "Iterable[bytes]":
        """Answer a request."""
        app = self._told if self._is_trusted(environ.get("REMOTE_ADDR", "")) else self._plain
        return app(environ, start_response)

    def _is_trusted(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def _behind_proxies(app: Flask, settings: Settings) -> None:
    named = settings.trusted_proxies.strip()
    if not named:
        return
    try:
        app.wsgi_app = TrustedProxies(app.wsgi_app, named)  # type: ignore[method-assign]
    except ValueError:
        raise SettingsFault(
            "CONSENT_TRUSTED_PROXIES must be addresses or networks, such as 10.0.0.5, 10.1.0.0/16."
        ) from None


def _log_requests(app: Flask) -> None:
    """Write one line per request: endpoint, status, time, account id; no address, no name."""
    log = structlog.get_logger("consent_service.web")

    def begin() -> None:
        g.log_started = time.perf_counter()

    def end(response: Any) -> Any:
        if request.endpoint not in ("static", "health.live"):
            seconds = time.perf_counter() - g.get("log_started", time.perf_counter())
            account_id = g._login_user.account.id if _known_user() else None
            log.info(
                "request",
                endpoint=request.endpoint,
                method=request.method,
                status=response.status_code,
                ms=round(seconds * 1000, 1),
                request_id=g.get("request_id"),
                account=account_id,
            )
        return response

    app.before_request(begin)
    app.after_request(end)


def _known_user() -> bool:
    return bool(getattr(g.get("_login_user"), "account", None))

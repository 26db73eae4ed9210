"""The one place that knows every blueprint: pages, sign-in, API, machines' addresses.

Rules kept here:
  * every app carries its own Context; tests hand one in;
  * pages and programs each have an app behind one door: what sends a token never meets sessions,
    cookies or forms, and a cookie opens nothing that programs are served;
  * the order of what runs before a request for a page: limits, session, the table of routes.
"""

import gc
import sys
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter

from consent_service import api, wiring
from consent_service.api.going_on import GoingOn
from consent_service.api.v1 import OPERATIONS
from consent_service.errors import SettingsFault
from consent_service.services import startup
from consent_service.services.context import Context
from consent_service.services.journal_watch import JournalWatch
from consent_service.settings import Settings
from consent_service.web import (
    about,
    account,
    answers,
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
from consent_service.web.little_unsent import LittleUnsent
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
    figures = health.Figures()
    pages = _pages(context, figures)
    programs = _programs(context, figures)
    pages.extensions[here.PROGRAMS] = programs
    pages.wsgi_app = MethodSaid(Door(pages.wsgi_app, programs.wsgi_app))  # type: ignore[method-assign]
    _behind_proxies(pages, context.settings)
    return pages


def _pages(context: Context, figures: health.Figures) -> Flask:
    app = Flask("consent_service.web", static_folder="static", template_folder="templates")
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 3600 * 24 * 30
    app.extensions[here.EXTENSION] = context
    app.url_map.converters["id"] = OpaqueId
    headers.register(app)
    headers.limit_forms(app)
    logs.register(app)
    csrf = CSRFProtect()
    sign_in.configure(app, context)
    csrf.init_app(app)
    fault_pages.register(app)
    layout.register(app)
    routes.register(app)
    health.register(app, figures)
    app.register_blueprint(health.health)
    for blueprint in page_groups():
        app.register_blueprint(blueprint)
    for blueprint in OWN_PAGES:
        csrf.exempt(blueprint)
    own_session.register(app)
    _limit_sign_in(app)
    return app


def _programs(context: Context, figures: health.Figures) -> Flask:
    """Return the app of JSON API and FHIR, which guards itself with tokens."""
    app = Flask("consent_service.api", static_folder=None)
    app.extensions[here.EXTENSION] = context
    headers.register(app)
    logs.register(app)
    health.register(app, figures)
    api.register(app, context)
    answered = answers.answered_by(context, figures)
    app.wsgi_app = GoingOn(app.wsgi_app, context, OPERATIONS, answered)  # type: ignore[method-assign]
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
    app.wsgi_app = LittleUnsent(app.wsgi_app)  # type: ignore[method-assign]
    watch = JournalWatch(context)
    standing.register(app, watch)
    standing.watch_on(watch)
    # What lives as long as the process is not looked through again and again for what is dead.
    gc.collect()
    gc.freeze()
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


def _limit_sign_in(app: Flask) -> None:
    """Slow down guessing. Each process counts for itself; lock-out counts in the database."""
    limiter = Limiter(get_remote_address, app=app, storage_uri="memory://", headers_enabled=True)
    for endpoint in LIMITED:
        view = app.view_functions[endpoint]
        limited = limiter.limit(SIGN_IN_LIMIT, methods=["POST"])(view)
        app.view_functions[endpoint] = limited  # type: ignore[assignment]


class Door:
    """Leads programs to their app and everybody else to the pages, by the address alone."""

    def __init__(self, pages: "WSGIApplication", programs: "WSGIApplication") -> None:
        self._pages, self._programs = pages, programs

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> "Iterable[bytes]":
        """Answer a request."""
        first = environ.get("PATH_INFO", "").split("/", 2)[1:2]
        app = self._programs if first and first[0] in api.ROOTS else self._pages
        return app(environ, start_response)


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

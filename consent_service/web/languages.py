"""The language of a family's own pages: English, or another that has a catalogue.

Rules kept here:
  * only a family's own pages are translated; the team's are in English;
  * the words of forms and leaflets never come from a catalogue: they are published in a language
    with their own translator and approver;
  * a catalogue is offered when the organisation's `page_languages` say who approved it; in a demo
    every one is, and each page says in English too that nobody approved it;
  * a choice ends when its reader leaves: it would tell the next one on this device who was here.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from babel import Locale
from babel.dates import format_date
from flask import Flask, Response, g, has_request_context, request
from flask_babel import Babel

from consent_service.clock import LONDON
from consent_service.web.here import ctx

ENGLISH = "en"
CATALOGUES = Path(__file__).parent / "translations"
COOKIE = "own-language"
LONGEST = timedelta(hours=2)
"""How long a choice is kept at most: as long as a link may stay open in a browser."""
CHOSEN = "language"
"""Name of the query parameter by which a reader chooses."""


@dataclass(frozen=True)
class Language:
    """A language that pages can be read in; `approver` is None where nobody approved it."""

    code: str
    name: str
    direction: str
    approver: str | None

    @property
    def is_sample(self) -> bool:
        """Whether nobody has approved these words."""
        return self.code != ENGLISH and self.approver is None


def register(app: Flask) -> None:
    """Let an app's pages be read in other languages."""
    Babel(
        app,
        default_translation_directories=str(CATALOGUES),
        locale_selector=lambda: current().code,
        timezone_selector=lambda: str(LONDON),
    )
    app.jinja_env.policies["ext.i18n.trimmed"] = True


@cache
def catalogues() -> tuple[str, ...]:
    """Return the languages that have a catalogue, by code."""
    return tuple(sorted(path.parts[-3] for path in CATALOGUES.glob("*/LC_MESSAGES/messages.mo")))


def offered() -> list[Language]:
    """Return the languages that a family may choose from, English first."""
    approved = ctx().policies.organisation.page_languages
    found = [_language(ENGLISH, None)]
    for code in catalogues():
        sign_off = approved.get(code)
        if sign_off is not None or ctx().settings.is_demo:
            found.append(_language(code, sign_off.by if sign_off else None))
    return found


def current() -> Language:
    """Return the language of the page that is being made."""
    if not has_request_context() or "language" not in g:
        return _language(ENGLISH, None)
    found: Language = g.language
    return found


def choose(of_link: str) -> None:
    """Settle the language of a family's page: what the reader chose, or what their link has."""
    known = {language.code: language for language in offered()}
    wanted = (request.args.get(CHOSEN, ""), request.cookies.get(COOKIE, ""), of_link, ENGLISH)
    g.language = next(known[code] for code in wanted if code in known)


def remember(response: Response) -> Response:
    """Keep a choice that was just made; forget it once its reader has left."""
    code = current().code
    options: dict[str, Any] = {"secure": ctx().settings.secure, "httponly": True, "path": "/"}
    if g.get("language_forgotten"):
        if COOKIE in request.cookies:
            response.delete_cookie(COOKIE, samesite="Lax", **options)
    elif request.args.get(CHOSEN) == code:
        response.set_cookie(COOKIE, code, max_age=LONGEST, samesite="Lax", **options)
    return response


def forget() -> None:
    """Let the choice made in this browser go with the page that is being answered."""
    g.language_forgotten = True


def written_day(day: date | datetime) -> str:
    """Return a day of London in the language of the page, such as `14 September 2023`."""
    local = day.astimezone(LONDON).date() if isinstance(day, datetime) else day
    return str(format_date(local, "d MMMM y", locale=current().code))


def _language(code: str, approver: str | None) -> Language:
    locale = Locale.parse(code)
    name = str(locale.get_display_name(code))
    return Language(code, name[:1].upper() + name[1:], locale.text_direction, approver)

"""How pages are put together: templates, the NHS components, dates and names as people read them.

The NHS templates need forgiving undefined values, ours are strict: so the components live in an
environment of their own, and our templates call `nhs("button", {...})`.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from flask import Flask, url_for
from flask_babel import gettext as _
from jinja2 import ChainableUndefined, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from consent_service import __version__
from consent_service.clock import LONDON
from consent_service.domain.roles import Permission
from consent_service.services import sign_in
from consent_service.web import film_times, here, languages, leaflet_words, words
from consent_service.web.navigation import links
from consent_service.web.sign_in import IDLE

LINE = re.compile(r"[A-Z]+(\.[A-Z]+)+ \([^)]+\)")
"""How the words of a form begin a line: its code, and for whom it is answered."""

_components = Environment(
    loader=PackageLoader("nhsuk_frontend_jinja"),
    autoescape=True,
    undefined=ChainableUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def register(app: Flask) -> None:
    """Give an app its templates' words, filters and components."""
    app.jinja_options = {
        "undefined": StrictUndefined,
        "trim_blocks": True,
        "lstrip_blocks": True,
    }
    languages.register(app)
    app.jinja_env.filters.update(
        long_date=long_date,
        long_time=long_time,
        nhs_number=nhs_number,
        name=as_name,
        with_names=with_names,
        paragraphs=paragraphs,
        form_words=form_words,
        helps=words.helps,
        leaflet_words=leaflet_words.leaflet_words,
        with_code=with_code,
        moment=film_times.moment,
        long_length=film_times.long_length,
        long_size=film_times.long_size,
    )
    app.jinja_env.globals.update(
        nhs=component, said=words.said, tag=words.tag, asset=asset, may=_may, P=Permission
    )
    app.context_processor(_everywhere)


def component(name: str, params: Mapping[str, Any]) -> Markup:
    """Return one component of the NHS frontend."""
    template = _components.get_template(f"nhsuk/components/{name}/template.jinja")
    if fault := params.get("errorMessage"):
        params = {**params, "errorMessage": {"visuallyHiddenText": _("Error"), **fault}}
    # The templates escape what they print; nothing in them is ours to escape again.
    return Markup(template.render(params=params))  # noqa: S704


def long_date(day: date | datetime | None) -> str:
    """Return a day as `14 September 2023`, in the language of the page; nothing for None."""
    return "" if day is None else languages.written_day(day)


def long_time(at: datetime | None) -> str:
    """Return an instant as `14 September 2023 at 10:32 BST`; nothing for None."""
    if at is None:
        return ""
    local = at.astimezone(LONDON)
    day, minute = long_date(local), f"{local:%H:%M} {local.tzname()}"
    return (
        f"{day} at {minute}"
        if languages.current().code == languages.ENGLISH
        else f"{day}, {minute}"
    )


def nhs_number(number: str | None) -> str:
    """Return ten digits as `999 123 4560`, held together on one line."""
    if not number:
        return ""
    return f"{number[:3]}\N{NO-BREAK SPACE}{number[3:6]}\N{NO-BREAK SPACE}{number[6:]}"


def as_name(name: str) -> Markup:
    """Return a name kept apart from the direction of the words around it."""
    return Markup("<bdi>{}</bdi>").format(name)


def with_names(sentence: str, names: Iterable[str]) -> Markup:
    """Return a sentence in which each of these names is kept apart like a name by itself."""
    known = sorted({name for name in names if name}, key=len, reverse=True)
    if not known:
        return escape(sentence)
    parts = re.split(f"({'|'.join(map(re.escape, known))})", sentence)
    return Markup("").join(as_name(part) if part in known else escape(part) for part in parts)


def with_code(sentence: str) -> Markup:
    """Return a sentence that begins with a capital, its `names of settings` set as code."""
    parts = (sentence[:1].upper() + sentence[1:]).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )


def paragraphs(text: str) -> Markup:
    """Return plain text as paragraphs; a block of `- ` lines becomes a list."""
    blocks = [block.strip() for block in text.replace("\r\n", "\n").split("\n\n")]
    return Markup("\n").join(_block(block) for block in blocks if block)


def form_words(text: str) -> Markup:
    """Return the words of a consent form: the same characters, with lines set apart."""
    blocks = [block for block in text.split("\n\n") if block.strip()]
    return Markup("\n").join(
        Markup('<p class="pages-line">{}</p>').format(block)
        if LINE.fullmatch(block)
        else _block(block)
        for block in blocks
    )


def _block(block: str) -> Markup:
    lines = block.splitlines()
    if all(line.startswith("- ") for line in lines):
        items = Markup("").join(Markup("<li>{}</li>").format(line[2:]) for line in lines)
        return Markup('<ul class="nhsuk-list nhsuk-list--bullet">{}</ul>').format(items)
    return Markup("<p>{}</p>").format(Markup("<br>").join(escape(line) for line in lines))


def asset(path: str) -> str:
    """Return the address of a static file; a new version of the service is a new address."""
    return url_for("static", filename=path, v=__version__)


def _may(verb: Permission) -> bool:
    return here.may(verb)


def _everywhere() -> dict[str, Any]:
    organisation = here.ctx().policies.organisation
    return {
        "organisation_name": sign_in.organisation_name(here.ctx()),
        "organisation": organisation,
        "navigation": links(),
        "language": languages.current(),
        "signed_in": here.signed_in(),
        "idle_seconds": int(IDLE.total_seconds()),
    }

"""A family's own pages: the door, what I agreed to, my papers, and the way out of here.

Rules kept here:
  * the address says nothing about the family, and what does not open looks the same for any reason;
  * no film, no photo, nobody else's answers, no address of anybody;
  * every page has a link that leaves it for the weather, without JavaScript.
"""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms.validators import InputRequired

from consent_service.domain.forms import fill
from consent_service.domain.links import LinkKind
from consent_service.domain.policies import form_facts
from consent_service.errors import LinkClosed, NotFound
from consent_service.services import leaflets as leaflet_texts
from consent_service.services import link_sessions, own_page, own_papers, own_withdrawal, papers
from consent_service.services.consent_views import ConsentActView
from consent_service.services.own_page import OwnPage
from consent_service.web import languages, own_session
from consent_service.web.consent_draft import FIRST_SENTENCE
from consent_service.web.fields import DayField, PageForm, show, status, summary
from consent_service.web.here import ctx

own = Blueprint("own", __name__)
own.before_request(own_session.choose_language)
own.before_request(own_session.require_form_token)
own.after_request(own_session.say_nothing_of_here)
own.after_request(languages.remember)

NEUTRAL_PAGE = "https://www.bbc.co.uk/weather"
DOES_NOT_OPEN = _l(
    "This link and this date do not open anything. Check the date. After five wrong dates a link"
    " closes: then ask your guider for a new one."
)


class BirthForm(PageForm):
    """The one question at the door."""

    born_on = DayField(
        _l("Your date of birth"),
        [InputRequired(_l("Enter your date of birth."))],
        description=_l("For example, 27 3 1994. Your own, please."),
    )


def page(template: str, **more: Any) -> str:
    """Return a family's page: nothing of the team's menu, whoever is signed in beside it."""
    bare = {**own_session.BARE, "languages": languages.offered()}
    return render_template(template, **bare | more)


@own.route("/link/<token>", methods=["GET", "POST"])
def open_link(token: str) -> ResponseReturnValue:
    """Ask for the date of birth, and go on if it is right."""
    form = BirthForm()
    if form.sent and form.born_on.data is not None:
        try:
            opened = link_sessions.open_link(ctx(), token, form.born_on.data)
        except LinkClosed:
            # What was typed is not said back: two refusals differ in nothing.
            form.born_on.parts = ("", "", "")
            form.say(str(DOES_NOT_OPEN), "born_on")
        else:
            own_session.begin(opened)
            return redirect(url_for("own.inside"), 303)
    found = page("own/open.html", form=form, show=show, summary=summary)
    return found, status(form)


@own.get("/own/inside")
def inside() -> ResponseReturnValue:
    """Lead whoever holds a link to what it opens."""
    found = own_session.find()
    if found is None:
        raise LinkClosed(_("This page has closed. Open your link again."))
    if found.own.kind is LinkKind.PARENT:
        return redirect(url_for("own.home"))
    return redirect(url_for("own_consent.done" if found.act else "own_consent.start"))


@own.get("/own")
def home() -> str:
    """Show what somebody agreed to, in plain words, and their papers."""
    holder = own_session.holder(LinkKind.PARENT)
    mine = own_page.own_page(ctx(), holder.caller)
    return page(
        "own/home.html",
        name=holder.name,
        mine=mine,
        words=_words(mine),
        received=own_papers.own_papers(ctx(), holder.caller),
        stoppable=own_withdrawal.people(ctx(), holder.caller),
        ends_at=holder.ends_at,
    )


@own.get("/own/leaflet/<code>/<int:version>/<language>")
def leaflet(code: str, version: int, language: str) -> str:
    """Show a leaflet that they were given."""
    _require_given(code, version, language)
    shown = leaflet_texts.leaflet_text(ctx(), code, version, language)
    return page("own/leaflet.html", shown=shown)


@own.get("/own/leaflet/<code>/<int:version>/<language>/leaflet.pdf")
def leaflet_paper(code: str, version: int, language: str) -> Response:
    """Return a leaflet that they were given, to print."""
    _require_given(code, version, language)
    return paper(papers.leaflet_paper(ctx(), code, version, language), "leaflet")


@own.get("/own/copy/<id:act>.pdf")
def copy(act: str) -> Response:
    """Return the copy of something they signed."""
    large = request.args.get("print") == "large"
    caller = own_session.caller(LinkKind.PARENT)
    return paper(papers.consent_copy(ctx(), caller, act, large_print=large), "copy")


@own.get("/own/certificate/<id:order>.pdf")
def certificate(order: str) -> Response:
    """Return the certificate of something they stopped, once it was destroyed."""
    caller = own_session.caller(LinkKind.PARENT)
    return paper(own_papers.certificate(ctx(), caller, order), "paper")


@own.get("/own/photos/<id:handover>.pdf")
def handover(handover: str) -> Response:
    """Return the receipt of photos that they were given."""
    caller = own_session.caller(LinkKind.PARENT)
    return paper(papers.handover_receipt(ctx(), caller, handover), "receipt")


@own.get("/own/leave")
def leave() -> Response:
    """Leave for a page that anybody might have open; nothing here goes on without the link."""
    own_session.leave()
    answer = Response(status=303, headers={"Location": NEUTRAL_PAGE})
    answer.headers["Clear-Site-Data"] = '"cache"'
    return answer


def paper(content: bytes, name: str) -> Response:
    """Return a paper whose file name tells nothing."""
    answer = Response(content, mimetype="application/pdf")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.pdf"'
    return answer


def line_words(act: ConsentActView) -> Mapping[tuple[str, bool], str]:
    """Return the first sentence of each line of an act's form: (code, for a child) -> words."""
    policies = ctx().policies
    form = policies.forms.get((act.form, act.form_version))
    if form is None:
        return {}
    leaflet_line = f"{act.leaflet_code}, V{act.leaflet_version}"
    facts = form_facts(policies.organisation, policies.schedule, leaflet_line)
    return {
        (statement.code, for_child): FIRST_SENTENCE.split(
            fill(wording, form.words[act.language], facts), maxsplit=1
        )[0]
        for statement in form.statements
        for text in (statement.texts[act.language],)
        for for_child, wording in ((False, text.wording), (True, text.child_wording))
        if wording
    }


def _words(mine: OwnPage) -> dict[tuple[str, str], str]:
    """Return the words of each line shown, by its statement and whom it is about."""
    by_act = {act.id: line_words(act) for act in mine.acts}
    return {
        (line.statement, line.about): by_act[line.act].get(
            (line.statement, line.about != mine.person), line.statement
        )
        for line in mine.lines
    }


def _require_given(code: str, version: int, language: str) -> None:
    mine = own_page.own_page(ctx(), own_session.caller(LinkKind.PARENT))
    if (code, version, language) not in {(g.code, g.version, g.language) for g in mine.leaflets}:
        raise NotFound(_("There is no such leaflet of yours."), kind="leaflet")

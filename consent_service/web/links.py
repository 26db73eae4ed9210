"""Links for a person of a family: made by the guider, shown once, listed, ended."""

import base64
import io

import qrcode
from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from qrcode.image.svg import SvgPathImage

from consent_service.domain.consent import Capacity
from consent_service.domain.links import LinkEnd, LinkKind
from consent_service.errors import Conflict, InvalidInput, NotFound
from consent_service.services import involvements, links
from consent_service.services.involvements import InvolvementView
from consent_service.web import headers
from consent_service.web.consent_forms import LANGUAGES
from consent_service.web.fields import PageForm, choice, first_of, show, status, summary
from consent_service.web.here import caller, ctx
from consent_service.web.words import said

link_pages = Blueprint("links", __name__, url_prefix="/links")

KINDS = (
    (LinkKind.PARENT.value, "Their own page: what they agreed to, their papers, and stopping"),
    (LinkKind.CONSENT.value, "One consent to answer at home, within seven days"),
)
ENDS = {
    LinkEnd.USED: "Used",
    LinkEnd.RAN_OUT: "Ran out",
    LinkEnd.REVOKED: "Ended",
    LinkEnd.LOCKED: "Closed after five wrong dates",
    LinkEnd.WITHDRAWN: "Ended: they withdrew since",
    LinkEnd.DIED: "Ended",
}
FINDINGS = (Capacity.NO_DOUBT, Capacity.ASSESSED_HAS, Capacity.LACKS_NOW)


class LinkForm(PageForm):
    """What a link is to open."""

    kind = choice("What should the link open?", KINDS)
    capacity = choice(
        "Can they decide about this now?", [(c.value, said(c)) for c in FINDINGS], sentence=""
    )
    language = choice("In which language are they asked?", sentence="")


@link_pages.route("/<id:involvement>/<id:person>", methods=["GET", "POST"])
def person(involvement: str, person: str) -> ResponseReturnValue:
    """List a person's links, and make one."""
    family = involvements.family(ctx(), caller(), involvement)
    name = _name(family, person)
    form = LinkForm()
    languages = sorted({code for form in ctx().policies.forms.values() for code in form.words})
    form.language.choices = [(code, LANGUAGES.get(code, code)) for code in languages]
    if not form.is_submitted():
        form.kind.data, form.language.data = LinkKind.PARENT.value, first_of(form.language)
    if form.sent:
        try:
            view, secret = links.make_link(ctx(), caller(), _wanted(form, involvement, person))
        except InvalidInput as fault:
            form.add_faults(fault)
        except Conflict as fault:
            form.say(fault.message)
        else:
            return _made(family, name, view, secret)
    page = render_template(
        "links/person.html",
        form=form,
        show=show,
        summary=summary,
        family=family,
        name=name,
        made=links.list_links(ctx(), caller(), involvement, person),
        ends=ENDS,
        kinds=dict(KINDS),
    )
    return page, status(form)


@link_pages.post("/<id:link>/end")
def end(link: str) -> ResponseReturnValue:
    """End a link; what it has open closes."""
    view = links.end_link(ctx(), caller(), link)
    flash("The link is ended. It opens nothing any more.", "success")
    return redirect(url_for("links.person", involvement=view.involvement, person=view.person))


def _made(
    family: InvolvementView, name: str, view: links.LinkView, secret: str
) -> ResponseReturnValue:
    """Show a link, this once, as text and as a square code."""
    address = ctx().settings.public_url + url_for("own.open_link", token=secret)
    headers.with_drawn_code()
    return render_template(
        "links/made.html", family=family, name=name, link=view, address=address, code=_code(address)
    )


def _code(address: str) -> str:
    """Return a square code as an address that holds its picture."""
    drawn = io.BytesIO()
    qrcode.make(address, image_factory=SvgPathImage, border=4).save(drawn)
    return "data:image/svg+xml;base64," + base64.b64encode(drawn.getvalue()).decode("ascii")


def _wanted(form: LinkForm, involvement: str, person: str) -> links.MakeLink:
    kind = LinkKind(form.kind.data)
    if kind is LinkKind.PARENT:
        return links.MakeLink(involvement, person, kind)
    found = Capacity(form.capacity.data) if form.capacity.data else None
    return links.MakeLink(involvement, person, kind, form.language.data or "en", found)


def _name(family: InvolvementView, person: str) -> str:
    found = next((p.full_name for _, p in family.people if p.id == person), None)
    if found is None:
        raise NotFound("This person does not belong to the family.", kind="person")
    return found

"""Leaflets: reading and giving them; for the IG officer also their dates, reviews and overrides."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.file import FileField, FileRequired

from consent_service.clock import london_day
from consent_service.domain.leaflets import LeafletRoute, LeafletStatus
from consent_service.errors import Conflict, InvalidInput, NotFound, PolicyFault
from consent_service.services import involvements, leaflet_import, leaflets, papers
from consent_service.services.leaflets import GiveLeaflet
from consent_service.web.consents import pdf
from consent_service.web.fields import PageForm, choice, day, show, status, summary, text
from consent_service.web.here import caller, ctx
from consent_service.web.layout import long_date
from consent_service.web.one_form import form_page
from consent_service.web.words import said

leaflet_pages = Blueprint("leaflets", __name__, url_prefix="/leaflets")

GIVEN_TODAY = (LeafletStatus.CURRENT, LeafletStatus.IN_REVIEW)
LARGEST_LEAFLET = 256 * 1024


class GiveForm(PageForm):
    """Which version was given, on which day, and how."""

    version = choice("Which version?", sentence="Choose the version.")
    given_on = day("On which day did they get it?")
    how = choice("How?", [(r.value, said(r)) for r in LeafletRoute])


class FileForm(PageForm):
    """The team's own leaflet file."""

    file = FileField("Leaflet file", [FileRequired("Choose the file.")])


class OverrideForm(PageForm):
    """Until when an archived version may be given, and why."""

    until_on = day("Until which day?", description="The last day before it is refused again.")
    reason = text("What is the reason?", "Give the reason for the override.")


@leaflet_pages.get("")
def listing() -> str:
    """List every version with its dates."""
    return render_template("leaflets/listing.html", leaflets=leaflets.list_leaflets(ctx()))


@leaflet_pages.get("/<code>/<int:version>")
def read(code: str, version: int) -> str:
    """Show the words of a version."""
    view = _version(code, version)
    language = ctx().policies.organisation.default_language
    shown = None
    if view.languages:
        chosen = language if language in view.languages else view.languages[0]
        shown = leaflets.leaflet_text(ctx(), code, version, chosen)
    return render_template("leaflets/read.html", view=view, shown=shown)


@leaflet_pages.get("/<code>/<int:version>/leaflet.pdf")
def paper(code: str, version: int) -> ResponseReturnValue:
    """Return a version as a paper to hand over."""
    language = ctx().policies.organisation.default_language
    large = request.args.get("print") == "large"
    printed = papers.leaflet_paper(ctx(), code, version, language, large_print=large)
    return pdf(printed, f"leaflet-{code}-{version}")


@leaflet_pages.route("/give/<id:involvement>/<id:person>", methods=["GET", "POST"])
def give(involvement: str, person: str) -> ResponseReturnValue:
    """Write down that a leaflet was given; a version past its archive date is refused."""
    family = involvements.family(ctx(), caller(), involvement)
    receiver = next((p for _, p in family.people if p.id == person), None)
    if receiver is None:
        raise NotFound("This person does not belong to the family.", kind="person")
    form = GiveForm()
    _offer(form)
    if form.sent:
        try:
            _give(form, involvement, person)
        except InvalidInput as fault:
            form.add_faults(fault)
        except Conflict as fault:
            form.say(fault.message, "version")
        else:
            flash("The leaflet is written down. Next, ask for consent.", "success")
            if request.args.get("then") == "consent":
                return redirect(url_for("consents.begin", involvement=involvement, person=person))
            return redirect(url_for("families.show", involvement=involvement))
    page = render_template(
        "leaflets/give.html",
        form=form,
        show=show,
        summary=summary,
        family=family,
        person=receiver,
        current=[v for v in leaflets.list_leaflets(ctx()) if v.status in GIVEN_TODAY],
    )
    return page, status(form)


@leaflet_pages.route("/import", methods=["GET", "POST"])
def bring_in() -> ResponseReturnValue:
    """Register a leaflet from the team's own file."""
    form = FileForm()
    if form.sent:
        raw = form.file.data.stream.read(LARGEST_LEAFLET + 1)
        try:
            if len(raw) > LARGEST_LEAFLET:
                raise InvalidInput("A leaflet is smaller than 256 KiB.", {"file": "Too large."})
            done = leaflet_import.import_leaflet(ctx(), caller(), raw)
        except (PolicyFault, InvalidInput, Conflict) as fault:
            form.say(fault.message, "file")
        else:
            flash(
                f"{done.code} version {done.version} is registered as {said(done.status).lower()}.",
                "success",
            )
            return redirect(url_for("leaflets.listing"))
    page = render_template("leaflets/bring_in.html", form=form, show=show, summary=summary)
    return page, status(form)


@leaflet_pages.post("/<code>/<int:version>/review")
def review(code: str, version: int) -> ResponseReturnValue:
    """Record that a version was reviewed."""
    leaflets.record_review(ctx(), caller(), code, version)
    flash("The review is recorded. Reminders for this version stop.", "success")
    return redirect(url_for("leaflets.listing"))


@leaflet_pages.route("/<code>/<int:version>/override", methods=["GET", "POST"])
def override(code: str, version: int) -> ResponseReturnValue:
    """Let a version be given past its archive date, with reason and end."""
    view = _version(code, version)
    form = OverrideForm()
    if form.sent:
        try:
            leaflets.grant_override(
                ctx(), caller(), code, version, form.until_on.data, form.reason.data or ""
            )
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            flash("The override stands until that day.", "success")
            return redirect(url_for("leaflets.listing"))
    return form_page(
        form,
        "Give past the archive date",
        url_for("leaflets.listing"),
        caption=view.control_line,
        save="Grant the override",
        kind="warning",
    )


def _version(code: str, version: int) -> leaflets.LeafletView:
    found = (v for v in leaflets.list_leaflets(ctx()) if (v.code, v.version) == (code, version))
    view = next(found, None)
    if view is None:
        raise NotFound("There is no such leaflet version.", kind="leaflet")
    return view


def _offer(form: GiveForm) -> None:
    """Offer every version: an archived one may have been given before its date."""
    views = [v for v in leaflets.list_leaflets(ctx()) if v.status is not LeafletStatus.FORTHCOMING]
    views.sort(key=lambda v: (v.status is LeafletStatus.ARCHIVED, v.code, -v.version))
    form.version.choices = [
        (f"{v.code}/{v.version}", f"{v.code}, version {v.version}: {v.title}") for v in views
    ]
    form.version.render_kw = {"hints": {f"{v.code}/{v.version}": _when(v) for v in views}}
    if not form.is_submitted():
        form.version.data = form.version.choices[0][0] if views else None
        form.given_on.process(None, london_day(ctx().clock.now()))


def _when(view: leaflets.LeafletView) -> str:
    """Say of a version for which days it may be given."""
    until = long_date(view.archive_on)
    if view.status is LeafletStatus.ARCHIVED:
        return f"Archived on {until}. Choose it only if they got it before that day."
    return f"{said(view.status)}, issued on {long_date(view.issued_on)}, archive date {until}"


def _give(form: GiveForm, involvement: str, person: str) -> None:
    code, _, version = str(form.version.data).partition("/")
    language = ctx().policies.organisation.default_language
    leaflets.give_leaflet(
        ctx(),
        caller(),
        GiveLeaflet(
            involvement,
            person,
            code,
            form.given_on.data,
            LeafletRoute(form.how.data),
            language,
            int(version),
        ),
    )

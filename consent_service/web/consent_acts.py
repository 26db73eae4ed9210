"""What was answered: the end of a sitting, the act as recorded, the copy, the second check.

Rules kept here:
  * a no ends a sitting as well as a yes does: it is recorded, said back and thanked for;
  * whoever is still to be asked is offered next, so that a family is asked in one sitting;
  * what was copied from paper counts once somebody else has compared it with the scan.
"""

import re

from flask import Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import MultipleFileField

from consent_service.domain.consent import Answer, ConsentState
from consent_service.domain.people import FamilyRole
from consent_service.domain.policies import form_facts
from consent_service.domain.purposes import CARE
from consent_service.domain.withdrawal import Route
from consent_service.errors import Conflict, InvalidInput, TooLarge
from consent_service.services import (
    consent,
    consent_papers,
    involvements,
    papers,
    progress,
    timeline,
)
from consent_service.services.consent import ConsentActView
from consent_service.services.involvements import InvolvementView
from consent_service.services.people import PersonView
from consent_service.web import consent_draft
from consent_service.web.consents import consents, files_sent, pdf
from consent_service.web.fields import PageForm, show, status, summary
from consent_service.web.here import caller, ctx

__all__ = ["consents"]

ASKED_FIRST = (FamilyRole.PARENT, FamilyRole.CARER, FamilyRole.OTHER)
NOT_SAID_YET = (ConsentState.NOT_ASKED, ConsentState.NOT_ANSWERED)


@consents.get("/<id:act>/done")
def done(act: str) -> str:
    """Say what was recorded, offer the copy, and whom to ask next."""
    view = consent.consent_act(ctx(), caller(), act)
    family = involvements.family(ctx(), caller(), view.involvement)
    about_care = [d for d in view.decisions if d.purpose == CARE]
    names = {person.id: person for _, person in family.people}
    return render_template(
        "consents/done.html",
        act=view,
        person=names[view.person],
        names={identifier: person.full_name for identifier, person in names.items()},
        no_to_film=any(d.answer is Answer.NO for d in about_care),
        noes=sum(d.answer is Answer.NO for d in view.decisions),
        yeses=sum(d.answer is Answer.YES for d in view.decisions),
        asked_next=_asked_next(family, view),
        scan_missing=_waits_for_scan(view),
        ended_draft=_ended_draft(),
    )


def _waits_for_scan(view: ConsentActView) -> bool:
    on_paper = view.route is Route.PAPER and bool(view.decisions)
    return on_paper and consent_papers.paper(ctx(), caller(), view.id) is None


def _ended_draft() -> str:
    """Return the draft that this act came from, so that the device forgets what it kept of it."""
    draft = request.args.get("of", "")
    return draft if re.fullmatch("[0-9a-f]{32}", draft) else ""


def _asked_next(family: InvolvementView, view: ConsentActView) -> list[PersonView]:
    """Return who in the family has not been asked, or not answered, about film."""
    said = progress.states(ctx(), caller(), family.id)
    return [
        person
        for member, person in family.people
        if member.role in ASKED_FIRST
        and person.id != view.person
        and all(s.state in NOT_SAID_YET for s in said.get(person.id, []) if s.purpose == CARE)
    ]


class ScanForm(PageForm):
    """The scan of a paper."""

    scan = MultipleFileField("The scan, or a photo of each page")


@consents.route("/<id:act>", methods=["GET"], endpoint="act")
def show_act(act: str) -> ResponseReturnValue:
    """Show one act as it was recorded."""
    return _act_page(consent.consent_act(ctx(), caller(), act), ScanForm())


@consents.post("/<id:act>/scan")
def attach(act: str) -> ResponseReturnValue:
    """Keep the scan of the paper with the act."""
    form = ScanForm()
    try:
        consent_papers.attach(ctx(), caller(), act, files_sent())
    except (InvalidInput, TooLarge, Conflict) as fault:
        form.say(fault.message, "scan")
        return _act_page(consent.consent_act(ctx(), caller(), act), form)
    flash("The scan is kept, encrypted. Now somebody else compares it.", "success")
    return redirect(url_for("consents.act", act=act))


@consents.get("/<id:act>/scan")
def scan(act: str) -> ResponseReturnValue:
    """Show the scan to whoever may read the act."""
    kept = consent_papers.scan(ctx(), caller(), act)
    if kept.media_type == "application/pdf":
        return pdf(kept.content, f"scan-{act}")
    return Response(kept.content, mimetype=kept.media_type)


def _act_page(view: ConsentActView, scan_form: ScanForm) -> ResponseReturnValue:
    family = involvements.family(ctx(), caller(), view.involvement)
    policies = ctx().policies
    form = policies.forms.get((view.form, view.form_version))
    leaflet = f"{view.leaflet_code}, V{view.leaflet_version}"
    facts = form_facts(policies.organisation, policies.schedule, leaflet)
    page = render_template(
        "consents/act.html",
        scan=consent_papers.paper(ctx(), caller(), view.id),
        scan_form=scan_form,
        show=show,
        summary=summary,
        on_paper=view.route is Route.PAPER,
        recorder=timeline.names_of_staff(ctx(), frozenset({view.recorded_by})),
        act=view,
        family=family,
        names={person.id: person.full_name for _, person in family.people},
        own=view.recorded_by == caller().id,
        form=form,
        lines=consent_draft.line_words(form, view.language, facts) if form else {},
    )
    return page, status(scan_form)


@consents.get("/<id:act>/copy.pdf")
def copy(act: str) -> ResponseReturnValue:
    """Return the parent's copy."""
    large = request.args.get("print") == "large"
    return pdf(papers.consent_copy(ctx(), caller(), act, large_print=large), f"consent-{act}")


@consents.post("/<id:act>/confirm")
def confirm_late(act: str) -> ResponseReturnValue:
    """Confirm, as a second person, an act that was recorded later or from paper."""
    try:
        consent.check_late(ctx(), caller(), act)
    except Conflict as fault:
        if fault.code != "scan_missing":
            raise
        form = ScanForm()
        form.say(fault.message)
        return _act_page(consent.consent_act(ctx(), caller(), act), form)
    flash("Checked. The answers count from now on.", "success")
    return redirect(url_for("consents.act", act=act))

"""Ends that the organisation makes, and asking again after a form has changed.

Rules kept here:
  * what an end would destroy is shown before it happens, and confirming is refused if it changed;
  * the reason in words is asked for every time; it is kept with the consent and in no log.
"""

import hashlib
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import HiddenField

from consent_service.domain.consent_ends import InvalidBecause, RevokedBecause
from consent_service.errors import Conflict, InvalidInput
from consent_service.services import (
    assets,
    consent,
    form_library,
    invalidation,
    involvements,
    people,
    progress,
    reconsents,
    revocation,
    timeline,
)
from consent_service.services.access import require_fresh
from consent_service.services.revocation import ENDABLE, RevocationPreview, RevokeConsent
from consent_service.web.fields import PageForm, choice, several, show, status, summary, text
from consent_service.web.here import caller, ctx
from consent_service.web.one_form import form_page

consent_ends = Blueprint("consent_ends", __name__, url_prefix="/governance")

NEVER_VALID = [
    (InvalidBecause.WRONG_PERSON.value, "Somebody else answered in this person's name"),
    (InvalidBecause.NO_AUTHORITY.value, "They had no right to decide for the child"),
    (InvalidBecause.LACKED_CAPACITY.value, "They could not decide at the time"),
    (InvalidBecause.UNDER_PRESSURE.value, "They were not free to say no"),
    (InvalidBecause.WRONG_WORDS.value, "They were shown other words than these"),
]
ENDED = [
    (RevokedBecause.USE_ENDED.value, "This use has ended, for example a study"),
    (RevokedBecause.SERVICE_ENDED.value, "The service ends"),
    (RevokedBecause.PROMISE_NOT_KEPT.value, "We cannot keep what the form promised"),
    (RevokedBecause.LEGAL_DUTY.value, "The law or a court asks for it"),
]


SHUT_FOR_WANT_OF_KEY = (
    "An earlier yes stands again, but its key was destroyed when the later yes took its place. Film"
    " that stands on it stays shut, and none can be taken in. Ask the person again: a new yes opens"
    " it."
)


class InvalidForm(PageForm):
    """Why an act was never valid."""

    because = choice("What was wrong?", NEVER_VALID, "Choose what was wrong.")
    reason = text(
        "What happened?",
        "Say what happened.",
        description="Kept with the consent. It is not written to any log.",
    )


class EndConsentForm(PageForm):
    """What the organisation ends, and why."""

    purposes = several("Which uses end?", description="Ending care ends every use.")
    because = choice("Why do we end it?", ENDED, "Choose why we end it.")
    reason = text(
        "Say it in words that the family may hear",
        "Give the reason.",
        description="Kept with the consent. It is not written to any log.",
    )
    seen = HiddenField()

    def wanted(self, involvement: str, person: str) -> RevokeConsent:
        """Return what was chosen; raises InvalidInput when no use was."""
        chosen = tuple(self.purposes.data or ())
        if not chosen:
            raise InvalidInput("Choose a use.", {"purposes": "Choose at least one use."})
        because = RevokedBecause(self.because.data)
        return RevokeConsent(involvement, person, because, self.reason.data or "", chosen)


@consent_ends.get("/ask-again")
def ask_again() -> str:
    """List whom to ask again, with what changed in their form."""
    waiting = reconsents.waiting(ctx(), caller())
    return render_template(
        "governance/ask_again.html",
        waiting=waiting,
        names=people.names_in(ctx(), caller(), (one.involvement for one in waiting)),
        staff=timeline.names_of_staff(ctx(), frozenset(one.guider for one in waiting)),
    )


@consent_ends.get("/forms/<form>/changes/<int:old>/<int:new>")
def changes(form: str, old: int, new: int) -> str:
    """Show two versions of a form side by side, only the lines that differ."""
    language = request.args.get("language", ctx().policies.organisation.default_language)
    found = form_library.changes(ctx(), form, old, new, language)
    return render_template("governance/changes.html", found=found)


@consent_ends.route("/consents/<id:act>/never-valid", methods=["GET", "POST"])
def invalidate(act: str) -> ResponseReturnValue:
    """Mark an act of consent as never valid."""
    view = consent.consent_act(ctx(), caller(), act)
    family = involvements.family(ctx(), caller(), view.involvement)
    form = InvalidForm()
    if form.sent:
        because = InvalidBecause(form.because.data)
        try:
            done = invalidation.invalidate(ctx(), caller(), act, because, form.reason.data or "")
        except InvalidInput as fault:
            form.add_faults(fault)
        except Conflict as fault:
            form.say(fault.message)
        else:
            flash(_kept_apart(len(done.kept_apart)), "success")
            if done.without_key:
                flash(SHUT_FOR_WANT_OF_KEY, "warning")
            return redirect(url_for("consents.act", act=act))
    return form_page(
        form,
        "This consent was never valid",
        url_for("consents.act", act=act),
        caption=next(p.full_name for _, p in family.people if p.id == view.person),
        save="Mark it as never valid",
        kind="warning",
        words=(
            "Nothing that was answered in it counts any more, from the day it was given.",
            "Film that stood on it is locked away, not destroyed. It waits for a decision about"
            " each film, clip and photo.",
            "This cannot be taken back. The right person can be asked at any time.",
        ),
    )


def _kept_apart(count: int) -> str:
    if not count:
        return "Marked as never valid. No film stood on it alone."
    things = "film, clip or photo waits" if count == 1 else "films, clips or photos wait"
    return f"Marked as never valid. {count} {things} for a decision."


@consent_ends.route("/families/<id:involvement>/people/<id:person>/end", methods=["GET", "POST"])
def revoke(involvement: str, person: str) -> ResponseReturnValue:
    """End somebody's consent as the organisation: choose, see what would happen, confirm."""
    require_fresh(caller())
    family = involvements.family(ctx(), caller(), involvement)
    name = next((p.full_name for _, p in family.people if p.id == person), "")
    form = EndConsentForm()
    form.purposes.choices = _endable(involvement, person)
    if form.sent:
        try:
            wanted = form.wanted(involvement, person)
            would = revocation.preview(ctx(), caller(), wanted)
            if form.seen.data != _digest(would):
                return _show(family, name, form, would), 200
            done = revocation.revoke(ctx(), caller(), wanted)
        except InvalidInput as fault:
            form.add_faults(fault)
        except Conflict as fault:
            form.say(fault.message)
        else:
            flash("It has ended, and nobody can watch. Tell the family, and why.", "success")
            return redirect(url_for("certificates.order", order=done.erasure_order))
    page = render_template(
        "governance/end_consent.html",
        form=form,
        family=family,
        person_name=name,
        show=show,
        summary=summary,
    )
    return page, status(form)


def _show(family: Any, name: str, form: EndConsentForm, would: RevocationPreview) -> str:
    return render_template(
        "governance/end_preview.html",
        family=family,
        person_name=name,
        shown=would,
        seen=_digest(would),
        sent=[(key, value) for key, value in request.form.items(multi=True) if key in _SENT],
        kept={a.id: a for a in assets.assets(ctx(), caller(), family.id)},
        purposes=ctx().policies.purposes,
    )


_SENT = ("purposes", "because", "reason")


def _endable(involvement: str, person: str) -> list[tuple[str, str]]:
    """Return the uses that were said yes to and have not ended, by code."""
    labels = ctx().policies.purposes
    found = progress.states(ctx(), caller(), involvement).get(person, [])
    return [
        (s.purpose, _label(labels[s.purpose.partition(":")[0]].label, s.purpose))
        for s in found
        if s.state in ENDABLE
    ]


def _label(label: str, purpose: str) -> str:
    use = purpose.partition(":")[2]
    return f"{label} ({use})" if use else label


def _digest(would: RevocationPreview) -> str:
    listing = repr((would.purposes, would.lines, would.cannot_recall))
    return hashlib.sha256(listing.encode()).hexdigest()

"""Photos to keep, what parents say, words that may be printed, and what left the service.

Rules kept here:
  * photos are offered and decided one by one, and a receipt says which;
  * words are printed only with leave for exactly these words;
  * what leaves the service is written down, since it cannot be called back.
"""

from flask import Blueprint, Response, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField
from wtforms.validators import InputRequired

from consent_service.clock import london_day
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.consent import ConsentState
from consent_service.domain.people import FamilyRole, MeetingKind
from consent_service.domain.purposes import KEEPSAKE
from consent_service.errors import ConsentServiceError, InvalidInput, NotFound
from consent_service.services import (
    assets,
    consent_states,
    disclosures,
    handovers,
    involvements,
    papers,
    said_and_given,
    timeline,
)
from consent_service.services.assets import AssetView
from consent_service.services.handovers import HandoverView, PermitQuote
from consent_service.services.involvements import InvolvementView
from consent_service.web.consents import pdf
from consent_service.web.fields import PageForm, choice, day, line, maybe_day, several, text
from consent_service.web.here import caller, ctx
from consent_service.web.layout import long_date
from consent_service.web.one_form import form_page
from consent_service.web.photo_screen import photo_called, photos_of
from consent_service.web.words import said

handover_pages = Blueprint("handovers", __name__)

GROWN = (FamilyRole.PARENT, FamilyRole.CARER)


class OfferForm(PageForm):
    """To whom, and which photos."""

    person = choice("Whom do you offer photos?", sentence="Choose the person.")
    stills = several("Which photos?")
    looked = BooleanField(
        "I looked at each of these photos: nobody else can be seen in them",
        [InputRequired("Look at each photo first. Somebody else in it has to be asked.")],
    )


class FeedbackForm(PageForm):
    """What a parent said."""

    person = choice("Who said it?", sentence="Choose the person.")
    words = text("What did they say?", "Write down what they said.")


class QuoteForm(PageForm):
    """Leave to print exact words."""

    person = choice("Whose words are they?", sentence="Choose the person.")
    words = text(
        "The exact words",
        "Write down the exact words.",
        description="As they will be printed. Read them back to the parent.",
    )
    audience = line("Who will read them?", "Say who will read them.")
    until_on = day("Until which day may they be printed?")


class DisclosureForm(PageForm):
    """What leaves the service: to whom, for what, until when."""

    asset = choice("What?", sentence="Choose the film, clip or photo.")
    purpose = choice("For which use?", sentence="Choose the use.")
    recipient = line("Who gets it?", "Say who gets it.")
    disclosed_on = day("On which day?")
    until_on = maybe_day(
        "Until when may they keep it?", description="Leave it empty if not agreed."
    )


class TakeBackForm(PageForm):
    """The day on which it came back or was destroyed."""

    on = day("On which day did it come back, or was it destroyed?")


@handover_pages.get("/families/<id:involvement>/photos")
def listing(involvement: str) -> str:
    """Show photos, feedback, quotes and disclosures of a family on one page."""
    family = _family(involvement)
    today = london_day(ctx().clock.now())
    return render_template(
        "handovers/listing.html",
        family=family,
        names=_names(family),
        handovers=handovers.handovers(ctx(), caller(), involvement),
        feedback=said_and_given.feedback(ctx(), caller(), involvement),
        quotes=said_and_given.quotes(ctx(), caller(), involvement),
        disclosures=said_and_given.disclosures(ctx(), caller(), involvement),
        films={a.id: _called(a) for a in assets.assets(ctx(), caller(), involvement)},
        purposes=ctx().policies.purposes,
        today=today,
    )


@handover_pages.route("/families/<id:involvement>/photos/offer", methods=["GET", "POST"])
def offer(involvement: str) -> ResponseReturnValue:
    """Choose the photos that a parent may keep."""
    family = _family(involvement)
    photos = photos_of(involvement)
    form = OfferForm()
    form.person.choices = _grown(family)
    form.stills.choices = [(photo.id, photo.title) for photo in photos]
    _preset(form.person, form)
    if form.sent:
        try:
            made = handovers.offer(
                ctx(), caller(), involvement, form.person.data, tuple(form.stills.data or ())
            )
        except InvalidInput as fault:
            form.add_faults(fault)
        except ConsentServiceError as fault:
            form.say(fault.message, "stills")
        else:
            return redirect(url_for("photos.decide", involvement=involvement, handover=made.id))
    return form_page(
        form,
        "Offer photos to keep",
        _back(involvement),
        save="Show them one by one",
        template="handovers/offer.html",
        photos=photos,
        not_yet=_not_yet(involvement, _names(family)),
        names=_names(family),
        early=not _closing_meeting(involvement),
        family=family,
    )


@handover_pages.get("/families/<id:involvement>/photos/<id:handover>/receipt.pdf")
def receipt(involvement: str, handover: str) -> Response:
    """Return the receipt of photos as a paper for the parent."""
    _handover(involvement, handover)
    return pdf(papers.handover_receipt(ctx(), caller(), handover), f"photos-{handover}")


@handover_pages.route("/families/<id:involvement>/feedback/add", methods=["GET", "POST"])
def words(involvement: str) -> ResponseReturnValue:
    """Write down what a parent said about the work."""
    family = _family(involvement)
    form = FeedbackForm()
    form.person.choices = _grown(family)
    _preset(form.person, form)
    if form.sent:
        try:
            handovers.record_feedback(
                ctx(), caller(), involvement, form.person.data, form.words.data or ""
            )
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            flash("The feedback is written down. After a year it is made anonymous.", "success")
            return redirect(_back(involvement))
    intro = ("Nothing of it is printed anywhere unless the parent permits the exact words.",)
    return form_page(form, "Feedback", _back(involvement), words=intro)


@handover_pages.route("/families/<id:involvement>/quotes/add", methods=["GET", "POST"])
def quote(involvement: str) -> ResponseReturnValue:
    """Record leave to print exact words, for whom and until when."""
    family = _family(involvement)
    form = QuoteForm()
    form.person.choices = _grown(family)
    _preset(form.person, form)
    if form.sent:
        wanted = PermitQuote(
            involvement,
            form.person.data,
            form.words.data or "",
            form.audience.data or "",
            form.until_on.data,
        )
        try:
            handovers.permit_quote(ctx(), caller(), wanted)
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            flash("These exact words may be printed until that day.", "success")
            return redirect(_back(involvement))
    intro = ("The parent can end this at any time, and care stays the same.",)
    return form_page(form, "Permission to print words", _back(involvement), words=intro)


@handover_pages.post("/families/<id:involvement>/quotes/<id:quote>/end")
def end_quote(involvement: str, quote: str) -> ResponseReturnValue:
    """End the permission for a quote; leaflets that print it are flagged."""
    if quote not in {q.id for q in said_and_given.quotes(ctx(), caller(), involvement)}:
        raise NotFound("There is no such quote in this family.", kind="quote")
    flagged = handovers.withdraw_quote(ctx(), caller(), quote)
    flash("The permission has ended. These words are printed nowhere new.", "success")
    if flagged:
        flash("A leaflet prints these words: the information governance officer has been told.")
    return redirect(_back(involvement))


@handover_pages.route("/families/<id:involvement>/disclosures/add", methods=["GET", "POST"])
def disclose(involvement: str) -> ResponseReturnValue:
    """Write down that film or a photo leaves the service."""
    _family(involvement)
    form = DisclosureForm()
    found = [a for a in assets.assets(ctx(), caller(), involvement) if a.purposes]
    form.asset.choices = [(a.id, _called(a)) for a in found]
    form.purpose.choices = _uses(found)
    if not form.is_submitted():
        form.disclosed_on.process(None, london_day(ctx().clock.now()))
    if form.sent:
        wanted = disclosures.RecordDisclosure(
            form.asset.data,
            form.purpose.data,
            form.recipient.data or "",
            form.disclosed_on.data,
            form.until_on.data,
        )
        try:
            disclosures.record_disclosure(ctx(), caller(), wanted)
        except InvalidInput as fault:
            form.add_faults(fault)
        except ConsentServiceError as fault:
            form.say(fault.message, "purpose")
        else:
            flash("It is written down. It cannot be called back by us alone.", "success")
            return redirect(_back(involvement))
    intro = ("Only what everybody in it agreed to for this use may leave. Send it encrypted.",)
    return form_page(form, "What leaves the service", _back(involvement), words=intro)


@handover_pages.route(
    "/families/<id:involvement>/disclosures/<id:disclosure>/back", methods=["GET", "POST"]
)
def take_back(involvement: str, disclosure: str) -> ResponseReturnValue:
    """Write down that what left came back, or was destroyed by who had it."""
    if disclosure not in {d.id for d in said_and_given.disclosures(ctx(), caller(), involvement)}:
        raise NotFound("There is no such disclosure in this family.", kind="disclosure")
    form = TakeBackForm()
    if form.sent:
        try:
            disclosures.take_back_disclosure(ctx(), caller(), disclosure, form.on.data)
        except InvalidInput as fault:
            form.say(fault.message, "on")
        else:
            flash("It is written down.", "success")
            return redirect(_back(involvement))
    return form_page(form, "Taken back", _back(involvement))


def _not_yet(involvement: str, names: dict[str, str]) -> list[tuple[str, list[str]]]:
    """Return the photos that may not be kept, each with who has not said yes to it."""
    found = assets.assets(ctx(), caller(), involvement)
    waiting = [
        view
        for view in found
        if view.kind is AssetKind.STILL
        and view.state is AssetState.STORED
        and KEEPSAKE not in view.purposes
    ]
    said_yes = {
        line.person
        for person in {person for view in waiting for person in view.depicted}
        for line in consent_states.state(ctx(), caller(), person, None, None)
        if (line.involvement, line.purpose, line.state)
        == (involvement, KEEPSAKE, ConsentState.GIVEN)
    }
    return [
        (photo_called(view), [names.get(p, "somebody") for p in view.depicted if p not in said_yes])
        for view in waiting
    ]


def _closing_meeting(involvement: str) -> bool:
    held = timeline.meetings(ctx(), caller(), involvement)
    return any(meeting.kind is MeetingKind.CLOSING for meeting in held)


def _handover(involvement: str, handover: str) -> HandoverView:
    view = handovers.handover(ctx(), caller(), handover)
    if view.involvement != involvement:
        raise NotFound("There is no such handover in this family.", kind="handover")
    return view


def _family(involvement: str) -> InvolvementView:
    return involvements.family(ctx(), caller(), involvement)


def _grown(family: InvolvementView) -> list[tuple[str, str]]:
    return [(p.id, p.full_name) for m, p in family.people if m.role in GROWN]


def _preset(field: object, form: PageForm) -> None:
    if not form.is_submitted() and field.choices:  # type: ignore[attr-defined]
        field.data = field.choices[0][0]  # type: ignore[attr-defined]


def _uses(found: list[AssetView]) -> list[tuple[str, str]]:
    codes = sorted({purpose for view in found for purpose in view.purposes})
    known = ctx().policies.purposes
    return [
        (
            code,
            known[code.partition(":")[0]].label
            + (f" ({code.partition(':')[2]})" if ":" in code else ""),
        )
        for code in codes
    ]


def _called(view: AssetView) -> str:
    if view.kind is AssetKind.STILL:
        return photo_called(view)
    what = view.title or said(view.kind)
    kind = f" ({said(view.kind).lower()})" if view.title else ""
    return f"{what}{kind}, {long_date(view.filmed_on)}"


def _names(family: InvolvementView) -> dict[str, str]:
    return {person.id: person.full_name for _, person in family.people}


def _back(involvement: str) -> str:
    return url_for("handovers.listing", involvement=involvement)

"""Photos in front of the parent: one at a time, kept or not, then given as prints or as files.

Rules kept here:
  * one photo on the screen, and nothing beside it; the answers so far travel with the form, and
    nothing is written down before all of them were read back;
  * only a photo that everybody in it permits to keep can be kept, printed or saved;
  * what was given cannot be called back, so there is a receipt.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.purposes import CARE, KEEPSAKE
from consent_service.errors import ConsentServiceError, InvalidInput, NotFound
from consent_service.services import assets, handovers, involvements
from consent_service.services.assets import AssetView
from consent_service.services.handovers import ACCEPTED, HandoverView
from consent_service.web.fields import PageForm, choice, show, status, summary
from consent_service.web.film_times import moment
from consent_service.web.here import caller, ctx
from consent_service.web.layout import long_date
from consent_service.web.words import said

photo_screen = Blueprint(
    "photos", __name__, url_prefix="/families/<id:involvement>/photos/<id:handover>"
)

WAYS = [("print", "As a print"), ("file", "As a file")]
ACCEPT, DECLINE = "accept", "decline"


@dataclass(frozen=True)
class Photo:
    """A photo on a page: where it is seen and saved, what it is called, who is in it."""

    id: str
    title: str
    src: str
    file: str
    depicted: tuple[str, ...]


class DecideForm(PageForm):
    """How the photos that are kept were given."""

    how = choice("How do you give them?", WAYS, sentence="")


@photo_screen.route("", methods=["GET", "POST"])
def decide(involvement: str, handover: str) -> ResponseReturnValue:
    """Ask of one photo after the other whether it is kept; read the answers back; write down."""
    view = _handover(involvement, handover)
    photos = {photo.id: photo for photo in photos_of(involvement)}
    if view.closed_at is not None:
        return render_template("photos/given.html", handover=view, photos=photos, leaving=False)
    form = DecideForm()
    answers = {still: request.form.get(f"photo-{still}", "") for still in view.items}
    answers.pop(request.form.get("change", ""), None)
    answers = {still: answer for still, answer in answers.items() if answer in (ACCEPT, DECLINE)}
    left = [still for still in view.items if still not in answers]
    asked = request.form.get("asked")
    if left:
        if form.is_submitted() and asked is None:
            form.summary.append(("Say of this photo whether it is kept.", f"photo-{left[0]}"))
        return _one(form, view, photos, left[0], answers)
    if form.sent and asked is None and _written_down(form, view, answers):
        flash("The photos are written down. Give the parent the receipt.", "success")
        return redirect(request.path)
    return _check(form, view, photos, answers)


def _written_down(form: DecideForm, view: HandoverView, answers: Mapping[str, str]) -> bool:
    """Close the handover; False with what is wrong in the form."""
    accepted = tuple(still for still, answer in answers.items() if answer == ACCEPT)
    if accepted and not form.how.data:
        form.say("Say whether you give them as prints or as files.", "how")
        return False
    try:
        handovers.decide(ctx(), caller(), view.id, accepted, form.how.data or WAYS[0][0])
    except InvalidInput as fault:
        form.add_faults(fault)
    except ConsentServiceError as fault:
        form.say(fault.message)
    return not form.faults


def _one(
    form: DecideForm,
    view: HandoverView,
    photos: Mapping[str, Photo],
    still: str,
    answers: Mapping[str, str],
) -> ResponseReturnValue:
    page = render_template(
        "photos/one.html",
        form=form,
        handover=view,
        still=still,
        photo=photos.get(still),
        place=list(view.items).index(still) + 1,
        answers=answers,
        names=_names(view.involvement),
        summary=summary,
        leaving=False,
    )
    return page, status(form)


def _check(
    form: DecideForm, view: HandoverView, photos: Mapping[str, Photo], answers: Mapping[str, str]
) -> ResponseReturnValue:
    page = render_template(
        "photos/check.html",
        form=form,
        handover=view,
        photos=photos,
        answers=answers,
        some=ACCEPT in answers.values(),
        show=show,
        summary=summary,
        leaving=False,
    )
    return page, status(form)


@photo_screen.get("/prints")
def prints(involvement: str, handover: str) -> str:
    """Show the photos that were accepted, each on a sheet of its own."""
    view = _handover(involvement, handover)
    photos = {photo.id: photo for photo in photos_of(involvement)}
    taken = [still for still, outcome in view.items.items() if outcome == ACCEPTED]
    return render_template(
        "photos/prints.html",
        handover=view,
        photos=[photos[still] for still in taken if still in photos],
        leaving=False,
    )


@photo_screen.route("/leave", methods=["GET", "POST"])
def leave(involvement: str, handover: str) -> ResponseReturnValue:
    """Leave the screen in front of the parent on purpose."""
    view = _handover(involvement, handover)
    if request.method == "POST":
        return redirect(url_for("handovers.listing", involvement=involvement))
    return render_template("photos/leave.html", handover=view, leaving=True)


def photos_of(involvement: str) -> list[Photo]:
    """Return the photos that everybody in them agreed may be kept."""
    return [
        _photo(view)
        for view in assets.assets(ctx(), caller(), involvement)
        if view.kind is AssetKind.STILL
        and view.state is AssetState.STORED
        and KEEPSAKE in view.purposes
    ]


def _photo(view: AssetView) -> Photo:
    seen_for = CARE if CARE in view.purposes else KEEPSAKE
    return Photo(
        view.id,
        photo_called(view),
        url_for("films.content", asset=view.id, purpose=seen_for),
        url_for("films.content", asset=view.id, purpose=KEEPSAKE),
        view.depicted,
    )


def photo_called(view: AssetView) -> str:
    """Return what a photo is called: its name, or what it is, and where it was in the film."""
    what = view.title or said(view.kind)
    return f"{what}, {moment(view.start_ms)} in the film of {long_date(view.filmed_on)}"


def _handover(involvement: str, handover: str) -> HandoverView:
    view = handovers.handover(ctx(), caller(), handover)
    if view.involvement != involvement:
        raise NotFound("There is no such handover in this family.", kind="handover")
    return view


def _names(involvement: str) -> dict[str, str]:
    family = involvements.family(ctx(), caller(), involvement)
    return {person.id: person.full_name for _, person in family.people}

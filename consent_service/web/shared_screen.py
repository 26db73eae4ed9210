"""The screen in front of the parent: the clips that were chosen, their goals, their words.

Rules kept here:
  * a page of it holds this review and nothing else: no menu, no other family, no other clip, no
    notices left over from elsewhere, and none of what the guider wrote for herself;
  * one clip at a time, large, in the order in which they were chosen;
  * it is left on purpose, by a page that says what comes next on the screen.
"""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import RadioField
from wtforms.validators import Optional

from consent_service.documents.goal_plot import in_words, plot
from consent_service.domain.purposes import CARE
from consent_service.domain.roles import Permission
from consent_service.errors import ConsentServiceError, InvalidInput, NotFound
from consent_service.services import assets, cutting, reviews
from consent_service.services.assets import AssetView
from consent_service.services.cutting import MakeStill
from consent_service.services.reviews import GoalView, ReviewView, WriteSummary
from consent_service.web import headers
from consent_service.web.fields import PageForm, text
from consent_service.web.film_forms import moment_field
from consent_service.web.film_times import read_moment
from consent_service.web.films import Use
from consent_service.web.here import caller, ctx, may
from consent_service.web.one_form import form_page

together = Blueprint(
    "together", __name__, url_prefix="/families/<id:involvement>/reviews/<id:review>"
)

SCORES = [(str(score), str(score)) for score in range(1, 11)]


class PictureForm(PageForm):
    """A picture that the family likes, at a moment of the clip shown."""

    at_ms = moment_field("Moment of the photo", "Say at which moment to take the photo.")


class WordsForm(PageForm):
    """What was agreed at the end of a review."""

    strengths = text("What goes well", "Write down what goes well.")
    points = text("What to work on", "Write down what to work on.")
    next_step = text("Next step")


@together.get("")
def clip(involvement: str, review: str) -> str:
    """Show one of the clips that were chosen."""
    found, clips = _clips(involvement, review)
    place = min(request.args.get("clip", 1, int), len(clips)) if clips else 0
    return _screen(found, clips, max(place, 1), PictureForm())


@together.post("/photos")
def keep_photo(involvement: str, review: str) -> ResponseReturnValue:
    """Keep a picture of the clip on the screen, to be offered as a photo."""
    found, clips = _clips(involvement, review)
    place = request.args.get("clip", 1, int)
    if not 1 <= place <= len(clips):
        raise NotFound("There is no such clip in this review.", kind="clip")
    form = PictureForm()
    if form.sent:
        try:
            wanted = MakeStill(clips[place - 1].id, read_moment(form.at_ms.data or "") or 0)
            cutting.still(ctx(), caller(), wanted)
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            shown = url_for(
                "together.clip", involvement=involvement, review=review, clip=place, kept="photo"
            )
            return redirect(shown)
    return _screen(found, clips, place, form), 400


def _screen(review: ReviewView, clips: list[AssetView], place: int, form: PictureForm) -> str:
    headers.with_player()
    shown = clips[place - 1] if clips else None
    watchable = shown is not None and CARE in shown.purposes and may(Permission.FILM_WATCH)
    return render_template(
        "together/clip.html",
        involvement=review.involvement,
        review=review,
        clip=shown if watchable else None,
        place=place,
        count=len(clips),
        use=Use(CARE, ctx().policies.purposes[CARE].label),
        form=form,
        kept=request.args.get("kept") == "photo",
    )


@together.route("/goals", methods=["GET", "POST"])
def goals(involvement: str, review: str) -> ResponseReturnValue:
    """Ask the parent where they are with each goal, 1 to 10; any may stay unanswered."""
    found = _review(involvement, review)
    known = reviews.goals(ctx(), caller(), involvement)
    form = _rating_form(known)
    if form.sent:
        try:
            for goal in known:
                score = form[goal.id].data
                if score:
                    reviews.rate_goal(ctx(), caller(), goal.id, found.held_on, int(score))
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            return redirect(url_for("together.words", involvement=involvement, review=review))
    return form_page(
        form,
        "Where are you today?",
        "",
        template="together/goals.html",
        involvement=involvement,
        review=found,
        goals=known,
        plot=plot,
        in_words=in_words,
    )


def _rating_form(goals: list[GoalView]) -> PageForm:
    """Return a form with one choice of 1 to 10 for each goal."""

    class RatingsForm(PageForm):
        """Where the parent is with each goal."""

    for goal in goals:
        field = RadioField("Where are you today?", [Optional()], choices=SCORES)
        setattr(RatingsForm, goal.id, field)
    return RatingsForm()


@together.route("/summary", methods=["GET", "POST"])
def words(involvement: str, review: str) -> ResponseReturnValue:
    """Write down together what goes well and what to work on; it can change until it is signed."""
    found = _review(involvement, review)
    form = WordsForm()
    if found.summary and not form.is_submitted():
        kept = reviews.summary(ctx(), caller(), found.summary)
        form.strengths.data, form.points.data = kept.strengths, kept.points
        form.next_step.data = kept.next_step
    if form.sent:
        wanted = WriteSummary(
            review,
            form.strengths.data or "",
            form.points.data or "",
            form.next_step.data or None,
        )
        try:
            written = reviews.write_summary(ctx(), caller(), wanted)
        except InvalidInput as fault:
            form.add_faults(fault)
        except ConsentServiceError as fault:
            form.say(fault.message)
        else:
            return redirect(url_for("reviews.file", involvement=involvement, summary=written.id))
    return form_page(
        form,
        "What we saw together",
        "",
        template="together/words.html",
        words=("In your own words where you can. We read it together before it is signed.",),
        save="Save and read it together",
        involvement=involvement,
        review=found,
    )


@together.route("/leave", methods=["GET", "POST"])
def leave(involvement: str, review: str) -> ResponseReturnValue:
    """Leave the shared screen on purpose: what comes next is not for the parent's eyes."""
    found = _review(involvement, review)
    if request.method == "POST":
        flash("You have left the shared screen.", "success")
        return redirect(url_for("reviews.listing", involvement=involvement))
    return render_template("together/leave.html", involvement=involvement, review=found)


def _clips(involvement: str, review: str) -> tuple[ReviewView, list[AssetView]]:
    """Return a review and its clips as chosen; those that were erased since are left out."""
    found = _review(involvement, review)
    known = {a.id: a for a in assets.assets(ctx(), caller(), involvement)}
    return found, [known[identifier] for identifier in found.clips if identifier in known]


def _review(involvement: str, review: str) -> ReviewView:
    for found in reviews.reviews(ctx(), caller(), involvement):
        if found.id == review:
            return found
    raise NotFound("There is no such review in this family.", kind="review")

"""Shared reviews: clips are chosen, goals written down and rated, the summary read and filed."""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from consent_service.clock import london_day
from consent_service.documents.goal_plot import in_words, plot
from consent_service.domain.assets import ARRIVING, AssetKind, AssetState
from consent_service.domain.people import FamilyRole
from consent_service.errors import InvalidInput, NotFound
from consent_service.services import assets, involvements, papers, reviews
from consent_service.services.assets import AssetView
from consent_service.services.reviews import RecordReview, ReviewView
from consent_service.web.consents import pdf
from consent_service.web.fields import PageForm, choice, day, line, several, text
from consent_service.web.here import caller, ctx
from consent_service.web.layout import long_date
from consent_service.web.one_form import form_page

review_pages = Blueprint("reviews", __name__)

SCORES = [(str(score), str(score)) for score in range(1, 11)]


class ReviewForm(PageForm):
    """Which film, which clips, on which day."""

    recording = choice("Which film?", sentence="Choose the film.")
    clips = several(
        "Which clips do you watch together?",
        description="Choose moments in which it goes well.",
    )
    held_on = day("On which day?")


class FileForm(PageForm):
    """The record number of the system in which summaries are kept, where there is one."""

    outside_reference = line("Its number in the record system", longest=120)


class GoalForm(PageForm):
    """What a parent wants, in their own words."""

    words = text("What does the parent want?", "Write the goal down, in the parent's own words.")
    person = choice("Whose goal is it?", sentence="Choose the person.")


class RatingForm(PageForm):
    """A parent's own rating of a goal."""

    score = choice(
        "Where are you today?",
        SCORES,
        "Choose a number from 1 to 10.",
        description="1: far away from it. 10: I am there. The parent chooses.",
    )
    rated_on = day("On which day?")


@review_pages.route("/families/<id:involvement>/reviews/add", methods=["GET", "POST"])
def add(involvement: str) -> ResponseReturnValue:
    """Choose the clips for a shared review."""
    involvements.family(ctx(), caller(), involvement)
    found = _watchable(involvement)
    form = ReviewForm()
    recordings = [a for a in found if a.kind is AssetKind.RECORDING]
    form.recording.choices = [(a.id, _called(a)) for a in recordings]
    form.clips.choices = [(a.id, _called(a)) for a in found if a.kind is AssetKind.CLIP]
    if not form.is_submitted():
        form.held_on.process(None, london_day(ctx().clock.now()))
        form.recording.data = recordings[-1].id if recordings else None
    if form.sent:
        wanted = RecordReview(
            involvement,
            form.recording.data,
            form.held_on.data,
            tuple(form.clips.data or ()),
        )
        try:
            made = reviews.record_review(ctx(), caller(), wanted)
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            return redirect(url_for("together.clip", involvement=involvement, review=made.id))
    return form_page(
        form,
        "Plan a shared review",
        url_for("families.show", involvement=involvement),
        save="Watch together",
        template="reviews/add.html",
        involvement=involvement,
    )


@review_pages.get("/families/<id:involvement>/reviews")
def listing(involvement: str) -> str:
    """List a family's shared reviews and their summaries."""
    family = involvements.family(ctx(), caller(), involvement)
    return render_template(
        "reviews/listing.html",
        family=family,
        reviews=reviews.reviews(ctx(), caller(), involvement),
        summaries={s.review: s for s in reviews.summaries(ctx(), caller(), involvement)},
    )


@review_pages.route(
    "/families/<id:involvement>/summaries/<id:summary>/file", methods=["GET", "POST"]
)
def file(involvement: str, summary: str) -> ResponseReturnValue:
    """Read the summary back, then sign and file it; from then on it does not change."""
    kept = reviews.summary(ctx(), caller(), summary)
    if kept.involvement != involvement:
        raise NotFound("There is no such summary in this family.", kind="summary")
    form = FileForm()
    outside = ctx().policies.organisation.outside_record_system
    if form.sent:
        reference = form.outside_reference.data or None
        kept = reviews.file_summary(ctx(), caller(), summary, reference)
        if kept.filed_at is None:
            flash("The summary is signed. Enter its number once it is in the record system.")
        else:
            flash("The summary is filed. Dates for the film were worked out anew.", "success")
        return redirect(url_for("reviews.file", involvement=involvement, summary=summary, screen=1))
    return form_page(
        form,
        "Sign and file the summary" if kept.filed_at is None else "Summary",
        url_for("reviews.listing", involvement=involvement),
        template="reviews/file.html",
        kept=kept,
        review=_review(involvement, kept.review),
        on_screen=kept.filed_at is None or "screen" in request.args,
        involvement=involvement,
        goals=reviews.goals(ctx(), caller(), involvement),
        outside=outside,
        plot=plot,
        in_words=in_words,
    )


@review_pages.get("/families/<id:involvement>/summaries/<id:summary>/summary.pdf")
def paper(involvement: str, summary: str) -> Response:
    """Return the summary as a paper for the parent."""
    return pdf(papers.summary_paper(ctx(), caller(), summary), f"summary-{summary}")


@review_pages.route("/families/<id:involvement>/goals", methods=["GET", "POST"])
def goals(involvement: str) -> ResponseReturnValue:
    """Show a family's goals with the parents' ratings; write down another goal."""
    family = involvements.family(ctx(), caller(), involvement)
    form = GoalForm()
    form.person.choices = [
        (p.id, p.full_name)
        for m, p in family.people
        if m.role in (FamilyRole.PARENT, FamilyRole.CARER)
    ]
    if not form.is_submitted() and form.person.choices:
        form.person.data = form.person.choices[0][0]
    if form.sent:
        try:
            goal_words = form.words.data or ""
            reviews.record_goal(ctx(), caller(), involvement, form.person.data, goal_words)
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            flash("The goal is written down.", "success")
            return redirect(request.path)
    return form_page(
        form,
        "Goals",
        url_for("families.show", involvement=involvement),
        template="reviews/goals.html",
        family=family,
        names={person.id: person.full_name for _, person in family.people},
        goals=reviews.goals(ctx(), caller(), involvement),
        plot=plot,
        in_words=in_words,
    )


@review_pages.route("/families/<id:involvement>/goals/<id:goal>/rate", methods=["GET", "POST"])
def rate(involvement: str, goal: str) -> ResponseReturnValue:
    """Write down where the parent sees themselves today, 1 to 10."""
    known = {g.id: g for g in reviews.goals(ctx(), caller(), involvement)}
    if goal not in known:
        raise NotFound("There is no such goal in this family.", kind="goal")
    form = RatingForm()
    if not form.is_submitted():
        form.rated_on.process(None, london_day(ctx().clock.now()))
    if form.sent:
        try:
            reviews.rate_goal(ctx(), caller(), goal, form.rated_on.data, int(form.score.data))
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            flash("The rating is written down.", "success")
            return redirect(url_for("reviews.goals", involvement=involvement))
    return form_page(
        form,
        "Rate a goal",
        url_for("reviews.goals", involvement=involvement),
        words=(known[goal].words,),
        template="reviews/rate.html",
    )


def _watchable(involvement: str) -> list[AssetView]:
    """Return film that was stored, also where nobody may watch it any more: a review was held."""
    gone = (*ARRIVING, AssetState.ERASED, AssetState.LOCKED)
    return [a for a in assets.assets(ctx(), caller(), involvement) if a.state not in gone]


def _review(involvement: str, review: str) -> ReviewView:
    found = reviews.reviews(ctx(), caller(), involvement)
    return next(one for one in found if one.id == review)


def _called(film: AssetView) -> str:
    return f"{film.title or 'Film'}, {long_date(film.filmed_on)}"

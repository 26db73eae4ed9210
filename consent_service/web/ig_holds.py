"""Holds: who stops destruction and why, and the two people who let go again."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from consent_service.domain.assets import AssetState
from consent_service.domain.holds import HoldKind
from consent_service.errors import Conflict, InvalidInput, NotFound, Refused
from consent_service.services import assets, holds, involvements, timeline
from consent_service.services.access import require_fresh
from consent_service.services.holds import HoldView, PlaceHold
from consent_service.web.fields import PageForm, choice, maybe_day, text
from consent_service.web.here import caller, ctx, page_asked
from consent_service.web.layout import long_date
from consent_service.web.one_form import form_page
from consent_service.web.words import said

hold_pages = Blueprint("holds", __name__, url_prefix="/holds")

EVERYTHING = "everything"
KINDS = [(kind.value, said(kind)) for kind in HoldKind if kind is not HoldKind.DISPUTE]


class PlaceForm(PageForm):
    """What is held, why, and when somebody looks again."""

    kind = choice("Which kind of hold?", KINDS)
    asset = choice("What is held?", sentence="Choose what is held.")
    reason = text("What is the reason?", "Give the reason for the hold.")
    review_on = maybe_day("When should somebody look at it again?")


class ReleaseForm(PageForm):
    """Why a hold is not needed any more."""

    reason = text("Why is it not needed any more?", "Give the reason for releasing the hold.")


@hold_pages.get("")
def listing() -> str:
    """List the holds that stand, those that wait for a second person first."""
    page = holds.page_of_holds(ctx(), caller(), page_asked())
    acted = {who for hold in page.items for who in (hold.placed_by, hold.release_asked_by) if who}
    return render_template(
        "governance/holds.html",
        page=page,
        staff=timeline.names_of_staff(ctx(), frozenset(acted)),
        own=caller().id,
    )


@hold_pages.route("/place/<id:involvement>", methods=["GET", "POST"])
def place(involvement: str) -> ResponseReturnValue:
    """Place a hold on everything of a family, or on one film, clip or photo."""
    involvements.family(ctx(), caller(), involvement)
    form = PlaceForm()
    form.asset.choices = _things(involvement)
    if not form.is_submitted():
        form.asset.data = EVERYTHING
    if form.sent:
        asset = None if form.asset.data == EVERYTHING else form.asset.data
        wanted = PlaceHold(
            involvement,
            HoldKind(form.kind.data),
            form.reason.data or "",
            asset,
            form.review_on.data,
        )
        try:
            placed = holds.place(ctx(), caller(), wanted)
        except InvalidInput as fault:
            form.add_faults(fault)
        except Conflict as fault:
            form.say(fault.message)
        else:
            flash(
                "The hold stands."
                + (" Some of what it names was destroyed before." if placed.too_late else ""),
                "success",
            )
            return redirect(url_for("holds.listing"))
    return form_page(
        form,
        "Place a hold",
        url_for("families.show", involvement=involvement),
        words=("Nothing that it covers is destroyed until two people release it.",),
        save="Place the hold",
    )


@hold_pages.route("/<id:hold>/release", methods=["GET", "POST"])
def ask_release(hold: str) -> ResponseReturnValue:
    """Ask for a hold to be released."""
    found = _hold(hold)
    require_fresh(caller())
    form = ReleaseForm()
    if form.sent:
        try:
            holds.ask_release(ctx(), caller(), hold, form.reason.data or "")
        except InvalidInput as fault:
            form.add_faults(fault)
        except (Conflict, Refused) as fault:
            form.say(fault.message)
        else:
            flash("Asked. Another person confirms it.", "success")
            return redirect(url_for("holds.listing"))
    return form_page(
        form,
        "Ask to release a hold",
        url_for("holds.listing"),
        words=(f"{said(found.kind)}, placed on {long_date(found.placed_at)}: {found.reason}",),
        save="Ask for the release",
    )


@hold_pages.route("/<id:hold>/release/confirm", methods=["GET", "POST"])
def confirm_release(hold: str) -> ResponseReturnValue:
    """Confirm a release that somebody else asked for."""
    found = _hold(hold)
    require_fresh(caller())
    form = PageForm()
    if form.sent:
        try:
            holds.confirm_release(ctx(), caller(), hold)
        except (Conflict, Refused) as fault:
            form.say(fault.message)
        else:
            flash("The hold is released. What it kept back is ordered destroyed now.", "success")
            return redirect(url_for("holds.listing"))
    return form_page(
        form,
        "Release this hold?",
        url_for("holds.listing"),
        words=(
            f"{said(found.kind)}, placed on {long_date(found.placed_at)}: {found.reason}",
            "What a withdrawal asked to destroy, and this hold kept back, is destroyed then.",
        ),
        save="Release the hold",
        kind="warning",
    )


def _things(involvement: str) -> list[tuple[str, str]]:
    rows = [
        (view.id, f"{said(view.kind)} of {long_date(view.filmed_on)} {view.title or ''}".strip())
        for view in assets.assets(ctx(), caller(), involvement)
        if view.state is not AssetState.ERASED
    ]
    return [(EVERYTHING, "Everything of this family"), *rows]


def _hold(identifier: str) -> HoldView:
    found = holds.hold(ctx(), caller(), identifier)
    if found.released_at is not None:
        raise NotFound("There is no such hold that stands.", kind="hold")
    return found

"""The information governance officer's first page, messages, disputes and late consents."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from consent_service.domain.leaflets import LeafletStatus
from consent_service.errors import Conflict, InvalidInput, NotFound
from consent_service.services import (
    disputes,
    erasure,
    involvements,
    leaflets,
    notices,
    overview,
    people,
    timeline,
)
from consent_service.services.disputes import DisputeView
from consent_service.web.due_plot import bars
from consent_service.web.fields import PageForm, choice, text
from consent_service.web.here import caller, ctx, page_asked
from consent_service.web.one_form import form_page

governance = Blueprint("governance", __name__, url_prefix="/governance")

GIVE, DECLINE = "give", "decline"


class SettleForm(PageForm):
    """How a disagreement is settled, and why."""

    decision = choice(
        "What do you decide?",
        [
            (GIVE, "The yes stands: film may be used for this again"),
            (DECLINE, "The no stands: film may not be used for this"),
        ],
        "Choose what you decide.",
    )
    reason = text(
        "What is the reason?",
        "Give the reason for this decision.",
        description="Whom you asked, what law or advice you followed.",
    )


def show_overview() -> str:
    """Show what needs a person first, then how much there is of everything."""
    warned = (LeafletStatus.IN_REVIEW, LeafletStatus.ARCHIVED)
    versions = leaflets.list_leaflets(ctx())
    newest = {view.code: view for view in versions}
    return render_template(
        "governance/overview.html",
        overview=overview.overview(ctx(), caller()),
        leaflets=[view for view in newest.values() if view.status in warned],
        unread=notices.unread(ctx(), caller()),
        bars=bars,
    )


governance.add_url_rule("", "overview", show_overview)


@governance.get("/messages")
def inbox() -> str:
    """Show the messages that the service left for this person's roles."""
    found = notices.page_of_inbox(ctx(), caller(), page_asked())
    return render_template("governance/inbox.html", page=found)


@governance.post("/messages/<id:notice>/seen")
def seen(notice: str) -> ResponseReturnValue:
    """Note that a message was read."""
    notices.mark_seen(ctx(), caller(), notice)
    return redirect(url_for("governance.inbox"))


def list_disputes() -> str:
    """List disagreements that nobody settled yet."""
    found = disputes.standing(ctx(), caller())
    return render_template(
        "governance/disputes.html",
        disputes=found,
        names=people.names_in(ctx(), caller(), (dispute.involvement for dispute in found)),
        purposes=ctx().policies.purposes,
    )


governance.add_url_rule("/disputes", "disputes", list_disputes)


@governance.route("/disputes/<id:dispute>", methods=["GET", "POST"])
def resolve(dispute: str) -> ResponseReturnValue:
    """Settle a disagreement either way, with a reason."""
    found = _dispute(dispute)
    family = involvements.family(ctx(), caller(), found.involvement)
    form = SettleForm()
    if form.sent:
        give = form.decision.data == GIVE
        try:
            disputes.resolve(ctx(), caller(), dispute, give=give, reason=form.reason.data or "")
        except InvalidInput as fault:
            form.add_faults(fault)
        except Conflict as fault:
            form.say(fault.message)
        else:
            flash("The disagreement is settled. Both parents should hear of it from us.", "success")
            return redirect(url_for("governance.disputes"))
    return form_page(
        form,
        "Settle a disagreement",
        url_for("governance.disputes"),
        template="governance/resolve.html",
        save="Settle it",
        kind="warning",
        dispute=found,
        names={p.id: p.full_name for _, p in family.people},
        purposes=ctx().policies.purposes,
    )


@governance.get("/late-consents")
def late() -> str:
    """List consents that were recorded late and wait for a second person."""
    found = overview.late_consents(ctx(), caller())
    return render_template(
        "governance/late.html",
        acts=found,
        names=people.names_in(ctx(), caller(), (act.involvement for act in found)),
        staff=timeline.names_of_staff(ctx(), frozenset(act.recorded_by for act in found)),
        own=caller().id,
    )


@governance.get("/erasures")
def erasures() -> str:
    """List orders of erasure: what is open first, with the step that it stands at."""
    found = erasure.page_of_orders(ctx(), caller(), page_asked())
    return render_template(
        "governance/erasures.html",
        going=[order for order in found.items if order.state in erasure.OPEN],
        ended=[order for order in found.items if order.state not in erasure.OPEN],
        page=found,
    )


def _dispute(identifier: str) -> DisputeView:
    for found in disputes.standing(ctx(), caller()):
        if found.id == identifier:
            return found
    raise NotFound("There is no such disagreement that waits.", kind="dispute")

"""Retention: what is due and waits for people, why a thing is here, appraisals, the schedule."""

from collections.abc import Callable, Iterable

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from consent_service.domain.roles import Permission
from consent_service.errors import Conflict, InvalidInput, NotFound, Refused
from consent_service.services import assets, dispositions, retention, timeline
from consent_service.services.access import require_fresh
from consent_service.services.dispositions import Decide, Decision
from consent_service.web.fields import PageForm, choice, maybe_day, text
from consent_service.web.here import caller, ctx, may, page_asked
from consent_service.web.one_form import form_page

retention_pages = Blueprint("retention", __name__, url_prefix="/retention")

DECISIONS = [
    (Decision.DESTROY.value, "Destroy it (a second person confirms)"),
    (Decision.KEEP.value, "Keep it, and look again in a year"),
    (Decision.EXTEND.value, "Keep it until a day"),
]


class DecideForm(PageForm):
    """What becomes of a thing that is due."""

    decision = choice("What do you decide?", DECISIONS)
    look_again_on = maybe_day("Until which day?", description="Only if you keep it until a day.")
    reason = text("What is the reason?", "Give the reason for the decision.")


class ConfirmForm(PageForm):
    """The second person's answer."""

    agree = choice(
        "Do you agree that it is destroyed?",
        [("yes", "Yes, destroy it"), ("no", "No, send it back")],
        "Say whether you agree.",
    )


class RevokeForm(PageForm):
    """Why an appraisal is taken back."""

    reason = text("What is the reason?", "Give the reason for taking it back.")


@retention_pages.get("/due")
def due() -> str:
    """List what waits for a person, and what the next run would do."""
    page = dispositions.page_of_dispositions(ctx(), caller(), page_asked())
    planned = retention.plan(ctx(), caller()) if may(Permission.RETENTION_RUN) else None
    return render_template(
        "governance/due.html",
        page=page,
        planned=planned,
        staff=_staff(line.decided_by for line in page.items),
        own=caller().id,
        rules=ctx().policies.schedule.rules,
    )


@retention_pages.route("/due/<id:disposition>", methods=["GET", "POST"])
def decide(disposition: str) -> ResponseReturnValue:
    """Decide about one thing that is due."""
    line = dispositions.disposition(ctx(), caller(), disposition)
    form = DecideForm()
    if form.sent:
        wanted = Decide(
            Decision(form.decision.data), form.reason.data or "", form.look_again_on.data
        )
        try:
            dispositions.decide(ctx(), caller(), disposition, wanted)
        except InvalidInput as fault:
            form.add_faults(fault)
        except Conflict as fault:
            form.say(fault.message)
        else:
            destroyed = wanted.decision is Decision.DESTROY
            flash("Decided. A second person confirms it." if destroyed else "Decided.", "success")
            return redirect(url_for("retention.due"))
    return form_page(
        form,
        "Decide about a thing that is due",
        url_for("retention.due"),
        template="governance/decide.html",
        line=line,
        rule=ctx().policies.schedule.rules.get(line.rule),
    )


@retention_pages.route("/due/<id:disposition>/confirm", methods=["GET", "POST"])
def confirm(disposition: str) -> ResponseReturnValue:
    """Confirm, as the second person, that something is destroyed, or send it back."""
    line = dispositions.disposition(ctx(), caller(), disposition)
    require_fresh(caller())
    form = ConfirmForm()
    if form.sent:
        agree = form.agree.data == "yes"
        try:
            dispositions.confirm(ctx(), caller(), disposition, agree=agree)
        except (Conflict, Refused) as fault:
            form.say(fault.message)
        else:
            flash(
                "Confirmed. It is being destroyed." if agree else "Sent back to be decided anew.",
                "success",
            )
            return redirect(url_for("retention.due"))
    return form_page(
        form,
        "Destroy this?",
        url_for("retention.due"),
        template="governance/decide.html",
        save="Continue",
        kind="warning",
        line=line,
        rule=ctx().policies.schedule.rules.get(line.rule),
    )


@retention_pages.get("/why/<id:asset>")
def explain(asset: str) -> str:
    """Say why a film, clip or photo is here and until when: rule, facts, source."""
    return render_template(
        "governance/explain.html",
        why=retention.explain(ctx(), caller(), asset),
        film=assets.asset(ctx(), caller(), asset),
    )


@retention_pages.get("/schedule")
def schedule() -> str:
    """Show the retention schedule as it is in force."""
    return render_template("governance/schedule.html", schedule=ctx().policies.schedule)


@retention_pages.get("/appraisals")
def appraisals() -> str:
    """List the decisions that let a job destroy without asking."""
    found = retention.appraisals(ctx(), caller())
    people = [p for view in found for p in (view.first_approved_by, view.approved_by)]
    return render_template(
        "governance/appraisals.html",
        appraisals=found,
        staff=_staff(people),
        own=caller().id,
        rules=ctx().policies.schedule.rules,
    )


@retention_pages.post("/appraisals/<code>/approve")
def approve(code: str) -> ResponseReturnValue:
    """Approve an appraisal; the second of two people puts it in force."""

    def act() -> str:
        view = retention.approve_appraisal(ctx(), caller(), code)
        return (
            "The appraisal is in force."
            if view.approved_at
            else "Approved. It is in force once a second person has approved it."
        )

    return _then_back(act)


@retention_pages.route("/appraisals/<code>/revoke", methods=["GET", "POST"])
def revoke(code: str) -> ResponseReturnValue:
    """Take an appraisal back at once."""
    form = RevokeForm()
    if form.sent:
        try:
            retention.revoke_appraisal(ctx(), caller(), code, form.reason.data or "")
        except InvalidInput as fault:
            form.add_faults(fault)
        except Conflict as fault:
            form.say(fault.message)
        else:
            flash("The appraisal is taken back. What it covered waits for people.", "success")
            return redirect(url_for("retention.appraisals"))
    return form_page(
        form,
        "Take an appraisal back",
        url_for("retention.appraisals"),
        words=("From now on nothing is destroyed under it without asking.",),
        save="Take it back",
        kind="warning",
        caption=code,
    )


@retention_pages.post("/clock/confirm")
def confirm_clock() -> ResponseReturnValue:
    """Confirm that date and time are right after a jump."""
    ended = retention.confirm_clock(ctx(), caller())
    flash(
        "The clock is confirmed. Automatic destruction goes on."
        if ended
        else "The clock was not in doubt.",
        "success",
    )
    return redirect(url_for("governance.overview"))


def _then_back(act: Callable[[], str]) -> ResponseReturnValue:
    try:
        flash(act(), "success")
    except (Conflict, NotFound) as fault:
        flash(fault.message)
    except Refused as fault:
        if fault.code != "second_person":
            raise
        flash("You approved it first. A second person approves it now.")
    return redirect(url_for("retention.appraisals"))


def _staff(ids: Iterable[str | None]) -> dict[str, str]:
    known = frozenset(one for one in ids if one)
    return timeline.names_of_staff(ctx(), known)

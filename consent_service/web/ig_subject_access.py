"""Subject access: who asked what is held about them, by when, and the file that answers.

The passphrase of a file comes in a form's body, locks the one file that is sent, and is kept
nowhere; no name and no number ever stands in an address.
"""

from collections.abc import Callable
from datetime import date

from flask import Blueprint, Response, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from consent_service.clock import london_day
from consent_service.domain.subject_access import RequestState
from consent_service.errors import Conflict, InvalidInput
from consent_service.services import people, subject_access
from consent_service.services.access import require_fresh
from consent_service.services.subject_access import OpenRequest
from consent_service.web.fields import PageForm, choice, day, line, maybe_day, show, status, text
from consent_service.web.fields import summary as fault_summary
from consent_service.web.here import caller, ctx, page_asked
from consent_service.web.one_form import form_page

subject_access_pages = Blueprint("subject_access", __name__, url_prefix="/subject-access")

THEMSELVES, ANOTHER = "themselves", "another"


class FindForm(PageForm):
    """Whose record is asked for."""

    wanted = line("Name, or NHS number", "Enter a name or an NHS number.")


class OpenForm(PageForm):
    """When they asked, and who did."""

    asked_on = day("On which day did they ask?")
    who = choice(
        "Who asked?",
        [(THEMSELVES, "The person themselves"), (ANOTHER, "Somebody else, for them")],
        "Say who asked.",
    )
    asked_by = line("If somebody else: who?")
    authority = text("If somebody else: on what authority?", description="Such as a mandate seen.")


class AnswerForm(PageForm):
    """What was given."""

    given = text("What did the person get, and how?", "Say what was given, and how.")
    on = maybe_day("On which day? Leave empty for today.")


class FileForm(PageForm):
    """What locks the file."""

    passphrase = line(
        "Passphrase for the file",
        "Choose a passphrase.",
        render_kw={"autocomplete": "off"},
        description="14 characters or more. Tell it to the person by another way than the file.",
    )


@subject_access_pages.route("", methods=["GET", "POST"])
def listing() -> ResponseReturnValue:
    """List the requests, what is due first, and look for a person to open one for."""
    form = FindForm()
    found = people.find_people(ctx(), caller(), form.wanted.data or "") if form.sent else None
    rows = subject_access.page_of_requests(ctx(), caller(), page_asked())
    page = render_template(
        "governance/subject_access.html",
        form=form,
        show=show,
        summary=fault_summary,
        found=found,
        waiting=[row for row in rows.items if row.state is not RequestState.CLOSED],
        closed=[row for row in rows.items if row.state is RequestState.CLOSED],
        rows=rows,
        today=_today(),
    )
    return page, status(form)


@subject_access_pages.route("/people/<id:person>", methods=["GET", "POST"])
def begin(person: str) -> ResponseReturnValue:
    """Open a request of one person."""
    found = people.person(ctx(), caller(), person)
    form = OpenForm()
    if form.sent:
        other = form.who.data == ANOTHER
        if other and not form.asked_by.data:
            form.say("Say who asked.", "asked_by")
            return _begin_page(form, found.full_name)
        wanted = OpenRequest(
            person,
            form.asked_on.data,
            asked_by=form.asked_by.data if other else None,
            authority=form.authority.data if other else None,
        )
        try:
            made = subject_access.open_request(ctx(), caller(), wanted)
        except InvalidInput as fault:
            form.add_faults(fault)
        else:
            flash("The request is written down.", "success")
            return redirect(url_for("subject_access.show", request=made.id))
    return _begin_page(form, found.full_name)


def show_request(request: str) -> str:
    """Show one request and what can be done next."""
    found = subject_access.request(ctx(), caller(), request)
    return render_template(
        "governance/subject_access_request.html",
        request=found,
        person=people.person(ctx(), caller(), found.person),
        today=_today(),
    )


subject_access_pages.add_url_rule("/<id:request>", "show", show_request)


@subject_access_pages.route("/<id:request>/file", methods=["GET", "POST"])
def make_file(request: str) -> ResponseReturnValue:
    """Make the file that answers, locked with a passphrase, and send it."""
    require_fresh(caller())
    subject_access.request(ctx(), caller(), request)
    form = FileForm()
    if form.sent:
        try:
            content = subject_access.file(ctx(), caller(), request, form.passphrase.data or "")
        except InvalidInput as fault:
            form.add_faults(fault)
        except Conflict as fault:
            form.say(fault.message)
        else:
            answer = Response(content, mimetype="application/pdf")
            name = f"subject-access-{request}.pdf"
            answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
            return answer
    return form_page(
        form,
        "Make the file",
        url_for("subject_access.show", request=request),
        words=(
            "It holds everything about this person, and nothing of others that was not shared.",
            "Read it before you send it. We keep no copy; making it again reads everything anew.",
        ),
        save="Make the file",
    )


@subject_access_pages.route("/<id:request>/answer", methods=["GET", "POST"])
def answer(request: str) -> ResponseReturnValue:
    """Write down what was given."""
    subject_access.request(ctx(), caller(), request)
    form = AnswerForm()
    if form.sent:
        try:
            subject_access.answer(ctx(), caller(), request, form.given.data or "", form.on.data)
        except InvalidInput as fault:
            form.add_faults(fault)
        except Conflict as fault:
            form.say(fault.message)
        else:
            flash("The answer is written down.", "success")
            return redirect(url_for("subject_access.show", request=request))
    return form_page(form, "What did they get?", url_for("subject_access.show", request=request))


@subject_access_pages.post("/<id:request>/close")
def close(request: str) -> ResponseReturnValue:
    """Close a request or its appeal."""
    return _moved(request, lambda: subject_access.close(ctx(), caller(), request), "Closed.")


@subject_access_pages.post("/<id:request>/appeal")
def appeal(request: str) -> ResponseReturnValue:
    """Write down that the person is not content."""
    said = "The appeal is written down. The file is kept for six years after it ends."
    return _moved(request, lambda: subject_access.appeal(ctx(), caller(), request), said)


def _moved(request: str, move: Callable[[], object], said: str) -> ResponseReturnValue:
    try:
        move()
    except Conflict as fault:
        flash(fault.message, "error")
    else:
        flash(said, "success")
    return redirect(url_for("subject_access.show", request=request))


def _begin_page(form: PageForm, name: str) -> ResponseReturnValue:
    return form_page(
        form,
        "Open a subject access request",
        url_for("subject_access.listing"),
        caption=name,
        words=("The answer is due one calendar month after the day of asking.",),
        save="Open the request",
    )


def _today() -> date:
    return london_day(ctx().clock.now())

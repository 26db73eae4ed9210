"""Asking for consent, step by step: who answers, the words, each line, read back, signed.

Rules kept here:
  * what was entered is kept after every page, so that going back or losing the network loses none;
  * answers belong to the words they were given on: when the words changed, they are asked again;
  * nothing counts before it was read back and signed.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from functools import partial
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from consent_service.clock import LONDON, london_day
from consent_service.domain.consent import Capacity, SignatureKind
from consent_service.domain.form_changes import LineChange
from consent_service.domain.forms import FormFacts, fill
from consent_service.domain.people import FamilyRole, Responsibility, holder_for
from consent_service.domain.policies import form_facts
from consent_service.domain.withdrawal import Route
from consent_service.errors import (
    Conflict,
    ConsentServiceError,
    InvalidInput,
    NotFound,
    TooLarge,
    Unavailable,
)
from consent_service.services import (
    consent,
    consent_papers,
    drafts,
    form_library,
    involvements,
    leaflets,
    reconsents,
)
from consent_service.services.consent import Questions
from consent_service.services.drafts import DraftView
from consent_service.services.involvements import InvolvementView
from consent_service.services.people import PersonView
from consent_service.web import consent_draft
from consent_service.web.consent_forms import SetUpForm, SignForm
from consent_service.web.consent_steps import USES, USES_AFTER_FILMING, Steps
from consent_service.web.fields import show, status, summary
from consent_service.web.here import caller, ctx

consents = Blueprint("consents", __name__, url_prefix="/consents")

VIG, OTHER_PERSON = "vig", "vig-other-person"


@consents.route("/<id:involvement>/<id:person>", methods=["GET", "POST"])
def begin(involvement: str, person: str) -> ResponseReturnValue:
    """Say who answers, in which way, and on which leaflet."""
    family = involvements.family(ctx(), caller(), involvement)
    member, view = _member(family, person)
    given = [i for i in leaflets.issues(ctx(), caller(), involvement) if i.person == person]
    if not given:
        flash("Give the leaflet first. Consent only counts when it could be read.", "notice")
        return redirect(
            url_for("leaflets.give", involvement=involvement, person=person, then="consent")
        )
    form_id = OTHER_PERSON if member.role in (FamilyRole.OTHER, FamilyRole.STAFF) else VIG
    form = SetUpForm()
    form.offer(ctx().policies.latest_form(form_id).words, given)
    if not form.is_submitted():
        form.start(london_day(ctx().clock.now()))
    uses = request.args.get("about") == USES
    older = _older_version(involvement, person, form_id)
    if form.sent:
        body = {
            "involvement": involvement,
            "person": person,
            "form": form_id,
            "setup": form.setup(),
            "answers": {},
            "only": USES if uses else "",
            "older": None if uses else older,
        }
        return _after_setup(form, body)
    page = render_template(
        "consents/begin.html",
        form=form,
        show=show,
        summary=summary,
        family=family,
        person=view,
        uses=uses,
        older=older,
        decides_for=_decides_for(family, person),
        begun=[d for d in drafts.mine(ctx(), caller(), involvement) if d.body["person"] == person],
    )
    return page, status(form)


def _older_version(involvement: str, person: str, form: str) -> int | None:
    """Return the version they answered, when a newer one asks for an answer again (rule 10)."""
    found = reconsents.waiting(ctx(), caller(), involvement)
    waiting = (w for w in found if (w.person, w.form) == (person, form))
    return next((one.answered_version for one in waiting), None)


def _after_setup(form: SetUpForm, body: dict[str, Any]) -> ResponseReturnValue:
    draft = drafts.begin(ctx(), caller(), body["involvement"], body)
    if form.capacity.data == Capacity.LACKS_NOW:
        return redirect(url_for("consents.sign", draft=draft))
    return redirect(url_for("consents.words", draft=draft))


@consents.get("/draft/<id:draft>")
def resume(draft: str) -> ResponseReturnValue:
    """Go on with a draft where it stopped."""
    kept, steps = _draft(draft)
    if kept.body["setup"]["capacity"] == Capacity.LACKS_NOW:
        return redirect(url_for("consents.sign", draft=kept.id))
    if not steps.answers:
        return redirect(url_for("consents.words", draft=kept.id))
    if steps.first_open is None or not steps.unsaid:
        return redirect(url_for("consents.check", draft=kept.id))
    return redirect(_step(draft, steps.first_open))


@consents.post("/draft/<id:draft>/throw-away")
def throw_away(draft: str) -> ResponseReturnValue:
    """Throw a draft away: what was answered so far is gone."""
    kept = drafts.draft(ctx(), caller(), draft)
    drafts.drop(ctx(), caller(), draft)
    flash("It is thrown away. Nothing of it counts, and you can ask again at any time.", "success")
    return redirect(url_for("families.show", involvement=kept.involvement))


@consents.get("/draft/<id:draft>/words")
def words(draft: str) -> ResponseReturnValue:
    """Show the exact words, before any question, and what is different from the last time."""
    kept, steps = _draft(draft)
    person = _people(kept)[kept.body["person"]]
    asked_words = steps.asked.form.words[steps.asked.language]
    return render_template(
        "consents/words.html",
        draft=kept,
        asked=steps.asked,
        person=person.full_name,
        needs=person.information_needs,
        introduction=fill(asked_words.introduction, asked_words, steps.facts),
        first=_step(draft, 1),
        changes=_changes(kept, steps),
        older=kept.body.get("older"),
    )


@consents.route("/draft/<id:draft>/part/<int:number>", methods=["GET", "POST"])
def layer(draft: str, number: int) -> ResponseReturnValue:
    """Ask one thing: a line of the form, about each person whom it concerns."""
    kept, steps = _draft(draft)
    part = steps.part(number)
    faults: list[tuple[str, str]] = []
    if request.method == "POST":
        answers, faults = steps.take(part, request.form)
        steps = replace(steps, answers=answers)
        drafts.save(ctx(), caller(), draft, {**kept.body, "answers": answers})
        if not faults:
            last = number == len(steps.parts) or "check" in request.args
            check_them = url_for("consents.check", draft=draft)
            return redirect(check_them if last else _step(draft, number + 1))
    page = render_template(
        "consents/part.html",
        draft=kept,
        part=part,
        boxes=steps.boxes(part),
        faults=faults,
        wrong={field: sentence for sentence, field in faults},
        number=number,
        count=len(steps.parts),
        names=_names(kept),
        person=steps.asked.person,
        together=steps.together,
        may_stop_here=steps.begins_optional(number),
        changes={change.code: change for change in _changes(kept, steps)},
        sent=request.method == "POST",
        back_to=_step(draft, number - 1) if number > 1 else url_for("consents.words", draft=draft),
    )
    return page, 400 if faults else 200


@consents.get("/draft/<id:draft>/check")
def check(draft: str) -> ResponseReturnValue:
    """Read every answer back before signing."""
    kept, steps = _draft(draft)
    return render_template(
        "consents/check.html",
        draft=kept,
        heard=steps.heard,
        unsaid=steps.unsaid,
        names=_names(kept),
        person=steps.asked.person,
        page_of=partial(_step, draft),
    )


@consents.route("/draft/<id:draft>/sign", methods=["GET", "POST"])
def sign(draft: str) -> ResponseReturnValue:
    """Sign, drawn or typed, and record the act."""
    kept, steps = _draft(draft)
    setup = kept.body["setup"]
    form = SignForm()
    lacks = setup["capacity"] == Capacity.LACKS_NOW
    form.offer(paper=setup["route"] == Route.PAPER)
    if request.method == "POST" and (lacks or form.validate()):
        on_paper = not lacks and form.how.data == SignatureKind.PAPER
        try:
            scan = consent_papers.clean_scan(files_sent()) if on_paper else None
            act = consent.capture(ctx(), caller(), _act(kept, steps.asked))
        except (InvalidInput, Conflict, TooLarge) as fault:
            _show_faults(form, fault, steps)
        else:
            drafts.drop(ctx(), caller(), draft)
            if scan is not None:
                _keep(act, scan)
            return redirect(url_for("consents.done", act=act.id, of=draft))
    family = involvements.family(ctx(), caller(), kept.involvement)
    page = render_template(
        "consents/sign.html",
        form=form,
        show=show,
        summary=summary,
        draft=kept,
        setup=setup,
        person=_name(kept),
        decides_for=_decides_for(family, steps.asked.person),
        lacks=lacks,
        ask_again_on=consent_draft.ask_again_on(kept.body),
    )
    return page, status(form)


def pdf(content: bytes, name: str) -> Response:
    """Return a paper as a file to keep; its name holds an id only."""
    answer = Response(content, mimetype="application/pdf")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.pdf"'
    return answer


def _draft(identifier: str) -> tuple[DraftView, Steps]:
    """Return a draft and its steps; answers given on other words than today's are let go."""
    kept = drafts.draft(ctx(), caller(), identifier)
    body = kept.body
    asked = consent.questions(
        ctx(),
        caller(),
        consent.AskForm(
            kept.involvement,
            body["person"],
            body["form"],
            body["setup"]["language"],
            _earlier(body["setup"]),
        ),
    )
    if body.get("digest") != asked.digest:
        if body.get("answers"):
            flash("The words of the form have changed since. Go through it once more.", "notice")
        body = {**body, "answers": {}, "digest": asked.digest}
        drafts.save(ctx(), caller(), identifier, body)
        kept = replace(kept, body=body)
    steps = Steps(
        asked,
        _facts(asked),
        body["answers"],
        together=body["setup"]["route"] == Route.PAPER,
        only=USES_AFTER_FILMING if body.get("only") == USES else None,
    )
    return kept, steps


def _earlier(setup: dict[str, Any]) -> date | None:
    """Return the day whose version of the form counts, when that is not today's newest."""
    on = date.fromisoformat(setup["said_on"])
    today = london_day(ctx().clock.now())
    return on if on < today or setup["route"] == Route.PAPER else None


def _facts(asked: Questions) -> FormFacts:
    policies = ctx().policies
    return form_facts(policies.organisation, policies.schedule, asked.facts["leaflet"])


def _changes(kept: DraftView, steps: Steps) -> tuple[LineChange, ...]:
    """Return what is different from the version that this person answered before, if any."""
    older, asked = kept.body.get("older"), steps.asked
    if not older or older >= asked.form.version:
        return ()
    try:
        found = form_library.changes(
            ctx(), asked.form.id, older, asked.form.version, asked.language
        )
    except InvalidInput:
        return ()  # the older version has no words in this language to compare with
    concerned = {question.statement.code for question in asked.questions}
    gone = {change.code for change in found.lines if not change.after}
    return tuple(c for c in found.lines if c.code in concerned | gone or "." not in c.code)


def _keep(act: consent.ConsentActView, scan: consent_papers.CleanScan) -> None:
    """Keep a scan with its act; the act stands all the same, and the scan can be added later."""
    try:
        consent_papers.keep(ctx(), caller(), act.id, act.involvement, scan)
    except Unavailable:
        flash("The answers are recorded, but not the scan. Open them to attach it again.", "notice")


def files_sent() -> list[bytes]:
    """Return the files that came with a form, in order; an empty box counts as none."""
    sent = (file.stream.read() for file in request.files.getlist("scan"))
    return [content for content in sent if content]


def _act(kept: DraftView, asked: Questions) -> consent.CaptureConsent:
    signed = consent_draft.signature(request.form)
    return consent_draft.act(asked, kept.body, signed, _event_at(kept.body["setup"]))


def _event_at(setup: dict[str, Any]) -> datetime:
    """Return now for today, or noon of the day on which it was said earlier."""
    now = ctx().clock.now()
    on = date.fromisoformat(setup["said_on"])
    if on == london_day(now):
        return now
    return datetime.combine(on, time(12), LONDON).astimezone(UTC)


def _show_faults(form: SignForm, fault: ConsentServiceError, steps: Steps) -> None:
    """Put a fault of the signature beside its box, and one of an answer into words."""
    if not isinstance(fault, InvalidInput):
        form.say(fault.message)
        return
    asked = steps.asked
    lines = consent_draft.line_words(asked.form, asked.language, steps.facts)
    for name, sentence in fault.faults.items():
        if name == "signature":
            form.say(sentence, "typed_name" if form.how.data == SignatureKind.TYPED else "how")
            continue
        if name == "scan":
            form.say(sentence, "scan")
            continue
        code, _, about = name.partition(".")[2].rpartition(".")
        line = lines.get((code, about != asked.person))
        form.say(f"{sentence} {line}" if line else sentence)


def _decides_for(family: InvolvementView, person: str) -> list[tuple[str, Responsibility | None]]:
    """Return the children of a family by name, each with the ground on which `person` decides."""
    today = london_day(ctx().clock.now())
    return [
        (child.full_name, holder_for(family.responsibilities, child.id, person, today))
        for member, child in family.people
        if member.role in (FamilyRole.BABY, FamilyRole.SIBLING) and child.id != person
    ]


def _member(family: InvolvementView, person: str) -> tuple[involvements.Member, PersonView]:
    found = next(((m, p) for m, p in family.people if p.id == person), None)
    if found is None:
        raise NotFound("This person does not belong to the family.", kind="person")
    return found


def _people(kept: DraftView) -> dict[str, PersonView]:
    family = involvements.family(ctx(), caller(), kept.involvement)
    return {person.id: person for _, person in family.people}


def _names(kept: DraftView) -> dict[str, str]:
    return {identifier: person.full_name for identifier, person in _people(kept).items()}


def _name(kept: DraftView) -> str:
    return _names(kept)[kept.body["person"]]


def _step(draft: str, number: int, check: int | None = None) -> str:
    """Return the address of a page; one opened from the read-back leads back there."""
    return url_for("consents.layer", draft=draft, number=number, check=check)

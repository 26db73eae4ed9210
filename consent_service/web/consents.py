"""Asking for consent, step by step: who answers, the words, each line, read back, signed.

Rules kept here:
  * what was entered is kept after every page, so that going back or losing the network loses none;
  * nothing counts before it was read back and signed;
  * a no is an outcome like a yes: it is recorded and thanked for.
"""

from datetime import UTC, date, datetime, time
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from consent_service.clock import LONDON, london_day
from consent_service.domain.consent import Answer, Capacity, SignatureKind
from consent_service.domain.forms import FormFacts, Layer
from consent_service.domain.people import FamilyRole
from consent_service.domain.policies import form_facts
from consent_service.domain.withdrawal import Route
from consent_service.errors import Conflict, ConsentServiceError, InvalidInput, NotFound
from consent_service.services import consent, drafts, involvements, leaflets, papers
from consent_service.services.consent import Questions
from consent_service.services.drafts import DraftView
from consent_service.web import consent_draft
from consent_service.web.consent_forms import SetUpForm, SignForm
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
        return redirect(url_for("leaflets.give", involvement=involvement, person=person))
    form_id = OTHER_PERSON if member.role in (FamilyRole.OTHER, FamilyRole.STAFF) else VIG
    form = SetUpForm()
    form.offer(ctx().policies.latest_form(form_id).words, given)
    if not form.is_submitted():
        form.start(london_day(ctx().clock.now()))
    if form.sent:
        body = {
            "involvement": involvement,
            "person": person,
            "form": form_id,
            "setup": form.setup(),
            "answers": {},
        }
        return _after_setup(form, body)
    page = render_template(
        "consents/begin.html", form=form, show=show, summary=summary, family=family, person=view
    )
    return page, status(form)


def _after_setup(form: SetUpForm, body: dict[str, Any]) -> ResponseReturnValue:
    draft = drafts.begin(ctx(), caller(), body["involvement"], body)
    if form.capacity.data == Capacity.LACKS_NOW:
        return redirect(url_for("consents.sign", draft=draft))
    return redirect(url_for("consents.words", draft=draft))


@consents.get("/draft/<id:draft>/words")
def words(draft: str) -> ResponseReturnValue:
    """Show the exact words, before any question."""
    kept, asked = _draft(draft)
    return render_template(
        "consents/words.html", draft=kept, asked=asked, person=_name(kept), first=_step(draft, 1)
    )


@consents.route("/draft/<id:draft>/part/<int:number>", methods=["GET", "POST"])
def layer(draft: str, number: int) -> ResponseReturnValue:
    """Ask the questions of one layer about one person."""
    kept, asked = _draft(draft)
    pages = consent_draft.parts(asked)
    if not 1 <= number <= len(pages):
        raise NotFound("There is no such part.", kind="part")
    part = pages[number - 1]
    faults: list[tuple[str, str]] = []
    answers = dict(kept.body.get("answers", {}))
    if request.method == "POST":
        shown = _boxes(asked, part, answers, _facts(asked))
        read, faults = consent_draft.read_part(part, shown, request.form)
        for question in part.questions:
            answers.pop(consent_draft.key_of(question), None)
        answers |= read
        drafts.save(ctx(), caller(), draft, {**kept.body, "answers": answers})
        if not faults:
            last = number == len(pages) or "check" in request.args
            following = url_for("consents.check", draft=draft) if last else _step(draft, number + 1)
            return redirect(following)
    page = render_template(
        "consents/part.html",
        part=part,
        boxes=_boxes(asked, part, answers, _facts(asked)),
        faults=faults,
        wrong={field: sentence for sentence, field in faults},
        number=number,
        count=len(pages),
        about=_names(kept)[part.about],
        self_answer=part.about == asked.person,
        answering=_name(kept),
        back_to=_step(draft, number - 1) if number > 1 else url_for("consents.words", draft=draft),
    )
    return page, 400 if faults else 200


@consents.get("/draft/<id:draft>/check")
def check(draft: str) -> ResponseReturnValue:
    """Read every answer back before signing."""
    kept, asked = _draft(draft)
    facts, answers = _facts(asked), kept.body.get("answers", {})
    pages = consent_draft.parts(asked)
    read_back = [
        (place, part, _boxes(asked, part, answers, facts)) for place, part in enumerate(pages, 1)
    ]
    unsaid = [(n, b) for n, part, boxes in read_back for b in boxes if _missing(part, b)]
    return render_template(
        "consents/check.html",
        draft=kept,
        read_back=read_back,
        names=_names(kept),
        person=_name(kept),
        unsaid=unsaid,
    )


def _boxes(
    asked: Questions, part: consent_draft.Part, answers: dict[str, Any], facts: FormFacts
) -> list[consent_draft.Box]:
    return [
        consent_draft.box(asked, question, place, answers, facts)
        for place, question in enumerate(part.questions)
    ]


def _missing(part: consent_draft.Part, shown: consent_draft.Box) -> bool:
    optional = part.layer is Layer.OPTIONAL
    return not optional and shown.answer in ("", consent_draft.OPEN)


@consents.route("/draft/<id:draft>/sign", methods=["GET", "POST"])
def sign(draft: str) -> ResponseReturnValue:
    """Sign, drawn or typed, and record the act."""
    kept, asked = _draft(draft)
    form = SignForm()
    lacks = kept.body["setup"]["capacity"] == Capacity.LACKS_NOW
    form.offer(paper=kept.body["setup"]["route"] == "paper")
    if request.method == "POST" and (lacks or form.validate()):
        try:
            act = consent.capture(ctx(), caller(), _act(kept, asked))
        except (InvalidInput, Conflict) as fault:
            _show_faults(form, fault, asked)
        else:
            drafts.drop(ctx(), caller(), draft)
            flash(_thanks(act), "success")
            return redirect(url_for("consents.act", act=act.id))
    page = render_template(
        "consents/sign.html",
        form=form,
        show=show,
        summary=summary,
        draft=kept,
        person=_name(kept),
        lacks=lacks,
        ask_again_on=consent_draft.ask_again_on(kept.body),
    )
    return page, status(form)


def show_act(act: str) -> ResponseReturnValue:
    """Show one act as it was recorded."""
    view = consent.consent_act(ctx(), caller(), act)
    family = involvements.family(ctx(), caller(), view.involvement)
    policies = ctx().policies
    form = policies.forms.get((view.form, view.form_version))
    leaflet = f"{view.leaflet_code}, V{view.leaflet_version}"
    facts = form_facts(policies.organisation, policies.schedule, leaflet)
    return render_template(
        "consents/act.html",
        act=view,
        family=family,
        names={person.id: person.full_name for _, person in family.people},
        own=view.recorded_by == caller().id,
        form=form,
        lines=consent_draft.line_words(form, view.language, facts) if form else {},
    )


consents.add_url_rule("/<id:act>", "act", show_act)


@consents.get("/<id:act>/copy.pdf")
def copy(act: str) -> ResponseReturnValue:
    """Return the parent's copy."""
    large = request.args.get("print") == "large"
    return pdf(papers.consent_copy(ctx(), caller(), act, large_print=large), f"consent-{act}")


@consents.post("/<id:act>/confirm")
def confirm_late(act: str) -> ResponseReturnValue:
    """Confirm, as a second person, an act that was recorded later or from paper."""
    consent.check_late(ctx(), caller(), act)
    flash("Checked. The answers count from now on.", "success")
    return redirect(url_for("consents.act", act=act))


def pdf(content: bytes, name: str) -> Response:
    """Return a paper as a file to keep; its name holds an id only."""
    answer = Response(content, mimetype="application/pdf")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.pdf"'
    return answer


def _draft(identifier: str) -> tuple[DraftView, Questions]:
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
    return kept, asked


def _earlier(setup: dict[str, Any]) -> date | None:
    """Return the day whose version of the form counts, when that is not today's newest."""
    on = date.fromisoformat(setup["said_on"])
    today = london_day(ctx().clock.now())
    return on if on < today or setup["route"] == Route.PAPER else None


def _facts(asked: Questions) -> FormFacts:
    policies = ctx().policies
    return form_facts(policies.organisation, policies.schedule, asked.facts["leaflet"])


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


def _show_faults(form: SignForm, fault: ConsentServiceError, asked: Questions) -> None:
    """Put a fault of the signature beside its box, and one of an answer into words."""
    if not isinstance(fault, InvalidInput):
        form.say(fault.message)
        return
    words = consent_draft.line_words(asked.form, asked.language, _facts(asked))
    for name, sentence in fault.faults.items():
        if name == "signature":
            form.say(sentence, "typed_name" if form.how.data == SignatureKind.TYPED else "how")
            continue
        code, _, about = name.partition(".")[2].rpartition(".")
        line = words.get((code, about != asked.person))
        form.say(f"{sentence} {line}" if line else sentence)


def _thanks(act: consent.ConsentActView) -> str:
    if act.recorded_late:
        return "Recorded. It counts once a second person has checked it."
    if any(d.answer is Answer.NO and d.purpose == "care" for d in act.decisions):
        return "The no is recorded. Thank them for saying so: care stays the same."
    if not act.decisions:
        return "Recorded. Ask again on the day that you wrote down."
    return "Recorded. Give them their copy."


def _member(family: Any, person: str) -> tuple[Any, Any]:
    found = next(((m, p) for m, p in family.people if p.id == person), None)
    if found is None:
        raise NotFound("This person does not belong to the family.", kind="person")
    return found


def _names(kept: DraftView) -> dict[str, str]:
    family = involvements.family(ctx(), caller(), kept.involvement)
    return {person.id: person.full_name for _, person in family.people}


def _name(kept: DraftView) -> str:
    return _names(kept)[kept.body["person"]]


def _step(draft: str, number: int) -> str:
    return url_for("consents.layer", draft=draft, number=number)

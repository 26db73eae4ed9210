"""Answering a consent by link: the leaflet, the words, one thing per page, read back, signed.

Rules kept here:
  * the same questions and the same words as with a guider, and a no is as easy as a yes;
  * "decide later" is on every page and keeps nothing;
  * the link is used up by signing; until they leave, this browser can still fetch the copy.
"""

from flask import Blueprint, Response, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from consent_service.domain.consent import Answer, SignatureKind
from consent_service.domain.links import LinkKind
from consent_service.domain.policies import form_facts
from consent_service.errors import Conflict, ConsentServiceError, InvalidInput, NotFound
from consent_service.services import consent, own_consent, own_page, papers
from consent_service.services.link_sessions import LinkSession
from consent_service.web import consent_draft, languages, own_faults, own_session
from consent_service.web.consent_forms import SignForm
from consent_service.web.consent_steps import Steps
from consent_service.web.fields import show, status, summary
from consent_service.web.here import ctx
from consent_service.web.own import page, paper

own_answers = Blueprint("own_consent", __name__, url_prefix="/own/consent")
own_answers.before_request(own_session.choose_language)
own_answers.before_request(own_session.require_form_token)
own_answers.after_request(own_session.say_nothing_of_here)
own_answers.after_request(languages.remember)


@own_answers.route("", methods=["GET", "POST"])
def start() -> ResponseReturnValue:
    """Show the leaflet first; who has read it goes on."""
    holder = _holder()
    fault = ""
    if request.method == "POST":
        try:
            own_consent.has_read(ctx(), holder)
        except Conflict:
            fault = _("This leaflet cannot be given at the moment. Please ask your guider.")
        else:
            return redirect(url_for("own_consent.words"), 303)
    shown = own_consent.leaflet(ctx(), holder)
    found = page("own/consent_start.html", name=holder.name, shown=shown, fault=fault)
    return found, 409 if fault else 200


@own_answers.get("/leaflet.pdf")
def leaflet_paper() -> Response:
    """Return the leaflet to print."""
    view = own_consent.leaflet(ctx(), _holder()).view
    made = papers.leaflet_paper(ctx(), view.code, view.version, _holder().language)
    return paper(made, "leaflet")


@own_answers.get("/words")
def words() -> str:
    """Show the exact words, before any question."""
    steps, _ = _steps()
    return page("own/consent_words.html", asked=steps.asked)


@own_answers.route("/page/<int:number>", methods=["GET", "POST"])
def question(number: int) -> ResponseReturnValue:
    """Ask one thing."""
    steps, asking = _steps()
    if asking.changed:
        return redirect(url_for("own_consent.words"), 303)
    part = steps.part(number)
    faults: list[tuple[str, str]] = []
    if request.method == "POST":
        answers, faults = steps.take(part, request.form)
        own_consent.keep(ctx(), _holder(), asking, answers)
        if not faults:
            last = number == len(steps.parts) or "check" in request.args
            return redirect(url_for("own_consent.check") if last else page_of(number + 1), 303)
        steps, _ = _steps()
    found = page(
        "own/consent_page.html",
        part=part,
        boxes=steps.boxes(part),
        faults=faults,
        wrong={field: sentence for sentence, field in faults},
        number=number,
        count=len(steps.parts),
        may_stop_here=steps.begins_optional(number),
        names=_names(),
        person=steps.asked.person,
        back_to=page_of(number - 1) if number > 1 else url_for("own_consent.words"),
    )
    return found, 400 if faults else 200


@own_answers.get("/check")
def check() -> str:
    """Read every answer back before signing."""
    steps, _ = _steps()
    return page(
        "own/consent_check.html",
        heard=steps.heard,
        unsaid=steps.unsaid,
        names=_names(),
        person=steps.asked.person,
        page_of=page_of,
    )


@own_answers.route("/sign", methods=["GET", "POST"])
def sign() -> ResponseReturnValue:
    """Sign, drawn or typed, and record the act."""
    steps, asking = _steps()
    if asking.changed:
        return redirect(url_for("own_consent.words"), 303)
    if steps.unsaid:
        return redirect(url_for("own_consent.check"))
    form = SignForm()
    form.offer(paper=False)
    form.how.label.text = _("How do you sign?")
    if form.sent:
        signed = consent_draft.signature(request.form)
        act = consent_draft.act(steps.asked, asking.body, signed, ctx().clock.now())
        try:
            consent.capture(ctx(), _holder().caller, act)
        except (InvalidInput, Conflict) as fault:
            _say(form, fault)
        else:
            return redirect(url_for("own_consent.done"), 303)
    names = [name for person, name in _names().items() if person != steps.asked.person]
    found = page("own/consent_sign.html", form=form, show=show, summary=summary, children=names)
    return found, status(form)


@own_answers.post("/later")
def later() -> str:
    """Stop here: nothing of what was answered is kept, and the link still opens."""
    ends_at = _holder().ends_at
    own_session.leave()
    return page("own/consent_later.html", ends_at=ends_at, languages=())


@own_answers.get("/done")
def done() -> str:
    """Say what was recorded, offer the copy, and what happens next."""
    holder = own_session.holder(LinkKind.CONSENT)
    if holder.act is None:
        raise NotFound(_("Nothing was signed yet."), kind="consent")
    act = consent.consent_act(ctx(), holder.caller, holder.act)
    answers = [decision.answer for decision in act.decisions]
    return page(
        "own/consent_done.html",
        yeses=answers.count(Answer.YES),
        noes=answers.count(Answer.NO),
    )


@own_answers.get("/copy.pdf")
def copy() -> Response:
    """Return the copy of what was just signed."""
    holder = own_session.holder(LinkKind.CONSENT)
    if holder.act is None:
        raise NotFound(_("Nothing was signed yet."), kind="consent")
    large = request.args.get("print") == "large"
    made = papers.consent_copy(ctx(), holder.caller, holder.act, large_print=large)
    return paper(made, "copy")


def page_of(number: int, check: int | None = None) -> str:
    """Return the address of a page of questions; with `check` it leads back to the reading."""
    return url_for("own_consent.question", number=number, check=check)


def _holder() -> LinkSession:
    """Return who answers; raises Conflict once they have signed."""
    found = own_session.holder(LinkKind.CONSENT)
    if found.act is not None:
        raise Conflict("You have signed already. Your copy is ready.", code="already_signed")
    return found


def _steps() -> tuple[Steps, own_consent.Asking]:
    asking = own_consent.asking(ctx(), _holder())
    if asking.changed:
        flash(_("Something changed since you looked. Please look again."), "notice")
    policies = ctx().policies
    line = asking.asked.facts["leaflet"]
    facts = form_facts(policies.organisation, policies.schedule, line)
    return Steps(asking.asked, facts, asking.answers), asking


def _names() -> dict[str, str]:
    return dict(own_page.own_page(ctx(), _holder().caller).names)


def _say(form: SignForm, fault: ConsentServiceError) -> None:
    """Put a fault of the signature beside its box, and anything else into the summary."""
    for name, sentence in own_faults.translated(fault).faults.items():
        typed = form.how.data == SignatureKind.TYPED
        form.say(sentence, ("typed_name" if typed else "how") if name == "signature" else "")

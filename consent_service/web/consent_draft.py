"""Answers between the pages of a consent: read from forms, kept in a draft, made into an act.

Pure but for the draft's own dictionary: the pages fetch and store, this turns one into the other.
How the questions follow each other stands in `consent_steps`.
"""

import json
import math
import re
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from consent_service.domain.answers import GivenAnswer
from consent_service.domain.consent import Answer, Capacity, SignatureKind
from consent_service.domain.forms import (
    AnswerKind,
    ConsentFormVersion,
    FormFacts,
    Layer,
    Named,
    fill,
)
from consent_service.domain.withdrawal import Route
from consent_service.services.consent import AskedQuestion, CaptureConsent, Questions, Signature

NAMED_PEOPLE = "named-people"
MOST_POINTS = 10_000
OPEN = "open"
LineWords = Mapping[tuple[str, bool], str]
SHORT = 72
FIRST_SENTENCE = re.compile(r"(?<=[.:])\s+(?=[A-Z])")


@dataclass(frozen=True)
class Part:
    """One page of questions: one line of the form, about each person whom it concerns.

    Answers that are copied from paper stand together: all of one layer about one person.
    """

    title: str
    layer: Layer
    questions: tuple[AskedQuestion, ...]


@dataclass(frozen=True)
class Box:
    """One question as a page shows it, with what was answered so far."""

    field: str
    code: str
    about: str
    wording: str
    short: str
    why: str
    if_no: str
    if_withdrawn: str
    options: tuple[tuple[str, str], ...]
    asks_names: str
    asks_words: bool
    answer: str
    named: str
    words: str

    @property
    def first(self) -> str:
        """Return the first sentence of the wording."""
        return FIRST_SENTENCE.split(self.wording, maxsplit=1)[0]

    @property
    def rest(self) -> str:
        """Return what the wording says after its first sentence."""
        return self.wording[len(self.first) :].strip()

    def said(self, layer: Layer) -> str:
        """Return the answer in words."""
        unsaid = (
            _("Left open, which counts as no") if layer is Layer.OPTIONAL else _("Not answered yet")
        )
        return str(dict(self.options).get(self.answer, unsaid))


TITLES = {
    Layer.UNDERSTANDING: _l("What you know"),
    Layer.NEEDED: _l("What this work needs"),
    Layer.OPTIONAL: _l("Other uses, each by itself"),
}


def parts(
    asked: Questions, *, together: bool = False, only: frozenset[str] | None = None
) -> tuple[Part, ...]:
    """Return the pages of a form in its order, each with one thing to decide.

    With `together` one page holds all of a layer about one person, as on paper. `only` leaves the
    lines of these uses.
    """
    found: dict[tuple[Layer, str], list[AskedQuestion]] = {}
    for question in asked.questions:
        statement = question.statement
        if only is None or statement.purpose in only:
            group = question.about if together else statement.code
            found.setdefault((statement.layer, group), []).append(question)
    ordered = sorted(
        found, key=lambda key: (list(Layer).index(key[0]), together and key[1] != asked.person)
    )
    return tuple(Part(str(TITLES[key[0]]), key[0], tuple(found[key])) for key in ordered)


def key_of(question: AskedQuestion) -> str:
    """Return under which name a question's answer stands in the draft."""
    return f"{question.statement.code}|{question.about}"


def box(
    asked: Questions,
    question: AskedQuestion,
    place: int,
    given: Mapping[str, Any],
    facts: FormFacts,
) -> Box:
    """Return a question as a page shows it."""
    statement = question.statement
    text = statement.texts[asked.language]
    words = asked.form.words[asked.language]
    wording = text.child_wording if question.for_child else text.wording
    said = given.get(key_of(question), {})

    def filled(sentence: str) -> str:
        return fill(sentence, words, facts) if sentence else ""

    return Box(
        f"q{place}",
        statement.code,
        question.about,
        filled(wording),
        shortened(filled(wording)),
        filled(text.why),
        filled(text.if_no),
        filled(text.if_withdrawn),
        options(question, asked.language),
        _names_label(question),
        statement.answer is AnswerKind.TEXT,
        str(said.get("answer", "")),
        str(said.get("named", "")),
        str(said.get("words", "")),
    )


def line_words(form: ConsentFormVersion, language: str, facts: FormFacts) -> LineWords:
    """Return the words by which people know each line of a form: (code, for a child) -> words."""
    words = form.words[language]
    return {
        (statement.code, for_child): shortened(fill(wording, words, facts))
        for statement in form.statements
        for text in (statement.texts[language],)
        for for_child, wording in (
            (False, text.wording or text.child_wording),
            (True, text.child_wording or text.wording),
        )
    }


def shortened(wording: str) -> str:
    """Return the beginning of a line's words, by which people know it; cut between two words."""
    first = FIRST_SENTENCE.split(wording, maxsplit=1)[0].partition(" (")[0]
    short = textwrap.shorten(first, SHORT, placeholder="")
    return short.rstrip(".,:;") + ("…" if len(short) < len(first) else "")


def read_part(
    part: Part, shown: Sequence[Box], form: Mapping[str, str]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the answers of one page as the draft keeps them, and the faults with their fields.

    `shown` are the part's questions as the page shows them, in the same order.
    """
    answers: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    for line, question in zip(shown, part.questions, strict=True):
        name = line.field
        answer = form.get(name, "")
        if answer not in dict(options(question, "")):
            if part.layer is not Layer.OPTIONAL:
                faults.append((_("Answer this line: %(line)s", line=line.short), name))
            continue
        entry = {
            "answer": answer,
            "named": form.get(f"{name}-named", "").strip()[:400],
            "words": form.get(f"{name}-words", "").strip()[:2000],
        }
        if answer == "yes" and _names_label(question) and not entry["named"]:
            faults.append((_("Say for whom or what: %(line)s", line=line.short), f"{name}-named"))
        if answer == "yes" and question.statement.answer is AnswerKind.TEXT and not entry["words"]:
            faults.append((_("Write the words: %(line)s", line=line.short), f"{name}-words"))
        answers[key_of(question)] = entry
    return answers, faults


def given_answers(asked: Questions, kept: Mapping[str, Any]) -> tuple[GivenAnswer, ...]:
    """Return the answers of a draft as an act takes them; what is left open is left out."""
    found = []
    for question in asked.questions:
        entry = kept.get(key_of(question))
        if entry is None or entry["answer"] == OPEN:
            continue
        found.append(_given(question, entry))
    return tuple(found)


def signature(form: Mapping[str, str]) -> Signature:
    """Return a signature as it was drawn, typed or given on paper."""
    kind = form.get("how", "typed")
    if kind == SignatureKind.DRAWN:
        return Signature(SignatureKind.DRAWN, {"strokes": strokes(form.get("strokes", ""))})
    if kind == SignatureKind.PAPER:
        return Signature(SignatureKind.PAPER, {})
    return Signature(SignatureKind.TYPED, {"name": form.get("typed_name", "").strip()[:200]})


def strokes(text: str) -> list[list[dict[str, float]]]:
    """Return drawn strokes as lists of points; nothing else of what a browser sent."""
    try:
        read = json.loads(text or "[]")
        drawn = [[_point(point) for point in part["points"]] for part in read]
    except (ValueError, TypeError, KeyError):
        return []
    if sum(len(part) for part in drawn) > MOST_POINTS:
        return []
    return [part for part in drawn if part]


def _point(point: Mapping[str, Any]) -> dict[str, float]:
    x, y = round(float(point["x"]), 1), round(float(point["y"]), 1)
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError("a point is two numbers")
    return {"x": x, "y": y}


def act(
    asked: Questions, body: Mapping[str, Any], signed: Signature, at: datetime
) -> CaptureConsent:
    """Return the act that a draft has become."""
    setup = body["setup"]
    lacks = setup["capacity"] == Capacity.LACKS_NOW
    return CaptureConsent(
        involvement=body["involvement"],
        person=asked.person,
        form=asked.form.id,
        language=asked.language,
        leaflet_issue=setup["leaflet_issue"],
        route=Route(setup["route"]),
        capacity=Capacity(setup["capacity"]),
        answers=() if lacks else given_answers(asked, body.get("answers", {})),
        signature=signed,
        event_at=at,
        version=asked.form.version,
        witness=setup.get("witness") or None,
        interpreter=setup.get("interpreter") or None,
        ask_again_on=ask_again_on(body),
    )


def ask_again_on(body: Mapping[str, Any]) -> date | None:
    """Return the day on which somebody is asked again, when a draft names one."""
    again = body["setup"].get("ask_again_on")
    return date.fromisoformat(again) if again else None


def slug(text: str) -> str:
    """Return a name of a use as codes are written: `Spring poster 2026` is `spring-poster-2026`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60]


def options(question: AskedQuestion, language: str) -> tuple[tuple[str, str], ...]:
    """Return the answers that a question takes, each with its words."""
    statement = question.statement
    if statement.answer is AnswerKind.CONFIRM:
        return (("confirmed", _("I confirm")), (OPEN, _("Not yet")))
    if statement.answer is AnswerKind.CHOICE:
        texts = statement.texts.get(language)
        names = texts.choices if texts else {}
        return tuple((choice, names.get(choice, choice)) for choice in statement.choices)
    return (("yes", _("Yes")), ("no", _("No")))


def _names_label(question: AskedQuestion) -> str:
    if question.statement.answer is not AnswerKind.YES_NO_NAMED:
        return ""
    found = {
        Named.PEOPLE: _("Who? Write their names."),
        Named.STUDY: _("For which study?"),
        Named.USE: _("For which use, and until when?"),
    }
    return str(found.get(question.statement.names or Named.USE, _("For which use?")))


def _given(question: AskedQuestion, entry: Mapping[str, str]) -> GivenAnswer:
    statement, about, answer = question.statement, question.about, entry["answer"]
    if statement.answer is AnswerKind.CHOICE:
        return GivenAnswer(statement.code, about, Answer.CHOSEN, (answer,))
    said = Answer(answer)
    if said is not Answer.YES:
        return GivenAnswer(statement.code, about, said)
    if statement.answer is AnswerKind.YES_NO_NAMED:
        people = statement.names is Named.PEOPLE
        named = (NAMED_PEOPLE,) if people else (slug(entry["named"]),)
        return GivenAnswer(statement.code, about, said, named, entry["named"])
    if statement.answer is AnswerKind.TEXT:
        return GivenAnswer(statement.code, about, said, words=entry["words"])
    return GivenAnswer(statement.code, about, said)

"""Consent forms: statements answered one by one, and the exact text a person is shown.

Pure. A form is policy text; a published version never changes, and every decision refers to the
digest of the text made here (rule 2).

Rules kept here:
  * the same form, language, audience and facts always give the same characters;
  * the text is plain UTF-8 in NFC with line feeds, so its SHA-256 can be recomputed by anyone with
    the text and no program of ours (`text_digest`);
  * a statement is asked separately of each capacity somebody answers in: for themselves, and for a
    child they hold parental responsibility for.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from consent_service.domain.assets import RecordClass
from consent_service.domain.calendar import Period


class Layer(StrEnum):
    """What hangs on a statement."""

    UNDERSTANDING = "U"
    NEEDED = "C"
    OPTIONAL = "O"


class AskedOf(StrEnum):
    """In which capacity somebody answers."""

    ADULT_FILMED = "P"
    HOLDER = "H"
    OTHER_PERSON = "X"


class AnswerKind(StrEnum):
    """What an answer looks like.

    `yes_no_named` is a yes with the people, the study or the use it is for; `text` is a yes with
    words of the person's own.
    """

    CONFIRM = "confirm"
    YES_NO = "yes_no"
    YES_NO_NAMED = "yes_no_named"
    CHOICE = "choice"
    TEXT = "text"


class Named(StrEnum):
    """What a `yes_no_named` answer must name."""

    PEOPLE = "people"
    STUDY = "study"
    USE = "use"


class Condition(StrEnum):
    """When a statement is asked at all."""

    PREGNANT = "pregnant"


class ValidFrom(StrEnum):
    """What the validity of a yes is counted from."""

    DECISION = "decision"
    INVOLVEMENT_END = "involvement_end"
    NAMED = "named"


@dataclass(frozen=True)
class ValidFor:
    """How long a yes is good for: a period from an event, or the end named in the answer itself."""

    counted_from: ValidFrom
    period: Period | None = None


@dataclass(frozen=True)
class StatementText:
    """The words of one statement in one language.

    `wording` is what an adult agrees to for themselves, `child_wording` what is agreed to for a
    child; one of them may be empty when the statement is never asked that way.
    """

    wording: str
    child_wording: str
    why: str
    if_no: str
    if_withdrawn: str
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Statement:
    """One separately answerable line of a form."""

    code: str
    layer: Layer
    asked_of: frozenset[AskedOf]
    answer: AnswerKind
    texts: Mapping[str, StatementText]
    purpose: str | None = None
    only_if: Condition | None = None
    names: Named | None = None
    choices: tuple[str, ...] = ()
    valid_for: ValidFor | None = None

    def asked(self, capacity: AskedOf, *, pregnant: bool = False) -> bool:
        """Tell whether somebody answering in this capacity is asked this."""
        if self.only_if is Condition.PREGNANT and not pregnant:
            return False
        return capacity in self.asked_of


@dataclass(frozen=True)
class FormWords:
    """The words of a form in one language that belong to no single statement."""

    title: str
    introduction: str
    labels: Mapping[str, str]
    passages: Mapping[str, str]


@dataclass(frozen=True)
class Translation:
    """Who put a form's words into another language, and who approved them."""

    translator: str
    approver: str


@dataclass(frozen=True)
class ConsentFormVersion:
    """One version of a form: its statements in the order asked, and its words per language.

    `translations` has every language but the one the words were written in.
    """

    id: str
    version: int
    leaflet: str
    statements: tuple[Statement, ...]
    words: Mapping[str, FormWords]
    translations: Mapping[str, Translation] = field(default_factory=dict)

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the languages the form can be answered in, sorted."""
        return tuple(sorted(self.words))

    def statement(self, code: str) -> Statement:
        """Return the statement of that code; KeyError when the form has none."""
        for statement in self.statements:
            if statement.code == code:
                return statement
        raise KeyError(code)


@dataclass(frozen=True)
class Audience:
    """Who answers: the capacities they answer in, and whether they are pregnant."""

    capacities: frozenset[AskedOf]
    pregnant: bool = False


@dataclass(frozen=True)
class Question:
    """One statement put to somebody in one capacity: a box that is answered by itself."""

    statement: Statement
    capacity: AskedOf


@dataclass(frozen=True)
class FormFacts:
    """What the form prints about this organisation, so that it prints the truth (rule 7).

    `leaflet_control_line` belongs to the leaflet version the person was given. `values` holds what
    the placeholders of the words stand for, `record_class` and the three switches choose passages.
    """

    leaflet_control_line: str
    record_class: RecordClass
    hold_check_hours: int
    supervision_required: bool
    values: Mapping[str, str]


ORDER_OF_CAPACITIES = (AskedOf.ADULT_FILMED, AskedOf.OTHER_PERSON, AskedOf.HOLDER)
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
PASSAGES: Mapping[str, tuple[str, ...]] = {
    "footage": tuple(f"footage.{kind.value}" for kind in RecordClass),
    "after_withdrawal": tuple(f"after_withdrawal.{kind.value}" for kind in RecordClass),
    "hold_check": ("hold_check.none", "hold_check.some"),
    "supervision": ("supervision.required", "supervision.optional"),
}
"""Placeholder -> the passages it may stand for; `passage_keys` chooses one of them."""

LABELS = (
    "form",
    "leaflet",
    "for_yourself",
    "for_your_child",
    "choices",
    "why",
    "no",
    "withdraw",
    "answer_confirm",
    "answer_yes_no",
    "answer_yes_no_named_people",
    "answer_yes_no_named_study",
    "answer_yes_no_named_use",
    "answer_choice",
    "answer_text",
)


def statements_for(form: ConsentFormVersion, audience: Audience) -> tuple[Statement, ...]:
    """Return the statements asked of this audience in any capacity, in the form's order."""
    return tuple(
        statement
        for statement in form.statements
        if any(statement.asked(c, pregnant=audience.pregnant) for c in audience.capacities)
    )


def questions_for(form: ConsentFormVersion, audience: Audience) -> tuple[Question, ...]:
    """Return every question put to this audience: each statement once per capacity."""
    return tuple(
        Question(statement, capacity)
        for statement in form.statements
        for capacity in ORDER_OF_CAPACITIES
        if capacity in audience.capacities and statement.asked(capacity, pregnant=audience.pregnant)
    )


def granting_statements(
    form: ConsentFormVersion, purpose: str, capacity: AskedOf, *, pregnant: bool = False
) -> tuple[Statement, ...]:
    """Return the statements that must all be answered yes for `purpose` to be given.

    The needed ones of the purpose together or, where it has none, its first: photos may be kept
    without a yes to further copies. Empty when this form never asks somebody in this capacity for
    the purpose. `CARE.SUMMARY` has no purpose, so it never stands between a family and its film.
    """
    asked = tuple(
        statement
        for statement in form.statements
        if statement.purpose == purpose and statement.asked(capacity, pregnant=pregnant)
    )
    return tuple(s for s in asked if s.layer is Layer.NEEDED) or asked[:1]


def passage_keys(facts: FormFacts) -> Mapping[str, str]:
    """Return which passage each passage placeholder stands for under these facts."""
    return {
        "footage": f"footage.{facts.record_class.value}",
        "after_withdrawal": f"after_withdrawal.{facts.record_class.value}",
        "hold_check": "hold_check.some" if facts.hold_check_hours else "hold_check.none",
        "supervision": (
            "supervision.required" if facts.supervision_required else "supervision.optional"
        ),
    }


def fill(text: str, words: FormWords, facts: FormFacts) -> str:
    """Return `text` with its passages and then its values put in; KeyError for an unknown name."""
    keys = passage_keys(facts)

    def passage(match: re.Match[str]) -> str:
        key = keys.get(match[1])
        return words.passages[key] if key else match[0]

    return PLACEHOLDER.sub(lambda m: facts.values[m[1]], PLACEHOLDER.sub(passage, text))


def rendered_text(
    form: ConsentFormVersion, language: str, audience: Audience, facts: FormFacts
) -> str:
    """Return the canonical text this audience is shown: NFC, line feeds, one at the end.

    KeyError when the form has no words in `language` or names an unknown placeholder.
    """
    words = form.words[language]
    blocks = [
        f"{words.labels['form']}: {form.id}, V{form.version}, {language}",
        f"{words.labels['leaflet']}: {facts.leaflet_control_line}",
        words.title,
        words.introduction,
    ]
    for question in questions_for(form, audience):
        blocks.extend(question_blocks(question, words, language))
    text = fill("\n\n".join(block for block in blocks if block), words, facts)
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")) + "\n"


def question_blocks(question: Question, words: FormWords, language: str) -> list[str]:
    """Return the paragraphs of one question, placeholders not yet filled."""
    statement, labels = question.statement, words.labels
    text = statement.texts[language]
    for_child = question.capacity is AskedOf.HOLDER
    whom = labels["for_your_child" if for_child else "for_yourself"]
    blocks = [
        f"{statement.code} ({whom})",
        text.child_wording if for_child else text.wording,
    ]
    if statement.choices:
        blocks.append("\n".join(f"- {text.choices[choice]}" for choice in statement.choices))
    blocks.append(labels[_answer_label(statement)])
    explanations = (("why", text.why), ("no", text.if_no), ("withdraw", text.if_withdrawn))
    blocks.extend(f"{labels[key]} {said}" for key, said in explanations if said)
    return blocks


def text_digest(text: str) -> str:
    """Return the SHA-256 of the text's UTF-8 bytes, 64 lower-case hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _answer_label(statement: Statement) -> str:
    named = f"_{statement.names.value}" if statement.names else ""
    return f"answer_{statement.answer.value}{named}"

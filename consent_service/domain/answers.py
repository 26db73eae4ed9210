"""Checking the answers of one act of consent, every fault named (rules 2, 13 and 14).

Pure. Rules kept here:
  * each answer belongs to a statement that the form asks of this person, about themselves or about
    a child for whom they hold parental responsibility;
  * whoever answers one line of the part that VIG needs answers all of it: nothing is assumed;
  * optional lines may be left open, and open is no.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consent_service.domain.consent import Answer
from consent_service.domain.forms import (
    AnswerKind,
    AskedOf,
    ConsentFormVersion,
    Layer,
    Statement,
)
from consent_service.domain.people import Responsibility
from consent_service.domain.purposes import USE_NAME

LONGEST_WORDS = 2000
MOST_NAMES = 20

FITTING: Mapping[AnswerKind, frozenset[Answer]] = {
    AnswerKind.CONFIRM: frozenset({Answer.CONFIRMED}),
    AnswerKind.YES_NO: frozenset({Answer.YES, Answer.NO}),
    AnswerKind.YES_NO_NAMED: frozenset({Answer.YES, Answer.NO}),
    AnswerKind.CHOICE: frozenset({Answer.CHOSEN}),
    AnswerKind.TEXT: frozenset({Answer.YES, Answer.NO}),
}


@dataclass(frozen=True)
class GivenAnswer:
    """One answer: to which statement, about whom, and what.

    `named` holds codes of uses, studies or groups (or the code chosen); `words` what was said in
    the person's own words, such as the names of relatives.
    """

    statement: str
    about: str
    answer: Answer
    named: tuple[str, ...] = ()
    words: str | None = None


@dataclass(frozen=True)
class Sitting:
    """Who answers which form: for themselves in `capacity`, and for children.

    `children` maps each child of the involvement to the responsibility by which this person may
    decide for them today, or None when they may not.
    """

    form: ConsentFormVersion
    person: str
    capacity: AskedOf | None
    pregnant: bool
    children: Mapping[str, Responsibility | None]

    def capacity_for(self, about: str) -> AskedOf | None:
        """Return in which capacity this person answers about `about`; None: not at all."""
        if about == self.person:
            return self.capacity
        if self.children.get(about) is not None:
            return AskedOf.HOLDER
        return None

    def asked(self) -> list[tuple[Statement, str]]:
        """Return every (statement, about whom) that the form puts to this person."""
        abouts = [self.person, *sorted(self.children)]
        return [
            (statement, about)
            for statement in self.form.statements
            for about in abouts
            if (capacity := self.capacity_for(about)) is not None
            and statement.asked(capacity, pregnant=self.pregnant and about == self.person)
        ]


def check_answers(sitting: Sitting, answers: Sequence[GivenAnswer]) -> dict[str, str]:
    """Return every fault by field; empty when the answers can be recorded.

    Fields are `answers.<place in the list>` for what was answered, and
    `answers.<statement>.<about>` for what is missing.
    """
    faults: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for place, given in enumerate(answers):
        fault = _fault_of(sitting, given)
        if fault is None and (given.statement, given.about) in seen:
            fault = "This was answered twice."
        if fault is not None:
            faults[f"answers.{place}"] = fault
        seen.add((given.statement, given.about))
    if not answers:
        faults["answers"] = "Answer at least one statement."
    return faults | _missing(sitting, seen)


def _fault_of(sitting: Sitting, given: GivenAnswer) -> str | None:
    try:
        statement = sitting.form.statement(given.statement)
    except KeyError:
        return f"The form has no statement {given.statement[:40]}. Use one that it asks."
    if given.about != sitting.person and given.about not in sitting.children:
        return "This is about someone for whom nobody else decides, or who is not in this family."
    capacity = sitting.capacity_for(given.about)
    if capacity is None and given.about in sitting.children:
        return (
            "Parental responsibility for this child is not recorded. Record it first, with its"
            " basis."
        )
    pregnant = sitting.pregnant and given.about == sitting.person
    if capacity is None or not statement.asked(capacity, pregnant=pregnant):
        return f"{statement.code} is not asked of this person."
    return _answer_fault(statement, given)


def _answer_fault(statement: Statement, given: GivenAnswer) -> str | None:
    if given.answer not in FITTING[statement.answer]:
        expected = " or ".join(sorted(FITTING[statement.answer]))
        return f"{statement.code} is answered with {expected}."
    if given.words is not None and len(given.words) > LONGEST_WORDS:
        return f"Keep the words under {LONGEST_WORDS} characters."
    if statement.answer is AnswerKind.CHOICE and (
        len(given.named) != 1 or given.named[0] not in statement.choices
    ):
        return f"Choose one of: {', '.join(statement.choices)}."
    if len(given.named) > MOST_NAMES or not all(USE_NAME.fullmatch(n) for n in given.named):
        if statement.answer is not AnswerKind.CHOICE:
            return "A name of a use is lower-case letters, digits and hyphens, 20 names at most."
        return None
    if given.answer is not Answer.YES:
        return None
    if statement.answer is AnswerKind.YES_NO_NAMED and not given.named:
        return f"{statement.code} needs the use, the study or the group that the yes is for."
    if statement.answer is AnswerKind.TEXT and not (given.words or "").strip():
        return f"{statement.code} needs the exact words."
    return None


def _missing(sitting: Sitting, seen: set[tuple[str, str]]) -> dict[str, str]:
    """Return what was left out of a part that must be answered whole."""
    faults: dict[str, str] = {}
    whole = [(s.code, about) for s, about in sitting.asked() if s.layer is not Layer.OPTIONAL]
    for about in sorted({about for _, about in whole}):
        lines = [(code, who) for code, who in whole if who == about]
        if not any(line in seen for line in lines):
            continue
        for code, who in lines:
            if (code, who) not in seen:
                faults[f"answers.{code}.{who}"] = "Answer this line too: yes or no."
    return faults

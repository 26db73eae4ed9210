"""Checking the answers of one act: every fault named, nothing assumed."""

from datetime import date

import pytest

from consent_service.domain.answers import GivenAnswer, Sitting, check_answers
from consent_service.domain.consent import Answer
from consent_service.domain.forms import AskedOf, ConsentFormVersion, Layer
from consent_service.domain.people import Basis, Responsibility
from consent_service.policy_files import default_policy_dir, read_policies

FORM = read_policies(default_policy_dir()).forms["vig", 1]
HELD = Responsibility("r", "baby", "mother", Basis.BIRTH_MOTHER, date(2026, 9, 1), None, False)


def sitting(
    *, form: ConsentFormVersion = FORM, held: Responsibility | None = HELD, pregnant: bool = False
) -> Sitting:
    return Sitting(form, "mother", AskedOf.ADULT_FILMED, pregnant, {"baby": held})


def whole(place: Sitting) -> list[GivenAnswer]:
    """Answers to every line that must be answered."""
    fitting = {"confirm": Answer.CONFIRMED, "choice": Answer.CHOSEN}
    return [
        GivenAnswer(
            s.code,
            about,
            fitting.get(s.answer.value, Answer.YES),
            s.choices[:1] if s.answer.value == "choice" else (),
        )
        for s, about in place.asked()
        if s.layer is not Layer.OPTIONAL
    ]


def test_the_whole_needed_part_is_in_order() -> None:
    """Yes to all that VIG needs, for herself and the baby, has no fault."""
    assert check_answers(sitting(), whole(sitting())) == {}


def test_every_line_left_out_of_the_needed_part_is_named() -> None:
    """A half-answered form must not become a half-consent."""
    answers = [a for a in whole(sitting()) if a.statement not in ("CARE.EDIT", "UND.STOP")]

    assert set(check_answers(sitting(), answers)) == {
        "answers.CARE.EDIT.mother",
        "answers.UND.STOP.mother",
    }


def test_optional_lines_may_be_answered_by_themselves_later() -> None:
    """Use permissions may come after the film, when the parent knows what it shows."""
    later = [GivenAnswer("TRAIN.LOCAL", "mother", Answer.YES)]

    assert check_answers(sitting(), later) == {}


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (GivenAnswer("NO.SUCH", "mother", Answer.YES), "no statement NO.SUCH"),
        (GivenAnswer("CARE.EDIT", "stranger", Answer.YES), "not in this family"),
        (GivenAnswer("CARE.FILM.CHILD", "mother", Answer.YES), "not asked of this person"),
        (GivenAnswer("CARE.FILM.BUMP", "mother", Answer.YES), "not asked of this person"),
        (GivenAnswer("CARE.EDIT", "mother", Answer.CONFIRMED), "answered with no or yes"),
        (GivenAnswer("PR.CONFIRM", "baby", Answer.CHOSEN, ("king",)), "Choose one of"),
        (GivenAnswer("PUB.WEB", "mother", Answer.YES), "needs the use"),
        (GivenAnswer("PUB.WEB", "mother", Answer.YES, ("Not A Code",)), "lower-case"),
        (GivenAnswer("FB.QUOTE", "mother", Answer.YES, (), "  "), "exact words"),
        (GivenAnswer("FB.QUOTE", "mother", Answer.YES, (), "x" * 3000), "under 2000"),
    ],
)
def test_each_kind_of_wrong_answer_is_named(given: GivenAnswer, part: str) -> None:
    """Bad input gets a sentence that says what to do, at the answer it is about."""
    faults = check_answers(sitting(), [given])

    assert part in faults["answers.0"]


def test_nobody_decides_for_a_child_without_parental_responsibility() -> None:
    """The most important refusal of the form."""
    faults = check_answers(sitting(held=None), [GivenAnswer("CARE.FILM.CHILD", "baby", Answer.YES)])

    assert "Parental responsibility" in faults["answers.0"]


def test_answering_twice_or_not_at_all_is_refused() -> None:
    """An act says one thing about each line, and at least one thing."""
    twice = [GivenAnswer("TRAIN.LOCAL", "mother", Answer.YES)] * 2

    assert "twice" in check_answers(sitting(), twice)["answers.1"]
    assert "answers" in check_answers(sitting(), [])


def test_a_no_needs_no_name_and_a_pregnant_parent_is_asked_about_the_bump() -> None:
    """Refusing is as easy as agreeing."""
    no = [GivenAnswer("PUB.WEB", "mother", Answer.NO)]

    assert check_answers(sitting(), no) == {}
    asked = {s.code for s, about in sitting(pregnant=True).asked() if about == "mother"}
    assert "CARE.FILM.BUMP" in asked

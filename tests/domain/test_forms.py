"""The text a person is shown is always the same for the same form, and its digest is anyone's."""

import hashlib
import unicodedata

import pytest

from consent_service.domain.assets import RecordClass
from consent_service.domain.calendar import Period, Unit
from consent_service.domain.forms import (
    LABELS,
    AnswerKind,
    AskedOf,
    Audience,
    Condition,
    ConsentFormVersion,
    FormFacts,
    FormWords,
    Layer,
    Named,
    Statement,
    StatementText,
    ValidFor,
    ValidFrom,
    granting_statements,
    questions_for,
    rendered_text,
    statements_for,
    text_digest,
)

P, H, X = AskedOf.ADULT_FILMED, AskedOf.HOLDER, AskedOf.OTHER_PERSON
VALID = ValidFor(ValidFrom.INVOLVEMENT_END, Period(2, Unit.MONTHS))
FACTS = FormFacts("T1, V1", RecordClass.TRANSITORY, 0, False, {"team": "the {pool} team"})


def statement(code: str, layer: Layer, *asked_of: AskedOf, **more: object) -> Statement:
    text = StatementText(f"{code} for me.", f"{code} for my child.", "", "", "")
    parts = {"answer": AnswerKind.YES_NO, "texts": {"en": text}} | more
    return Statement(code=code, layer=layer, asked_of=frozenset(asked_of), **parts)  # type: ignore[arg-type]


def form(*statements: Statement, introduction: str = "") -> ConsentFormVersion:
    labels = {label: f"<{label}>" for label in LABELS}
    passages = {
        "footage.transitory": "It goes, says {team}.",
        "footage.health_record": "It stays.",
        "after_withdrawal.transitory": "Gone.",
        "hold_check.none": "At once.",
        "supervision.optional": "As you like.",
    }
    words = FormWords("A form", introduction, labels, passages)
    return ConsentFormVersion("swim", 4, "T1", statements, {"en": words})


FILM = statement("FILM", Layer.NEEDED, P, X, purpose="care", valid_for=VALID)
EDIT = statement("EDIT", Layer.NEEDED, P, purpose="care", valid_for=VALID)
CHILD = statement("CHILD", Layer.NEEDED, H, purpose="care", valid_for=VALID)
BUMP = statement(
    "BUMP", Layer.NEEDED, P, purpose="care", valid_for=VALID, only_if=Condition.PREGNANT
)
SUMMARY = statement("SUMMARY", Layer.NEEDED, P)
PHOTO = statement("PHOTO", Layer.OPTIONAL, P, H, purpose="keepsake", valid_for=VALID)
OTHERS = statement(
    "OTHERS", Layer.OPTIONAL, P, H, purpose="keepsake", valid_for=VALID,
    answer=AnswerKind.YES_NO_NAMED, names=Named.PEOPLE,
)  # fmt: skip
WHOLE = form(FILM, EDIT, CHILD, BUMP, SUMMARY, PHOTO, OTHERS)


def test_the_text_of_a_form_is_exactly_this() -> None:
    """The digest in a decision stands for these characters, so their order is a promise."""
    text = rendered_text(
        form(FILM, PHOTO, OTHERS, introduction="Hello from {team}. {footage}"),
        "en",
        Audience(frozenset({P, H})),
        FACTS,
    )

    assert text.split("\n\n") == [
        "<form>: swim, V4, en",
        "<leaflet>: T1, V1",
        "A form",
        "Hello from the {pool} team. It goes, says the {pool} team.",
        "FILM (<for_yourself>)", "FILM for me.", "<answer_yes_no>",
        "PHOTO (<for_yourself>)", "PHOTO for me.", "<answer_yes_no>",
        "PHOTO (<for_your_child>)", "PHOTO for my child.", "<answer_yes_no>",
        "OTHERS (<for_yourself>)", "OTHERS for me.", "<answer_yes_no_named_people>",
        "OTHERS (<for_your_child>)", "OTHERS for my child.", "<answer_yes_no_named_people>\n",
    ]  # fmt: skip


def test_explanations_and_choices_are_part_of_the_text() -> None:
    """What a no means belongs to what somebody agreed to."""
    told = StatementText("", "My right:", "Because.", "Fine.", "Stop. {hold_check}", {"a": "First"})
    asked = statement("RIGHT", Layer.UNDERSTANDING, H, texts={"en": told}, choices=("a",),
                      answer=AnswerKind.CHOICE)  # fmt: skip

    text = rendered_text(form(asked), "en", Audience(frozenset({H})), FACTS)

    assert text.endswith(
        "RIGHT (<for_your_child>)\n\nMy right:\n\n- First\n\n<answer_choice>\n\n"
        "<why> Because.\n\n<no> Fine.\n\n<withdraw> Stop. At once.\n"
    )


def test_the_text_is_in_one_form_of_unicode_with_line_feeds() -> None:
    """Two keyboards write é in two ways; the digest must not depend on whose was used."""
    composed, decomposed = "Café\rThe\r\nend", "Cafe\u0301\nThe\nend"
    everyone = Audience(frozenset({P}))

    first = rendered_text(form(introduction=composed), "en", everyone, FACTS)
    second = rendered_text(form(introduction=decomposed), "en", everyone, FACTS)

    assert first == second == unicodedata.normalize("NFC", first)
    assert "\r" not in first


def test_the_digest_is_plain_sha_256_of_the_text() -> None:
    """So that a script without our code can check a signed copy."""
    text = rendered_text(WHOLE, "en", Audience(frozenset({P})), FACTS)

    assert text_digest(text) == hashlib.sha256(text.encode()).hexdigest()


def test_a_value_with_braces_is_not_filled_again() -> None:
    """A team's name must never be able to pull other words into the form."""
    text = rendered_text(form(introduction="{team}"), "en", Audience(frozenset({P})), FACTS)

    assert "the {pool} team" in text


def test_a_language_or_placeholder_the_form_lacks_is_an_error() -> None:
    """Better no form than one with a hole in it."""
    with pytest.raises(KeyError):
        rendered_text(WHOLE, "cy", Audience(frozenset({P})), FACTS)
    with pytest.raises(KeyError):
        rendered_text(form(introduction="{nobody}"), "en", Audience(frozenset({P})), FACTS)


def test_each_audience_is_asked_its_own_statements() -> None:
    """Nobody answers for somebody else by mistake."""

    def asked(*capacities: AskedOf, pregnant: bool = False) -> list[str]:
        audience = Audience(frozenset(capacities), pregnant)
        return [each.code for each in statements_for(WHOLE, audience)]

    assert asked(P) == ["FILM", "EDIT", "SUMMARY", "PHOTO", "OTHERS"]
    assert asked(P, pregnant=True) == ["FILM", "EDIT", "BUMP", "SUMMARY", "PHOTO", "OTHERS"]
    assert asked(H) == ["CHILD", "PHOTO", "OTHERS"]
    assert asked(X) == ["FILM"]
    assert asked() == []


def test_one_question_is_put_for_each_capacity() -> None:
    """A box ticked for oneself must not tick the child's."""
    questions = questions_for(form(PHOTO), Audience(frozenset({H, P})))

    assert [question.capacity for question in questions] == [P, H]


def test_care_needs_every_needed_statement_and_photos_only_the_first() -> None:
    """The summary never stands in the way, and photos need no yes to further copies."""
    assert granting_statements(WHOLE, "care", P) == (FILM, EDIT)
    assert granting_statements(WHOLE, "care", P, pregnant=True) == (FILM, EDIT, BUMP)
    assert granting_statements(WHOLE, "care", H) == (CHILD,)
    assert granting_statements(WHOLE, "keepsake", H) == (PHOTO,)
    assert granting_statements(WHOLE, "research", P) == ()


def test_a_form_finds_its_statements_and_names_its_languages() -> None:
    """Callers ask by code; a code it does not have is their fault to report."""
    assert WHOLE.statement("BUMP") is BUMP
    assert WHOLE.languages == ("en",)
    with pytest.raises(KeyError):
        WHOLE.statement("NOBODY")

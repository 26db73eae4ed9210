"""What somebody needs to understand is chosen from a few, and stands where it matters."""

import pytest
from werkzeug.test import TestResponse

from consent_service.domain.information_needs import Need, put_together
from consent_service.services import people
from consent_service.web.words import helps
from tests.support.clinic import Clinic, Family
from tests.support.pages import Pages, Visitor, words


def _changes(visitor: Visitor, family: Family, **fields: object) -> TestResponse:
    path = f"/families/{family.involvement}/people/{family.mother}"
    visitor.opens(path)
    version = people.person(visitor.clinic.ctx, visitor.clinic.guider, family.mother).version
    return visitor.posts(path, full_name="Rosa Invented", version=str(version), **fields)


def test_needs_are_chosen_and_stand_on_every_page_where_they_matter(
    pages: Pages, clinic: Clinic
) -> None:
    """A parent who cannot read small print must not have to say so at every meeting."""
    family = clinic.family()
    guider = pages.as_("guider")

    _changes(
        guider,
        family,
        needs=["large_print", "interpreter"],
        language="Polish",
        needs_note="Short meetings",
    )

    needs = people.person(clinic.ctx, clinic.guider, family.mother).information_needs
    assert needs == {
        "large_print": "yes",
        "interpreter": "yes",
        "language": "Polish",
        "words": "Short meetings",
    }
    told = "Large print, Interpreter, Language: Polish, Short meetings"
    front = words(guider.opens(f"/families/{family.involvement}"))
    assert f"What helps Rosa Invented : {told}" in front
    leaflet = guider.opens(f"/leaflets/give/{family.involvement}/{family.mother}")
    assert told in words(leaflet)
    html = leaflet.get_data(as_text=True)
    assert html.index("In large print (PDF)") < html.index("Print it (PDF)")
    assert "with the interpreter there" in words(leaflet)
    consent = guider.opens(f"/consents/{family.involvement}/{family.mother}")
    assert told in words(consent)
    assert "write down their name below" in words(consent)


def test_needs_that_were_chosen_are_shown_chosen_and_can_go(pages: Pages, clinic: Clinic) -> None:
    """What was true last year is put right without losing the rest."""
    family = clinic.family()
    guider = pages.as_("guider")
    _changes(guider, family, needs=["hearing"], language="Polish", needs_note="")

    shown = guider.opens(f"/families/{family.involvement}/people/{family.mother}")
    html = shown.get_data(as_text=True)
    assert 'value="Polish"' in html
    assert html.count(" checked") == 1
    _changes(guider, family, needs=[], language="", needs_note="")

    assert people.person(clinic.ctx, clinic.guider, family.mother).information_needs == {}
    assert "What helps" not in words(guider.opens(f"/families/{family.involvement}"))


def test_a_need_nobody_has_offered_is_refused(pages: Pages, clinic: Clinic) -> None:
    """A form field comes from outside like everything else."""
    family = clinic.family()

    answer = _changes(pages.as_("guider"), family, needs=["nonsense"], language="", needs_note="")

    assert answer.status_code == 400
    assert people.person(clinic.ctx, clinic.guider, family.mother).information_needs == {}


def test_what_programs_wrote_down_in_other_words_stays_and_is_shown() -> None:
    """The set of needs is ours; a record system may know more."""
    kept = {"braille": "Grade 2", "interpreter": "Polish", "words": "Old note", "language": "x"}

    now = put_together(kept, frozenset({Need.INTERPRETER, Need.SIGHT}), "  Polish ", "")

    assert now == {
        "interpreter": "Polish",
        "sight": "yes",
        "language": "Polish",
        "braille": "Grade 2",
    }
    assert helps(now) == ["Interpreter: Polish", "Sees little", "Language: Polish", "Grade 2"]


@pytest.mark.parametrize("need", list(Need))
def test_each_need_is_said_in_words(need: Need) -> None:
    """A code on a page helps nobody."""
    (said,) = helps({need.value: "yes"})

    assert "_" not in said and said[0].isupper()

"""The IG officer ends a consent, finds one invalid, and sees whom to ask again, on pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consent_service.domain.consent import ConsentState
from consent_service.errors import Gone
from consent_service.services import consent, involvements, people, policies
from tests.support.clinic import Clinic, Family
from tests.support.databases import Databases
from tests.support.forms import add_version, clinic_with_own_policies
from tests.support.pages import Pages, Visitor, open_pages, words


@pytest.fixture
def clinic(databases: Databases, tmp_path: Path) -> Iterator[Clinic]:
    """A clinic with a policy folder of its own, so that a form may get a second version."""
    with clinic_with_own_policies(databases, tmp_path) as clinic:
        yield clinic


def _follows(visitor: Visitor) -> str:
    assert visitor.last is not None
    return words(visitor.follows(visitor.last))


def _act(clinic: Clinic, family: Family) -> str:
    acts = consent.acts(clinic.ctx, clinic.guider, family.involvement)
    return next(act.id for act in acts if act.person == family.mother)


def _care(clinic: Clinic, person: str) -> ConsentState:
    found = consent.state(clinic.ctx, clinic.ig, person, None, None)
    return next(view.state for view in found if view.purpose == "care")


def test_a_consent_by_the_wrong_person_is_marked_on_its_own_page(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Where the mistake is seen is where it is put right; the guider has no such button."""
    clinic.stores_film(family)
    ig, act = pages.as_("ig"), _act(clinic, family)
    assert "This was never valid" in words(ig.opens(f"/consents/{act}"))
    assert "This was never valid" not in words(pages.as_("guider").opens(f"/consents/{act}"))
    unsaid = ig.sends(f"/governance/consents/{act}/never-valid", because="wrong_person")
    assert unsaid.status_code == 400

    ig.sends(
        f"/governance/consents/{act}/never-valid",
        because="wrong_person",
        reason="Her sister answered.",
    )

    shown = _follows(ig)
    assert "Marked as never valid. 1 film, clip or photo waits for a decision." in shown
    assert "Nothing that was answered in it counts" in shown
    assert _care(clinic, family.mother) is ConsentState.INVALIDATED
    assert "the consent was never valid" in words(ig.opens("/retention/due"))


def test_what_an_end_destroys_is_seen_before_it_is_confirmed(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Nothing goes on the first press, and nothing that was not shown."""
    film = clinic.stores_film(family)
    ig = pages.as_("ig")
    path = f"/governance/families/{family.involvement}/people/{family.mother}/end"
    sent = {"purposes": "care", "because": "promise_not_kept", "reason": "A lost laptop."}
    assert ig.sends(path, because="use_ended", reason="Over").status_code == 400

    preview = ig.sends(path, **sent)
    assert "Film of 2 November 2026: Bath time" in words(preview)
    assert _care(clinic, family.mother) is ConsentState.GIVEN
    guessed = ig.sends(path, **sent, seen="0" * 64)
    assert _care(clinic, family.mother) is ConsentState.GIVEN
    seen = guessed.get_data(as_text=True).split('name="seen" value="')[1].split('"')[0]
    ig.sends(path, **sent, seen=seen)

    assert "Consent ended by us" in _follows(ig)
    assert _care(clinic, family.mother) is ConsentState.REVOKED
    with pytest.raises(Gone):
        clinic.watches(film.id)


def test_whoever_has_to_be_asked_again_is_seen_where_the_work_is(
    clinic: Clinic, family: Family
) -> None:
    """On the list of families, on the family's page, on the overview, with what changed."""
    add_version(clinic)
    policies.publish(clinic.ctx, clinic.ig, "consent-forms/vig/v2", material=True)
    pages = open_pages(clinic)
    guider, ig = pages.as_("guider"), pages.as_("ig")

    assert "Go through the changed form with" in words(guider.opens("/families"))
    family_page = words(guider.opens(f"/families/{family.involvement}"))
    assert "Rosa Invented has to be asked again" in family_page
    assert "2 People to ask again: their form has changed" in words(ig.opens("/governance"))
    listed = words(ig.opens("/governance/ask-again"))
    assert "Answered version 1 of form vig. Version 2 is in force since" in listed
    changes = words(guider.opens("/governance/forms/vig/changes/1/2"))
    assert "UND.RECORDS New" in changes
    assert "FB.QUOTE Gone" in changes
    assert "off right away" in changes


def test_a_sister_without_an_age_is_put_right_beside_the_field(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """The fault says what to do, and nobody is written down half."""
    guider = pages.as_("guider")
    path = f"/families/{family.involvement}/people/add"

    refused = guider.sends(path, full_name="Ada Invented", role="sibling")
    assert refused.status_code == 400
    assert 'href="#born_on-day"' in refused.get_data(as_text=True)
    assert people.find_people(clinic.ctx, clinic.guider, "Ada") == []
    guider.sends(path, full_name="Ada Invented", role="sibling", age="child")

    view = involvements.family(clinic.ctx, clinic.guider, family.involvement)
    assert "Ada Invented" in [person.full_name for _, person in view.people]

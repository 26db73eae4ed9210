"""Quotes, disclosures and receipts: of this family, for a use that was agreed to, on a possible day."""

from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256

import pytest

from consent_service.domain.audit import EventKind
from consent_service.errors import Conflict, InvalidInput, NotFound
from consent_service.services import disclosures, handovers, papers
from tests.services.test_own_papers import hands_over
from tests.support.clinic import Clinic, Family


def _feedback(clinic: Clinic, family: Family, person: str) -> str:
    return handovers.record_feedback(
        clinic.ctx, clinic.guider, family.involvement, person, "It helped us."
    )


def test_only_what_this_person_said_can_be_quoted(clinic: Clinic) -> None:
    """A quote is leave for one's own words; nobody can give leave for another family's."""
    ours, theirs = clinic.family(), clinic.family()
    request = handovers.PermitQuote(
        ours.involvement, ours.mother, "It helped us.", "Leaflet", clinic.today + timedelta(days=30)
    )

    for said in (
        _feedback(clinic, theirs, theirs.mother),
        _feedback(clinic, ours, ours.father),
        "f" * 32,
    ):
        with pytest.raises(NotFound):
            handovers.permit_quote(clinic.ctx, clinic.guider, replace(request, feedback=said))

    mine = replace(request, feedback=_feedback(clinic, ours, ours.mother))
    assert handovers.permit_quote(clinic.ctx, clinic.guider, mine)


def test_a_disclosure_is_for_the_use_that_was_named(clinic: Clinic) -> None:
    """A yes to one poster is no yes to publishing as such: the use is always said."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"PUB.WEB"}))
    film = clinic.stores_film(family)
    request = disclosures.RecordDisclosure(
        film.id, "publication:poster-2026", "The printer", clinic.today
    )

    with pytest.raises(InvalidInput) as refused:
        disclosures.record_disclosure(
            clinic.ctx, clinic.guider, replace(request, purpose="publication")
        )

    assert set(refused.value.faults) == {"purpose"}
    assert disclosures.record_disclosure(clinic.ctx, clinic.guider, request)


def test_a_disclosure_happened_after_the_filming_and_comes_back_once(clinic: Clinic) -> None:
    """The receipt says what cannot be called back: impossible days would make it untrue."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    request = disclosures.RecordDisclosure(film.id, "care", "The health visitor", clinic.today)

    for wrong, field in (
        (replace(request, disclosed_on=date(202, 1, 1)), "disclosed_on"),
        (replace(request, disclosed_on=clinic.today + timedelta(days=1)), "disclosed_on"),
        (replace(request, until_on=clinic.today - timedelta(days=1)), "until_on"),
    ):
        with pytest.raises(InvalidInput) as refused:
            disclosures.record_disclosure(clinic.ctx, clinic.guider, wrong)
        assert set(refused.value.faults) == {field}

    gone = disclosures.record_disclosure(clinic.ctx, clinic.guider, request)
    disclosures.take_back_disclosure(clinic.ctx, clinic.guider, gone, clinic.today)
    with pytest.raises(Conflict):
        disclosures.take_back_disclosure(clinic.ctx, clinic.guider, gone, clinic.today)


def test_a_receipt_of_photos_is_written_down_whoever_makes_it(clinic: Clinic) -> None:
    """The paper names a parent: who had it made must be found, the team as well as a link."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"PHOTO.KEEP"}))
    given = hands_over(clinic, family, family.mother)

    paper = papers.handover_receipt(clinic.ctx, clinic.guider, given)

    (entry,) = clinic.written_down(EventKind.HANDOVER_RECEIPT_MADE)
    assert (entry.event.subject, entry.event.involvement) == (given, family.involvement)
    assert entry.event.actor == clinic.guider.actor
    assert entry.event.details == {"digest": sha256(paper).hexdigest()}

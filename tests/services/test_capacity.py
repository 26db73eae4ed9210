"""Capacity is found at each act: nobody is filmed on a yes from before they could not decide."""

from datetime import timedelta

import pytest

from consent_service.domain.consent import Capacity, SignatureKind
from consent_service.domain.withdrawal import Route
from consent_service.errors import Refused
from consent_service.services import consent, recordings
from tests.support.clinic import Clinic, Family


def _cannot_decide(clinic: Clinic, family: Family, person: str) -> None:
    consent.capture(
        clinic.ctx,
        clinic.guider,
        consent.CaptureConsent(
            involvement=family.involvement,
            person=person,
            form="vig",
            language="en",
            leaflet_issue=family.issues[person],
            route=Route.IN_PERSON,
            capacity=Capacity.LACKS_NOW,
            answers=(),
            signature=consent.Signature(SignatureKind.TYPED, {}),
            event_at=clinic.clock.now(),
            ask_again_on=clinic.today + timedelta(days=14),
        ),
    )


def test_nobody_is_filmed_while_they_cannot_decide(clinic: Clinic) -> None:
    """A yes from better days does not speak for someone who is unwell; film waits for them."""
    family = clinic.family()
    clinic.both_consent(family)
    _cannot_decide(clinic, family, family.mother)
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)

    with pytest.raises(Refused) as refused:
        recordings.reserve(clinic.ctx, clinic.guider, request)

    assert refused.value.code == "lacks_capacity"
    again = (clinic.today + timedelta(days=14)).isoformat()
    assert refused.value.details["lacking"] == [{"person": family.mother, "ask_again_on": again}]
    clinic.passes(days=14)
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    again_request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)
    assert recordings.reserve(clinic.ctx, clinic.guider, again_request).id

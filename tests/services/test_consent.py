"""Capturing consent, and the state that follows."""

from consent_service.domain.consent import ConsentState
from consent_service.services import consent
from tests.support.clinic import Clinic


def _state(clinic: Clinic, person: str, purpose: str) -> ConsentState:
    now = clinic.clock.now()
    views = consent.state(clinic.ctx, clinic.ig, person, now, now)
    return next(v.state for v in views if v.purpose == purpose)


def test_care_is_given_once_both_parents_said_yes(clinic: Clinic) -> None:
    """The film needs everyone's own yes, the baby's through those who may decide for it."""
    family = clinic.family()

    clinic.both_consent(family)

    assert {_state(clinic, p, "care") for p in family.everyone} == {ConsentState.GIVEN}
    assert _state(clinic, family.mother, "training-local") is ConsentState.NOT_ASKED

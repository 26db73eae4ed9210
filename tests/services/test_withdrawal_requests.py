"""What a withdrawal may ask: by whom, from when, and what is kept by name."""

from dataclasses import replace
from datetime import timedelta

import pytest

from consent_service.domain.consent import ConsentState
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.errors import InvalidInput
from consent_service.services import consent, withdrawal
from tests.support.clinic import Clinic, Family

POSTER = "publication:poster-2026"


def _request(clinic: Clinic, family: Family, person: str) -> WithdrawalRequest:
    return WithdrawalRequest(
        involvement=family.involvement,
        person=person,
        by=person,
        scope=WithdrawalScope.EVERYTHING,
        speed=Speed.NOW,
        route=Route.IN_PERSON,
        moment=clinic.clock.now(),
    )


def _states(clinic: Clinic, person: str) -> dict[str, ConsentState]:
    views = consent.state(clinic.ctx, clinic.ig, person, None, None)
    return {view.purpose: view.state for view in views}


def _refused(clinic: Clinic, request: WithdrawalRequest) -> set[str]:
    with pytest.raises(InvalidInput) as refused:
        withdrawal.withdraw(clinic.ctx, clinic.guider, request)
    return set(refused.value.faults)


def test_nobody_withdraws_in_the_name_of_a_baby(clinic: Clinic) -> None:
    """A stop for a child is somebody's stop: the log must say whose, and that they may."""
    family = clinic.family()
    clinic.both_consent(family)

    assert _refused(clinic, _request(clinic, family, family.baby)) == {"by"}

    assert _states(clinic, family.baby)["care"] is ConsentState.GIVEN


def test_a_stop_dated_before_the_family_came_is_asked_again(clinic: Clinic) -> None:
    """A slip in the year would lie before every yes and end nothing, while a receipt is printed."""
    family = clinic.family()
    clinic.both_consent(family)
    request = _request(clinic, family, family.mother)

    wrong = replace(request, moment=request.moment - timedelta(days=365))

    assert _refused(clinic, wrong) == {"moment"}


def test_a_purpose_is_kept_with_every_use_that_was_named(clinic: Clinic) -> None:
    """Whoever ticks 'keep publication' keeps their poster, although its full name is longer."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"PUB.WEB", "SUP.SUPERVISOR"}))
    clinic.passes(hours=1)
    request = replace(_request(clinic, family, family.mother), keep_purposes=("publication",))

    done = withdrawal.withdraw(clinic.ctx, clinic.guider, request)

    assert done.purposes == ("care", "supervision")
    assert _states(clinic, family.mother)[POSTER] is ConsentState.GIVEN


def test_what_is_withdrawn_and_kept_at_once_is_asked_again(clinic: Clinic) -> None:
    """A request that ends nothing must not look like a stop that was recorded."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"PUB.WEB"}))
    request = replace(
        _request(clinic, family, family.mother),
        scope=WithdrawalScope.PURPOSES,
        purposes=(POSTER,),
        keep_purposes=("publication",),
    )

    assert _refused(clinic, request) == {"keep_purposes"}

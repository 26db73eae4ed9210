"""What a withdrawal may ask: by whom, from when, and what is kept by name."""

from dataclasses import replace
from datetime import timedelta

import pytest

from consent_service.domain.consent import ConsentState
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.errors import InvalidInput
from consent_service.services import consent, erasure_journal, withdrawal
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


def test_a_stop_dated_before_the_latest_yes_is_asked_again(clinic: Clinic) -> None:
    """A letter read after a new yes would end nothing, while its receipt says that all is over."""
    family = clinic.family()
    written = clinic.clock.now()
    clinic.passes(hours=1)
    clinic.both_consent(family)
    late = replace(_request(clinic, family, family.mother), moment=written)

    with pytest.raises(InvalidInput) as refused:
        withdrawal.preview(clinic.ctx, clinic.guider, late)
    assert _refused(clinic, late) == {"moment"}

    assert "agreed again" in refused.value.faults["moment"]
    assert withdrawal.withdrawals(clinic.ctx, clinic.ig, family.involvement) == []
    assert _states(clinic, family.mother)["care"] is ConsentState.GIVEN


def test_a_use_agreed_to_since_does_not_stand_in_the_way_of_another(clinic: Clinic) -> None:
    """A letter about training ends training, whatever else was agreed to after it was written."""
    family = clinic.family()
    training = frozenset({"TRAIN.LOCAL"})
    clinic.captures(family, family.mother, clinic.answers(family, family.mother, optional=training))
    clinic.passes(hours=1)
    written = clinic.clock.now()
    clinic.passes(hours=1)
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    request = replace(
        _request(clinic, family, family.mother),
        scope=WithdrawalScope.PURPOSES,
        purposes=("training-local",),
        moment=written,
    )

    withdrawal.withdraw(clinic.ctx, clinic.guider, request)

    states = _states(clinic, family.mother)
    assert states["training-local"] is ConsentState.WITHDRAWN
    assert states["care"] is ConsentState.GIVEN


@pytest.mark.parametrize("named", ["publication:Poster 2026", "care:poster", "publication:"])
def test_a_use_that_is_no_code_is_refused_before_anything_is_written(
    clinic: Clinic, named: str
) -> None:
    """The journal takes codes only: a line that it never takes would stop every erasure."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)
    request = _request(clinic, family, family.mother)
    chosen = replace(request, scope=WithdrawalScope.PURPOSES, purposes=(named,))

    assert _refused(clinic, replace(request, keep_purposes=(named,))) == {"purposes"}
    assert _refused(clinic, chosen) == {"purposes"}

    assert _states(clinic, family.mother)["care"] is ConsentState.GIVEN
    assert erasure_journal.write_missing_lines(clinic.ctx) == 0

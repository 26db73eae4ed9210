"""Certificates by link where film waits for a check for holds before it is destroyed."""

from dataclasses import replace

import pytest

from consent_service.domain.erasure import OrderState
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Speed
from consent_service.errors import NotFound
from consent_service.services import certificates, erasure, holds, own_papers, own_withdrawal
from tests.services.test_own_pages import everything, holder
from tests.support.clinic import Clinic, Family

HOURS = 24


@pytest.fixture
def checked(clinic: Clinic) -> Clinic:
    """A clinic whose policy gives a day to look for holds."""
    policies = clinic.ctx.policies
    organisation = replace(policies.organisation, hold_check_hours=HOURS)
    clinic.ctx = replace(clinic.ctx, policies=replace(policies, organisation=organisation))
    return clinic


def _stops(clinic: Clinic, family: Family) -> str:
    """The mother stops everything now; film is sealed while it waits. Returns the order."""
    caller = holder(clinic, family).caller
    done = own_withdrawal.stop(clinic.ctx, caller, everything(family.mother, Speed.NOW))
    erasure.work(clinic.ctx, "test")
    assert done.erasure_order is not None
    order = erasure.order(clinic.ctx, clinic.ig, done.erasure_order)
    assert order.state is OrderState.WAITING
    return order.id


def _family_on_film(clinic: Clinic) -> Family:
    family = clinic.family()
    clinic.both_consent(family)
    clinic.stores_film(family)
    return family


def test_who_waited_for_a_check_finds_the_certificate_that_they_were_promised(
    checked: Clinic,
) -> None:
    """Keys are sealed for everybody who waits: it tells of no hold, and is no reason for silence.

    The page of what was stopped says that a certificate follows.
    """
    family = _family_on_film(checked)
    order = _stops(checked, family)

    checked.passes(hours=HOURS)
    erasure.work(checked.ctx, "test")

    mother = holder(checked, family).caller
    assert [one.order for one in own_papers.own_papers(checked.ctx, mother).certificates] == [order]
    assert own_papers.certificate(checked.ctx, mother, order).startswith(b"%PDF")


def test_a_hold_that_the_check_found_is_not_told_by_a_certificate(checked: Clinic) -> None:
    """A hold is what those hours are for: whom it is about must not learn of it by link."""
    family = _family_on_film(checked)
    order = _stops(checked, family)
    place = holds.PlaceHold(family.involvement, HoldKind.SAFEGUARDING, "Worry.")
    holds.place(checked.ctx, checked.guider, place)

    checked.passes(hours=HOURS)
    erasure.work(checked.ctx, "test")

    mother = holder(checked, family).caller
    assert certificates.certificate(checked.ctx, checked.ig, order)
    assert own_papers.own_papers(checked.ctx, mother).certificates == ()
    with pytest.raises(NotFound):
        own_papers.certificate(checked.ctx, mother, order)

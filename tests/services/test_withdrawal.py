"""Withdrawing consent: access ends at once, keys go next, the rest follows through the ledger."""

import pytest

from consent_service.db.models.erasure import Certificate, ErasureOrder
from consent_service.domain.assets import AssetState
from consent_service.domain.consent import ConsentState
from consent_service.domain.erasure import OrderState
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.errors import Conflict
from consent_service.services import assets, certificates, consent, erasure, withdrawal
from consent_service.vault.keyring_values import KeyStatus
from tests.support.clinic import Clinic, Family
from tests.support.putting_back import rows_of


def _request(
    clinic: Clinic, family: Family, person: str, by: str, **more: object
) -> WithdrawalRequest:
    values: dict[str, object] = {
        "scope": WithdrawalScope.EVERYTHING,
        "speed": Speed.NOW,
        "route": Route.IN_PERSON,
        "moment": clinic.clock.now(),
    }
    return WithdrawalRequest(
        involvement=family.involvement,
        person=person,
        by=by,
        **(values | more),  # type: ignore[arg-type]
    )


def _care(clinic: Clinic, person: str) -> ConsentState:
    now = clinic.clock.now()
    views = consent.state(clinic.ctx, clinic.ig, person, now, now)
    return next(v.state for v in views if v.purpose == "care")


def test_a_withdrawal_ends_consent_destroys_its_key_and_is_certified(clinic: Clinic) -> None:
    """A parent's stop is the promise that everything else rests on."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)

    done = withdrawal.withdraw(
        clinic.ctx, clinic.guider, _request(clinic, family, family.mother, family.mother)
    )
    erasure.work(clinic.ctx, "test")

    assert _care(clinic, family.mother) is ConsentState.WITHDRAWN
    assert _care(clinic, family.baby) is ConsentState.GIVEN
    assert done.erasure_order is not None
    view = erasure.order(clinic.ctx, clinic.ig, done.erasure_order)
    assert view.state is OrderState.DONE, [(s.kind, s.state, s.fault) for s in view.steps]
    certificate = certificates.certificate(clinic.ctx, clinic.ig, done.erasure_order)
    keys = clinic.ctx.signers.published
    assert certificates.verify_bundle(certificate.bundle(), keys).ok
    assert not certificates.verify_bundle(
        certificate.bundle().replace(b'"revision": 1', b'"revision": 7'), keys
    ).ok


def test_parents_who_disagree_about_the_baby_freeze_and_nothing_is_erased(clinic: Clinic) -> None:
    """One parent's no must not destroy what the other agreed to, nor leave it watchable."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)

    done = withdrawal.withdraw(
        clinic.ctx, clinic.guider, _request(clinic, family, family.baby, family.mother)
    )

    assert _care(clinic, family.baby) is ConsentState.DISPUTED
    assert done.erasure_order is None
    sealed = [e for e in clinic.ctx.keyring.list_keys() if e.zone.value == "escrow"]
    assert sealed


def test_within_seven_days_only_the_person_who_withdrew_brings_it_back(clinic: Clinic) -> None:
    """A change of mind is theirs alone, and after the window nothing brings film back."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)
    request = _request(clinic, family, family.mother, family.mother, speed=Speed.SEVEN_DAYS)
    first = withdrawal.withdraw(clinic.ctx, clinic.guider, request)
    assert _care(clinic, family.mother) is ConsentState.WITHDRAWN

    clinic.passes(days=3)
    withdrawal.cancel(clinic.ctx, clinic.guider, first.id, family.mother)

    assert _care(clinic, family.mother) is ConsentState.GIVEN
    live = [e for e in clinic.ctx.keyring.list_keys() if e.zone.value == "live"]
    statuses = clinic.ctx.keyring.status([e.key_id for e in live])
    assert set(statuses.values()) == {KeyStatus.LIVE}
    request = _request(clinic, family, family.mother, family.mother, speed=Speed.SEVEN_DAYS)
    second = withdrawal.withdraw(clinic.ctx, clinic.guider, request)
    clinic.passes(days=7, minutes=1)
    erasure.work(clinic.ctx, "test")
    with pytest.raises(Conflict) as refused:
        withdrawal.cancel(clinic.ctx, clinic.guider, second.id, family.mother)
    assert refused.value.code == "too_late"


def test_each_of_two_orders_that_overlap_destroys_what_its_own_preview_said(
    clinic: Clinic,
) -> None:
    """A parent who says stop twice must find each film in the certificate of the stop that ended it."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"TRAIN.LOCAL"}))
    film = clinic.stores_film(family)
    clinic.passes(hours=1)
    one = _request(
        clinic,
        family,
        family.mother,
        family.mother,
        scope=WithdrawalScope.PURPOSES,
        purposes=("training-local",),
    )
    first = withdrawal.withdraw(clinic.ctx, clinic.guider, one)
    clinic.passes(minutes=1)
    everything = _request(clinic, family, family.mother, family.mother)
    previewed = withdrawal.preview(clinic.ctx, clinic.guider, everything)

    second = withdrawal.withdraw(clinic.ctx, clinic.guider, everything)
    erasure.work(clinic.ctx, "test")

    destroyed = {
        done.erasure_order: [
            line.asset for line in withdrawal.outcome(clinic.ctx, clinic.ig, done.id).destroyed
        ]
        for done in (first, second)
    }
    assert [line.asset for line in previewed.destroyed] == [film.id]
    assert destroyed == {first.erasure_order: [], second.erasure_order: [film.id]}


def test_film_taken_back_with_days_to_think_is_ordered_erased_once(
    clinic: Clinic, family: Family
) -> None:
    """Waiting seals nothing that the order ends later: an end that never ends would fill a disk."""
    film = clinic.stores_film(family).id
    clinic.withdraws(
        family,
        family.mother,
        scope=WithdrawalScope.ASSETS,
        assets=(film,),
        speed=Speed.SEVEN_DAYS,
    )
    erasure.work(clinic.ctx, "test")
    clinic.passes(days=8)

    for _ in range(2):
        erasure.work(clinic.ctx, "test")
        clinic.passes(minutes=1)

    assert rows_of(clinic, ErasureOrder) == rows_of(clinic, Certificate) == 1
    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.ERASED

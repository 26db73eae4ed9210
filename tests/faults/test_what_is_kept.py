"""What a withdrawal may not destroy: health records, disputed film, what was kept by name."""

import pytest
from sqlalchemy import update

from consent_service.db.models.consent import ConsentAct
from consent_service.domain.assets import AssetState, RecordClass
from consent_service.domain.erasure import Ground, OrderState
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.errors import Gone, Refused
from consent_service.services import (
    assets,
    cutting,
    disputes,
    erasure,
    holds,
    retention,
    withdrawal,
)
from consent_service.services.access import job_caller
from consent_service.vault.keyring_values import KeyStatus, Zone
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family

JOB = job_caller("retention")


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family who agreed, an hour ago, to being filmed, and to training with their clips."""
    found = clinic.family()
    clinic.both_consent(found, optional=frozenset({"TRAIN.LOCAL"}))
    clinic.passes(hours=1)
    return found


def _state(clinic: Clinic, film: str) -> AssetState:
    return assets.asset(clinic.ctx, clinic.ig, film).state


def _sealed(clinic: Clinic) -> set[str]:
    return {entry.key_id for entry in clinic.ctx.keyring.list_keys(Zone.ESCROW)}


def test_a_health_record_is_restricted_its_keys_sealed_until_two_people_decide(
    clinic: Clinic, family: Family
) -> None:
    """What the form called a health record is the IG officer's to decide about, and then goes."""
    with clinic.ctx.begin() as uow:
        uow.session.execute(update(ConsentAct).values(record_class=RecordClass.HEALTH_RECORD.value))
    film = clinic.stores_film(family).id
    done = clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "worker")

    assert _state(clinic, film) is AssetState.RESTRICTED
    outcome = withdrawal.outcome(clinic.ctx, clinic.ig, done.id)
    assert [(line.asset, line.ground) for line in outcome.lines] == [(film, Ground.HEALTH_RECORD)]
    with pytest.raises((Gone, Refused)):
        clinic.watches(film)
    sealed = _sealed(clinic)
    assert sealed
    assert list(clinic.ctx.blobs.list(film))

    retention.run(clinic.ctx, JOB)
    [line] = whole_lists.dispositions(clinic.ctx, clinic.ig)
    assert line.subject == film
    destroy = retention.Decide(retention.Decision.DESTROY, "Not needed for care.")
    retention.decide(clinic.ctx, clinic.ig, line.id, destroy)
    retention.confirm(clinic.ctx, clinic.ig2, line.id)
    erasure.work(clinic.ctx, "worker")

    assert _state(clinic, film) is AssetState.ERASED
    assert not list(clinic.ctx.blobs.list(film))
    assert not _sealed(clinic)
    assert set(clinic.ctx.keyring.status(sealed).values()) == {KeyStatus.DESTROYED}
    orders = whole_lists.orders(clinic.ctx, clinic.ig, family.involvement)
    assert {order.state for order in orders} == {OrderState.DONE}
    assert len(orders) == 3


def test_disputed_film_comes_back_when_it_is_settled_for_giving(
    clinic: Clinic, family: Family
) -> None:
    """Sealed while parents disagree, opened again by the decision, nothing lost in between."""
    film = clinic.stores_film(family).id
    clinic.withdraws(family, family.baby, by=family.mother)
    with pytest.raises(Refused):
        clinic.watches(film)
    assert _sealed(clinic)
    erasure.work(clinic.ctx, "worker")
    assert _state(clinic, film) is AssetState.STORED

    _settle(clinic, family, give=True)

    assert clinic.watches(film)
    assert not _sealed(clinic)


def test_disputed_film_goes_when_it_is_settled_against(clinic: Clinic, family: Family) -> None:
    """The parent who withdrew was right: then the withdrawal takes its course, with its proof."""
    film = clinic.stores_film(family).id
    done = clinic.withdraws(family, family.baby, by=family.mother)
    assert done.erasure_order is None

    _settle(clinic, family, give=False)
    erasure.work(clinic.ctx, "worker")

    assert _state(clinic, film) is AssetState.ERASED
    assert not _sealed(clinic)
    assert withdrawal.withdrawal(clinic.ctx, clinic.ig, done.id).erasure_order is not None


def _settle(clinic: Clinic, family: Family, *, give: bool) -> None:
    clinic.passes(minutes=5)
    for dispute in disputes.standing(clinic.ctx, clinic.ig, family.involvement):
        disputes.resolve(clinic.ctx, clinic.ig, dispute.id, give=give, reason="Heard both.")


def test_a_clip_kept_by_name_for_training_plays_for_that_and_nothing_else(
    clinic: Clinic, family: Family
) -> None:
    """Rule 4: what a permitted purpose still sustains stays, for that purpose; the film goes."""
    film = clinic.stores_film(family).id
    clip = cutting.clip(clinic.ctx, clinic.guider, cutting.MakeClip(film, 0, 1000, "A smile")).id
    assert clinic.watches(clip, "training-local")
    request = WithdrawalRequest(
        involvement=family.involvement,
        person=family.mother,
        by=family.mother,
        scope=WithdrawalScope.EVERYTHING,
        speed=Speed.NOW,
        route=Route.IN_PERSON,
        moment=clinic.clock.now(),
        keep_purposes=("training-local",),
    )
    preview = withdrawal.preview(clinic.ctx, clinic.guider, request)
    done = withdrawal.withdraw(clinic.ctx, clinic.guider, request)
    erasure.work(clinic.ctx, "worker")

    assert [line.asset for line in preview.destroyed] == [film]
    outcome = withdrawal.outcome(clinic.ctx, clinic.ig, done.id)
    assert outcome.lines == preview.lines
    assert _state(clinic, film) is AssetState.ERASED
    assert clinic.watches(clip, "training-local")
    with pytest.raises((Gone, Refused)):
        clinic.watches(clip, "care")


def test_withdrawing_only_training_leaves_care_playing(clinic: Clinic, family: Family) -> None:
    """Each purpose is its own yes."""
    film = clinic.stores_film(family).id
    clinic.withdraws(
        family,
        family.mother,
        scope=WithdrawalScope.PURPOSES,
        purposes=("training-local",),
    )
    erasure.work(clinic.ctx, "worker")

    assert clinic.watches(film)
    assert _state(clinic, film) is AssetState.STORED
    assert not holds.holds(clinic.ctx, clinic.ig)

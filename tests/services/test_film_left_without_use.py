"""Film that an order found without a use stays shut, whatever is agreed to afterwards."""

import pytest

from consent_service.domain.assets import AssetState
from consent_service.domain.withdrawal import Speed, WithdrawalScope
from consent_service.errors import ConsentServiceError
from consent_service.services import erasure, keys, revocation, viewing
from tests.support.clinic import Clinic, Family
from tests.support.kept_film import asset_row

TRAINING = frozenset({"TRAIN.LOCAL"})
CARE = frozenset({"CARE.FILM.SELF", "CARE.FILM.CHILD"})


def _agrees(clinic: Clinic, family: Family) -> None:
    """She agrees to care and to training, for herself and for the baby."""
    answers = clinic.answers(family, family.mother, optional=TRAINING)
    clinic.captures(family, family.mother, answers)
    clinic.passes(minutes=5)


def _stops(clinic: Clinic, family: Family, purpose: str) -> None:
    """She has seven days to think about it."""
    clinic.withdraws(
        family,
        family.mother,
        scope=WithdrawalScope.PURPOSES,
        purposes=(purpose,),
        speed=Speed.SEVEN_DAYS,
    )
    clinic.passes(minutes=5)


def _is_ended(clinic: Clinic, family: Family) -> None:
    """The organisation ends what stands of her consent; its order waits for who may place a hold."""
    because = revocation.RevokedBecause.USE_ENDED
    wanted = revocation.RevokeConsent(family.involvement, family.mother, because, "The use is over")
    assert revocation.revoke(clinic.ctx, clinic.ig, wanted).purposes == ("care",)
    clinic.passes(minutes=5)


def test_a_later_yes_to_another_use_opens_nothing_that_waits_for_its_end(clinic: Clinic) -> None:
    """Training had been refused before care ended, so film of hers is to go. Its training key is
    under seal for that no alone, and a new yes would have it opened for care too.
    """
    family = clinic.family()
    _agrees(clinic, family)
    film = clinic.stores_film(family, depicted=(family.mother, family.baby)).id
    clinic.passes(minutes=5)
    no = clinic.answers(family, family.mother, no=TRAINING)
    clinic.captures(family, family.mother, no)
    clinic.passes(minutes=5)
    _is_ended(clinic, family)

    _agrees(clinic, family)

    keys.settle(clinic.ctx, family.involvement)
    for purpose in ("care", "training-local"):
        with pytest.raises(ConsentServiceError):
            viewing.open_film(clinic.ctx, clinic.guider, film, purpose)
    clinic.passes(days=8)
    erasure.work(clinic.ctx, "worker")
    assert asset_row(clinic, film).state is AssetState.ERASED


def test_what_another_use_kept_when_an_order_came_is_opened_by_a_later_yes(clinic: Clinic) -> None:
    """Care stood when training ended, so the film stayed; refused and agreed to again, it opens."""
    family = clinic.family()
    _agrees(clinic, family)
    film = clinic.stores_film(family, depicted=(family.mother, family.baby)).id
    clinic.passes(minutes=5)
    _stops(clinic, family, "training-local")
    no = clinic.answers(family, family.mother, no=TRAINING | CARE)
    clinic.captures(family, family.mother, no)
    clinic.passes(minutes=5)
    with pytest.raises(ConsentServiceError):
        clinic.watches(film)

    _agrees(clinic, family)

    assert clinic.watches(film)

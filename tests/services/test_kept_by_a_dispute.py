"""What parents disagree about is kept shut, also from the stop of somebody else who is in it."""

import json
from collections.abc import Callable

import pytest
from sqlalchemy import bindparam, select

from consent_service.db.models.consent import ConsentDecision
from consent_service.domain.assets import AssetState
from consent_service.domain.consent import Answer
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Speed
from consent_service.errors import Gone
from consent_service.jobs.catalogue import CATALOGUE
from consent_service.services import certificates, disputes, erasure, holds, revocation, withdrawal
from consent_service.vault.keyring import KeyStatus
from tests.support import whole_lists
from tests.support.clinic import Clinic, Family
from tests.support.kept_film import asset_row

_HIS = select(ConsentDecision.id).where(
    ConsentDecision.person_id == bindparam("person"),
    ConsentDecision.purpose.is_not(None),
    ConsentDecision.answer == Answer.YES,
)
Stop = Callable[[Clinic, Family], str]


def _stops(clinic: Clinic, family: Family) -> str:
    """The father wants no film of himself any more."""
    done = clinic.withdraws(family, family.father)
    assert done.erasure_order is not None
    return done.erasure_order


def _is_stopped(clinic: Clinic, family: Family) -> str:
    """The organisation ends the father's consent."""
    wanted = revocation.RevokeConsent(
        family.involvement, family.father, revocation.RevokedBecause.USE_ENDED, "The use is over"
    )
    would = revocation.preview(clinic.ctx, clinic.ig, wanted)
    assert [line.ground for line in would.lines] == ["dispute"]
    return revocation.revoke(clinic.ctx, clinic.ig, wanted).erasure_order


def _disputed_film(clinic: Clinic, family: Family) -> str:
    """A film of all three, and a mother who says no for the baby an hour later."""
    film = clinic.stores_film(family).id
    clinic.passes(hours=1)
    clinic.withdraws(family, family.baby, by=family.mother)
    clinic.passes(minutes=1)
    return film


def _keys_of(clinic: Clinic, family: Family) -> set[KeyStatus]:
    """What became of the keys that the father's own yeses have."""
    with clinic.ctx.read() as session:
        yeses = session.execute(_HIS, {"person": family.father}).scalars().all()
    return set(clinic.ctx.keyring.status(yeses).values())


def _certified(clinic: Clinic, order: str) -> tuple[int, list[str]]:
    body = json.loads(certificates.certificate(clinic.ctx, clinic.ig, order).body)
    return len(body["destroyed"]), [one["ground"] for one in body["kept"]]


@pytest.mark.parametrize("stop", [_stops, _is_stopped])
@pytest.mark.parametrize("ending", ["for", "against", "agreed"])
def test_it_is_kept_shut_until_they_agree_or_are_settled_and_goes_then(
    clinic: Clinic, family: Family, stop: Stop, ending: str
) -> None:
    """A preview says that it stays: were his keys gone, what is kept would be noise."""
    film = _disputed_film(clinic, family)

    order = stop(clinic, family)
    erasure.work(clinic.ctx, "worker")

    assert _certified(clinic, order) == (0, ["dispute"])
    assert asset_row(clinic, film).state is AssetState.RESTRICTED
    assert _keys_of(clinic, family) == {KeyStatus.SEALED}
    with pytest.raises(Gone):
        clinic.watches(film)

    clinic.passes(minutes=1)
    if ending == "agreed":
        clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    for dispute in disputes.standing(clinic.ctx, clinic.ig):
        give = ending == "for"
        disputes.resolve(clinic.ctx, clinic.ig, dispute.id, give=give, reason="Heard both")
    if ending == "agreed":
        CATALOGUE["retention"].act(clinic.ctx)  # tonight
    erasure.work(clinic.ctx, "worker")

    assert asset_row(clinic, film).state is AssetState.ERASED
    assert _keys_of(clinic, family) == {KeyStatus.DESTROYED}
    assert clinic.objects() == set()


@pytest.mark.parametrize("taken_back", [True, False])
def test_it_waits_for_the_days_to_think_of_whoever_ends_the_dispute(
    clinic: Clinic, family: Family, taken_back: bool
) -> None:
    """The other parent says stop for the baby too, and may take it back: then they disagree anew."""
    film = _disputed_film(clinic, family)
    _stops(clinic, family)
    erasure.work(clinic.ctx, "worker")
    clinic.passes(minutes=1)

    said = clinic.withdraws(family, family.baby, by=family.father, speed=Speed.SEVEN_DAYS)
    clinic.passes(minutes=1)
    erasure.work(clinic.ctx, "worker")
    CATALOGUE["retention"].act(clinic.ctx)
    assert asset_row(clinic, film).state is AssetState.RESTRICTED

    if taken_back:
        withdrawal.cancel(clinic.ctx, clinic.guider, said.id, family.father)
    clinic.passes(days=8)
    erasure.work(clinic.ctx, "worker")
    CATALOGUE["retention"].act(clinic.ctx)
    erasure.work(clinic.ctx, "worker")

    left = AssetState.RESTRICTED if taken_back else AssetState.ERASED
    assert asset_row(clinic, film).state is left
    assert len(disputes.standing(clinic.ctx, clinic.ig)) == int(taken_back)


@pytest.mark.parametrize("why", ["dispute", "hold", "over"])
def test_nights_order_nothing_twice(clinic: Clinic, family: Family, why: str) -> None:
    """Each order has lines, a certificate and a rotation: one a night would go on for years."""
    film = _disputed_film(clinic, family)
    if why == "hold":
        worry = holds.PlaceHold(family.involvement, HoldKind.SAFEGUARDING, "A worry")
        holds.place(clinic.ctx, clinic.guider, worry)
    _stops(clinic, family)
    erasure.work(clinic.ctx, "worker")
    if why == "over":
        clinic.captures(family, family.mother, clinic.answers(family, family.mother))
        _a_night_passes(clinic)
    before = len(whole_lists.orders(clinic.ctx, clinic.ig))

    for _ in range(3):
        _a_night_passes(clinic)

    assert len(whole_lists.orders(clinic.ctx, clinic.ig)) == before == (2 if why == "over" else 1)
    left = AssetState.ERASED if why == "over" else AssetState.RESTRICTED
    assert asset_row(clinic, film).state is left


def _a_night_passes(clinic: Clinic) -> None:
    clinic.passes(days=1)
    CATALOGUE["retention"].act(clinic.ctx)
    erasure.work(clinic.ctx, "worker")

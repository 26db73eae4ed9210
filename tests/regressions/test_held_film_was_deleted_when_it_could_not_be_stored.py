"""A film that had come in whole and could not be stored was deleted, whatever held it.

The first attempt wrote an order, which the hold kept back; the next took the order for somebody
else's and cleared the store. And what a parent had thrown away while it was held, before it was
stored, was stored after all once the order was done, and could be watched.
"""

import pytest

from consent_service.domain.assets import AssetState
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import WithdrawalScope
from consent_service.errors import Gone, NotAFilm
from consent_service.services import erasure, holds, storing, uploads
from consent_service.services.access import job_caller
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.uploading import begun, send, state_of

WORKER = job_caller("finish-uploads")


def _held(clinic: Clinic, family: Family) -> str:
    wanted = holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "Somebody complained.")
    return holds.place(clinic.ctx, clinic.ig, wanted).id


def _released(clinic: Clinic, hold: str) -> None:
    holds.ask_release(clinic.ctx, clinic.ig, hold, "It was nothing.")
    holds.confirm_release(clinic.ctx, clinic.ig2, hold)


def _tries_for_a_while(clinic: Clinic) -> None:
    for _ in range(3):
        clinic.passes(minutes=6)
        uploads.finish_received(clinic.ctx, WORKER)
        erasure.work(clinic.ctx, "test")


def test_a_film_thrown_away_under_a_hold_is_kept_until_the_hold_ends(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not go because a process died; and whoever threw it away must never see it shown."""
    family, asset = begun(clinic)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(storing, "finish", dies)
        with pytest.raises(KeyboardInterrupt):
            send(clinic, asset, 0, sample_film())
    before = clinic.objects()
    hold = _held(clinic, family)
    clinic.withdraws(family, family.mother, scope=WithdrawalScope.ASSETS, assets=(asset,))

    _tries_for_a_while(clinic)

    assert clinic.objects() >= before
    assert state_of(clinic, asset) is AssetState.LOCKED
    with pytest.raises(Gone):
        uploads.upload(clinic.ctx, clinic.guider, asset)

    _released(clinic, hold)
    _tries_for_a_while(clinic)
    assert clinic.objects() == set()
    assert state_of(clinic, asset) is AssetState.ERASED


def test_what_is_no_film_stays_under_a_hold_and_goes_after_it(clinic: Clinic) -> None:
    """Whether bytes are evidence is not for a program that plays films to say."""
    text = b"Dear diary\n" * 1000
    family, asset = begun(clinic, text)
    hold = _held(clinic, family)
    with pytest.raises(NotAFilm):
        send(clinic, asset, 0, text)
    before = clinic.objects()

    _tries_for_a_while(clinic)
    assert before
    assert clinic.objects() == before

    _released(clinic, hold)
    _tries_for_a_while(clinic)
    assert clinic.objects() == set()
    assert state_of(clinic, asset) is AssetState.ERASED

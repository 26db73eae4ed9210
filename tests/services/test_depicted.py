"""Somebody else in the picture: the film stops for everyone until they have been asked."""

import hashlib

import pytest

from consent_service.db.models.recordings import Asset, DepictedPerson
from consent_service.domain.assets import AssetState, Depiction
from consent_service.domain.audit import EventKind
from consent_service.domain.purposes import CARE
from consent_service.errors import Conflict, Gone, InvalidInput, NotFound, Refused, Unavailable
from consent_service.jobs.catalogue import CATALOGUE
from consent_service.services import (
    clock_guard,
    cutting,
    depicted,
    erasure,
    keys,
    recordings,
    viewing,
)
from consent_service.services.recordings import AssetView
from consent_service.vault.keyring import KeyStatus, Zone
from consent_service.vault.wraps import parse_sidecar
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.safe import consenting_mother


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which the mother has said yes, for herself and for the baby."""
    return consenting_mother(clinic)


@pytest.fixture
def film(clinic: Clinic, family: Family) -> AssetView:
    """A film of mother and baby in which, it turns out, the father can be heard."""
    return clinic.stores_film(family, depicted=(family.mother, family.baby))


def _asset_key(clinic: Clinic, asset: str) -> str:
    with clinic.ctx.read() as session:
        return session.get_one(Asset, asset).asset_key_id


def _father_answers(clinic: Clinic, family: Family, *, no: frozenset[str] = frozenset()) -> None:
    clinic.passes(minutes=1)
    clinic.captures(family, family.father, clinic.answers(family, family.father, no=no))


def _adds_father(clinic: Clinic, family: Family, asset: str) -> AssetView:
    clinic.passes(minutes=1)
    return depicted.add_depicted(clinic.ctx, clinic.guider, asset, family.father)


def test_somebody_who_was_not_asked_stops_the_film_for_everyone(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """Nobody watches what somebody in it has not agreed to, and no live key opens it."""
    clip = cutting.clip(clinic.ctx, clinic.guider, cutting.MakeClip(film.id, 0, 900, "Bath"))
    old_key = _asset_key(clinic, film.id)
    opened = viewing.open_film(clinic.ctx, clinic.guider, film.id, CARE)
    stream = opened.iter_range(0, opened.size)

    view = _adds_father(clinic, family, film.id)

    assert view.state is AssetState.AWAITING_CONSENT
    assert set(view.depicted) == set(family.everyone)
    with pytest.raises(Refused):
        list(stream)
    opened.close()
    for one in (film.id, clip.id):
        with pytest.raises(Refused) as refused:
            clinic.watches(one)
        assert refused.value.code == "access_frozen"
    with clinic.ctx.read() as session:
        assert keys.wraps_by_asset(session, [film.id, clip.id]) == {}
    sealed = _asset_key(clinic, film.id)
    assert clinic.ctx.keyring.status([old_key, sealed]) == {
        old_key: KeyStatus.DESTROYED,
        sealed: KeyStatus.SEALED,
    }
    sidecar = parse_sidecar(clinic.ctx.blobs.read_range(f"{film.id}.json", 0, 10_000))
    assert (sidecar.asset_key_id, sidecar.wraps) == (sealed, ())
    assert len(clinic.written_down(EventKind.ASSET_AWAITING_CONSENT)) == 2


def test_their_yes_opens_the_film_again_for_everyone_in_it(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """Fourteen days are there to ask them; nothing is lost when they agree."""
    _adds_father(clinic, family, film.id)
    waiting_key = _asset_key(clinic, film.id)

    _father_answers(clinic, family)

    assert hashlib.sha256(clinic.watches(film.id)).hexdigest() == film.sha256
    view = recordings.asset(clinic.ctx, clinic.guider, film.id)
    assert (view.state, view.awaiting_since, view.purposes) == (AssetState.STORED, None, (CARE,))
    with clinic.ctx.read() as session:
        (wrap,) = keys.wraps_by_asset(session, [film.id])[film.id]
    assert len(wrap.key_ids) == 3
    assert clinic.ctx.keyring.status([waiting_key])[waiting_key] is KeyStatus.DESTROYED
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.father)
    clinic.passes(minutes=1)
    with pytest.raises(Gone):
        clinic.watches(film.id)


def test_their_no_destroys_the_film(clinic: Clinic, family: Family, film: AssetView) -> None:
    """A film that somebody in it refuses has no reason to be kept (rule 4)."""
    _adds_father(clinic, family, film.id)

    _father_answers(clinic, family, no=frozenset({"CARE.FILM.SELF"}))

    view = recordings.asset(clinic.ctx, clinic.guider, film.id)
    assert (view.state, view.order is not None) == (AssetState.ERASED, True)
    assert clinic.objects() == set()


def test_while_parents_disagree_the_film_goes_on_waiting(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """His no for the baby as well is a dispute, which freezes and destroys nothing."""
    _adds_father(clinic, family, film.id)

    _father_answers(clinic, family, no=frozenset({"CARE.FILM.SELF", "CARE.FILM.CHILD"}))
    clinic.passes(days=20)
    figures = depicted.settle_awaiting(clinic.ctx)

    assert figures["refused"] == 0
    view = recordings.asset(clinic.ctx, clinic.guider, film.id)
    assert view.state is AssetState.AWAITING_CONSENT
    assert f"{film.id}.1" in clinic.objects()


def test_without_an_answer_the_film_goes_after_fourteen_days(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """Nothing waits for ever, and nothing goes a day early."""
    _adds_father(clinic, family, film.id)
    clinic.passes(days=13)
    assert depicted.settle_awaiting(clinic.ctx)["refused"] == 0
    assert clinic.objects()

    clinic.passes(days=1, minutes=1)
    figures = depicted.settle_awaiting(clinic.ctx)

    assert figures == {"settled": 0, "refused": 1}
    assert clinic.objects() == set()
    view = recordings.asset(clinic.ctx, clinic.guider, film.id)
    assert (view.state, view.order is not None) == (AssetState.ERASED, True)
    sealed = list(clinic.ctx.keyring.list_keys(zone=Zone.ESCROW))
    assert sealed == []


def test_while_the_clock_is_in_doubt_no_answer_is_no_reason_to_destroy(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """A machine that woke up ten years later must ask before it believes its clock."""
    clock_guard.beat(clinic.ctx)
    _adds_father(clinic, family, film.id)
    clinic.passes(days=3650)

    CATALOGUE["settle-awaiting"].act(clinic.ctx)

    view = recordings.asset(clinic.ctx, clinic.guider, film.id)
    assert view.state is AssetState.AWAITING_CONSENT


def test_somebody_who_agreed_before_is_added_without_a_stop(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """From then on the film needs their key too: an old copy of the wrap opens nothing."""
    _father_answers(clinic, family)
    old_key = _asset_key(clinic, film.id)

    view = _adds_father(clinic, family, film.id)

    assert view.state is AssetState.STORED
    assert hashlib.sha256(clinic.watches(film.id)).hexdigest() == film.sha256
    with clinic.ctx.read() as session:
        (wrap,) = keys.wraps_by_asset(session, [film.id])[film.id]
    assert len(wrap.key_ids) == 3
    assert clinic.ctx.keyring.status([old_key])[old_key] is KeyStatus.DESTROYED
    assert _asset_key(clinic, film.id) != old_key


def test_who_is_in_a_clip_is_in_its_film_and_in_its_other_clips(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """Nobody can be in the part and not in the whole."""
    one, other = (
        cutting.clip(clinic.ctx, clinic.guider, cutting.MakeClip(film.id, start, start + 900, "A"))
        for start in (0, 1000)
    )

    _adds_father(clinic, family, one.id)

    views = recordings.assets(clinic.ctx, clinic.guider, family.involvement)
    assert {v.id for v in views} == {film.id, one.id, other.id}
    assert {v.state for v in views} == {AssetState.AWAITING_CONSENT}
    assert all(family.father in v.depicted for v in views)


def test_taking_somebody_out_needs_a_reason_and_two_people(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """One person must not be able to lift somebody's protection."""
    _adds_father(clinic, family, film.id)
    with pytest.raises(InvalidInput):
        depicted.ask_removal(clinic.ctx, clinic.guider, film.id, family.father, " ")
    with pytest.raises(Conflict):
        depicted.confirm_removal(clinic.ctx, clinic.ig, film.id, family.father)
    asked = depicted.ask_removal(
        clinic.ctx, clinic.guider, film.id, family.father, "It was the radio."
    )
    assert asked.removal_asked == (family.father,)
    with pytest.raises(Refused) as alone:
        depicted.confirm_removal(clinic.ctx, clinic.guider, film.id, family.father)
    assert alone.value.code == "second_person"

    view = depicted.confirm_removal(clinic.ctx, clinic.ig, film.id, family.father)

    assert view.state is AssetState.STORED
    assert set(view.depicted) == {family.mother, family.baby}
    assert hashlib.sha256(clinic.watches(film.id)).hexdigest() == film.sha256
    texts = [str(dict(e.event.details)) for e in clinic.written_down(EventKind.DEPICTED_REMOVED)]
    assert len(texts) == 1
    assert "radio" not in texts[0]


def test_a_clip_in_which_somebody_is_not_seen_counts_its_own_people(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """After two people looked, the clip no longer needs the consent of who is not in it."""
    _father_answers(clinic, family)
    _adds_father(clinic, family, film.id)
    clip = cutting.clip(clinic.ctx, clinic.guider, cutting.MakeClip(film.id, 0, 900, "Bath"))
    assert len(clip.depicted) == 3
    depicted.ask_removal(clinic.ctx, clinic.guider, clip.id, family.father, "Only she is in it.")
    depicted.confirm_removal(clinic.ctx, clinic.ig, clip.id, family.father)
    clinic.passes(minutes=1)

    clinic.withdraws(family, family.father)
    erasure.work(clinic.ctx, "test")

    with pytest.raises(Gone):
        clinic.watches(film.id)
    assert clinic.watches(clip.id)


def test_nobody_is_added_twice_or_from_outside_or_to_what_is_gone(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """Slips are told, and a withdrawn film takes nobody in."""
    with pytest.raises(Conflict):
        depicted.add_depicted(clinic.ctx, clinic.guider, film.id, family.mother)
    with pytest.raises(NotFound):
        depicted.add_depicted(clinic.ctx, clinic.guider, film.id, "0" * 32)
    with pytest.raises(Refused):
        depicted.add_depicted(clinic.ctx, clinic.supervisor, film.id, family.father)
    alone = clinic.stores_film(family, sample_film(), depicted=(family.mother,))
    with pytest.raises(Conflict):
        depicted.ask_removal(clinic.ctx, clinic.guider, alone.id, family.mother, "Not her.")
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.mother)
    erasure.work(clinic.ctx, "test")
    with pytest.raises(Gone):
        depicted.add_depicted(clinic.ctx, clinic.guider, film.id, family.father)


def test_a_crash_after_adding_is_mended_by_the_job(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """The wraps that stand for fewer people open nothing, and the job moves the key away."""
    _crashes_after_adding_father(clinic, family, film, AssetState.AWAITING_CONSENT)
    with pytest.raises(Refused):
        clinic.watches(film.id)

    figures = depicted.settle_awaiting(clinic.ctx)

    assert figures == {"settled": 1, "refused": 0}
    assert depicted.settle_awaiting(clinic.ctx) == {"settled": 0, "refused": 0}
    with clinic.ctx.read() as session:
        assert keys.wraps_by_asset(session, [film.id]) == {}
    _father_answers(clinic, family)
    assert clinic.watches(film.id)


def test_wraps_for_fewer_people_than_are_in_the_film_open_nothing(
    clinic: Clinic, family: Family, film: AssetView
) -> None:
    """Also where everybody agreed: the film must need the key of everybody who is in it."""
    _father_answers(clinic, family)
    _crashes_after_adding_father(clinic, family, film, AssetState.STORED)
    with pytest.raises(Unavailable) as refused:
        clinic.watches(film.id)
    assert refused.value.code == "keys_not_ready"
    keys.settle(clinic.ctx, family.involvement)

    figures = depicted.settle_awaiting(clinic.ctx)

    assert figures == {"settled": 1, "refused": 0}
    assert hashlib.sha256(clinic.watches(film.id)).hexdigest() == film.sha256


def _crashes_after_adding_father(
    clinic: Clinic, family: Family, film: AssetView, state: AssetState
) -> None:
    """What a process leaves that dies between the row and the keys."""
    with clinic.ctx.begin() as uow:
        uow.lock_involvement(family.involvement).consent_epoch += 1
        row = uow.session.get_one(Asset, film.id)
        row.state = state
        row.awaiting_since = uow.at if state is AssetState.AWAITING_CONSENT else None
        uow.session.add(
            DepictedPerson(
                asset_id=film.id,
                person_id=family.father,
                depiction=Depiction.DEPICTED,
                added_by=clinic.guider.id,
                added_at=uow.at,
            )
        )

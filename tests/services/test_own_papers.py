"""What a link may fetch of certificates and receipts, and which films it may stop one by one."""

import pytest

from consent_service.domain.audit import EventKind
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Speed, WithdrawalScope
from consent_service.errors import Gone, InvalidInput, NotFound, Refused
from consent_service.services import (
    certificates,
    cutting,
    erasure,
    handovers,
    holds,
    own_films,
    own_papers,
    own_withdrawal,
    papers,
    withdrawal,
)
from consent_service.services.access import Caller
from consent_service.services.own_withdrawal import OwnRequest
from tests.services.test_own_pages import PIN, everything, holder
from tests.support.clinic import Clinic, Family

NOW = Speed.NOW


def stops_and_all_goes(clinic: Clinic, caller: Caller, wanted: OwnRequest) -> str:
    """Stop by link and let the worker finish; returns the order."""
    done = own_withdrawal.stop(clinic.ctx, caller, wanted)
    clinic.passes(hours=30)
    erasure.work(clinic.ctx, "test")
    assert done.erasure_order is not None
    return done.erasure_order


def one_film(person: str, *films: str, speed: Speed = NOW) -> OwnRequest:
    return OwnRequest(person, WithdrawalScope.ASSETS, speed, assets=films)


def offered(clinic: Clinic, caller: Caller) -> list[str]:
    return [film.id for film in own_films.stoppable(clinic.ctx, caller)]


def hands_over(clinic: Clinic, family: Family, person: str) -> str:
    """Hand a photo over to somebody of the family."""
    film = clinic.stores_film(family)
    photo = cutting.still(clinic.ctx, clinic.guider, cutting.MakeStill(film.id, 500, "Smile"))
    given = handovers.offer(clinic.ctx, clinic.guider, family.involvement, person, (photo.id,))
    handovers.decide(clinic.ctx, clinic.guider, given.id, (photo.id,), "print")
    return given.id


def test_who_stopped_it_fetches_the_certificate_and_nobody_else(clinic: Clinic) -> None:
    """The proof belongs to who asked for it; the other parent is not even told that it exists."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.stores_film(family)
    mother, father = (holder(clinic, family, who).caller for who in ("mother", "father"))

    order = stops_and_all_goes(clinic, mother, everything(family.mother, NOW))

    listed = own_papers.own_papers(clinic.ctx, mother).certificates
    assert [one.order for one in listed] == [order]
    assert own_papers.certificate(clinic.ctx, mother, order).startswith(b"%PDF")
    entry = clinic.written_down(EventKind.CERTIFICATE_FETCHED)[0].event
    assert (entry.actor.id, entry.involvement) == (family.mother, family.involvement)
    assert own_papers.own_papers(clinic.ctx, father).certificates == ()
    with pytest.raises(NotFound):
        own_papers.certificate(clinic.ctx, father, order)
    with pytest.raises(Refused):
        certificates.certificates(clinic.ctx, mother)


@pytest.mark.parametrize("whole", [True, False])
def test_a_certificate_that_would_tell_of_a_hold_is_as_if_not_issued(
    clinic: Clinic, *, whole: bool
) -> None:
    """What a hold kept, or that keys were only sealed for one, would warn whom it is about."""
    family = clinic.family()
    clinic.both_consent(family)
    films = [clinic.stores_film(family) for _ in range(2)]
    held = None if whole else films[0].id
    holds.place(
        clinic.ctx,
        clinic.guider,
        holds.PlaceHold(family.involvement, HoldKind.SAFEGUARDING, "Worry.", held),
    )
    mother = holder(clinic, family).caller

    order = stops_and_all_goes(clinic, mother, everything(family.mother, NOW))

    assert certificates.certificate(clinic.ctx, clinic.ig, order)
    assert own_papers.own_papers(clinic.ctx, mother).certificates == ()
    with pytest.raises(NotFound) as refused:
        own_papers.certificate(clinic.ctx, mother, order)
    with pytest.raises(NotFound) as unknown:
        own_papers.certificate(clinic.ctx, mother, "f" * 32)
    assert refused.value.message == unknown.value.message


def test_a_certificate_that_would_tell_what_the_other_parent_agreed_to_is_not_told(
    clinic: Clinic,
) -> None:
    """The purposes that an order ended are both parents' answers; a link tells its holder's."""
    family = clinic.family()
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    more = clinic.answers(family, family.father, optional=frozenset({"TRAIN.EXTERNAL"}))
    clinic.captures(family, family.father, more)
    clinic.stores_film(family)
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.baby, by=family.father)
    mother = holder(clinic, family).caller

    order = stops_and_all_goes(clinic, mother, everything(family.baby, NOW))

    assert (
        "training-external" in certificates.certificate(clinic.ctx, clinic.ig, order).body.decode()
    )
    assert own_papers.own_papers(clinic.ctx, mother).certificates == ()


def test_the_receipt_of_photos_is_for_whom_they_were_given(clinic: Clinic) -> None:
    """Which photos somebody took home is theirs to know; what is only offered is no receipt yet."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"PHOTO.KEEP"}))
    given = hands_over(clinic, family, family.mother)
    theirs = hands_over(clinic, family, family.father)
    mother = holder(clinic, family).caller

    listed = own_papers.own_papers(clinic.ctx, mother).handovers

    assert [one.id for one in listed] == [given]
    assert papers.handover_receipt(clinic.ctx, mother, given).startswith(b"%PDF")
    assert clinic.written_down(EventKind.HANDOVER_RECEIPT_MADE)[0].event.subject == given
    with pytest.raises(NotFound):
        papers.handover_receipt(clinic.ctx, mother, theirs)
    with pytest.raises(Refused):
        handovers.decide(clinic.ctx, mother, given, (), "print")


def test_one_film_goes_by_link_and_the_others_stay(clinic: Clinic) -> None:
    """Somebody who dislikes one film should not have to stop everything to be rid of it."""
    family = clinic.family()
    clinic.both_consent(family)
    gone, kept = (clinic.stores_film(family) for _ in range(2))
    mother = holder(clinic, family).caller
    wanted = one_film(family.mother, gone.id)

    shown = own_withdrawal.preview(clinic.ctx, mother, wanted)
    order = stops_and_all_goes(clinic, mother, wanted)

    assert [line.asset for line in shown.destroyed] == [gone.id]
    with pytest.raises(Gone):
        clinic.watches(gone.id)
    assert clinic.watches(kept.id)
    assert offered(clinic, mother) == [kept.id]
    assert [one.order for one in own_papers.own_papers(clinic.ctx, mother).certificates] == [order]


def test_a_film_is_kept_after_all_by_its_number_only(clinic: Clinic) -> None:
    """For one film the same rule holds as for all of them (rule 5)."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    mother = holder(clinic, family).caller
    wanted = one_film(family.mother, film.id, speed=Speed.SEVEN_DAYS)
    done = own_withdrawal.stop(clinic.ctx, mother, wanted, PIN)

    assert offered(clinic, mother) == []
    with pytest.raises(InvalidInput):
        own_withdrawal.keep_after_all(clinic.ctx, mother, done.id, "111111")
    own_withdrawal.keep_after_all(clinic.ctx, mother, done.id, PIN)

    assert offered(clinic, mother) == [film.id]
    assert clinic.watches(film.id)


def test_only_films_that_show_the_holder_are_offered(clinic: Clinic) -> None:
    """A list of the child's films would tell one parent when the other one met the team."""
    family = clinic.family()
    clinic.both_consent(family)
    ours = clinic.stores_film(family)
    theirs = clinic.stores_film(family, depicted=(family.father, family.baby))
    mother = holder(clinic, family).caller

    assert offered(clinic, mother) == [ours.id]
    for person, film in ((family.mother, theirs.id), (family.baby, ours.id)):
        with pytest.raises(InvalidInput) as refused:
            own_withdrawal.stop(clinic.ctx, mother, one_film(person, film))
        assert set(refused.value.faults) == {"assets"}
    assert withdrawal.withdrawals(clinic.ctx, clinic.guider, family.involvement) == []


def test_what_others_did_changes_no_list_of_films(clinic: Clinic) -> None:
    """A hold, a dispute or the other parent's stop must not show in what is offered."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    mother = holder(clinic, family).caller
    place = holds.PlaceHold(family.involvement, HoldKind.SAFEGUARDING, "Worry.")
    holds.place(clinic.ctx, clinic.guider, place)

    assert offered(clinic, mother) == [film.id]
    clinic.withdraws(family, family.baby, by=family.father)
    assert offered(clinic, mother) == [film.id]
    clinic.withdraws(family, family.father)
    assert offered(clinic, mother) == [film.id]


@pytest.mark.parametrize("about", ["mother", "baby"])
def test_what_a_hold_keeps_of_a_stopped_film_is_offered_no_more(clinic: Clinic, about: str) -> None:
    """Stopped is gone for whoever stopped it; a film that stayed listed would tell of the hold."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.stores_film(family)
    place = holds.PlaceHold(family.involvement, HoldKind.SAFEGUARDING, "Worry.")
    holds.place(clinic.ctx, clinic.guider, place)
    mother = holder(clinic, family).caller

    own_withdrawal.stop(clinic.ctx, mother, everything(getattr(family, about), NOW))
    clinic.passes(hours=30)
    erasure.work(clinic.ctx, "test")

    assert offered(clinic, mother) == []


def test_films_of_a_day_are_told_apart_by_number_and_never_by_title(clinic: Clinic) -> None:
    """A title is the team's word and may name somebody; a number names nobody."""
    family = clinic.family()
    clinic.both_consent(family)
    for _ in range(2):
        clinic.stores_film(family)
    clinic.passes(days=1)
    clinic.stores_film(family)

    listed = own_films.stoppable(clinic.ctx, holder(clinic, family).caller)

    assert [film.number for film in listed] == [1, 2, None]
    assert not any("Bath" in str(vars(film)) for film in listed)

"""What the holder of a link may do and read, on both databases, whatever a page would ask."""

from datetime import date

import pytest

from consent_service.domain.consent import Capacity, ConsentState, SignatureKind
from consent_service.domain.links import LinkKind
from consent_service.domain.withdrawal import Route, Speed, WithdrawalScope
from consent_service.errors import InvalidInput, LinkClosed, NotFound, Refused
from consent_service.services import (
    consent,
    involvements,
    link_sessions,
    links,
    own_page,
    own_withdrawal,
    papers,
    upkeep,
    withdrawal,
)
from consent_service.services.link_sessions import LinkSession
from consent_service.services.own_page import Standing
from consent_service.services.own_withdrawal import OwnRequest
from tests.support.clinic import Clinic, Family

PIN = "482615"
BORN = {"mother": date(1994, 5, 17), "father": date(1992, 1, 9)}


def holder(
    clinic: Clinic, family: Family, who: str = "mother", kind: LinkKind = LinkKind.PARENT
) -> LinkSession:
    """Somebody of the family with their link open."""
    wanted = links.MakeLink(
        family.involvement, getattr(family, who), kind, capacity=Capacity.NO_DOUBT
    )
    _, secret = links.make_link(clinic.ctx, clinic.guider, wanted)
    opened = link_sessions.open_link(clinic.ctx, secret, BORN[who])
    return link_sessions.session_of(clinic.ctx, opened.link, opened.mark)


def everything(person: str, speed: Speed = Speed.SEVEN_DAYS) -> OwnRequest:
    return OwnRequest(person, WithdrawalScope.EVERYTHING, speed)


def care(clinic: Clinic, person: str) -> ConsentState:
    now = clinic.clock.now()
    found = consent.state(clinic.ctx, clinic.guider, person, now, now)
    return next(view.state for view in found if view.purpose == "care")


def test_a_withdrawal_by_link_is_taken_back_with_its_number_and_not_without(
    clinic: Clinic,
) -> None:
    """The film of a family hangs on who may say "after all" (rule 5)."""
    family = clinic.family()
    clinic.both_consent(family)
    mother = holder(clinic, family).caller
    done = own_withdrawal.stop(clinic.ctx, mother, everything(family.mother), PIN)

    assert care(clinic, family.mother) is ConsentState.WITHDRAWN
    with pytest.raises(InvalidInput):
        own_withdrawal.keep_after_all(clinic.ctx, mother, done.id, "111111")
    kept = own_withdrawal.keep_after_all(clinic.ctx, mother, done.id, PIN)

    assert kept.cancelled_at is not None
    assert care(clinic, family.mother) is ConsentState.GIVEN


def test_five_wrong_numbers_are_the_last(clinic: Clinic) -> None:
    """A number of six digits is guessed in the end by whoever may go on trying."""
    family = clinic.family()
    clinic.both_consent(family)
    mother = holder(clinic, family).caller
    done = own_withdrawal.stop(clinic.ctx, mother, everything(family.mother), PIN)
    for guess in range(5):
        with pytest.raises(InvalidInput):
            own_withdrawal.keep_after_all(clinic.ctx, mother, done.id, f"00000{guess}")

    with pytest.raises(Refused):
        own_withdrawal.keep_after_all(clinic.ctx, mother, done.id, PIN)
    assert not own_withdrawal.can_keep(clinic.ctx, mother, done.id)


def test_a_number_is_forgotten_once_nothing_can_be_taken_back(clinic: Clinic) -> None:
    """People use their numbers elsewhere too: none is kept longer than it serves."""
    family = clinic.family()
    clinic.both_consent(family)
    own_withdrawal.stop(clinic.ctx, holder(clinic, family).caller, everything(family.mother), PIN)

    assert upkeep.clean_up(clinic.ctx)["undo_pins"] == 0
    clinic.passes(days=7, minutes=1)
    assert upkeep.clean_up(clinic.ctx)["undo_pins"] == 1


def test_a_page_tells_how_each_of_ones_own_answers_stands(clinic: Clinic) -> None:
    """What somebody stopped is shown as stopped, and the other parent's word changes nothing."""
    family = clinic.family()
    clinic.both_consent(family)
    mother = holder(clinic, family).caller
    own_withdrawal.stop(clinic.ctx, mother, everything(family.mother, Speed.NOW))
    clinic.withdraws(family, family.baby, by=family.father)

    shown = own_page.own_page(clinic.ctx, mother)

    by_person = dict(shown.by_person)
    own = {line.standing for line in by_person[family.mother] if line.purpose == "care"}
    assert own == {Standing.STOPPED}
    assert {line.standing for line in by_person[family.baby]} == {Standing.STANDS}
    assert set(shown.names.values()) == {"Rosa Invented", "Mina Invented"}
    assert next(iter(by_person)) == family.mother


def test_a_link_reaches_nothing_that_somebody_else_said_or_did(clinic: Clinic) -> None:
    """Ids can be guessed, found or passed on; whose they are is asked each time."""
    family = clinic.family()
    clinic.both_consent(family)
    theirs = own_withdrawal.stop(
        clinic.ctx, holder(clinic, family, "father").caller, everything(family.father), PIN
    )
    act = next(
        act
        for act in consent.acts(clinic.ctx, clinic.guider, family.involvement)
        if act.person == family.father
    )
    mother = holder(clinic, family).caller

    for reading in (
        lambda: consent.consent_act(clinic.ctx, mother, act.id),
        lambda: papers.consent_copy(clinic.ctx, mother, act.id),
        lambda: withdrawal.withdrawal(clinic.ctx, mother, theirs.id),
        lambda: own_withdrawal.keep_after_all(clinic.ctx, mother, theirs.id, PIN),
        lambda: consent.acts(clinic.ctx, mother, clinic.family().involvement),
    ):
        with pytest.raises(NotFound):
            reading()
    for reading in (
        lambda: involvements.family(clinic.ctx, mother, family.involvement),
        lambda: consent.check_late(clinic.ctx, mother, act.id),
        lambda: links.list_links(clinic.ctx, mother, family.involvement, family.mother),
    ):
        with pytest.raises(Refused):
            reading()


def test_only_who_decides_for_a_child_stops_for_it(clinic: Clinic) -> None:
    """A link in one parent's name must not end what is another adult's to end."""
    family = clinic.family()
    clinic.both_consent(family)
    mother = holder(clinic, family).caller

    assert own_withdrawal.people(clinic.ctx, mother) == [family.mother, family.baby]
    with pytest.raises(InvalidInput):
        own_withdrawal.stop(clinic.ctx, mother, everything(family.father))
    assert care(clinic, family.father) is ConsentState.GIVEN


def test_a_receipt_by_link_names_no_dispute_and_no_use_of_the_other_parents(
    clinic: Clinic,
) -> None:
    """Paper fetched at home is read at home, by whoever is there."""
    family = clinic.family()
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    more = clinic.answers(family, family.father, optional=frozenset({"TRAIN.EXTERNAL"}))
    clinic.captures(family, family.father, more)
    clinic.passes(minutes=1)
    mother = holder(clinic, family).caller

    done = own_withdrawal.stop(clinic.ctx, mother, everything(family.baby, Speed.NOW))

    assert "training-external" in done.purposes
    told = own_withdrawal.uses_told(clinic.ctx, mother, family.baby, done.purposes)
    assert told == ["care"]
    assert papers.withdrawal_receipt(clinic.ctx, mother, done.id).startswith(b"%PDF")


def test_a_parents_page_records_no_consent(clinic: Clinic) -> None:
    """Its link lasts for years and is no place to sign anything."""
    family = clinic.family()
    mother = holder(clinic, family).caller
    form = consent.AskForm(family.involvement, family.mother, "vig", "en")

    with pytest.raises(Refused):
        consent.questions(clinic.ctx, mother, form)


def test_a_consent_link_is_used_up_with_the_act_that_it_records(clinic: Clinic) -> None:
    """Two signatures sent at the same moment are one act."""
    family = clinic.family()
    asked = holder(clinic, family, kind=LinkKind.CONSENT)
    request = consent.CaptureConsent(
        involvement=family.involvement,
        person=family.mother,
        form="vig",
        language="en",
        leaflet_issue=family.issues[family.mother],
        route=Route.REMOTE_LINK,
        capacity=Capacity.NO_DOUBT,
        answers=clinic.answers(family, family.mother),
        signature=consent.Signature(SignatureKind.TYPED, {"name": "Rosa Invented"}),
        event_at=clinic.clock.now(),
    )
    consent.capture(clinic.ctx, asked.caller, request)

    with pytest.raises(LinkClosed):
        consent.capture(clinic.ctx, asked.caller, request)
    assert len(consent.acts(clinic.ctx, clinic.guider, family.involvement)) == 1

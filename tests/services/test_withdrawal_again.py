"""Said twice: the same stop asked for again is the stop that stands, anything more is a new one."""

from collections.abc import Callable
from datetime import date

import pytest

from consent_service.domain.audit import EventKind
from consent_service.domain.links import LinkKind
from consent_service.domain.people import FamilyRole
from consent_service.domain.withdrawal import Speed, WithdrawalScope
from consent_service.errors import InvalidInput
from consent_service.services import (
    disputes,
    erasure,
    involvements,
    link_sessions,
    links,
    own_withdrawal,
    withdrawal,
)
from consent_service.services.own_withdrawal import OwnRequest
from tests.support.clinic import Clinic, Family
from tests.support.journal_away import journal_away

MOTHER_BORN = date(1994, 5, 17)
TRAINING = frozenset({"TRAIN.LOCAL"})


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family who agreed to care and to training, an hour ago."""
    found = clinic.family()
    clinic.both_consent(found, optional=TRAINING)
    clinic.passes(hours=1)
    return found


def said(clinic: Clinic) -> int:
    return len(clinic.written_down(EventKind.WITHDRAWAL_RECORDED))


def test_the_same_stop_said_again_while_it_waits_is_the_one_that_stands(
    clinic: Clinic, family: Family
) -> None:
    """Whose answer was lost on the way says it again: two acts would be two certificates."""
    with journal_away(clinic.ctx.journal):
        first = clinic.withdraws(family, family.mother)
        clinic.passes(minutes=2)
        again = clinic.withdraws(family, family.mother)

    assert again == first
    assert said(clinic) == 1
    erasure.work(clinic.ctx, "test")
    assert len(clinic.written_down(EventKind.ERASURE_COMPLETED)) == 1


def test_days_to_think_are_not_begun_anew_and_one_change_of_mind_takes_all_back(
    clinic: Clinic, family: Family
) -> None:
    """Two stops on one page, and taking back one of them would leave the other to go its way."""
    first = clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    clinic.passes(days=1)
    again = clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)

    assert (again.id, again.undo_until) == (first.id, first.undo_until)
    withdrawal.cancel(clinic.ctx, clinic.guider, again.id, family.mother)
    erasure.work(clinic.ctx, "test")
    clinic.passes(days=8)
    assert erasure.work(clinic.ctx, "test") == {"steps_done": 0, "steps_failed": 0}


def test_named_film_stopped_twice_is_one_stop(clinic: Clinic, family: Family) -> None:
    """Also where no purpose ends: the order names the film, and so does the one asked again."""
    film = clinic.stores_film(family)
    scope = WithdrawalScope.ASSETS
    with journal_away(clinic.ctx.journal):
        first = clinic.withdraws(family, family.mother, scope=scope, assets=(film.id,))
        assert clinic.withdraws(family, family.mother, scope=scope, assets=(film.id,)) == first


def test_a_form_sent_twice_by_link_is_one_stop_and_keeps_its_first_number(
    clinic: Clinic, family: Family
) -> None:
    """Whoever only holds the link must not put a number of their own in place of the first."""
    wanted = links.MakeLink(family.involvement, family.mother, LinkKind.PARENT)
    _, secret = links.make_link(clinic.ctx, clinic.guider, wanted)
    opened = link_sessions.open_link(clinic.ctx, secret, MOTHER_BORN)
    mine = link_sessions.session_of(clinic.ctx, opened.link, opened.mark).caller
    stop = OwnRequest(family.mother, WithdrawalScope.EVERYTHING, Speed.SEVEN_DAYS)

    first = own_withdrawal.stop(clinic.ctx, mine, stop, "482615")
    again = own_withdrawal.stop(clinic.ctx, mine, stop, "000000")

    assert (again, said(clinic)) == (first, 1)
    with pytest.raises(InvalidInput):
        own_withdrawal.keep_after_all(clinic.ctx, mine, first.id, "000000")
    assert own_withdrawal.keep_after_all(clinic.ctx, mine, first.id, "482615").cancelled_at


def _at_once(clinic: Clinic, family: Family) -> None:
    clinic.withdraws(family, family.mother)


def _by_the_father(clinic: Clinic, family: Family) -> None:
    clinic.withdraws(family, family.father, speed=Speed.SEVEN_DAYS)


def _of_one_purpose(clinic: Clinic, family: Family) -> None:
    clinic.withdraws(
        family,
        family.mother,
        speed=Speed.SEVEN_DAYS,
        scope=WithdrawalScope.PURPOSES,
        purposes=("training-local",),
    )


def _after_a_new_yes(clinic: Clinic, family: Family) -> None:
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)


def _after_a_change_of_mind(clinic: Clinic, family: Family) -> None:
    (stands,) = withdrawal.withdrawals(clinic.ctx, clinic.guider, family.involvement)
    withdrawal.cancel(clinic.ctx, clinic.guider, stands.id, family.mother)
    clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)


def _once_it_is_done(clinic: Clinic, family: Family) -> None:
    clinic.passes(days=8)
    erasure.work(clinic.ctx, "test")
    clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)


@pytest.mark.parametrize(
    "more",
    [
        _at_once,
        _by_the_father,
        _of_one_purpose,
        _after_a_new_yes,
        _after_a_change_of_mind,
        _once_it_is_done,
    ],
)
def test_whatever_asks_for_more_is_a_withdrawal_of_its_own(
    clinic: Clinic, family: Family, more: object
) -> None:
    """What somebody says must never be taken for what they said before, if it ends more."""
    clinic.withdraws(family, family.mother, speed=Speed.SEVEN_DAYS)
    clinic.passes(minutes=1)
    assert callable(more)

    more(clinic, family)

    assert said(clinic) == 2


@pytest.mark.parametrize("speed", [Speed.NOW, Speed.SEVEN_DAYS])
def test_a_stop_that_froze_what_parents_disagree_about_is_one_stop_too(
    clinic: Clinic, family: Family, speed: Speed
) -> None:
    """It has no order that would be carried out twice; but two acts are two changes of mind."""
    film = clinic.stores_film(family).id
    first = clinic.withdraws(family, family.baby, by=family.mother, speed=speed)
    clinic.passes(minutes=2)
    again = clinic.withdraws(family, family.baby, by=family.mother, speed=speed)

    assert again == first
    assert said(clinic) == 1
    if speed is Speed.SEVEN_DAYS:
        withdrawal.cancel(clinic.ctx, clinic.guider, again.id, family.mother)
        assert clinic.watches(film)


def test_a_stop_that_froze_film_of_two_teams_is_one_stop(clinic: Clinic, family: Family) -> None:
    """Disputed elsewhere is ended elsewhere by the same word: nothing of it is left to say."""
    _agree_with_another_team(clinic, family)
    first = clinic.withdraws(family, family.baby, by=family.mother)
    clinic.passes(minutes=2)

    assert clinic.withdraws(family, family.baby, by=family.mother) == first
    assert len(disputes.standing(clinic.ctx, clinic.ig)) == 3


def _agree_with_another_team(clinic: Clinic, family: Family) -> Family:
    """Both parents agree to film in another involvement, too; an hour passes."""
    roles = (FamilyRole.PARENT, FamilyRole.PARENT, FamilyRole.BABY)
    members = tuple(involvements.Member(p, r) for p, r in zip(family.everyone, roles, strict=True))
    details = involvements.InvolvementDetails(clinic.team, clinic.guider.id, members, clinic.today)
    place = involvements.start_involvement(clinic.ctx, clinic.guider, details).id
    issues = {p: clinic.gives_leaflet(place, p) for p in (family.mother, family.father)}
    other = Family(place, *family.everyone, issues)
    clinic.both_consent(other)
    clinic.passes(hours=1)
    return other


def _elsewhere_since(clinic: Clinic, family: Family) -> None:
    other = _agree_with_another_team(clinic, family)
    clinic.withdraws(family, family.baby, by=family.mother, speed=Speed.SEVEN_DAYS)
    assert other.involvement in {d.involvement for d in disputes.standing(clinic.ctx, clinic.ig)}


def _yes_since(clinic: Clinic, family: Family) -> None:
    no = frozenset({"CARE.FILM.CHILD"})
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    clinic.captures(family, family.father, clinic.answers(family, family.father, no=no))
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.baby, by=family.mother, speed=Speed.SEVEN_DAYS)


def _days_over(clinic: Clinic, family: Family) -> None:
    clinic.passes(days=8)
    erasure.work(clinic.ctx, "test")
    clinic.withdraws(family, family.baby, by=family.mother, speed=Speed.SEVEN_DAYS)


def _both_have_stopped(clinic: Clinic, family: Family) -> None:
    """What the father said ended nothing of hers: hers has no order of its own yet."""
    clinic.withdraws(
        family, family.baby, by=family.father, scope=WithdrawalScope.PURPOSES, purposes=("care",)
    )
    clinic.passes(minutes=1)
    clinic.withdraws(family, family.baby, by=family.mother, speed=Speed.SEVEN_DAYS)


@pytest.mark.parametrize("more", [_elsewhere_since, _yes_since, _days_over, _both_have_stopped])
def test_what_asks_for_more_than_was_frozen_is_a_withdrawal_of_its_own(
    clinic: Clinic, family: Family, more: Callable[[Clinic, Family], None]
) -> None:
    """A word that is swallowed would leave a parent believing that it was heard."""
    clinic.withdraws(family, family.baby, by=family.mother, speed=Speed.SEVEN_DAYS)
    clinic.passes(minutes=1)
    before = withdrawal.withdrawals(clinic.ctx, clinic.guider, family.involvement)

    more(clinic, family)

    mine = withdrawal.withdrawals(clinic.ctx, clinic.guider, family.involvement)
    assert [one.by for one in mine].count(family.mother) == len(before) + 1

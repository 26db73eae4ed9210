"""Disagreement about a named use, or told twice: the IG officer always has something to settle."""

from collections.abc import Callable
from dataclasses import replace
from threading import Barrier, Thread

import pytest

from consent_service.db.models.people import Involvement
from consent_service.domain.answers import GivenAnswer
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.consent import Answer, ConsentState
from consent_service.domain.withdrawal import Speed, WithdrawalScope
from consent_service.errors import Conflict, Refused
from consent_service.services import (
    assets,
    consent,
    disputes,
    erasure,
    involvements,
    keys,
    withdrawal,
)
from consent_service.vault.journal import LineKind
from consent_service.vault.keyring import Zone
from tests.support.clinic import Clinic, Family
from tests.support.safe import agrees_elsewhere

POSTER = "publication:poster-2026"
PUBLISHING = frozenset({"PUB.WEB"})


def _state(clinic: Clinic, person: str, purpose: str) -> ConsentState:
    views = consent.state(clinic.ctx, clinic.ig, person, None, None)
    return next(v.state for v in views if v.purpose == purpose)


def _standing(clinic: Clinic) -> list[tuple[str, str]]:
    return [(d.person, d.purpose) for d in disputes.standing(clinic.ctx, clinic.ig)]


def _disputed_care(clinic: Clinic) -> Family:
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)
    clinic.withdraws(family, family.baby, by=family.mother)
    return family


def test_disagreement_about_one_named_use_is_put_before_the_ig_officer(clinic: Clinic) -> None:
    """Frozen with nobody told would stay frozen for ever: there must be something to settle."""
    family = clinic.family()
    clinic.both_consent(family, optional=PUBLISHING)
    clinic.passes(hours=1)

    clinic.withdraws(
        family,
        family.baby,
        by=family.mother,
        scope=WithdrawalScope.PURPOSES,
        purposes=(POSTER,),
    )

    assert _state(clinic, family.baby, POSTER) is ConsentState.DISPUTED
    assert _standing(clinic) == [(family.baby, POSTER)]
    (dispute,) = disputes.standing(clinic.ctx, clinic.ig)
    disputes.resolve(clinic.ctx, clinic.ig, dispute.id, give=True, reason="Both agreed again")
    assert _state(clinic, family.baby, POSTER) is ConsentState.GIVEN
    assert _standing(clinic) == []


def test_a_no_to_every_use_is_one_dispute_and_settling_it_settles_them_all(clinic: Clinic) -> None:
    """One disagreement is one decision for the IG officer, however many uses were named."""
    family = clinic.family()
    clinic.captures(
        family, family.mother, clinic.answers(family, family.mother, optional=PUBLISHING)
    )
    clinic.passes(minutes=1)
    no = GivenAnswer("PUB.WEB", family.baby, Answer.NO)
    clinic.captures(family, family.father, (*clinic.answers(family, family.father), no))

    assert _standing(clinic) == [(family.baby, "publication")]
    (dispute,) = disputes.standing(clinic.ctx, clinic.ig)
    disputes.resolve(clinic.ctx, clinic.ig, dispute.id, give=True, reason="Court order seen")

    assert _state(clinic, family.baby, POSTER) is ConsentState.GIVEN
    assert _standing(clinic) == []


def test_a_no_for_a_child_reaches_its_other_open_involvement(clinic: Clinic) -> None:
    """A parent says no once: film of the child with another team freezes and its streams end."""
    family = clinic.family()
    other = agrees_elsewhere(clinic, family)
    film = clinic.stores_film(other, depicted=(family.mother, family.baby))
    clinic.passes(minutes=1)
    before = _epoch(clinic, other.involvement)

    clinic.captures(
        family,
        family.father,
        clinic.answers(family, family.father, no=frozenset({"CARE.FILM.CHILD"})),
    )

    assert {d.involvement for d in disputes.standing(clinic.ctx, clinic.ig)} == {other.involvement}
    assert _epoch(clinic, other.involvement) > before
    assert any(clinic.ctx.keyring.list_keys(zone=Zone.ESCROW))
    with pytest.raises(Refused):
        clinic.watches(film.id)


def _epoch(clinic: Clinic, involvement: str) -> int:
    with clinic.ctx.read() as session:
        return session.get_one(Involvement, involvement).consent_epoch


def _at_the_same_time(*acts: Callable[[], object]) -> list[str]:
    """Run acts at once; returns the code of every refusal."""
    together, refused = Barrier(len(acts)), []

    def run(act: Callable[[], object]) -> None:
        together.wait()
        try:
            act()
        except Conflict as conflict:
            refused.append(conflict.code)

    threads = [Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


def test_two_who_settle_at_the_same_moment_settle_once(clinic: Clinic) -> None:
    """Given and declined both written down would leave the film's fate to chance."""
    _disputed_care(clinic)
    (dispute,) = [d for d in disputes.standing(clinic.ctx, clinic.ig) if d.purpose == "care"]

    refused = _at_the_same_time(
        *(
            lambda give=give, who=who: disputes.resolve(
                clinic.ctx, who, dispute.id, give=give, reason="Heard both"
            )
            for give, who in ((True, clinic.ig), (False, clinic.ig2)) * 2
        )
    )

    assert refused == ["already_settled"] * 3
    assert len(clinic.written_down(EventKind.DISPUTE_RESOLVED)) == 1


def _settles(clinic: Clinic, purpose: str, *, give: bool, involvement: str | None = None) -> None:
    clinic.passes(minutes=1)
    standing = disputes.standing(clinic.ctx, clinic.ig, involvement)
    (dispute,) = [found for found in standing if found.purpose == purpose]
    disputes.resolve(clinic.ctx, clinic.ig, dispute.id, give=give, reason="Heard both")


def test_a_change_of_mind_takes_back_every_order_that_settlements_made(clinic: Clinic) -> None:
    """Film that both agree to again must not go because two disagreements were settled before."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"TRAIN.LOCAL"}))
    film = clinic.stores_film(family).id
    clinic.passes(hours=1)
    done = clinic.withdraws(family, family.baby, by=family.mother, speed=Speed.SEVEN_DAYS)
    for purpose in ("training-local", "care"):
        _settles(clinic, purpose, give=False)
    erasure.work(clinic.ctx, "within")

    clinic.passes(days=1)
    withdrawal.cancel(clinic.ctx, clinic.guider, done.id, family.mother)
    assert clinic.watches(film)
    clinic.passes(days=8)
    erasure.work(clinic.ctx, "later")

    assert clinic.watches(film)


def test_a_stop_takes_its_course_once_the_other_parent_says_no_as_well(clinic: Clinic) -> None:
    """Nobody disagrees any more and nobody is left to settle it: film would stay for years."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family).id
    clinic.passes(hours=1)
    done = clinic.withdraws(family, family.baby, by=family.mother)
    assert done.erasure_orders == ()
    clinic.passes(days=1)

    _says_no(clinic, family, family.father)
    erasure.work(clinic.ctx, "test")

    assert _standing(clinic) == []
    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.ERASED
    seen = withdrawal.withdrawal(clinic.ctx, clinic.guider, done.id)
    assert seen.erasure_order is not None
    lines = [line for line in clinic.ctx.journal.lines() if line.kind is LineKind.CONSENT_ENDED]
    assert [line.body["order"] for line in lines] == [None, None, seen.erasure_order]


def test_a_no_after_a_settlement_that_kept_film_lets_the_stop_take_its_course(
    clinic: Clinic,
) -> None:
    """What was decided for the parent who agreed is over with their yes, and so are its keys."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family).id
    clinic.passes(hours=1)
    clinic.withdraws(family, family.baby, by=family.mother)
    _settles(clinic, "care", give=True)
    assert clinic.watches(film)
    clinic.passes(minutes=1)

    _says_no(clinic, family, family.father)
    erasure.work(clinic.ctx, "test")

    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.ERASED


def test_a_no_where_nobody_agreed_any_more_orders_nothing(clinic: Clinic) -> None:
    """A certificate for nothing would make the family ask what else there had been."""
    family = clinic.family()
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    clinic.passes(hours=1)
    done = clinic.withdraws(family, family.baby, by=family.mother)
    erasure.work(clinic.ctx, "test")
    clinic.passes(minutes=1)

    _says_no(clinic, family, family.father)

    seen = withdrawal.withdrawal(clinic.ctx, clinic.guider, done.id)
    assert len(seen.erasure_orders) == 1


def _says_no(clinic: Clinic, family: Family, person: str) -> None:
    no = frozenset({"CARE.FILM.CHILD"})
    clinic.captures(family, person, clinic.answers(family, person, no=no))


def test_a_no_of_the_other_parent_waits_for_the_days_to_think_of_the_first(
    clinic: Clinic,
) -> None:
    """Seven days were promised to whoever said stop; a no by somebody else shortens nothing."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family).id
    clinic.passes(hours=1)
    done = clinic.withdraws(family, family.baby, by=family.mother, speed=Speed.SEVEN_DAYS)
    clinic.passes(hours=1)
    _says_no(clinic, family, family.father)

    erasure.work(clinic.ctx, "within")
    withdrawal.cancel(clinic.ctx, clinic.guider, done.id, family.mother)
    clinic.passes(days=8)
    erasure.work(clinic.ctx, "later")

    assert _standing(clinic) == [(family.baby, "care")]
    assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.STORED


def test_what_is_settled_for_one_team_is_not_settled_for_another(clinic: Clinic) -> None:
    """Film that the IG officer shut must not open because film elsewhere may be watched."""
    family, other, film = _disputed_with_two_teams(clinic)

    _settles(clinic, "care", give=False, involvement=family.involvement)
    _settles(clinic, "care", give=True, involvement=other)
    keys.settle(clinic.ctx, family.involvement)

    with pytest.raises(Refused):
        clinic.watches(film)
    views = consent.state(clinic.ctx, clinic.ig, family.baby, None, None)
    found = {v.involvement: v.state for v in views if v.purpose == "care"}
    assert found == {family.involvement: ConsentState.DECLINED, other: ConsentState.GIVEN}


def _disputed_with_two_teams(clinic: Clinic) -> tuple[Family, str, str]:
    """The mother agreed twice, the father said no: a family, its other involvement, and a film."""
    family = clinic.family()
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    film = clinic.stores_film(family, depicted=(family.mother, family.baby)).id
    other = agrees_elsewhere(clinic, family)
    clinic.passes(minutes=1)
    _says_no(clinic, family, family.father)
    return family, other.involvement, film


def test_a_no_that_counts_again_is_put_before_the_ig_officer(clinic: Clinic) -> None:
    """Work that is taken up again brings its noes back: what they freeze, somebody must settle."""
    family, other, _ = _disputed_with_two_teams(clinic)
    involvements.end_involvement(clinic.ctx, clinic.guider, family.involvement, clinic.today)
    _settles(clinic, "care", give=True, involvement=other)
    clinic.passes(minutes=1)
    there = _other(clinic, family, other)
    clinic.captures(there, there.mother, clinic.answers(there, there.mother))
    assert disputes.standing(clinic.ctx, clinic.ig, other) == []
    before = _epoch(clinic, other)

    involvements.reopen_involvement(clinic.ctx, clinic.guider, family.involvement)

    assert [d.purpose for d in disputes.standing(clinic.ctx, clinic.ig, other)] == ["care"]
    assert _epoch(clinic, other) > before


def _other(clinic: Clinic, family: Family, involvement: str) -> Family:
    issue = clinic.gives_leaflet(involvement, family.mother)
    return replace(family, involvement=involvement, issues={family.mother: issue})

"""How far a stop reaches: every involvement of the person, each with an order of its own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import pytest

from consent_service.db.models.accounts import TeamMember
from consent_service.db.models.people import Team
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import EventKind
from consent_service.domain.consent import ConsentState
from consent_service.domain.erasure import OrderState
from consent_service.domain.paging import PageAsk
from consent_service.domain.people import FamilyRole
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.errors import NotFound
from consent_service.ids import new_id
from consent_service.services import (
    assets,
    audit,
    certificates,
    consent,
    disputes,
    erasure,
    involvements,
    papers,
    startup,
    timeline,
    withdrawal,
)
from consent_service.services.access import Caller
from consent_service.vault.journal import LineKind
from tests.support import whole_lists
from tests.support.backups import DatabaseBackup
from tests.support.clinic import Clinic, Family


def _again(clinic: Clinic, family: Family, *, by: tuple[str, ...] = ("mother",)) -> Family:
    """The mother and the baby come to another team; those in `by` agree for it; they are filmed."""
    other = new_id()
    with clinic.ctx.begin() as uow:
        uow.session.add(Team(id=other, name="Harbour team", created_at=uow.at))
        uow.session.flush()
        uow.session.add(TeamMember(team_id=other, user_id=clinic.guider.id))
    guider = _guider_of(clinic, other)
    people = [(family.mother, FamilyRole.PARENT), (family.baby, FamilyRole.BABY)]
    if "father" in by:
        people.append((family.father, FamilyRole.PARENT))
    view = involvements.start_involvement(
        clinic.ctx,
        guider,
        involvements.InvolvementDetails(
            other,
            guider.id,
            tuple(involvements.Member(person, role) for person, role in people),
            clinic.today,
        ),
    )
    speakers = {name: getattr(family, name) for name in by}
    found = Family(view.id, family.mother, family.father, family.baby, {})
    for person in speakers.values():
        found.issues[person] = clinic.gives_leaflet(view.id, person)
        clinic.captures(found, person, clinic.answers(found, person))
        clinic.passes(minutes=1)
    return found


def _guider_of(clinic: Clinic, team: str) -> Caller:
    """The clinic's guider, who works for that team too for as long as the story needs it."""
    clinic.guider = replace(clinic.guider, teams=clinic.guider.teams | {team})
    return clinic.guider


def _works_here_only(clinic: Clinic) -> Caller:
    return replace(clinic.guider, teams=frozenset({clinic.team}))


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


def _care(clinic: Clinic, involvement: str, person: str) -> ConsentState:
    views = consent.state(clinic.ctx, clinic.ig, person, None, None)
    return next(v.state for v in views if (v.involvement, v.purpose) == (involvement, "care"))


def _filmed_twice(clinic: Clinic) -> tuple[Family, Family, str, str]:
    """A mother and her baby, filmed by two teams, with nobody else to agree."""
    first = clinic.family()
    clinic.captures(first, first.mother, clinic.answers(first, first.mother))
    second = _again(clinic, first)
    here = clinic.stores_film(first, depicted=(first.mother, first.baby)).id
    there = clinic.stores_film(second, depicted=(first.mother, first.baby)).id
    clinic.passes(hours=1)
    return first, second, here, there


def test_who_stops_everything_stops_it_with_every_team(clinic: Clinic) -> None:
    """A right is the person's: it does not end where the guider's work ends."""
    first, second, here, there = _filmed_twice(clinic)

    done = withdrawal.withdraw(
        clinic.ctx, clinic.guider, _request(clinic, first, first.mother, first.mother)
    )
    erasure.work(clinic.ctx, "test")

    assert [o.involvement for o in done.erasure_orders] == [first.involvement, second.involvement]
    assert done.erasure_order == done.erasure_orders[0].id
    for film, place, order in (
        (here, first, done.erasure_orders[0]),
        (there, second, done.erasure_orders[1]),
    ):
        assert _care(clinic, place.involvement, first.mother) is ConsentState.WITHDRAWN
        assert assets.asset(clinic.ctx, clinic.ig, film).state is AssetState.ERASED
        assert erasure.order(clinic.ctx, clinic.ig, order.id).state is OrderState.DONE
        body = certificates.certificate(clinic.ctx, clinic.ig, order.id).body.decode()
        assert film in body
    lines = [ln for ln in clinic.ctx.journal.lines() if ln.kind is LineKind.CONSENT_ENDED]
    assert {ln.body["order"] for ln in lines} == {o.id for o in done.erasure_orders}


def test_a_stop_for_a_child_ends_in_each_of_its_open_involvements(clinic: Clinic) -> None:
    """One no for a baby must not leave its film with another team, with a key that still lives."""
    first, second, _, there = _filmed_twice(clinic)
    request = _request(
        clinic,
        first,
        first.baby,
        first.mother,
        scope=WithdrawalScope.PURPOSES,
        purposes=("care",),
    )

    done = withdrawal.withdraw(clinic.ctx, clinic.guider, request)
    erasure.work(clinic.ctx, "test")

    assert len(done.erasure_orders) == 2
    assert _care(clinic, second.involvement, first.baby) is ConsentState.WITHDRAWN
    assert _care(clinic, second.involvement, first.mother) is ConsentState.GIVEN
    assert assets.asset(clinic.ctx, clinic.ig, there).state is AssetState.ERASED


def test_where_another_parent_agreed_elsewhere_only_that_place_freezes(clinic: Clinic) -> None:
    """Each involvement is judged by who said what there: one goes, the other waits."""
    first = clinic.family()
    clinic.captures(first, first.mother, clinic.answers(first, first.mother))
    second = _again(clinic, first, by=("mother", "father"))
    there = clinic.stores_film(second, depicted=(first.mother, first.baby)).id
    clinic.passes(hours=1)

    done = withdrawal.withdraw(
        clinic.ctx, clinic.guider, _request(clinic, first, first.baby, first.mother)
    )
    erasure.work(clinic.ctx, "test")

    assert [o.involvement for o in done.erasure_orders] == [first.involvement]
    assert assets.asset(clinic.ctx, clinic.ig, there).state is AssetState.STORED
    standing = disputes.standing(clinic.ctx, clinic.ig)
    assert {d.involvement for d in standing if d.purpose == "care"} == {second.involvement}
    (care,) = [d for d in standing if d.purpose == "care"]
    disputes.resolve(clinic.ctx, clinic.ig, care.id, give=False, reason="Heard both.")
    erasure.work(clinic.ctx, "test")
    assert assets.asset(clinic.ctx, clinic.ig, there).state is AssetState.ERASED


def test_the_preview_lists_what_falls_where_as_far_as_the_caller_may_see(clinic: Clinic) -> None:
    """A guider must tell the parent all that goes, yet learns nothing of another team's work."""
    first, second, here, there = _filmed_twice(clinic)
    request = _request(clinic, first, first.mother, first.mother)

    shown = withdrawal.preview(clinic.ctx, clinic.ig, request)
    hidden = withdrawal.preview(clinic.ctx, _works_here_only(clinic), request)

    assert [line.asset for line in shown.destroyed] == [here]
    (other,) = shown.others
    assert (other.involvement, [line.asset for line in other.destroyed]) == (
        second.involvement,
        [there],
    )
    (unseen,) = hidden.others
    assert (unseen.involvement, unseen.purposes, unseen.lines) == (None, (), ())
    assert hidden.digest == shown.digest
    assert _care(clinic, second.involvement, first.mother) is ConsentState.GIVEN
    assert withdrawal.withdrawals(clinic.ctx, clinic.ig, first.involvement) == []


def test_another_teams_film_goes_and_only_its_reference_is_told(clinic: Clinic) -> None:
    """The receipt belongs to the parent: it names every order, and no family of another team."""
    first, second, _, there = _filmed_twice(clinic)
    mine = _works_here_only(clinic)

    done = withdrawal.withdraw(
        clinic.ctx, mine, _request(clinic, first, first.mother, first.mother)
    )
    erasure.work(clinic.ctx, "test")

    assert assets.asset(clinic.ctx, clinic.ig, there).state is AssetState.ERASED
    named, unseen = done.erasure_orders
    assert (named.involvement, unseen.involvement) == (first.involvement, None)
    with pytest.raises(NotFound):
        erasure.order(clinic.ctx, mine, unseen.id)
    told = withdrawal.outcome(clinic.ctx, mine, done.id)
    assert [(o.involvement, o.reference, o.lines) for o in told.others] == [
        (None, unseen.reference, ())
    ]
    assert papers.withdrawal_receipt(clinic.ctx, mine, done.id).startswith(b"%PDF")
    kinds = {(n.kind, n.subject) for n in whole_lists.inbox(clinic.ctx, clinic.guider)}
    assert ("withdrawn_elsewhere", second.involvement) in kinds


def test_a_stop_said_elsewhere_leads_no_team_to_a_paper_that_is_not_theirs(clinic: Clinic) -> None:
    """It is told where film ends; a link to the other team's receipt would be a door to nothing."""
    first, second, _, _ = _filmed_twice(clinic)
    request = _request(clinic, second, second.mother, second.mother)
    done = withdrawal.withdraw(clinic.ctx, clinic.guider, request)

    mine = _works_here_only(clinic)
    here = timeline.page_of_story(clinic.ctx, mine, first.involvement, PageAsk()).items
    there = timeline.page_of_story(clinic.ctx, clinic.guider, second.involvement, PageAsk()).items

    for story, act in ((here, None), (there, done.id)):
        told = [one for one in story if one.kind is EventKind.WITHDRAWAL_RECORDED]
        assert [one.subject for one in told] == [act]
        assert told[0].said.startswith("Consent for film of Rosa Invented was withdrawn")
    with pytest.raises(NotFound):
        papers.withdrawal_receipt(clinic.ctx, mine, done.id)


def test_a_change_of_mind_brings_back_every_involvement(clinic: Clinic) -> None:
    """Seven days are for all of it: half a change of mind is none."""
    first, second, here, there = _filmed_twice(clinic)
    request = _request(clinic, first, first.mother, first.mother, speed=Speed.SEVEN_DAYS)
    done = withdrawal.withdraw(clinic.ctx, clinic.guider, request)
    clinic.passes(days=2)

    withdrawal.cancel(clinic.ctx, clinic.guider, done.id, first.mother)

    assert {erasure.order(clinic.ctx, clinic.ig, o.id).state for o in done.erasure_orders} == {
        OrderState.CANCELLED
    }
    assert _care(clinic, second.involvement, first.mother) is ConsentState.GIVEN
    assert clinic.watches(here) and clinic.watches(there)
    clinic.passes(days=8)
    erasure.work(clinic.ctx, "test")
    assert clinic.watches(there)


def test_named_film_and_an_adults_chosen_use_stay_with_one_family(clinic: Clinic) -> None:
    """Who takes back today's film, or one use, has not spoken of what another team keeps."""
    first, second, here, there = _filmed_twice(clinic)

    today = withdrawal.withdraw(
        clinic.ctx,
        clinic.guider,
        _request(
            clinic, first, first.mother, first.mother, scope=WithdrawalScope.ASSETS, assets=(here,)
        ),
    )
    care = withdrawal.withdraw(
        clinic.ctx,
        clinic.guider,
        _request(
            clinic,
            first,
            first.mother,
            first.mother,
            scope=WithdrawalScope.PURPOSES,
            purposes=("care",),
        ),
    )

    assert [len(done.erasure_orders) for done in (today, care)] == [1, 1]
    assert _care(clinic, second.involvement, first.mother) is ConsentState.GIVEN
    assert clinic.watches(there)


def test_two_stops_at_once_in_two_involvements_of_one_child_both_stand(clinic: Clinic) -> None:
    """Each locks the other's family too: taken in two orders they would lock each other out."""
    first, second, *_ = _filmed_twice(clinic)
    raised = _at_once(
        *(
            lambda place=place, who=who: withdrawal.withdraw(
                clinic.ctx, clinic.guider, _request(clinic, place, who, first.mother)
            )
            for place, who in ((first, first.baby), (second, first.mother)) * 2
        )
    )

    assert raised == []
    for place in (first, second):
        assert _care(clinic, place.involvement, first.baby) is ConsentState.WITHDRAWN
        assert _care(clinic, place.involvement, first.mother) is ConsentState.WITHDRAWN


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_restored_database_knows_again_how_far_a_stop_reached(
    clinic: Clinic, tmp_path: Path, cancelled: bool
) -> None:
    """Each order's line tells the whole act: no family of it may come back with a backup."""
    first, second, here, there = _filmed_twice(clinic)
    audit.seal(clinic.ctx)
    audit.publish_checkpoint(clinic.ctx)
    startup.replay(clinic.ctx)
    backup = DatabaseBackup.take(clinic.ctx.engine, tmp_path)
    clinic.passes(minutes=5)
    request = _request(clinic, first, first.mother, first.mother, speed=Speed.SEVEN_DAYS)
    done = withdrawal.withdraw(clinic.ctx, clinic.guider, request)
    if cancelled:
        withdrawal.cancel(clinic.ctx, clinic.guider, done.id, first.mother)
    backup.put_back()
    clinic.passes(minutes=5)

    report = startup.require_ready(clinic.ctx)

    assert report.restored == {"consent_ended": 2, **({"undo": 1} if cancelled else {})}
    again = withdrawal.withdrawal(clinic.ctx, clinic.guider, done.id)
    assert set(again.erasure_orders) == set(done.erasure_orders)
    clinic.passes(days=8)
    erasure.work(clinic.ctx, "test")
    states = {assets.asset(clinic.ctx, clinic.ig, film).state for film in (here, there)}
    assert states == {AssetState.STORED if cancelled else AssetState.ERASED}
    care = {_care(clinic, place.involvement, first.mother) for place in (first, second)}
    assert care == {ConsentState.GIVEN if cancelled else ConsentState.WITHDRAWN}


def _at_once(*acts: Callable[[], object]) -> list[Exception]:
    together, raised = Barrier(len(acts)), []

    def run(act: Callable[[], object]) -> None:
        together.wait()
        try:
            act()
        except Exception as fault:  # noqa: BLE001  (whatever it is, the test looks at it)
            raised.append(fault)

    threads = [Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised

"""Retention: what an appraisal covers goes on its day, everything else waits for people."""

from datetime import date, timedelta

import pytest
from sqlalchemy import select

from consent_service.db.models.handovers import Feedback
from consent_service.db.models.jobs import ClockPause
from consent_service.db.models.retention import RetentionRun
from consent_service.domain.assets import AssetKind, AssetState, RecordClass
from consent_service.domain.erasure import OrderState
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.errors import Conflict, InvalidInput, Refused
from consent_service.ids import new_id
from consent_service.services import (
    erasure,
    holds,
    involvements,
    retention,
    retention_plan,
    withdrawal,
)
from consent_service.services.access import job_caller
from consent_service.services.retention_plan import Fate
from consent_service.vault.keyring_values import KeyStatus
from tests.support import whole_lists
from tests.support.clinic import Clinic
from tests.support.kept_film import Kept, asset_row, due_on, file_summary, keep_film

JOB = job_caller("retention")


def _approve(clinic: Clinic, *codes: str) -> None:
    for code in codes:
        retention.approve_appraisal(clinic.ctx, clinic.ig, code)
        retention.approve_appraisal(clinic.ctx, clinic.ig2, code)


def test_thirty_days_after_the_summary_the_film_goes_under_an_appraisal(clinic: Clinic) -> None:
    """The form promised it; its clip stays, since it has its own class and date."""
    _approve(clinic, "recordings")
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    clip = keep_film(clinic, family, Kept(AssetKind.CLIP, source=film))
    file_summary(clinic, family, film)
    summarised = clinic.today

    clinic.passes(days=29)
    assert retention.run(clinic.ctx, JOB).plan.is_empty
    clinic.passes(days=1)
    done = retention.run(clinic.ctx, JOB)
    erasure.work(clinic.ctx, "test")

    assert due_on(clinic, film) == summarised + timedelta(days=30)
    assert (done.destroyed, done.queued) == (1, 0)
    order = erasure.order(clinic.ctx, clinic.ig, done.orders[0])
    assert order.state is OrderState.DONE, [(s.kind, s.fault) for s in order.steps]
    assert asset_row(clinic, film).state is AssetState.ERASED
    assert asset_row(clinic, clip).state is AssetState.STORED
    assert list(clinic.ctx.blobs.list(film)) == []
    key = asset_row(clinic, film).asset_key_id
    assert clinic.ctx.keyring.status([key])[key] is KeyStatus.DESTROYED


def test_without_an_appraisal_nothing_is_destroyed_and_it_is_queued_once(clinic: Clinic) -> None:
    """No blind purge: two people decide about a class, or people decide about each thing."""
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    file_summary(clinic, family, film)
    clinic.passes(days=31)

    first = retention.run(clinic.ctx, JOB)
    second = retention.run(clinic.ctx, JOB)

    assert (first.destroyed, first.queued, second.queued) == (0, 1, 0)
    assert [d.subject for d in whole_lists.dispositions(clinic.ctx, clinic.ig)] == [film]
    assert asset_row(clinic, film).state is AssetState.STORED
    _approve(clinic, "recordings")
    assert retention.run(clinic.ctx, JOB).destroyed == 1
    assert whole_lists.dispositions(clinic.ctx, clinic.ig) == []


def test_one_approval_is_not_two(clinic: Clinic) -> None:
    """The same person twice, or a revoked appraisal, destroys nothing."""
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    file_summary(clinic, family, film)
    clinic.passes(days=31)
    retention.approve_appraisal(clinic.ctx, clinic.ig, "recordings")

    with pytest.raises(Refused) as refused:
        retention.approve_appraisal(clinic.ctx, clinic.ig, "recordings")
    assert refused.value.code == "second_person"
    assert retention.run(clinic.ctx, JOB).destroyed == 0
    retention.approve_appraisal(clinic.ctx, clinic.ig2, "recordings")
    retention.revoke_appraisal(clinic.ctx, clinic.ig, "recordings", "The schedule changed.")
    assert retention.run(clinic.ctx, JOB).destroyed == 0
    states = {a.code: a.state for a in retention.appraisals(clinic.ctx, clinic.ig)}
    assert states["recordings"] == "revoked"


def test_an_expired_appraisal_destroys_nothing(clinic: Clinic) -> None:
    """A decision made for three years does not hold for ever."""
    _approve(clinic, "recordings")
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    file_summary(clinic, family, film)
    clinic.clock.at = clinic.clock.at.replace(year=2029, month=9, day=1)

    assert retention.run(clinic.ctx, JOB).destroyed == 0
    assert asset_row(clinic, film).state is AssetState.STORED


def test_a_hold_wins(clinic: Clinic) -> None:
    """A hold keeps film whatever its date, and the plan says so."""
    _approve(clinic, "recordings")
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    file_summary(clinic, family, film)
    request = holds.PlaceHold(family.involvement, HoldKind.COMPLAINT, "A complaint is open.", film)
    hold = holds.place(clinic.ctx, clinic.ig, request)
    clinic.passes(days=31)

    done = retention.run(clinic.ctx, JOB)

    assert (done.destroyed, done.kept) == (0, 1)
    assert [line.reason for line in done.plan.kept] == ["hold"]
    assert retention.explain(clinic.ctx, clinic.ig, film).held == (hold.id,)
    holds.ask_release(clinic.ctx, clinic.ig, hold.id, "The complaint is closed.")
    holds.confirm_release(clinic.ctx, clinic.ig2, hold.id)
    assert retention.run(clinic.ctx, JOB).destroyed == 1


def test_a_hold_placed_after_the_order_still_wins(clinic: Clinic) -> None:
    """Holds are looked at again in the transaction that freezes the inventory."""
    _approve(clinic, "recordings")
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    file_summary(clinic, family, film)
    clinic.passes(days=31)
    done = retention.run(clinic.ctx, JOB)

    request = holds.PlaceHold(family.involvement, HoldKind.INQUIRY, "An inquiry has opened.")
    holds.place(clinic.ctx, clinic.ig, request)
    erasure.work(clinic.ctx, "test")

    assert erasure.order(clinic.ctx, clinic.ig, done.orders[0]).state is OrderState.DONE
    assert asset_row(clinic, film).state is not AssetState.ERASED
    assert list(clinic.ctx.blobs.list(film)) == [f"{film}.1", f"{film}.json"]


def test_a_dispute_freezes_what_is_due(clinic: Clinic) -> None:
    """While parents disagree about the baby nothing of the baby is destroyed."""
    _approve(clinic, "recordings")
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    file_summary(clinic, family, film)
    clinic.passes(hours=1)
    withdrawal.withdraw(
        clinic.ctx,
        clinic.guider,
        WithdrawalRequest(
            involvement=family.involvement,
            person=family.baby,
            by=family.mother,
            scope=WithdrawalScope.EVERYTHING,
            speed=Speed.NOW,
            route=Route.IN_PERSON,
            moment=clinic.clock.now(),
        ),
    )
    clinic.passes(days=31)

    plan = retention.plan(clinic.ctx, clinic.ig)

    assert [(line.fate, line.reason) for line in plan.lines] == [(Fate.KEEP, "dispute")]


def test_a_health_record_waits_for_a_person_and_two_destroy_it(clinic: Clinic) -> None:
    """R03: the 25th birthday; one officer decides, another confirms, then it goes."""
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family, Kept(record_class=RecordClass.HEALTH_RECORD))
    involvements.end_involvement(clinic.ctx, clinic.guider, family.involvement, clinic.today)
    assert due_on(clinic, film) == date(2051, 9, 28)
    clinic.clock.at = clinic.clock.at.replace(year=2051, month=9, day=28)

    retention.run(clinic.ctx, JOB)
    (line,) = whole_lists.dispositions(clinic.ctx, clinic.ig)
    destroy = retention.Decide(retention.Decision.DESTROY, "No longer needed.")
    assert retention.decide(clinic.ctx, clinic.ig, line.id, destroy).needs_second
    with pytest.raises(Refused) as refused:
        retention.confirm(clinic.ctx, clinic.ig, line.id)
    assert refused.value.code == "second_person"
    assert whole_lists.orders(clinic.ctx, clinic.ig) == []

    retention.confirm(clinic.ctx, clinic.ig2, line.id)
    erasure.work(clinic.ctx, "test")

    assert line.why == "review_class"
    assert asset_row(clinic, film).state is AssetState.ERASED


def test_what_is_kept_is_looked_at_again(clinic: Clinic) -> None:
    """Nothing waits for ever: a decision to keep names a day, and on it the queue asks again."""
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    file_summary(clinic, family, film)
    clinic.passes(days=31)
    retention.run(clinic.ctx, JOB)
    (line,) = whole_lists.dispositions(clinic.ctx, clinic.ig)
    with pytest.raises(InvalidInput):
        extend = retention.Decide(retention.Decision.EXTEND, "Still in use.")
        retention.decide(clinic.ctx, clinic.ig, line.id, extend)

    again = clinic.today + timedelta(days=90)
    keep = retention.Decide(retention.Decision.EXTEND, "Still in use.", again)
    retention.decide(clinic.ctx, clinic.ig, line.id, keep)
    clinic.passes(days=89)
    assert retention.run(clinic.ctx, JOB).queued == 0
    with pytest.raises(Conflict):
        retention.decide(clinic.ctx, clinic.ig2, line.id, keep)
    clinic.passes(days=1)
    assert retention.run(clinic.ctx, JOB).queued == 1


def test_a_plan_above_the_limit_stops_and_asks(clinic: Clinic) -> None:
    """A wrong date in one place must not empty the store in one night."""
    _approve(clinic, "recordings")
    family = clinic.family()
    clinic.both_consent(family)
    films = [keep_film(clinic, family) for _ in range(21)]
    involvements.end_involvement(clinic.ctx, clinic.guider, family.involvement, clinic.today)
    clinic.passes(days=70)
    refused = retention.run(clinic.ctx, JOB)

    done = (refused.refused, refused.destroyed, whole_lists.orders(clinic.ctx, clinic.ig))
    assert done == ("above_limit", 0, [])
    assert [(c.destroy, c.standing) for c in refused.plan.classes] == [(len(films), len(films))]
    with pytest.raises(Refused):
        retention.run(clinic.ctx, JOB, accept_large=True)
    assert retention.run(clinic.ctx, clinic.ig, accept_large=True).destroyed == len(films)


def test_nothing_due_is_said_and_leaves_no_trace(clinic: Clinic) -> None:
    """An empty plan must not look like a purge that went through."""
    done = retention.run(clinic.ctx, JOB)

    assert done.says.startswith("Nothing is due")
    with clinic.ctx.read() as session:
        assert session.scalars(select(RetentionRun)).all() == []


def test_a_paused_clock_refuses_until_a_person_confirms(clinic: Clinic) -> None:
    """A machine that woke up in the wrong year destroys nothing by itself."""
    _approve(clinic, "recordings")
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    file_summary(clinic, family, film)
    clinic.passes(days=31)
    with clinic.ctx.begin() as uow:
        uow.session.add(
            ClockPause(id=new_id(), found_at=uow.at, last_beat_at=uow.at - timedelta(days=31))
        )

    assert retention.run(clinic.ctx, JOB).refused == "clock_paused"
    with pytest.raises(Refused):
        retention.confirm_clock(clinic.ctx, JOB)
    assert asset_row(clinic, film).state is AssetState.STORED

    assert retention.confirm_clock(clinic.ctx, clinic.ig) == 1
    assert retention.run(clinic.ctx, JOB).destroyed == 1


def test_a_family_that_went_quiet_counts_as_ended(clinic: Clinic) -> None:
    """After six months without an entry, two months count from the last one (rule 17)."""
    _approve(clinic, "recordings")
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    clinic.passes(days=170)
    assert retention.run(clinic.ctx, JOB).plan.is_empty

    clinic.passes(days=20)

    assert retention.run(clinic.ctx, JOB).destroyed == 1
    assert asset_row(clinic, film).gone_by == date(2027, 1, 2)


def test_only_a_family_that_ended_care_is_looked_at(clinic: Clinic) -> None:
    """Nearly every family says no to some use of film: the daily look costs the due, not them."""
    family, other = clinic.family(), clinic.family()
    clinic.both_consent(other)
    clinic.captures(
        family, family.mother, clinic.answers(family, family.mother, no=frozenset({"PHOTO.KEEP"}))
    )
    clinic.captures(family, family.father, clinic.answers(family, family.father))
    keep_film(clinic, family)
    film = keep_film(clinic, other)
    assert _looked_at(clinic) == {}

    clinic.passes(minutes=1)
    care = frozenset({"CARE.FILM.SELF"})
    clinic.captures(other, other.mother, clinic.answers(other, other.mother, no=care))

    assert _looked_at(clinic) == {other.involvement: {film}}


def _looked_at(clinic: Clinic) -> dict[str, set[str]]:
    with clinic.ctx.read() as session:
        return retention_plan.candidates(clinic.ctx, session, clinic.clock.now())


def test_a_reopened_involvement_is_due_no_more(clinic: Clinic) -> None:
    """The family came back: what was due with the end is not."""
    family = clinic.family()
    clinic.both_consent(family)
    film = keep_film(clinic, family)
    involvements.end_involvement(clinic.ctx, clinic.guider, family.involvement, clinic.today)
    assert due_on(clinic, film) == date(2027, 1, 2)

    involvements.reopen_involvement(clinic.ctx, clinic.guider, family.involvement)

    assert due_on(clinic, film) is None


def test_a_training_copy_outlives_the_review(clinic: Clinic) -> None:
    """Everyone said yes to training: the longest class wins, and the answer names it."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"TRAIN.LOCAL"}))
    film = keep_film(clinic, family)
    clip = keep_film(clinic, family, Kept(AssetKind.CLIP, source=film))
    involvements.end_involvement(clinic.ctx, clinic.guider, family.involvement, clinic.today)

    answer = retention.explain(clinic.ctx, clinic.guider, clip)

    assert (answer.by.rule, answer.due_on) == ("R14", date(2029, 11, 2))
    assert [c.rule for c in answer.others] == ["R02"]
    assert [(t.what, t.counted_from) for t in answer.by.terms] == [
        ("consent_given", date(2026, 11, 2))
    ]
    assert answer.by.source


def test_feedback_loses_its_name_after_a_year(clinic: Clinic) -> None:
    """R16: the words stay and belong to nobody."""
    _approve(clinic, "feedback")
    family = clinic.family()
    with clinic.ctx.begin() as uow:
        given = Feedback(
            id=new_id(),
            involvement_id=family.involvement,
            person_id=family.mother,
            words="I saw how he looks for me.",
            given_on=clinic.today,
            recorded_by=clinic.guider.id,
            recorded_at=uow.at,
        )
        uow.session.add(given)
    clinic.passes(days=364)
    assert retention.run(clinic.ctx, JOB).destroyed == 0
    clinic.passes(days=1)

    assert retention.run(clinic.ctx, JOB).destroyed == 1
    with clinic.ctx.read() as session:
        row = session.get_one(Feedback, given.id)
        assert (row.person_id, row.involvement_id, row.words) == (None, None, given.words)


def test_somebody_noticed_who_was_never_asked_ends_the_waiting(clinic: Clinic) -> None:
    """Rule 12: fourteen days to ask, then the film is not sustained."""
    _approve(clinic, "recordings")
    family = clinic.family()
    clinic.both_consent(family)
    waiting = Kept(
        state=AssetState.AWAITING_CONSENT, more=(("awaiting_since", clinic.clock.now()),)
    )
    film = keep_film(clinic, family, waiting)
    clinic.passes(days=13)
    assert retention.plan(clinic.ctx, clinic.ig).is_empty
    clinic.passes(days=1)

    (line,) = retention.plan(clinic.ctx, clinic.ig).lines

    assert (line.subject, line.fate, line.cause.value) == (
        film,
        Fate.DESTROY,
        "consent_refused",
    )

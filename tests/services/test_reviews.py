"""Goals and shared reviews refuse what belongs to another family or to no possible day."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from consent_service.domain.people import MeetingKind, MeetingMode
from consent_service.errors import InvalidInput
from consent_service.services import cutting, involvements, reviews
from tests.support.clinic import Clinic, Family


def _meeting(clinic: Clinic, family: Family) -> str:
    return involvements.record_meeting(
        clinic.ctx,
        clinic.guider,
        involvements.MeetingDetails(
            family.involvement, MeetingKind.SHARED_REVIEW, MeetingMode.HOME, clinic.today
        ),
    )


def _faults(clinic: Clinic, request: reviews.RecordReview) -> set[str]:
    with pytest.raises(InvalidInput) as refused:
        reviews.record_review(clinic.ctx, clinic.guider, request)
    return set(refused.value.faults)


def test_a_review_names_only_its_own_familys_meeting_and_clips(clinic: Clinic) -> None:
    """One family's record must not point into another's: their retention and pages would mix."""
    ours, theirs = clinic.family(), clinic.family()
    clinic.both_consent(ours)
    film = clinic.stores_film(ours)
    clip = cutting.clip(clinic.ctx, clinic.guider, cutting.MakeClip(film.id, 0, 1000, "Smile"))
    good = reviews.RecordReview(
        ours.involvement, film.id, clinic.today, (clip.id,), _meeting(clinic, ours)
    )

    assert _faults(clinic, replace(good, meeting=_meeting(clinic, theirs))) == {"meeting"}
    assert _faults(clinic, replace(good, meeting="f" * 32)) == {"meeting"}
    assert _faults(clinic, replace(good, clips=(film.id,))) == {"clips"}
    before = film.filmed_on - timedelta(days=1)
    assert _faults(clinic, replace(good, held_on=before)) == {"held_on"}
    assert reviews.record_review(clinic.ctx, clinic.guider, good).clips == (clip.id,)


def test_a_goal_is_rated_while_the_family_is_with_the_team(clinic: Clinic) -> None:
    """A rating from the year 202 is a slip of the pen, and would spoil the curve it is drawn in."""
    family = clinic.family()
    goal = reviews.record_goal(
        clinic.ctx, clinic.guider, family.involvement, family.mother, "Calmer evenings"
    )

    with pytest.raises(InvalidInput) as refused:
        reviews.rate_goal(clinic.ctx, clinic.guider, goal.id, date(202, 6, 1), 5)

    assert set(refused.value.faults) == {"rated_on"}
    assert reviews.rate_goal(clinic.ctx, clinic.guider, goal.id, clinic.today, 5).ratings

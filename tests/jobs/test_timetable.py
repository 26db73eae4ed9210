"""Triggers: London's times of day, and distances that are the same on every node."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.jobs.catalogue import CATALOGUE
from consent_service.jobs.timetable import Daily, Every

MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2032, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize("minute", [0, 30, 59])
def test_the_hour_in_which_clocks_change_is_refused(minute: int) -> None:
    """01:30 comes twice in October and never in March; so would the purge."""
    with pytest.raises(ValueError, match="clocks change"):
        Daily(1, minute)


def test_a_daily_job_keeps_its_time_of_day_in_summer_and_winter() -> None:
    """03:00 in London is 03:00 UTC in winter and 02:00 UTC in summer."""
    daily = Daily(3)

    winter = daily.next_after(datetime(2026, 12, 1, tzinfo=UTC))
    summer = daily.next_after(datetime(2026, 7, 1, tzinfo=UTC))

    assert (winter.hour, summer.hour) == (3, 2)


@given(at=MOMENTS, hour=st.sampled_from([0, 2, 3, 12, 23]))
def test_a_daily_job_fires_once_on_every_day(at: datetime, hour: int) -> None:
    """No day is left out and none has two, clock changes included."""
    daily = Daily(hour, 15)

    first = daily.next_after(at)
    second = daily.next_after(first)

    assert at < first <= at + timedelta(hours=25)
    assert timedelta(hours=23) <= second - first <= timedelta(hours=25)


@given(at=MOMENTS, seconds=st.integers(1, 90_000))
def test_distances_are_the_same_whoever_asks(at: datetime, seconds: int) -> None:
    """Two nodes that ask at different moments must agree on the next fire."""
    every = Every(seconds)

    first = every.next_after(at)

    assert at < first <= at + timedelta(seconds=seconds)
    assert every.next_after(first - timedelta(microseconds=1)) == first
    assert every.next_after(first) == first + timedelta(seconds=seconds)


def test_every_job_of_the_catalogue_is_told_apart_by_its_name() -> None:
    """The name is the key of its row: it must be a code, and nobody's else."""
    assert all(name == job.name == name.lower() for name, job in CATALOGUE.items())
    assert {"retention", "leaflet-dates", "rotate-keys", "reconcile"} <= CATALOGUE.keys()

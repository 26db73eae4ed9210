"""Days and periods: never early where we keep, never late where we promised to destroy."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.clock import london_day, start_of_london_day
from consent_service.domain.calendar import (
    Period,
    Unit,
    age_on,
    birthday,
    gone_by,
    keep_until,
)

days = st.dates(date(1900, 1, 1), date(2150, 12, 31))
periods = st.builds(Period, st.integers(0, 40), st.sampled_from(list(Unit)))


@pytest.mark.parametrize(
    ("start", "period", "due", "gone"),
    [
        (date(2026, 1, 31), Period(1, Unit.MONTHS), date(2026, 3, 1), date(2026, 2, 28)),
        (date(2026, 11, 30), Period(3, Unit.MONTHS), date(2027, 3, 1), date(2027, 2, 28)),
        (date(2026, 12, 31), Period(2, Unit.MONTHS), date(2027, 3, 1), date(2027, 2, 28)),
        (date(2024, 2, 29), Period(1, Unit.YEARS), date(2025, 3, 1), date(2025, 2, 28)),
        (date(2026, 10, 31), Period(1, Unit.MONTHS), date(2026, 12, 1), date(2026, 11, 30)),
        (date(2026, 3, 10), Period(30, Unit.DAYS), date(2026, 4, 9), date(2026, 4, 9)),
    ],
)
def test_a_short_month_is_counted_for_whoever_the_period_protects(
    start: date, period: Period, due: date, gone: date
) -> None:
    """31 January and a month: keeping lasts to 1 March, a promise ends on 28 February."""
    assert keep_until(start, period) == due
    assert gone_by(start, period) == gone


@given(days, periods)
def test_keeping_never_ends_before_a_promise(start: date, period: Period) -> None:
    """The two readings of a period differ by at most the days a month lacks."""
    due, gone = keep_until(start, period), gone_by(start, period)

    assert start <= gone <= due
    assert due - gone <= timedelta(days=1)


@given(days, st.integers(0, 110))
def test_nobody_turns_an_age_before_their_birthday(born: date, age: int) -> None:
    """A 25th birthday that came a day early would destroy a record a day early."""
    day = birthday(born, age)

    assert age_on(born, day) == age
    assert age_on(born, day - timedelta(days=1)) == age - 1


def test_leap_day_children_have_birthdays_as_the_policy_says() -> None:
    """In a common year 29 February is 1 March, unless the organisation decided otherwise."""
    assert birthday(date(2004, 2, 29), 25) == date(2029, 3, 1)
    assert birthday(date(2004, 2, 29), 24) == date(2028, 2, 29)
    assert birthday(date(2004, 2, 29), 25, leap_day_on=(2, 28)) == date(2029, 2, 28)


def test_a_negative_period_cannot_be_made() -> None:
    """A period below nothing would destroy before the event."""
    with pytest.raises(ValueError, match="never negative"):
        Period(-1, Unit.DAYS)


def test_periods_are_said_in_words() -> None:
    """Forms print the very period that the schedule counts."""
    assert str(Period(1, Unit.MONTHS)) == "1 month"
    assert str(Period(30, Unit.DAYS)) == "30 days"


@given(days)
def test_the_first_instant_of_a_london_day_lies_in_it(day: date) -> None:
    """Summer time must not move an act to the day before."""
    first = start_of_london_day(day)

    assert london_day(first) == day
    assert london_day(first - timedelta(seconds=1)) == day - timedelta(days=1)


def test_an_evening_in_summer_belongs_to_the_london_day() -> None:
    """23:30 UTC on 30 June is already 1 July in London."""
    assert london_day(datetime(2026, 6, 30, 23, 30, tzinfo=UTC)) == date(2026, 7, 1)
    with pytest.raises(ValueError, match="time zone"):
        london_day(datetime(2026, 6, 30, 23, 30))

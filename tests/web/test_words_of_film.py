"""Moments and sizes as people write them, and pictures drawn from numbers."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.documents.goal_plot import plot
from consent_service.web.due_plot import bars
from consent_service.web.film_times import long_length, long_size, moment, read_moment


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("65", 65_000),
        ("1:05", 65_000),
        ("1:05.5", 65_500),
        (" 0:01,25 ", 1_250),
        ("1:00:01", 3_601_000),
        ("soon", None),
        ("", None),
        ("1:", None),
        ("-1", None),
    ],
)
def test_a_typed_moment_is_read(text: str, ms: int | None) -> None:
    """Marks typed by hand must land where they were meant."""
    assert read_moment(text) == ms


@given(st.integers(0, 359_999).map(lambda tenths: tenths * 100))
def test_a_moment_written_is_read_back(ms: int) -> None:
    """The button writes what the form reads."""
    assert read_moment(moment(ms)) == ms


def test_lengths_and_sizes_are_said_in_words() -> None:
    """Nobody counts in milliseconds or bytes."""
    assert long_length(125_000) == "2 minutes 5 seconds"
    assert long_length(60_000) == "1 minute"
    assert long_length(100) == "less than a second"
    assert long_size(12_300_000) == "12 MB"
    assert long_size(4_294_967_296) == "4.3 GB"
    assert (moment(None), long_length(None), long_size(None)) == ("", "", "")


def test_ratings_are_drawn_from_two_on_with_better_higher() -> None:
    """One dot is no line; and up must mean better."""
    days = [(date(2026, 11, 2), 3), (date(2026, 11, 16), 8)]

    assert plot(days[:1]) == ""
    points = plot(days).split('points="')[1].split('"')[0].split()
    first, second = (tuple(map(float, point.split(","))) for point in points)
    assert second[0] > first[0]
    assert second[1] < first[1]


def test_bars_say_their_numbers_aloud() -> None:
    """Whoever cannot see the picture hears the same."""
    drawn = bars([(date(2026, 11, 1), 4), (date(2026, 12, 1), 0)])

    assert 'aria-label="November 2026: 4; December 2026: 0"' in drawn
    assert drawn.count("<rect") == 2
    assert "style" not in drawn

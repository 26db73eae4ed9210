"""Cursors: what one says is read back as it was, and anything else is refused."""

import base64
import json
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.domain.paging import MOST, Page, PageAsk, Place, every, read, written
from consent_service.errors import InvalidInput

KINDS = [int, datetime, date, str]
AT = datetime(2026, 11, 2, 9, 30, 0, 123456, tzinfo=UTC)
PLACE = Place((1, AT, date(2026, 11, 2), "0af3"))


def _cursor(*values: object) -> str:
    raw = json.dumps(values).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize("back", [False, True])
def test_a_place_comes_back_as_it_was(back: bool) -> None:
    """To the microsecond: many rows are written in the same second."""
    place = Place(PLACE.values, back)

    assert read(written(place), KINDS) == place
    assert set(written(place)) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


def test_an_instant_of_another_zone_is_the_same_instant() -> None:
    """What is compared in the database is UTC."""
    summer = AT.astimezone(timezone(timedelta(hours=1)))

    assert read(_cursor("n", summer.isoformat()), [datetime]).values == (AT,)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "ä",
        "AAAA",
        "bnVsbA",
        _cursor(),
        _cursor("n"),
        _cursor("x", 1, AT.isoformat(), "2026-11-02", "a"),
        _cursor("n", 1, AT.isoformat(), "2026-11-02"),
        _cursor("n", True, AT.isoformat(), "2026-11-02", "a"),
        _cursor("n", -1, AT.isoformat(), "2026-11-02", "a"),
        _cursor("n", 2**31, AT.isoformat(), "2026-11-02", "a"),
        _cursor("n", "1", AT.isoformat(), "2026-11-02", "a"),
        _cursor("n", 1, "2026-11-02T09:30:00", "2026-11-02", "a"),
        _cursor("n", 1, "0001-01-01T00:00:00+14:00", "2026-11-02", "a"),
        _cursor("n", 1, AT.isoformat(), "2026-02-31", "a"),
        _cursor("n", 1, AT.isoformat(), "2026-11-02", "a\0"),
        _cursor("n", 1, AT.isoformat(), "2026-11-02", "Ida Invented"),
        _cursor("n", 1, AT.isoformat(), "2026-11-02", "a" * 121),
        _cursor("n", 1, AT.isoformat(), "2026-11-02", None),
        _cursor({"n": 1}, 1, AT.isoformat(), "2026-11-02", "a"),
        "W1tb" * 3000,
    ],
)
def test_what_is_no_place_of_this_list_is_refused_by_name(cursor: str) -> None:
    """A cursor comes back from outside: it may hold anything."""
    with pytest.raises(InvalidInput) as refused:
        read(cursor, KINDS)

    assert "cursor" in refused.value.faults


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda b: base64.b64encode(b).decode()))
def test_noise_is_refused_and_nothing_worse(cursor: str) -> None:
    """Never another error than ours: that would be a fault page."""
    with pytest.raises(InvalidInput):
        read(cursor, KINDS)


def test_a_page_holds_no_more_than_the_most() -> None:
    """One request must not read a whole table."""
    assert [PageAsk(limit).rows for limit in (-1, 0, 1, MOST, MOST + 1)] == [1, 1, 1, MOST, MOST]


def test_every_row_is_read_page_by_page() -> None:
    """The command line prints whole lists without holding them."""
    rows = list(range(5))
    asked: list[str | None] = []

    def page(ask: PageAsk) -> Page[int]:
        asked.append(ask.cursor)
        start = int(ask.cursor or 0)
        following = str(start + 2) if start + 2 < len(rows) else None
        return Page(tuple(rows[start : start + 2]), following)

    assert list(every(page)) == rows
    assert asked == [None, "2", "4"]

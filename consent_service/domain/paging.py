"""Long lists, a page at a time: a page is asked for by the row that the one before ended with.

Rules kept here:
  * never a number of rows: what is added or goes between two pages neither repeats nor hides any
    other; only a row that itself moves meanwhile, in a list that is ordered by a state first, may
    stand on both pages or on neither;
  * a cursor holds instants, days, small numbers, ids and codes only: it stands in addresses;
  * a cursor comes back from outside and may hold anything: what is not ours is refused by name.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Generic, TypeVar

from consent_service.errors import InvalidInput

T = TypeVar("T")
S = TypeVar("S")
R_co = TypeVar("R_co", covariant=True)

MOST = 200
"""No page holds more rows."""
NEXT, PREVIOUS = "n", "p"
_CODE = re.compile(r"[!-~]{1,120}")
_SMALL = 2**31

Value = str | int | date | datetime


@dataclass(frozen=True)
class PageAsk:
    """Which page: the first, or the one that `cursor` (`next` or `previous` of another) names."""

    limit: int = 50
    cursor: str | None = None

    @property
    def rows(self) -> int:
        """How many rows it may hold: 1 to `MOST`."""
        return max(1, min(self.limit, MOST))


@dataclass(frozen=True)
class Page(Generic[R_co]):
    """Rows in their order, and the cursors of the pages beside it (None: there is none)."""

    items: tuple[R_co, ...]
    next: str | None = None
    previous: str | None = None

    def of(self, items: Sequence[S]) -> "Page[S]":
        """Return the same page of other rows: what is shown of these."""
        return Page(tuple(items), self.next, self.previous)


@dataclass(frozen=True)
class Place:
    """The values by which a row is ordered, and which way from it the page lies."""

    values: tuple[Value, ...]
    back: bool = False


def every(page: Callable[[PageAsk], Page[T]]) -> Iterator[T]:
    """Yield every row of a list; no more than one page of them is in memory."""
    ask = PageAsk(MOST)
    while True:
        found = page(ask)
        yield from found.items
        if found.next is None:
            return
        ask = PageAsk(MOST, found.next)


def written(place: Place) -> str:
    """Return a place as a cursor: letters, digits, minus and underscore."""
    way = PREVIOUS if place.back else NEXT
    values = [v if isinstance(v, str | int) else v.isoformat() for v in place.values]
    text = json.dumps([way, *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(cursor: str, kinds: Sequence[type]) -> Place:
    """Return the place that a cursor names, its values of these kinds.

    Raises InvalidInput (`cursor`) for anything else.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        way, *values = json.loads(raw)
        if way not in (NEXT, PREVIOUS) or len(values) != len(kinds):
            raise ValueError("another list's")
        pairs = zip(values, kinds, strict=True)
        return Place(tuple(_value(value, kind) for value, kind in pairs), way == PREVIOUS)
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
        raise _not_ours() from None


def _value(value: object, kind: type) -> Value:
    if kind is int and type(value) is int and 0 <= value < _SMALL:
        return value
    if kind is int or not isinstance(value, str) or not _CODE.fullmatch(value):
        raise ValueError("not a value of this list")
    if kind is datetime:
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        return at.astimezone(UTC)
    return date.fromisoformat(value) if kind is date else value


def _not_ours() -> InvalidInput:
    return InvalidInput(
        "There is no such page of this list. Start again at its first page.",
        {"cursor": "Leave it out, or use the one that came with another page of this list."},
    )

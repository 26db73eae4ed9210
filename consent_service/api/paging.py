"""Lists in pages: `{items, next}`, where `next` is the cursor of the page that follows.

A cursor names the last thing shown, not a number of rows: what is added or goes meanwhile neither
repeats nor hides anything else.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from consent_service.api.shapes import Page, PageQuery, Reply
from consent_service.errors import NotFound

T = TypeVar("T")
R = TypeVar("R", bound=Reply)


def page(rows: Sequence[T], shape: type[R], query: PageQuery, key: Callable[[T], str]) -> Page[R]:
    """Return the page of `rows` that `query` asks for; raises NotFound for none of it."""
    start = _after(rows, query.cursor, key)
    shown = rows[start : start + query.limit]
    more = start + query.limit < len(rows)
    return Page[R](
        items=[shape.model_validate(row) for row in shown],
        next=written(key(shown[-1])) if more else None,
    )


def _after(rows: Sequence[T], cursor: str | None, key: Callable[[T], str]) -> int:
    if cursor is None:
        return 0
    last = read(cursor)
    place = next((i for i, row in enumerate(rows) if key(row) == last), None)
    if place is None:
        raise _not_ours()
    return place + 1


def written(text: str) -> str:
    """Return a place in a list as a cursor."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(cursor: str) -> str:
    """Return the place that a cursor names; raises NotFound for none of ours."""
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError) as fault:
        raise _not_ours() from fault


def _not_ours() -> NotFound:
    return NotFound("There is no such page of this list.", kind="page")

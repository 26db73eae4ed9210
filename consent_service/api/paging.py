"""Lists in pages: `{items, next}`, where `next` is the cursor of the page that follows.

A cursor names the last thing shown, not a number of rows: what is added or goes meanwhile neither
repeats nor hides anything else. Lists that grow for ever are read a page at a time (`part`); what
a service has a few of is read whole (`page`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from consent_service.api.problems import PAGE_OF_A_LIST
from consent_service.api.shapes import Page, PageQuery, Reply
from consent_service.domain import paging
from consent_service.errors import InvalidInput, NotFound

T = TypeVar("T")
R = TypeVar("R", bound=Reply)


def part(
    read: Callable[[paging.PageAsk], paging.Page[T]],
    query: PageQuery,
    shape: type[R],
    shown: Callable[[T], R] | None = None,
) -> Page[R]:
    """Return the page that `query` asks for of a long list; raises NotFound for none of it.

    `shown` makes a reply of a view; without it the reply is read from the view's attributes.
    """
    with none_of_ours():
        found = read(paging.PageAsk(query.limit, query.cursor))
    reply: Callable[[Any], R] = shown or shape.model_validate
    return Page[R](items=[reply(view) for view in found.items], next=found.next)


def page(rows: Sequence[T], shape: type[R], query: PageQuery, key: Callable[[T], str]) -> Page[R]:
    """Return the page of `rows` that `query` asks for; raises NotFound for none of it."""
    start = _after(rows, query.cursor, key)
    shown = rows[start : start + query.limit]
    more = start + query.limit < len(rows)
    return Page[R](
        items=[shape.model_validate(row) for row in shown],
        next=paging.written(paging.Place((key(shown[-1]),))) if more else None,
    )


def _after(rows: Sequence[T], cursor: str | None, key: Callable[[T], str]) -> int:
    if cursor is None:
        return 0
    with none_of_ours():
        last = paging.read(cursor, [str]).values[0]
    place = next((i for i, row in enumerate(rows) if key(row) == last), None)
    if place is None:
        raise _not_ours()
    return place + 1


@contextmanager
def none_of_ours() -> Iterator[None]:
    """Answer a cursor that is not of this list as a page that is not there."""
    try:
        yield
    except InvalidInput as fault:
        if "cursor" not in fault.faults:
            raise
        raise _not_ours() from fault


def _not_ours() -> NotFound:
    sentence = "There is no such page of this list. Start again at its first page."
    return NotFound(sentence, kind=PAGE_OF_A_LIST)

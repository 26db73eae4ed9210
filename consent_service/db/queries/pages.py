"""Reading one page of a long list: the rows after, or before, the place that a cursor names."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from consent_service.db.base import UtcDateTime
from consent_service.domain.paging import Page, PageAsk, Place, read, written

T = TypeVar("T")
Key = ColumnElement[Any] | InstrumentedAttribute[Any]


@dataclass(frozen=True)
class Order:
    """By what a list is ordered: never null, together unique, all one way."""

    keys: tuple[Key, ...]
    descending: bool = True


def page_of(session: Session, query: Select[T], order: Order, ask: PageAsk) -> Page[T]:
    """Return a page of the things that `query` selects; errors as `rows_of_page`."""
    found = rows_of_page(session, query, order, ask.cursor, ask.rows)
    return found.of([row[0] for row in found.items])


def rows_of_page(
    session: Session, query: Select[*tuple[Any, ...]], order: Order, cursor: str | None, limit: int
) -> Page[Row[Any]]:
    """Return a page of the rows that `query` selects, each with its keys after it.

    One statement, of one row more than is shown. Nothing before the place from which a cursor
    leads back means that the rows there went: then it is the first page. Raises InvalidInput
    (`cursor`) for one that is not of this list.
    """
    place = None if cursor is None else read(cursor, [_kind(key) for key in order.keys])
    back = place is not None and place.back
    rows = list(_rows(session, query, order, place, limit + 1))
    if back and not rows:
        return rows_of_page(session, query, order, None, limit)
    more, shown = len(rows) > limit, rows[:limit]
    if back:
        shown.reverse()
    after, before = (True, more) if back else (more, place is not None)
    width = len(order.keys)
    return Page(
        tuple(shown),
        written(Place(tuple(shown[-1][-width:]))) if shown and after else None,
        written(Place(tuple(shown[0][-width:]), back=True)) if shown and before else None,
    )


def _rows(
    session: Session, query: Select[*tuple[Any, ...]], order: Order, place: Place | None, limit: int
) -> Sequence[Row[Any]]:
    down = order.descending != (place is not None and place.back)
    keyed = query.add_columns(*(key.label(f"key_{n}") for n, key in enumerate(order.keys)))
    if place is not None:
        here = tuple_(*order.keys)
        pairs = zip(place.values, order.keys, strict=True)
        there = tuple_(*(literal(value, key.type) for value, key in pairs))
        keyed = keyed.where(here < there if down else here > there)
    ways = [key.desc() if down else key.asc() for key in order.keys]
    return session.execute(keyed.order_by(*ways).limit(limit)).all()


def _kind(key: Key) -> type:
    return datetime if isinstance(key.type, UtcDateTime) else key.type.python_type

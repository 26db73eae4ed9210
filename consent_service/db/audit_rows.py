"""Rows of the log for those who read all of them: as the driver gives them, a page at a time.

Rules kept here:
  * entries are read in order of time, which is nearly that of their leaves, and matched in memory:
    looking each one up by its random id would cost three times as much;
  * memory stays bounded whatever the rows say: what is not found near its place is looked up.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import repeat
from operator import itemgetter
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

PAGE = 4096
_KEPT = 16 * PAGE

_ENTRIES = text(
    "SELECT id, at, kind, actor, subject, involvement, body FROM audit_entry ORDER BY at, id"
)
_ENTRY = text(
    "SELECT id, at, kind, actor, subject, involvement, body FROM audit_entry WHERE id = :id"
)

Row = Sequence[Any]

_ID = itemgetter(0)


def pages(
    session: Session, query: TextClause, bounds: dict[str, int], size: int = PAGE
) -> Iterator[list[Row]]:
    """Yield the rows of a query in lists of `size`; no more than one list is in memory."""
    result = session.connection().execute(query, bounds, execution_options={"stream_results": True})
    with closing(result):
        # Below the result's own fetchmany, because to wrap each row would cost as much as reading
        # it; not below its strategy, which may have read ahead.
        fetch = result.cursor_strategy.fetchmany
        while result.cursor is not None and (rows := fetch(result, result.cursor, size)):
            yield list(rows)


def stream(session: Session, query: TextClause, bounds: dict[str, int]) -> Iterator[Row]:
    """Yield rows one by one, read as they are needed."""
    for page in pages(session, query, bounds, size=256):
        yield from page


class EntryRows:
    """Hands out entries by id: fast for ids that come about in order of time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pages = pages(session, _ENTRIES, {})
        self._read: dict[str, Row] = {}

    def take(self, ids: Sequence[str]) -> list[Row | None]:
        """Return (id, at, kind, actor, subject, involvement, body) of each; nothing when gone.

        Each id is asked for once: it is forgotten when it has been handed out.
        """
        missing = set(ids) - self._read.keys()
        while missing and len(self._read) < _KEPT:
            page = next(self._pages, None)
            if page is None:
                break
            self._read.update(zip(map(_ID, page), page, strict=True))
            missing -= self._read.keys()
        for entry_id in missing:
            if (row := self._session.execute(_ENTRY, {"id": entry_id}).first()) is not None:
                self._read[entry_id] = row
        return list(map(self._read.pop, ids, repeat(None)))

"""Rows of the log for those who read all of them: as the driver gives them, a page at a time."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import TextClause
from sqlalchemy.orm import Session

_PAGE = 256

Row = Sequence[Any]


def stream(session: Session, query: TextClause, bounds: dict[str, int]) -> Iterator[Row]:
    """Yield rows one by one, read as they are needed; no more than a page is in memory."""
    result = session.connection().execute(query, bounds, execution_options={"stream_results": True})
    with closing(result):
        # Below the result's own fetchmany, because to wrap each row would cost as much as reading
        # it; not below its strategy, which may have read ahead.
        fetch = result.cursor_strategy.fetchmany
        while result.cursor is not None and (rows := fetch(result, result.cursor, _PAGE)):
            yield from rows

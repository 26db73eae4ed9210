"""One range of a log's leaves, computed again from the bodies of its entries.

The same code runs in the process that verifies and in those that help it (`audit_helpers` starts
them), so that both find the same. Rules kept here:
  * rows are taken as the driver gives them: a value of a wrong type is a fault, no crash;
  * entries are read in order of time, which is nearly that of their leaves, and matched in memory:
    looking each one up by its random id would cost three times as much;
  * memory stays bounded whatever the rows say: what is not found near its place is looked up;
  * a helper reads and never writes, and leans on the driver alone: it starts in a tenth of a
    second, where the rest of the service takes one.
"""

import importlib
import pickle
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple

from consent_service.domain.merkle import TILE_WIDTH, first_difference, leaf_hashes, perfect_root

RANGE = 64 * TILE_WIDTH
"""Leaves of one range, at most: about a tenth of a second of work."""

_PAGE = 1024
_KEPT = RANGE + 4 * _PAGE
_BEFORE_ALL = -(2**62)

_LEAVES = (
    'SELECT "index", entry_id, hash FROM audit_leaf'
    ' WHERE epoch = :epoch AND "index" >= :first AND "index" < :last ORDER BY "index"'
)
_COLUMNS = "SELECT id, at, kind, actor, subject, involvement, body FROM audit_entry"
_MOMENT = "SELECT at FROM audit_entry WHERE id = :id"
_ENTRIES = f"{_COLUMNS} WHERE at >= :since ORDER BY at, id"
_ENTRY = f"{_COLUMNS} WHERE id = :id"
_PARAMETER = re.compile(r":(\w+)")

Row = Sequence[Any]

_ID = itemgetter(0)
_BODY = itemgetter(-1)


class Span(NamedTuple):
    """Leaves `first` up to, not including, `last` of an epoch; `first` is where a tile begins."""

    epoch: int
    first: int
    last: int


class BadRow(NamedTuple):
    """The first thing wrong in a tile: how far ahead in it, the entry if it has a name, what."""

    ahead: int
    entry_id: str | None
    what: str


class Tile(NamedTuple):
    """At most 256 leaves: their entries' ids, their hashes as computed, joined, up to `bad`.

    `root` is that over 256 sound leaves, and nothing for fewer.
    """

    ids: list[str]
    hashes: bytes
    root: bytes | None
    bad: BadRow | None


class CheckedRange(NamedTuple):
    """What a range holds, up to its first fault; `first_body` is that of its first entry."""

    first_body: Any
    tiles: list[Tile]


class Rows:
    """Queries on an open connection of a driver, `sqlite3` or `psycopg`."""

    def __init__(self, driver: str, connection: Any) -> None:
        self._connection = connection
        self._streams = driver == "psycopg"

    def fetch(self, query: str, **values: object) -> list[Row]:
        """Return all rows."""
        options = {"binary": True} if self._streams else {}
        with closing(self._connection.cursor(**options)) as cursor:
            return list(cursor.execute(self._written(query), values).fetchall())

    def pages(self, query: str, **values: object) -> Iterator[list[Row]]:
        """Yield the rows in lists; one list is in memory, on PostgreSQL by a cursor there."""
        named = {"name": "audit_rows", "binary": True} if self._streams else {}
        with closing(self._connection.cursor(**named)) as cursor:
            cursor.execute(self._written(query), values)
            while rows := cursor.fetchmany(_PAGE):
                yield rows

    def _written(self, query: str) -> str:
        return _PARAMETER.sub(r"%(\1)s", query) if self._streams else query


class _Entries:
    """Hands out entries by id: fast for ids that come about in order of time."""

    def __init__(self, rows: Rows, first_id: str) -> None:
        self._rows = rows
        moment = rows.fetch(_MOMENT, id=first_id)
        since = moment[0][0] if moment else ""
        self._pages = rows.pages(_ENTRIES, since=since)
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
            self._read.update((row[0], row) for row in self._rows.fetch(_ENTRY, id=entry_id))
        return list(map(self._read.pop, ids, repeat(None)))

    def close(self) -> None:
        """Let go of the cursor."""
        self._pages.close()  # type: ignore[attr-defined]


def check_range(rows: Rows, span: Span) -> CheckedRange:
    """Compute the range anew, tile by tile, up to its first fault."""
    below = span.first if span.first else _BEFORE_ALL
    leaves = rows.fetch(_LEAVES, epoch=span.epoch, first=below, last=span.last)
    if not leaves:
        return CheckedRange(None, [_missing_leaf()])
    tiles: list[Tile] = []
    first_body = None
    with closing(_Entries(rows, leaves[0][1])) as entries:
        for at in range(0, len(leaves), TILE_WIDTH):
            part = leaves[at : at + TILE_WIDTH]
            found = entries.take([leaf[1] for leaf in part])
            if at == 0 and found[0] is not None:
                first_body = found[0][-1]
            tiles.append(_checked(part, found, span.first + at))
            if tiles[-1].bad is not None:
                return CheckedRange(first_body, tiles)
    if len(leaves) < span.last - span.first:
        tiles.append(_missing_leaf())
    return CheckedRange(first_body, tiles)


def columns_agree(row: Row) -> bool:
    """Tell whether the body begins and ends as canonical JSON with the row's values does.

    Comparing the two ends is four times as fast as parsing; in between are only the details.
    """
    entry_id, at, kind, actor, subject, involvement, body = row
    if type(body) is not bytes or type(actor) is not str:
        return False
    actor_kind, _, actor_id = actor.partition(":")
    family = "null" if involvement is None else f'"{involvement}"'
    thing = "null" if subject is None else f'"{subject}"'
    head = f'{{"actor":{{"id":"{actor_id}","kind":"{actor_kind}"}},"at":"{at}","details":{{'
    tail = f'}},"id":"{entry_id}","involvement":{family},"kind":"{kind}","subject":{thing},"v":1}}'
    return body.startswith(head.encode()) and body.endswith(tail.encode())


def _checked(leaves: list[Row], rows: list[Row | None], place: int) -> Tile:
    """Return the tile up to the first bad row, and that row; its first leaf belongs at `place`."""
    places, ids, stored = zip(*leaves, strict=True)
    end = first_difference(places, range(place, place + len(leaves)))
    sound = _readable(rows[:end])
    hashes = leaf_hashes(map(_BODY, sound))
    good = first_difference(hashes, stored)
    bad = None
    if good < len(leaves):
        bad = _why_bad(good, end, rows, ids)
    for at, row in enumerate(sound[:good]):
        if not columns_agree(row):
            good = at
            bad = BadRow(at, ids[at], "a column that it is searched by differs from its body")
            break
    root = perfect_root(hashes) if good == TILE_WIDTH else None
    return Tile(list(ids[:good]), b"".join(hashes[:good]), root, bad)


def _why_bad(good: int, end: int, rows: list[Row | None], ids: Sequence[str]) -> BadRow:
    if good == end:
        return _NO_LEAF._replace(ahead=good)
    what = "its body is not what was sealed" if rows[good] else "the entry is missing"
    return BadRow(good, ids[good], what)


_NO_LEAF = BadRow(0, None, "its leaf is missing")


def _missing_leaf() -> Tile:
    return Tile([], b"", None, _NO_LEAF)


def _readable(rows: list[Row | None]) -> list[Row]:
    """Return the rows up to the first that is missing or whose body is no bytes."""
    found: list[Row] = []
    for row in rows:
        if row is None or type(row[-1]) is not bytes:
            break
        found.append(row)
    return found


class Database(NamedTuple):
    """Where a helper finds the log: the driver's module, and what its `connect` is given."""

    driver: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def connect(self) -> Any:
        """Open a connection."""
        return importlib.import_module(self.driver).connect(*self.arguments, **self.options)


def main() -> None:
    """Read the database, then one span after another, and answer each; all pickled, to the end."""
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    database: Database = pickle.load(asked)  # noqa: S301 - from our own parent
    with closing(database.connect()) as connection:
        rows = Rows(database.driver, connection)
        while True:
            try:
                span = pickle.load(asked)  # noqa: S301 - from our own parent
            except EOFError:
                return
            pickle.dump(check_range(rows, span), answers)
            answers.flush()

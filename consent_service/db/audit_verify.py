"""Verify the log in the database: every byte of every row against what is signed.

Rules kept here:
  * everything is computed again from the bodies: leaf hashes, tiles, roots, signatures; search
    columns and copies beside the notes are compared with what they copy;
  * it stops at the first bad entry and names it;
  * what is added meanwhile does not disturb it: it looks up to the heads that stood at its start;
  * rows are read as the driver gives them, so that a value of a wrong type is a fault, no crash.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import NamedTuple, NoReturn

from sqlalchemy import text
from sqlalchemy.orm import Session

from consent_service.db.audit_rows import EntryRows, Row, pages, stream
from consent_service.db.audit_tree import cut
from consent_service.domain.audit import instant_text
from consent_service.domain.audit_check import (
    BadEntry,
    LogCheck,
    LogFault,
    Trust,
    VerifyReport,
    first_difference,
)
from consent_service.domain.merkle import TILE_HEIGHT, TILE_WIDTH, leaf_hashes, perfect_root

UNSEALED_FOR = timedelta(seconds=60)
"""How long an entry may wait for its leaf before that is itself a fault."""

_BODY = itemgetter(-1)

_EPOCHS = text(
    "SELECT epoch, origin,"
    ' (SELECT max("index") + 1 FROM audit_leaf WHERE audit_leaf.epoch = audit_epoch.epoch),'
    " (SELECT max(size) FROM audit_checkpoint WHERE audit_checkpoint.epoch = audit_epoch.epoch)"
    " FROM audit_epoch ORDER BY epoch"
)
_LEAVES = text(
    'SELECT "index", entry_id, hash FROM audit_leaf'
    ' WHERE epoch = :epoch AND "index" < :leaves ORDER BY "index"'
)
_HEADS = text(
    "SELECT size, root, at, note FROM audit_checkpoint"
    " WHERE epoch = :epoch AND size <= :size ORDER BY size"
)
_TILES = text(
    'SELECT "index", hashes, root FROM audit_tile'
    ' WHERE epoch = :epoch AND level = :level AND "index" < :tiles ORDER BY "index"'
)
_TILES_ABOVE = text("SELECT count(*) FROM audit_tile WHERE epoch = :epoch AND level >= :level")
_WAITING = text(
    "SELECT audit_leaf.entry_id AS leaf, audit_pending.entry_id AS waiting,"
    " id, at, kind, actor, subject, involvement, body FROM audit_pending"
    " LEFT JOIN audit_entry ON audit_entry.id = audit_pending.entry_id"
    " LEFT JOIN audit_leaf ON audit_leaf.entry_id = audit_pending.entry_id"
    " ORDER BY at, audit_pending.entry_id"
)
_COUNTS = text(
    "SELECT (SELECT count(*) FROM audit_entry),"
    " (SELECT count(*) FROM audit_leaf) + (SELECT count(*) FROM audit_pending)"
)
_UNLISTED = text(
    "SELECT min(id) FROM audit_entry"
    " WHERE NOT EXISTS (SELECT 1 FROM audit_leaf WHERE entry_id = id)"
    " AND NOT EXISTS (SELECT 1 FROM audit_pending WHERE entry_id = id)"
)
_HOMELESS = text(
    "SELECT (SELECT count(*) FROM audit_leaf WHERE epoch NOT IN (SELECT epoch FROM audit_epoch))"
    " + (SELECT count(*) FROM audit_tile WHERE epoch NOT IN (SELECT epoch FROM audit_epoch))"
    " + (SELECT count(*) FROM audit_checkpoint WHERE epoch NOT IN (SELECT epoch FROM audit_epoch))"
)


def verify(session: Session, trust: Trust, at: datetime) -> VerifyReport:
    """Verify the whole log as it stands at `at`; `trust` holds public keys and published heads.

    A fault in the log is in the report; errors of the database itself are raised.
    """
    check = LogCheck(trust)
    try:
        check.expect_published()
        last = _Epoch(0, "", 0, 0)
        entries = EntryRows(session)
        for last in [_Epoch(*row) for row in session.execute(_EPOCHS)]:
            _EpochReader(session, check, last, entries).read()
        return check.finish(_count_waiting(session, last, at))
    except LogFault as fault:
        return check.failed(fault.bad)


class _Epoch(NamedTuple):
    """A row of `audit_epoch`, with how many leaves and what last head it had at the start."""

    number: int
    origin: str
    leaves: int | None
    size: int | None


class _Head(NamedTuple):
    """A row of `audit_checkpoint`."""

    size: int
    root: bytes
    at: str
    note: str


class _EpochReader:
    """Reads one epoch in leaf order and feeds it to the check; raises LogFault."""

    def __init__(
        self, session: Session, check: LogCheck, epoch: _Epoch, entries: EntryRows
    ) -> None:
        self._session = session
        self._check = check
        self._epoch = epoch
        self._entries = entries
        self._tiles = _TileReader(session, epoch)
        self._heads = map(_Head._make, stream(session, _HEADS, _bounds(epoch, size=epoch.size)))
        self._place = 0

    def read(self) -> None:
        """Go over every row of the epoch."""
        head = next(self._heads, None)
        begun = False
        for leaves, rows in self._tilefuls():
            if not begun:
                first = rows[0][-1] if rows[0] else None
                self._check.begin_epoch(self._epoch.number, self._epoch.origin, first)
                begun = True
            good, bad = self._checked(leaves, rows)
            head = self._add([leaf[1] for leaf in leaves[: len(good)]], good, head)
            if bad is not None:
                raise LogFault(bad)
        if not begun:
            self._check.begin_epoch(self._epoch.number, self._epoch.origin, None)
        if head is not None:
            self._check_head(head)
        self._tiles.finish()

    def _tilefuls(self) -> Iterator[tuple[list[Row], list[Row | None]]]:
        """Yield 256 leaves at a time, each with its entry."""
        bounds = _bounds(self._epoch, leaves=self._epoch.leaves)
        for page in pages(self._session, _LEAVES, bounds):
            for first in range(0, len(page), TILE_WIDTH):
                leaves = page[first : first + TILE_WIDTH]
                yield leaves, self._entries.take([leaf[1] for leaf in leaves])

    def _checked(
        self, leaves: list[Row], rows: list[Row | None]
    ) -> tuple[list[bytes], BadEntry | None]:
        """Return leaf hashes computed from the bodies, up to the first bad row, and that row."""
        places, ids, stored = zip(*leaves, strict=True)
        end = first_difference(places, range(self._place, self._place + len(leaves)))
        sound = _readable(rows[:end])
        hashes = leaf_hashes(map(_BODY, sound))
        good = first_difference(hashes, stored)
        for at, row in enumerate(sound[:good]):
            if not _columns_agree(row):
                what = "a column that it is searched by differs from its body"
                return hashes[:at], self._bad(at, ids[at], what)
        if good == len(leaves):
            return hashes, None
        if good == end:
            return hashes[:good], self._bad(good, None, "its leaf is missing")
        what = "its body is not what was sealed" if rows[good] else "the entry is missing"
        return hashes[:good], self._bad(good, ids[good], what)

    def _bad(self, ahead: int, entry_id: str | None, what: str) -> BadEntry:
        return BadEntry(self._epoch.number, self._place + ahead, entry_id, what)

    def _add(self, ids: Sequence[str], hashes: list[bytes], head: _Head | None) -> _Head | None:
        """Feed at most a tile of leaves, and every head that ends in it; return the next head."""
        root = self._tiles.check(hashes) if len(hashes) == TILE_WIDTH else None
        if head is None or head.size >= self._place + len(ids):
            self._feed(ids, hashes, root)
            ids, hashes = [], []
        while head is not None and head.size <= self._place + len(ids):
            count = max(head.size - self._place, 0)
            self._feed(ids[:count], hashes[:count])
            self._check_head(head)
            ids, hashes = ids[count:], hashes[count:]
            head = next(self._heads, None)
        self._feed(ids, hashes)
        return head

    def _feed(self, ids: Sequence[str], hashes: Sequence[bytes], root: bytes | None = None) -> None:
        if ids:
            self._check.add_leaves(ids[0], hashes, root)
            self._place += len(ids)

    def _check_head(self, stored: _Head) -> None:
        head = self._check.add_checkpoint(stored.note)
        if (head.size, head.root, instant_text(head.at)) != stored[:3]:
            what = "a column beside its checkpoint differs from the note"
            raise LogFault(BadEntry(self._epoch.number, head.size - 1, None, what))


class _TileReader:
    """Compares the stored tiles with the leaves as these go by."""

    def __init__(self, session: Session, epoch: _Epoch) -> None:
        self._session = session
        self._epoch = epoch
        self._stored: list[Iterator[Row]] = []
        self._roots: list[list[bytes]] = []
        self._seen: list[int] = []

    def check(self, hashes: list[bytes], level: int = 0) -> bytes:
        """Compare the next tile of a level; return the root over it."""
        if level == len(self._stored):
            tiles = (self._epoch.leaves or 0) >> (TILE_HEIGHT * (level + 1))
            bounds = _bounds(self._epoch, level=level, tiles=tiles)
            self._stored.append(stream(self._session, _TILES, bounds))
            self._roots.append([])
            self._seen.append(0)
        root = perfect_root(hashes)
        place, stored, stored_root = next(self._stored[level], (None, b"", b""))
        if (place, stored, stored_root) != (self._seen[level], b"".join(hashes), root):
            self._fail(level, place, stored, hashes)
        self._seen[level] += 1
        self._roots[level].append(root)
        if len(self._roots[level]) == TILE_WIDTH:
            self.check(self._roots[level], level + 1)
            self._roots[level] = []
        return root

    def finish(self) -> None:
        """Refuse tiles that nothing stands for."""
        bounds = _bounds(self._epoch, level=len(self._stored))
        if self._session.scalar(_TILES_ABOVE, bounds):
            self._refuse(0, "there are tiles of a level that the log does not reach")

    def _fail(self, level: int, place: object, stored: object, hashes: list[bytes]) -> NoReturn:
        width = TILE_WIDTH ** (level + 1)
        first = self._seen[level] * width
        if place != self._seen[level]:
            self._refuse(first, "the tile that begins with it is missing")
        found = cut(stored) if isinstance(stored, bytes) else []
        wrong = first_difference(hashes, found) % TILE_WIDTH
        self._refuse(first + wrong * (width // TILE_WIDTH), "its tile is not over what was sealed")

    def _refuse(self, index: int, what: str) -> NoReturn:
        raise LogFault(BadEntry(self._epoch.number, index, None, what))


def _count_waiting(session: Session, last: _Epoch, at: datetime) -> int:
    """Return how many entries wait for their leaf; raises LogFault when one is lost or late."""
    rows = session.execute(_WAITING).all()
    for leaf, entry_id, *row in rows:
        if leaf is not None or row[0] is None:
            _refuse_waiting(last, entry_id, "it is on the waiting list and should not be")
        if not _columns_agree(row):
            _refuse_waiting(last, entry_id, "it waits, and its columns differ from its body")
        if row[1] < instant_text(at - UNSEALED_FOR):
            _refuse_waiting(last, entry_id, "it has waited too long for its leaf: run the sealer")
    entries, listed = session.execute(_COUNTS).one()
    if entries != listed:
        _refuse_waiting(last, session.scalar(_UNLISTED), "it has no leaf and does not wait for one")
    if session.scalar(_HOMELESS):
        _refuse_waiting(last, None, "there are rows of an epoch that does not exist")
    return len(rows)


def _refuse_waiting(last: _Epoch, entry_id: str | None, what: str) -> NoReturn:
    raise LogFault(BadEntry(last.number, last.leaves or 0, entry_id, what))


def _readable(rows: list[Row | None]) -> list[Row]:
    """Return the rows up to the first that is missing or whose body is no bytes."""
    found: list[Row] = []
    for row in rows:
        if row is None or type(row[-1]) is not bytes:
            break
        found.append(row)
    return found


def _columns_agree(row: Row) -> bool:
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


def _bounds(epoch: _Epoch, **bounds: int | None) -> dict[str, int]:
    return {"epoch": epoch.number} | {name: value or 0 for name, value in bounds.items()}

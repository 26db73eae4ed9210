"""Verify the log in the database: every byte of every row against what is signed.

Rules kept here:
  * everything is computed again from the bodies: leaf hashes, tiles, roots, signatures; search
    columns and copies beside the notes are compared with what they copy;
  * it stops at the first bad entry and names it;
  * what is added meanwhile does not disturb it: it looks up to the heads that stood at its start;
  * the entries and their leaves, which are nearly all of it, are gone over in ranges, by several
    processes where there are processors; what they find is put together here, in order.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from typing import NamedTuple, NoReturn

from sqlalchemy import text
from sqlalchemy.orm import Session

from consent_service.db.audit_helpers import Spans, checked_ranges
from consent_service.db.audit_ranges import Tile, columns_agree
from consent_service.db.audit_rows import Row, stream
from consent_service.db.audit_tree import cut
from consent_service.domain.audit import instant_text
from consent_service.domain.audit_check import (
    BadEntry,
    LogCheck,
    LogFault,
    Trust,
    VerifyReport,
)
from consent_service.domain.merkle import TILE_HEIGHT, TILE_WIDTH, first_difference, perfect_root

UNSEALED_FOR = timedelta(seconds=60)
"""How long an entry may wait for its leaf before that is itself a fault."""

_EPOCHS = text(
    "SELECT epoch, origin,"
    ' (SELECT max("index") + 1 FROM audit_leaf WHERE audit_leaf.epoch = audit_epoch.epoch),'
    " (SELECT max(size) FROM audit_checkpoint WHERE audit_checkpoint.epoch = audit_epoch.epoch)"
    " FROM audit_epoch ORDER BY epoch"
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
        for last in [_Epoch(*row) for row in session.execute(_EPOCHS)]:
            _EpochReader(session, check, last).read()
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

    def __init__(self, session: Session, check: LogCheck, epoch: _Epoch) -> None:
        self._session = session
        self._check = check
        self._epoch = epoch
        self._tiles = _TileReader(session, epoch)
        self._heads = map(_Head._make, stream(session, _HEADS, _bounds(epoch, size=epoch.size)))
        self._place = 0

    def read(self) -> None:
        """Go over every row of the epoch."""
        head = next(self._heads, None)
        spans = Spans(self._epoch.number, self._epoch.leaves or 0)
        if not spans.ranges:
            self._begin(None)
        with closing(checked_ranges(self._session, spans)) as ranges:
            for checked in ranges:
                if self._place == 0:
                    self._begin(checked.first_body)
                for tile in checked.tiles:
                    head = self._add(tile, head)
        if head is not None:
            self._check_head(head)
        self._tiles.finish()

    def _begin(self, first_body: bytes | None) -> None:
        self._check.begin_epoch(self._epoch.number, self._epoch.origin, first_body)

    def _add(self, tile: Tile, head: _Head | None) -> _Head | None:
        """Feed a tile, and every head that ends in it; return the next head."""
        ids, hashes, root = tile.ids, cut(tile.hashes), tile.root
        if root is not None:
            self._tiles.check(tile.hashes, root)
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
        if tile.bad is not None:
            ahead, entry_id, what = tile.bad
            place = self._place - len(tile.ids) + ahead
            raise LogFault(BadEntry(self._epoch.number, place, entry_id, what))
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

    def check(self, hashes: bytes, root: bytes, level: int = 0) -> None:
        """Compare the next tile of a level with its hashes, joined, and the root over them."""
        if level == len(self._stored):
            tiles = (self._epoch.leaves or 0) >> (TILE_HEIGHT * (level + 1))
            bounds = _bounds(self._epoch, level=level, tiles=tiles)
            self._stored.append(stream(self._session, _TILES, bounds))
            self._roots.append([])
            self._seen.append(0)
        place, *stored = next(self._stored[level], (None, b"", b""))
        if (place, *stored) != (self._seen[level], hashes, root):
            self._fail(level, place, stored[0], hashes)
        self._seen[level] += 1
        roots = self._roots[level]
        roots.append(root)
        if len(roots) == TILE_WIDTH:
            self.check(b"".join(roots), perfect_root(roots), level + 1)
            roots.clear()

    def finish(self) -> None:
        """Refuse tiles that nothing stands for."""
        bounds = _bounds(self._epoch, level=len(self._stored))
        if self._session.scalar(_TILES_ABOVE, bounds):
            self._refuse(0, "there are tiles of a level that the log does not reach")

    def _fail(self, level: int, place: object, stored: object, hashes: bytes) -> NoReturn:
        width = TILE_WIDTH ** (level + 1)
        first = self._seen[level] * width
        if place != self._seen[level]:
            self._refuse(first, "the tile that begins with it is missing")
        found = cut(stored) if isinstance(stored, bytes) else []
        wrong = first_difference(cut(hashes), found) % TILE_WIDTH
        self._refuse(first + wrong * (width // TILE_WIDTH), "its tile is not over what was sealed")

    def _refuse(self, index: int, what: str) -> NoReturn:
        raise LogFault(BadEntry(self._epoch.number, index, None, what))


def _count_waiting(session: Session, last: _Epoch, at: datetime) -> int:
    """Return how many entries wait for their leaf; raises LogFault when one is lost or late."""
    rows = session.execute(_WAITING).all()
    for leaf, entry_id, *row in rows:
        if leaf is not None or row[0] is None:
            _refuse_waiting(last, entry_id, "it is on the waiting list and should not be")
        if not columns_agree(row):
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


def _bounds(epoch: _Epoch, **bounds: int | None) -> dict[str, int]:
    return {"epoch": epoch.number} | {name: value or 0 for name, value in bounds.items()}

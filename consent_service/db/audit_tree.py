"""The stored Merkle tree of one log epoch: reads its nodes, writes its tiles.

Rules kept here:
  * a tile is written once, when its 256 hashes are there; the right edge needs no rows of its own;
  * a proof or a root reads a handful of tiles, whatever the size of the log.
"""

from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from consent_service.db.models.audit import AuditLeaf, AuditTile
from consent_service.domain.merkle import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, perfect_root


class StoredTree:
    """Reads nodes of an epoch's tree; remembers the tiles it has read, so use it briefly."""

    def __init__(self, session: Session, epoch: int) -> None:
        self._session = session
        self._epoch = epoch
        self._read: dict[tuple[int, int], list[bytes]] = {}

    def node(self, height: int, index: int) -> bytes:
        """Return the root of the perfect subtree `index` of 2^height leaves."""
        level, inner = divmod(height, TILE_HEIGHT)
        first = index << inner
        hashes = self.tile(level, first >> TILE_HEIGHT)
        start = first % TILE_WIDTH
        return perfect_root(hashes[start : start + (1 << inner)])

    def tile(self, level: int, index: int) -> list[bytes]:
        """Return the hashes of a tile, fewer than 256 on the right edge."""
        if (level, index) not in self._read:
            stored = self._session.scalar(
                select(AuditTile.hashes).where(
                    AuditTile.epoch == self._epoch,
                    AuditTile.level == level,
                    AuditTile.index == index,
                )
            )
            self._read[level, index] = self._edge(level, index) if stored is None else cut(stored)
        return self._read[level, index]

    def _edge(self, level: int, index: int) -> list[bytes]:
        first = index << TILE_HEIGHT
        if level == 0:
            wanted = select(AuditLeaf.hash).where(AuditLeaf.epoch == self._epoch)
            place = AuditLeaf.index
        else:
            wanted = select(AuditTile.root).where(
                AuditTile.epoch == self._epoch, AuditTile.level == level - 1
            )
            place = AuditTile.index
        wanted = wanted.where(place >= first, place < first + TILE_WIDTH).order_by(place)
        return list(self._session.scalars(wanted))

    def write_tiles(self, size: int, leaves: Sequence[bytes]) -> None:
        """Store the tiles that become full when `leaves` follow the first `size` leaves.

        Call it before the new leaves are stored.
        """
        level, count, added = 0, size, list(leaves)
        while count % TILE_WIDTH + len(added) >= TILE_WIDTH:
            first = count >> TILE_HEIGHT
            # Cut to `count`: the roots that the level below has just added are in `added` too.
            waiting = self.tile(level, first)[: count % TILE_WIDTH]
            added = self._write_level(level, first, waiting + added)
            level, count = level + 1, first

    def _write_level(self, level: int, first: int, hashes: list[bytes]) -> list[bytes]:
        """Store every full tile that `hashes` make up from tile `first` on; return their roots."""
        rows = []
        for at in range(0, len(hashes) - TILE_WIDTH + 1, TILE_WIDTH):
            full = hashes[at : at + TILE_WIDTH]
            rows.append(
                {
                    "epoch": self._epoch,
                    "level": level,
                    "index": first + at // TILE_WIDTH,
                    "hashes": b"".join(full),
                    "root": perfect_root(full),
                }
            )
        self._session.execute(insert(AuditTile.__table__), rows)  # type: ignore[arg-type]
        self._read.clear()
        return [row["root"] for row in rows]  # type: ignore[misc]


def cut(joined: bytes) -> list[bytes]:
    """Return the hashes of a stored tile."""
    return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]

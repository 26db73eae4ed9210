"""What the keyring writes and reads inside one transaction, many ids at a time.

Rules kept here:
- a tombstone is written and its key deleted in one transaction, and nothing lifts a tombstone;
- whatever takes a key out of a shard marks that shard dirty;
- a key that is destroyed and that this keyring lacks may stand in another copy of it, under a shard
  key of today: so its shard is marked, or all of them where nobody knows which it is;
- a data key is known by its id alone: a film has one for life, so each time that it goes under
  escrow the same bytes stand under another id, and the tombstones before bear its fingerprint.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    bindparam,
    delete,
    exists,
    insert,
    select,
    update,
)

from consent_service.errors import KeyDestroyed
from consent_service.vault import keyring_tables as t
from consent_service.vault.keyring_values import (
    SHARDS,
    KeyEntry,
    KeyKind,
    KeyStatus,
    Tombstone,
    Zone,
)
from consent_service.vault.shard_keys import SHARD_COLUMNS, OpenShard, Place

NewRow = dict[str, Any]
_T = TypeVar("_T")


def new_key_row(shard: OpenShard, entry: KeyEntry, secret: bytes, at: datetime) -> NewRow:
    """Return the row of a key in its place, wrapped under its shard's key."""
    return {
        "key_id": entry.key_id,
        "kind": entry.kind,
        "zone": entry.zone,
        "shard": entry.shard,
        "wrapped": shard.wrap(entry, secret),
        "fingerprint": hashlib.sha256(secret).digest(),
        "created_at": at,
        "sealed_at": at if entry.zone is Zone.ESCROW else None,
    }


def held_rows(connection: Connection, zone: Zone, key_ids: Collection[str]) -> list[t.AnyRow]:
    """Return the keys of `zone` among `key_ids`, each with its wrapped shard key."""
    return [
        row
        for batch in t.batches(list(set(key_ids)))
        for row in connection.execute(
            HELD_WITH_SHARD.where(t.keys.c.zone == zone, t.keys.c.key_id.in_(batch))
        )
    ]


def ids_in(
    connection: Connection, table: Table, key_ids: Collection[str], zone: Zone | None = None
) -> set[str]:
    """Return those of `key_ids` that have a row in `table` (in `zone`, for keys)."""
    found: set[str] = set()
    for batch in t.batches(list(key_ids)):
        wanted = select(table.c.key_id).where(table.c.key_id.in_(batch))
        if zone is not None:
            wanted = wanted.where(table.c.zone == zone)
        found.update(connection.scalars(wanted))
    return found


def states_of(connection: Connection, key_ids: Collection[str]) -> dict[str, KeyStatus]:
    """Return what became of every id."""
    states = dict.fromkeys(key_ids, KeyStatus.ABSENT)
    for found, status in (
        (ids_in(connection, t.seal_fences, key_ids), KeyStatus.SEALED),
        (ids_in(connection, t.keys, key_ids, Zone.ESCROW), KeyStatus.SEALED),
        (ids_in(connection, t.keys, key_ids, Zone.LIVE), KeyStatus.LIVE),
        (ids_in(connection, t.tombstones, key_ids), KeyStatus.DESTROYED),
    ):
        states.update(dict.fromkeys(found, status))
    return states


def since_of(connection: Connection, key_ids: Collection[str]) -> dict[str, datetime]:
    """Return when each held key among `key_ids` was made, as far as its row knows."""
    return _held(connection, t.keys.c.created_at, key_ids)


def require_no_tombstone(connection: Connection, key_ids: Collection[str]) -> None:
    """Raise KeyDestroyed, naming ids, when one of `key_ids` was destroyed."""
    if dead := sorted(ids_in(connection, t.tombstones, key_ids)):
        raise KeyDestroyed(
            f"Key {dead[0]} was destroyed and can never be made again. A new decision has a new "
            "key.",
            key_ids=dead,
        )


def insert_missing(connection: Connection, rows: Sequence[NewRow], taken: set[str]) -> set[str]:
    """Insert the keys whose ids are neither `taken` nor held, and return their ids."""
    there = taken | ids_in(connection, t.keys, [row["key_id"] for row in rows])
    made = [row for row in rows if row["key_id"] not in there]
    if made:
        connection.execute(insert(t.keys), made)
    return {row["key_id"] for row in made}


def bury(connection: Connection, stones: Iterable[Tombstone]) -> set[str]:
    """Write tombstones where none stand and delete the keys; return the ids that had a key.

    Shards that lose a key, or of which another copy may hold one, become dirty.
    """
    first: dict[str, Tombstone] = {}
    for stone in stones:
        first.setdefault(stone.key_id, stone)
    gone: set[str] = set()
    for batch in t.batches(list(first)):
        found = connection.execute(_HELD_PLACES.where(t.keys.c.key_id.in_(batch)))
        held = {row.key_id: row for row in found}
        standing = ids_in(connection, t.tombstones, batch)
        new = [
            _stone_row(first[key_id], held.get(key_id))
            for key_id in batch
            if key_id not in standing
        ]
        if new:
            connection.execute(insert(t.tombstones), new)
        _forget(connection, batch)
        _await_rotation(connection, list(held))
        mark_dirty(connection, [(Zone(row.zone), row.shard) for row in held.values()])
        lacking = set(batch) - held.keys() - standing
        _mark_where_copies_may_hold(connection, {first[key_id].shard for key_id in lacking})
        gone.update(held)
    return gone


def move(connection: Connection, rows: Sequence[NewRow]) -> None:
    """Put already held keys where their new rows say; the shards that they leave become dirty."""
    if not rows:
        return
    left = [
        (Zone(row.zone), row.shard)
        for batch in t.batches([row["key_id"] for row in rows])
        for row in connection.execute(_HELD_PLACES.where(t.keys.c.key_id.in_(batch)))
    ]
    changed = [{"moved": row["key_id"]} | {name: row[name] for name in _MOVED} for row in rows]
    connection.execute(_MOVE, changed)
    mark_dirty(connection, left)


def fence(connection: Connection, key_ids: Collection[str], at: datetime) -> set[str]:
    """Seal ids that have no key yet and return them: no key is made while the fence stands."""
    there = {
        key_id
        for table in (t.keys, t.seal_fences, t.tombstones)
        for key_id in ids_in(connection, table, key_ids)
    }
    absent = set(key_ids) - there
    if absent:
        rows = [{"key_id": key_id, "sealed_at": at} for key_id in sorted(absent)]
        connection.execute(insert(t.seal_fences), rows)
    return absent


def lift_fence(connection: Connection, key_ids: Collection[str]) -> set[str]:
    """Allow keys for ids that were sealed without one, and return those ids."""
    fenced = ids_in(connection, t.seal_fences, key_ids)
    for batch in t.batches(list(fenced)):
        connection.execute(delete(t.seal_fences).where(t.seal_fences.c.key_id.in_(batch)))
    return fenced


def mark_dirty(connection: Connection, places: Iterable[Place]) -> None:
    """Note that the keys of these shards still open something that is gone from them."""
    shards: dict[Zone, set[int]] = defaultdict(set)
    for zone, shard in places:
        shards[zone].add(shard)
    for zone, mine in shards.items():
        connection.execute(
            update(t.shard_keys)
            .where(t.shard_keys.c.zone == zone, t.shard_keys.c.shard.in_(mine))
            .values(dirty=True)
        )


def _mark_where_copies_may_hold(connection: Connection, shards: Collection[int | None]) -> None:
    """Mark shards, with their pockets and in both zones, for keys that are not here; None is all.

    Who moved such a key, and whether it was sealed, only the other copy knows.
    """
    if not shards:
        return
    marked = update(t.shard_keys).values(dirty=True)
    if None not in shards:
        marked = marked.where((t.shard_keys.c.shard % SHARDS).in_(shards))
    connection.execute(marked)


def awaits_rotation(connection: Connection) -> bool:
    """Tell whether a shard is dirty, or a tombstone covered by no rotation."""
    return any(connection.execute(one).first() is not None for one in _AWAITING)


def drop_empty_pockets(connection: Connection) -> None:
    """Forget pockets that hold no key any more: nothing is ever put into one again."""
    connection.execute(_EMPTY_POCKETS)


def dirty_places(connection: Connection) -> list[Place]:
    """Return the dirty shards of both zones, in order."""
    return [(Zone(row.zone), row.shard) for row in connection.execute(DIRTY_SHARDS)]


def stones_of(connection: Connection, key_ids: Collection[str]) -> dict[str, Tombstone]:
    """Return the tombstones among `key_ids`."""
    stones = {}
    for batch in t.batches(list(set(key_ids))):
        rows = connection.execute(select(t.tombstones).where(t.tombstones.c.key_id.in_(batch)))
        for row in rows:
            stones[row.key_id] = Tombstone(
                row.key_id, row.fingerprint, row.destroyed_at, row.order_id
            )
    return stones


def fingerprints_of(connection: Connection, key_ids: Collection[str]) -> dict[str, bytes]:
    """Return the fingerprint of each held key among `key_ids`."""
    return _held(connection, t.keys.c.fingerprint, key_ids)


def _held(connection: Connection, column: ColumnElement[_T], ids: Collection[str]) -> dict[str, _T]:
    """Return one column of each held key among `ids`, by id."""
    wanted = select(t.keys.c.key_id, column)
    return {
        key_id: found
        for batch in t.batches(list(ids))
        for key_id, found in connection.execute(wanted.where(t.keys.c.key_id.in_(batch))).tuples()
    }


def buried_fingerprints(connection: Connection, prints: Collection[bytes]) -> set[bytes]:
    """Return those of `prints` that a tombstone bears; says nothing of data keys."""
    column = t.tombstones.c.fingerprint
    return {
        found
        for batch in t.batches(list(prints))
        for found in connection.scalars(select(column).where(column.in_(batch)))
    }


def come_back(connection: Connection, at: datetime) -> list[Tombstone]:
    """Return tombstones for held keys that a tombstone names, by id or, but data keys, by print."""
    rows = connection.execute(_BACK_BY_ID.union(_BACK_BY_FINGERPRINT))
    return [Tombstone(row.key_id, None, at, row.order_id) for row in rows]


def page_of_entries(connection: Connection, after: str, wanted: Select[Any]) -> Sequence[t.AnyRow]:
    """Return the next rows of `wanted`, a selection from `held_key`, by id."""
    page = wanted.where(t.keys.c.key_id > after).order_by(t.keys.c.key_id).limit(t.BATCH)
    return connection.execute(page).all()


def _stone_row(stone: Tombstone, held: t.AnyRow | None) -> NewRow:
    return {
        "key_id": stone.key_id,
        "fingerprint": stone.fingerprint if held is None else held.fingerprint,
        "destroyed_at": stone.destroyed_at,
        "order_id": stone.order_id,
    }


def _forget(connection: Connection, key_ids: Sequence[str]) -> None:
    for table in (t.keys, t.seal_fences):
        connection.execute(delete(table).where(table.c.key_id.in_(key_ids)))


def _await_rotation(connection: Connection, key_ids: Sequence[str]) -> None:
    """A key that had come back under an old tombstone awaits a rotation again."""
    connection.execute(
        update(t.tombstones).where(t.tombstones.c.key_id.in_(key_ids)).values(rotation=None)
    )


HELD_WITH_SHARD = select(
    t.keys,
    t.shard_keys.c.generation,
    t.shard_keys.c.wrapped.label("shard_wrapped"),
).join(
    t.shard_keys,
    (t.shard_keys.c.zone == t.keys.c.zone) & (t.shard_keys.c.shard == t.keys.c.shard),
)
_HELD_PLACES = select(t.keys.c.key_id, t.keys.c.zone, t.keys.c.shard, t.keys.c.fingerprint)
DIRTY_SHARDS = SHARD_COLUMNS.where(t.shard_keys.c.dirty).order_by(
    t.shard_keys.c.zone, t.shard_keys.c.shard
)
_AWAITING = (
    DIRTY_SHARDS.limit(1),
    select(t.tombstones.c.key_id).where(t.tombstones.c.rotation.is_(None)).limit(1),
)
_MOVED = ("zone", "shard", "wrapped", "sealed_at")
_MOVE = (
    update(t.keys)
    .where(t.keys.c.key_id == bindparam("moved"))
    .values({name: bindparam(name) for name in _MOVED})
)
_EMPTY_POCKETS = delete(t.shard_keys).where(
    t.shard_keys.c.shard >= SHARDS,
    ~exists().where(t.keys.c.zone == t.shard_keys.c.zone, t.keys.c.shard == t.shard_keys.c.shard),
)
_BACK = select(t.keys.c.key_id, t.tombstones.c.order_id)
_BACK_BY_ID = _BACK.join(t.tombstones, t.tombstones.c.key_id == t.keys.c.key_id)
_BACK_BY_FINGERPRINT = _BACK.join(
    t.tombstones, t.tombstones.c.fingerprint == t.keys.c.fingerprint
).where(t.keys.c.kind != KeyKind.DATA)

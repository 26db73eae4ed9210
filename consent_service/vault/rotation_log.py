"""What a rotation notes while it goes on, so that another process can take it up.

Rules kept here:
- only the newest rotation can be unfinished: none is started before the one before has ended;
- every note is made in the transaction of what it is about.
"""

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, insert, select, update

from consent_service.vault import keyring_tables as t
from consent_service.vault.key_providers import Assurance
from consent_service.vault.keyring_values import RotationAhead, RotationReport, Zone


def newest(connection: Connection) -> t.AnyRow | None:
    """Return the newest rotation; unfinished while it has no `finished_at`."""
    return connection.execute(_NEWEST).first()


def running(connection: Connection) -> t.AnyRow:
    """Return the newest rotation, which the caller has started or taken up."""
    return connection.execute(_NEWEST).one()


def ahead(connection: Connection) -> RotationAhead:
    """Return what the next rotation would do, or the one that was interrupted has yet to do."""
    last = newest(connection)
    unfinished = last is not None and last.finished_at is None
    covered = t.tombstones.c.rotation
    waits = covered.is_(None)
    if last is not None and unfinished:
        waits |= covered == last.rotation
    shards = select(func.count()).where(t.shard_keys.c.dirty | t.shard_keys.c.due)
    stones = select(func.count()).select_from(t.tombstones).where(waits)
    return RotationAhead(connection.scalar(shards) or 0, connection.scalar(stones) or 0, unfinished)


def start(connection: Connection, at: datetime) -> None:
    """Note a new rotation, the shards that it will replace and the tombstones that it covers."""
    last = connection.scalar(select(func.max(t.rotations.c.rotation))) or 0
    connection.execute(
        insert(t.rotations).values(
            rotation=last + 1,
            started_at=at,
            shards_rotated=0,
            keys_rewrapped=0,
        )
    )
    connection.execute(update(t.shard_keys).where(t.shard_keys.c.dirty).values(due=True))
    _cover_awaiting(connection)


def count(connection: Connection, *, shards: int, keys: int) -> None:
    """Note how much more was done."""
    rotation = t.rotations.c
    _change(
        connection,
        shards_rotated=rotation.shards_rotated + shards,
        keys_rewrapped=rotation.keys_rewrapped + keys,
    )


def close_shards(connection: Connection) -> None:
    """Cover what ended meanwhile too, if its shard happened to be replaced after it.

    While a shard is dirty the next rotation covers it. If none is, there would be no next one.
    """
    if connection.execute(_ANY_DIRTY).first() is None:
        _cover_awaiting(connection)


def note_master(connection: Connection, zone: Zone, target: int, old: Sequence[int]) -> None:
    """Note a zone's new master version; from now on no shard key may use an older one."""
    _change(connection, **{f"{zone}_master": target, f"{zone}_old": json.dumps(list(old))})
    connection.execute(update(t.zones).where(t.zones.c.zone == zone).values(master_floor=target))


def finish(connection: Connection, assurance: Assurance, at: datetime) -> t.AnyRow:
    """Note the end and return the rotation's row.

    No key backup that was begun before this end may seem to be of after it: what it holds would be
    called irrecoverable. The clock of whoever made it may be ahead of ours.
    """
    last = connection.scalar(select(func.max(t.backups.c.made_at)))
    return _change(connection, assurance=assurance, finished_at=max(at, last or at))


def finished_after(connection: Connection, master: int) -> list[RotationReport]:
    """Return every finished rotation to a live master key newer than `master`, oldest first."""
    return [report_of(row) for row in connection.execute(_FINISHED_AFTER, {"master": master})]


def report_of(row: t.AnyRow) -> RotationReport:
    """Return the report of a finished rotation."""
    return RotationReport(
        rotation=row.rotation,
        idle=False,
        shards_rotated=row.shards_rotated,
        keys_rewrapped=row.keys_rewrapped,
        old_master_versions_destroyed={
            "live": json.loads(row.live_old),
            "escrow": json.loads(row.escrow_old),
        },
        assurance=Assurance(row.assurance),
        live_master=row.live_master,
        escrow_master=row.escrow_master,
        finished_at=row.finished_at,
    )


def _cover_awaiting(connection: Connection) -> None:
    awaiting = update(t.tombstones).where(t.tombstones.c.rotation.is_(None))
    connection.execute(awaiting.values(rotation=running(connection).rotation))


def _change(connection: Connection, **changes: object) -> t.AnyRow:
    rotation = running(connection).rotation
    changed = update(t.rotations).where(t.rotations.c.rotation == rotation).values(**changes)
    connection.execute(changed)
    return running(connection)


_ANY_DIRTY = select(t.shard_keys.c.shard).where(t.shard_keys.c.dirty).limit(1)
_NEWEST = select(t.rotations).order_by(t.rotations.c.rotation.desc()).limit(1)
_FINISHED_AFTER = (
    select(t.rotations)
    .where(t.rotations.c.finished_at.is_not(None), t.rotations.c.live_master > bindparam("master"))
    .order_by(t.rotations.c.rotation)
)

"""Rotation: what was deleted yesterday cannot be opened any more by anybody.

A deleted row survives in logs, free blocks, replicas and snapshots. So every dirty shard gets a new
shard key under which its survivors are wrapped again, then every shard key is wrapped under a new
master key, then the old master keys are destroyed. What survives of the deleted row is then wrapped
under a key that is wrapped under nothing.

Rules kept here:
- one rotation at a time; an interrupted one is taken up where it stopped, its state is in tables;
- a dirty shard's old key is never wrapped under the new master key: shards come first;
- an old master key goes only when no shard key, present or to come, needs it (the zone's floor);
- no shard key is written over that is not the one which was read: a server may forget the lock;
- the tombstones that a rotation covers are noted with the shards that it will replace, in one
  transaction: what ends later waits for the next, so a rotation ends however busy the clinic is;
- serving goes on all the while: readers that met an old master key read again.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, bindparam, select, update

from consent_service.errors import Unavailable
from consent_service.vault import keyring_tables as t
from consent_service.vault import rotation_log as log
from consent_service.vault.key_providers import Assurance, master_version_of
from consent_service.vault.keyring_database import KeyringDatabase, rotation_runs
from consent_service.vault.keyring_rows import awaits_rotation, drop_empty_pockets
from consent_service.vault.keyring_values import KEY_BYTES, RotationReport, Zone, shard_place
from consent_service.vault.shard_keys import (
    SHARD_COLUMNS,
    MasterGone,
    OpenShard,
    Place,
    ShardKeys,
    ShardMoved,
    entry_of,
    new_shard_row,
    require_generations,
    require_unchanged,
    stale_keyring,
    unwrap_shard_keys,
)

SHARDS_AT_ONCE = 16  # survivors are rewrapped inside one write transaction: keep it short
MASTER_WRAPS_AT_ONCE = 256
_WEAKEST_FIRST = (Assurance.UNLINKED_ONLY, Assurance.OVERWRITTEN, Assurance.TRIMMED)


class RotationStep(StrEnum):
    """Where a rotation stands; after each it can be killed and taken up again."""

    STARTED = "started"
    SHARDS_REPLACED = "shards_replaced"
    SHARDS_DONE = "shards_done"
    MASTER_MADE = "master_made"
    MASTER_NOTED = "master_noted"
    SHARD_KEYS_REWRAPPED = "shard_keys_rewrapped"
    OLD_MASTERS_DESTROYED = "old_masters_destroyed"
    FINISHED = "finished"


Progress = Callable[[RotationStep, int], None]
"""Told after each step, with the number of shards replaced so far."""


class Rotation:
    """Carries one rotation through."""

    def __init__(
        self, database: KeyringDatabase, shards: ShardKeys, progress: Progress | None
    ) -> None:
        self._database = database
        self._shards = shards
        self._progress = progress

    def run(
        self, at: datetime, *, force: bool, now: Callable[[], datetime] | None
    ) -> RotationReport:
        """Finish an interrupted rotation, then rotate if a shard is dirty or `force` says so."""
        end = now or (lambda: at)
        report = None
        with self._database.rotation_lock(), _alone():
            newest = self._newest()
            if newest is not None and newest.finished_at is None:
                report = self._carry_through(end)
            if self._is_awaited() or (force and report is None):
                self._start(at)
                report = self._carry_through(end)
        return report or self._idle(at)

    def _carry_through(self, now: Callable[[], datetime]) -> RotationReport:
        self._replace_dirty_shards()
        targets = {zone: self._new_master(zone) for zone in Zone}
        for zone, target in targets.items():
            self._rewrap_shard_keys(zone, target)
        assurance = min(map(self._destroy_old_masters, targets.items()), key=_WEAKEST_FIRST.index)
        return self._finish(assurance, targets, now())

    def _start(self, at: datetime) -> None:
        with self._database.write() as connection:
            log.start(connection, at)
        self._tell(RotationStep.STARTED)

    # Shards

    def _replace_dirty_shards(self) -> None:
        while due := self._due_shards():
            self._replace(due)
        if self._running().live_master is not None:
            return  # taken up late: what ended since then was under shard keys that live on
        with self._database.write() as connection:
            drop_empty_pockets(connection)
            log.close_shards(connection)
        self._tell(RotationStep.SHARDS_DONE)

    def _due_shards(self) -> Sequence[t.AnyRow]:
        with self._database.read() as connection:
            return connection.execute(_DUE_SHARDS).all()

    def _replace(self, dirty: Sequence[t.AnyRow]) -> None:
        old = self._shards.opened(dirty)
        new, new_rows = self._new_shard_keys(dirty)
        with self._database.write() as connection:
            require_generations(connection, old)
            rewrapped = sum(_rewrap(connection, zone, old, new) for zone in Zone)
            connection.execute(_REPLACE_SHARD_KEY, [_bound(row) for row in new_rows])
            log.count(connection, shards=len(new_rows), keys=rewrapped)
        self._tell(RotationStep.SHARDS_REPLACED)

    def _new_shard_keys(
        self, dirty: Sequence[t.AnyRow]
    ) -> tuple[dict[Place, OpenShard], list[dict[str, object]]]:
        opened, rows = {}, []
        for zone, provider in self._shards.providers.items():
            mine = [row for row in dirty if Zone(row.zone) is zone]
            fresh = [os.urandom(KEY_BYTES) for _ in mine]
            places = [shard_place(zone, row.shard, row.generation + 1) for row in mine]
            wraps = provider.wrap_many(list(zip(fresh, places, strict=True)))
            for row, secret, wrapped in zip(mine, fresh, wraps, strict=True):
                opened[zone, row.shard] = OpenShard(row.generation + 1, AESGCM(secret))
                rows.append(new_shard_row(zone, row.shard, row.generation + 1, wrapped))
        return opened, rows

    # Master keys

    def _new_master(self, zone: Zone) -> int:
        """Return the version that this rotation moves `zone` to, made now or before a kill."""
        noted: int | None = getattr(self._running(), f"{zone}_master")
        if noted is not None:
            return noted
        provider = self._shards.providers[zone]
        old = provider.versions()
        target = provider.rotate()
        self._tell(RotationStep.MASTER_MADE)
        with self._database.write() as connection:
            log.note_master(connection, zone, target, old)
        self._tell(RotationStep.MASTER_NOTED)
        return target

    def _rewrap_shard_keys(self, zone: Zone, target: int) -> None:
        below = SHARD_COLUMNS.where(
            t.shard_keys.c.zone == zone, t.shard_keys.c.master_version < target
        ).limit(MASTER_WRAPS_AT_ONCE)
        while True:
            with self._database.read() as connection:
                rows = connection.execute(below).all()
            if not rows:
                return
            self._rewrap_masters(zone, rows, target)
            self._tell(RotationStep.SHARD_KEYS_REWRAPPED)

    def _rewrap_masters(self, zone: Zone, rows: Sequence[t.AnyRow], target: int) -> None:
        provider = self._shards.providers[zone]
        places = [shard_place(zone, row.shard, row.generation) for row in rows]
        wrapped = [row.shard_wrapped for row in rows]
        secrets = unwrap_shard_keys(provider, list(zip(wrapped, places, strict=True)))
        again = provider.wrap_many(list(zip(secrets, places, strict=True)))
        if any(master_version_of(one) < target for one in again):
            raise Unavailable(
                "Keys are wrapped under an older master key than the one that was made for them. "
                "See the key server's log, then rotate again."
            )
        changed = [
            {
                "at_zone": zone,
                "at_shard": row.shard,
                "to_version": master_version_of(one),
                "to_wrapped": one,
            }
            for row, one in zip(rows, again, strict=True)
        ]
        with self._database.write() as connection:
            require_unchanged(connection, zone, rows)
            connection.execute(_REWRAP_SHARD_KEY, changed)

    def _destroy_old_masters(self, target: tuple[Zone, int]) -> Assurance:
        zone, version = target
        assurance = self._shards.providers[zone].destroy_before(version)
        self._tell(RotationStep.OLD_MASTERS_DESTROYED)
        return assurance

    # State

    def _finish(
        self, assurance: Assurance, targets: Mapping[Zone, int], at: datetime
    ) -> RotationReport:
        with self._database.write() as connection:
            mine = log.running(connection)
            if (mine.live_master, mine.escrow_master) != (targets[Zone.LIVE], targets[Zone.ESCROW]):
                raise ShardMoved  # this is another's, whose old master keys may still be there
            state = log.finish(connection, assurance, at)
        self._database.empty_log()
        self._tell(RotationStep.FINISHED)
        return log.report_of(state)

    def _idle(self, at: datetime) -> RotationReport:
        providers = self._shards.providers
        return RotationReport(
            rotation=None,
            idle=True,
            shards_rotated=0,
            keys_rewrapped=0,
            old_master_versions_destroyed={},
            assurance=None,
            live_master=max(providers[Zone.LIVE].versions()),
            escrow_master=max(providers[Zone.ESCROW].versions()),
            finished_at=at,
        )

    def _is_awaited(self) -> bool:
        with self._database.read() as connection:
            return awaits_rotation(connection)

    def _newest(self) -> t.AnyRow | None:
        with self._database.read() as connection:
            return log.newest(connection)

    def _running(self) -> t.AnyRow:
        with self._database.read() as connection:
            return log.running(connection)

    def _tell(self, step: RotationStep) -> None:
        if self._progress is not None:
            self._progress(step, self._running().shards_rotated)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Under the rotation lock nobody else replaces shard keys; if somebody does, stop."""
    try:
        yield
    except MasterGone as fault:
        raise stale_keyring(Unavailable) from fault
    except ShardMoved as fault:
        raise rotation_runs() from fault


def _rewrap(
    connection: Connection,
    zone: Zone,
    old: Mapping[Place, OpenShard],
    new: Mapping[Place, OpenShard],
) -> int:
    """Wrap a zone's keys in these shards again and return how many there were."""
    shards = [shard for held, shard in old if held is zone]
    rows = connection.execute(
        select(t.keys).where(t.keys.c.zone == zone, t.keys.c.shard.in_(shards))
    ).all()
    changed = []
    for row in rows:
        entry = entry_of(row)
        secret = old[zone, row.shard].unwrap(entry, row.wrapped)
        changed.append({"rewrapped": row.key_id, "to": new[zone, row.shard].wrap(entry, secret)})
    if changed:
        connection.execute(_REWRAP_KEY, changed)
    return len(changed)


def _bound(row: Mapping[str, object]) -> dict[str, object]:
    return {f"new_{name}": value for name, value in row.items()}


_DUE_SHARDS = (
    SHARD_COLUMNS.where(t.shard_keys.c.due)
    .order_by(t.shard_keys.c.zone, t.shard_keys.c.shard)
    .limit(SHARDS_AT_ONCE)
)
_REWRAP_KEY = (
    update(t.keys).where(t.keys.c.key_id == bindparam("rewrapped")).values(wrapped=bindparam("to"))
)
_REPLACE_SHARD_KEY = (
    update(t.shard_keys)
    .where(
        t.shard_keys.c.zone == bindparam("new_zone"),
        t.shard_keys.c.shard == bindparam("new_shard"),
    )
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in ("generation", "master_version", "wrapped", "dirty", "due")
        }
    )
)
_REWRAP_SHARD_KEY = (
    update(t.shard_keys)
    .where(
        t.shard_keys.c.zone == bindparam("at_zone"),
        t.shard_keys.c.shard == bindparam("at_shard"),
    )
    .values(master_version=bindparam("to_version"), wrapped=bindparam("to_wrapped"))
)

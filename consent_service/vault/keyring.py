"""The keyring: the cryptographic state that is the consent state.

A consent key lives while its decision stands, an asset key while its asset does. Serving code reads
live keys only; sealed keys wait under the escrow provider; a destroyed key leaves a tombstone and
can never be made again. `rotate` turns "deleted" into "gone".

Rules kept here:
- a tombstoned id is never created, unsealed or restored, so whoever runs late brings nothing back;
- an id that is sealed before its key was made gets no key until it is unsealed;
- sealing, unsealing and destroying mark the shards they leave as dirty, in the same transaction;
- sealing asks the escrow provider to wrap and, where this process may do no more, for nothing else;
- no key bytes in any message, log or representation.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select

from consent_service.errors import ConsentServiceError
from consent_service.vault import keyring_rows as rows
from consent_service.vault import keyring_tables as t
from consent_service.vault import rotation_log
from consent_service.vault.key_backups import KeyBackups
from consent_service.vault.key_providers import KeyProvider
from consent_service.vault.keyring_database import KeyringDatabase, require_keyring_file
from consent_service.vault.keyring_values import (
    KEY_BYTES,
    KeyEntry,
    KeyKind,
    KeyStatus,
    NewKey,
    RotationAhead,
    RotationReport,
    Tombstone,
    Zone,
    require_key_id,
    require_shard,
    shard_of,
)
from consent_service.vault.rotation import Progress, Rotation
from consent_service.vault.shard_keys import (
    Room,
    ShardKeys,
    ShardMoved,
    entry_of,
    until_settled,
)

__all__ = [
    "KeyKind",
    "KeyStatus",
    "Keyring",
    "NewKey",
    "Tombstone",
    "Zone",
    "require_keyring_file",
    "shard_of",
]


class Keyring:
    """All keys of one clinic, in a database of their own; shared by threads and processes.

    Raises SettingsFault (code `keyring_stale`) when the providers' master keys do not open it.
    """

    def __init__(self, url: str, live: KeyProvider, escrow: KeyProvider) -> None:
        self._database = KeyringDatabase(url)
        self._shards = ShardKeys(self._database, {Zone.LIVE: live, Zone.ESCROW: escrow})
        try:
            self._shards.require_fitting_masters()
        except ConsentServiceError:
            self.close()
            raise
        self.backups = KeyBackups(self._database, self._shards)

    def check(self) -> None:
        """Open one live key and ask after escrow's; raises what keeps keys from being used."""
        self._shards.require_reach()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    # Live keys

    def create(self, key_id: str, kind: KeyKind, shard: int, at: datetime) -> bool:
        """Make one key; False when it is live or sealed already. Errors as `create_many`."""
        return key_id in self.create_many([NewKey(key_id, kind, shard)], at)

    def create_many(self, wanted: Sequence[NewKey], at: datetime) -> set[str]:
        """Make the keys that do not exist yet and return their ids; all or none.

        Raises KeyDestroyed when one of the ids has a tombstone.
        """
        for key in wanted:
            require_key_id(key.key_id)
            require_shard(key.shard)
            if key.kind is KeyKind.DATA:
                raise ValueError("a data key is only ever sealed: use seal_secret")
        entries = [KeyEntry(key.key_id, key.kind, Zone.LIVE, key.shard) for key in wanted]
        secrets = {entry: os.urandom(KEY_BYTES) for entry in entries}
        return until_settled(lambda: self._add(Zone.LIVE, secrets, at))

    def read(self, key_ids: Collection[str]) -> dict[str, bytes]:
        """Return the live keys among `key_ids`; sealed, destroyed and absent ones are missing."""
        return _by_id(until_settled(lambda: self._read(Zone.LIVE, key_ids)))

    def status(self, key_ids: Collection[str]) -> dict[str, KeyStatus]:
        """Return what became of every one of `key_ids`."""
        with self._database.read() as connection:
            return rows.states_of(connection, key_ids)

    # Ends

    def destroy(
        self, key_ids: Collection[str], order_id: str, at: datetime, shard: int | None = None
    ) -> list[Tombstone]:
        """Destroy keys, live or sealed, and return every id's tombstone in the order asked.

        Idempotent: the first order's tombstone stays. An id without a key gets one too, and marks
        `shard`, or every shard where nobody knows it: its key may stand in a copy of this keyring.
        """
        for key_id in key_ids:
            require_key_id(key_id)
        if shard is not None:
            require_shard(shard)
        with self._database.write() as connection:
            rows.bury(connection, [Tombstone(one, None, at, order_id, shard) for one in key_ids])
        self._database.empty_log()
        stones = self.tombstones(key_ids)
        return [stones[key_id] for key_id in dict.fromkeys(key_ids)]

    def tombstones(self, key_ids: Collection[str]) -> dict[str, Tombstone]:
        """Return the tombstones among `key_ids`."""
        with self._database.read() as connection:
            return rows.stones_of(connection, key_ids)

    def purge_tombstoned(self, at: datetime, replayed: Sequence[Tombstone] = ()) -> list[Tombstone]:
        """After a restore: destroy every key that a tombstone names, by id or by fingerprint.

        `replayed` are tombstones known from the journal; they are taken over first. Returns the
        tombstones of the keys that had come back.
        """
        with self._database.write() as connection:
            back = rows.bury(connection, replayed)
            back |= rows.bury(connection, rows.come_back(connection, at))
        self._database.empty_log()
        return list(self.tombstones(back).values())

    def irrecoverable_since(self, key_ids: Collection[str]) -> dict[str, datetime | None]:
        """Return for each tombstoned id since when no copy of its key can be opened.

        None while a rotation or the end of a key backup is awaited, and for ever when the file
        system gives no better assurance than *unlinked only*. An id without a key is no exception:
        its key may have stood in a keyring that was lost, or in one that was put back.
        """
        return self.backups.irrecoverable_since(key_ids)

    # Escrow

    def seal(self, key_ids: Collection[str], at: datetime) -> set[str]:
        """Move live keys to escrow and return the ids that this call sealed.

        An id without a key is sealed too: none is made for it until it is unsealed. The escrow
        provider need only wrap.
        """
        for key_id in key_ids:
            require_key_id(key_id)
        moved = until_settled(lambda: self._move(Zone.LIVE, Zone.ESCROW, key_ids, at))
        self._database.empty_log()
        return moved

    def unseal(self, key_ids: Collection[str], at: datetime) -> set[str]:
        """Move sealed keys back and return the ids that this call unsealed.

        Raises KeyDestroyed when one has a tombstone, ValueError for a data key; nothing moves then.
        """
        moved = until_settled(lambda: self._move(Zone.ESCROW, Zone.LIVE, key_ids, at))
        self._database.empty_log()
        return moved

    def seal_secret(self, key_id: str, secret: bytes, shard: int, at: datetime) -> bool:
        """Put a data key under escrow; False when it is there already.

        Raises KeyDestroyed when the id has a tombstone.
        """
        require_key_id(key_id)
        require_shard(shard)
        entry = KeyEntry(key_id, KeyKind.DATA, Zone.ESCROW, shard)
        return bool(until_settled(lambda: self._add(Zone.ESCROW, {entry: secret}, at)))

    def read_sealed(self, key_ids: Collection[str]) -> dict[str, bytes]:
        """Return sealed keys: for the jobs that cancel a withdrawal or release a hold only."""
        return _by_id(until_settled(lambda: self._read(Zone.ESCROW, key_ids)))

    # Looking after

    def list_keys(
        self, zone: Zone | None = None, kind: KeyKind | None = None
    ) -> Iterator[KeyEntry]:
        """Yield every key's place, by id, read in batches; for reconciliation."""
        wanted = select(t.keys.c.key_id, t.keys.c.kind, t.keys.c.zone, t.keys.c.shard)
        if zone is not None:
            wanted = wanted.where(t.keys.c.zone == zone)
        if kind is not None:
            wanted = wanted.where(t.keys.c.kind == kind)
        last = ""
        while True:
            with self._database.read() as connection:
                page = rows.page_of_entries(connection, last, wanted)
            if not page:
                return
            yield from map(entry_of, page)
            last = page[-1].key_id

    def held_since(self, key_ids: Collection[str]) -> dict[str, datetime]:
        """Return when each held key among `key_ids` was made.

        `OF_UNKNOWN_AGE`, which is before everything, for one that came from a key backup.
        """
        with self._database.read() as connection:
            return rows.since_of(connection, key_ids)

    def dirty_shards(self) -> list[tuple[Zone, int]]:
        """Return the shards whose key still opens something destroyed or moved away."""
        with self._database.read() as connection:
            return rows.dirty_places(connection)

    def awaits_rotation(self) -> bool:
        """Tell whether a rotation would do anything: a dirty shard, a tombstone not covered yet."""
        with self._database.read() as connection:
            return rows.awaits_rotation(connection)

    def rotation_ahead(self) -> RotationAhead:
        """Return what the next rotation would do."""
        with self._database.read() as connection:
            return rotation_log.ahead(connection)

    def rotate(
        self,
        at: datetime,
        progress: Progress | None = None,
        *,
        force: bool = False,
        now: Callable[[], datetime] | None = None,
    ) -> RotationReport:
        """Give dirty shards new keys and replace the master keys; see `rotation`.

        Does nothing when nothing awaits it, unless `force`. `now` reads the clock at the end, when
        the old master keys are gone; without it `at` is also the end. Raises Conflict (code
        `rotation_running`) beside another rotation.
        """
        rotation = Rotation(self._database, self._shards, progress)
        return rotation.run(at, force=force, now=now)

    def rotations_since(self, live_master: int) -> list[RotationReport]:
        """Return the finished rotations to a live master version above this one, oldest first."""
        with self._database.read() as connection:
            return rotation_log.finished_after(connection, live_master)

    # Within

    def _read(self, zone: Zone, key_ids: Collection[str]) -> dict[KeyEntry, bytes]:
        with self._database.read() as connection:
            held = rows.held_rows(connection, zone, key_ids)
        shards = self._shards.opened(held)
        secrets = {}
        for row in held:
            entry = entry_of(row)
            secrets[entry] = shards[zone, row.shard].unwrap(entry, row.wrapped)
        return secrets

    def _add(self, zone: Zone, secrets: Mapping[KeyEntry, bytes], at: datetime) -> set[str]:
        room = self._shards.room(zone, {entry.shard for entry in secrets})
        new = _placed(room, secrets, at)
        wanted = [row["key_id"] for row in new]
        with self._database.write() as connection:
            room.enter(connection)
            rows.require_no_tombstone(connection, wanted)
            fenced = zone is Zone.LIVE and rows.ids_in(connection, t.seal_fences, wanted)
            return rows.insert_missing(connection, new, taken=fenced or set())

    def _move(self, source: Zone, target: Zone, key_ids: Collection[str], at: datetime) -> set[str]:
        secrets = self._read(source, key_ids)
        if target is Zone.LIVE and any(entry.kind is KeyKind.DATA for entry in secrets):
            raise ValueError("a data key stays sealed: read it with read_sealed")
        room = self._shards.room(target, {entry.shard for entry in secrets})
        new = {row["key_id"]: row for row in _placed(room, secrets, at)}
        with self._database.write() as connection:
            room.enter(connection)
            present = rows.ids_in(connection, t.keys, key_ids, source)
            if not present <= new.keys():
                raise ShardMoved  # made since we looked
            rows.move(connection, [new[key_id] for key_id in sorted(present)])
            if target is Zone.ESCROW:
                return present | rows.fence(connection, key_ids, at)
            rows.require_no_tombstone(connection, key_ids)
            return present | rows.lift_fence(connection, key_ids)


def _placed(room: Room, secrets: Mapping[KeyEntry, bytes], at: datetime) -> list[rows.NewRow]:
    return [
        rows.new_key_row(shard, place, secret, at)
        for (place, shard), secret in ((room.place(e), secret) for e, secret in secrets.items())
    ]


def _by_id(secrets: Mapping[KeyEntry, bytes]) -> dict[str, bytes]:
    return {entry.key_id: secret for entry, secret in secrets.items()}

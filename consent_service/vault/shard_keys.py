"""Shard keys: made when a shard is first used, opened for the length of one call, never kept.

Rules kept here:
- a provider is never asked from inside a transaction of the keyring;
- what was prepared outside is used inside a write transaction only if the shard's generation is
  still the one it was prepared for; otherwise `ShardMoved`, and the caller prepares again;
- where this process may wrap but not open, keys go into a *pocket*: a shard key of its own that it
  makes, uses once and forgets, written with the first key in it;
- a shard key wrapped under a master version below the zone's floor is not accepted, so a
  rotation that has begun to rewrap cannot miss one.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, bindparam, insert, select

from consent_service.errors import (
    ConsentServiceError,
    IntegrityFault,
    KeyDestroyed,
    Refused,
    SettingsFault,
    Unavailable,
)
from consent_service.vault import keyring_tables as t
from consent_service.vault.key_providers import KeyProvider, master_version_of
from consent_service.vault.key_providers.port import NONCE_BYTES, is_forbidden
from consent_service.vault.keyring_database import KeyringDatabase
from consent_service.vault.keyring_values import (
    KEY_BYTES,
    KeyEntry,
    KeyKind,
    Zone,
    home_shard,
    key_place,
    new_pocket,
    shard_place,
)

Place = tuple[Zone, int]
_TRIES = 5
_STALE = (
    "The keyring does not fit the master keys: it was copied or restored from before a rotation, "
    "or the master keys are others, so nothing in it opens. Restore the keyring from a "
    "`keys backup`, or put the master keys that belong to it back."
)
_Result = TypeVar("_Result")


class ShardMoved(Exception):
    """A rotation or another writer was faster: read again, prepare again."""


class MasterGone(ShardMoved):
    """The master key of what was read is not held: rotated away since, or never ours."""


@dataclass(frozen=True)
class OpenShard:
    """One shard's key of one generation, open, for the length of a call."""

    generation: int
    cipher: AESGCM

    def wrap(self, entry: KeyEntry, secret: bytes) -> bytes:
        """Wrap `secret` so that it opens in its own place only (12-byte nonce first)."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self.cipher.encrypt(nonce, secret, key_place(entry, self.generation))

    def unwrap(self, entry: KeyEntry, wrapped: bytes) -> bytes:
        """Open what `wrap` made; raises IntegrityFault naming the key when it is not that."""
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            return self.cipher.decrypt(nonce, sealed, key_place(entry, self.generation))
        except (InvalidTag, ValueError) as fault:
            raise IntegrityFault(
                f"Key {entry.key_id} in the keyring is damaged or was moved. "
                "Restore it from a `keys backup`, or destroy it.",
                code="wrapped_key_corrupt",
                key_id=entry.key_id,
            ) from fault


@dataclass(frozen=True)
class Room:
    """Where keys of some shards may be put in one zone, for the length of a call.

    `shards` leads from a shard (0 to 1023) to the number that its key stands under, which is its
    own or a new pocket's, and to that key. `pockets` are the rows of those that are new.
    """

    zone: Zone
    shards: Mapping[int, tuple[int, OpenShard]]
    pockets: Sequence[Mapping[str, Any]] = ()

    def place(self, entry: KeyEntry) -> tuple[KeyEntry, OpenShard]:
        """Return where a key stands here, and the shard key that wraps it."""
        number, opened = self.shards[home_shard(entry.shard)]
        return replace(entry, zone=self.zone, shard=number), opened

    def enter(self, connection: Connection) -> None:
        """Inside a write transaction: write new pockets down, or raise ShardMoved.

        Raised also unless every shard is as it was opened.
        """
        if _insert_missing(connection, self.zone, self.pockets) != len(self.pockets):
            raise ShardMoved  # the number was taken: chance gives another
        require_generations(
            connection, {(self.zone, number): key for number, key in self.shards.values()}
        )


class ShardKeys:
    """Opens and makes shard keys in both zones."""

    def __init__(self, database: KeyringDatabase, providers: Mapping[Zone, KeyProvider]) -> None:
        self._database = database
        self.providers = providers

    def require_fitting_masters(self) -> None:
        """Refuse a keyring that the providers' master keys do not open (SettingsFault)."""
        try:
            until_settled(self._check_fit, refusal=SettingsFault)
        except IntegrityFault as fault:
            raise stale_keyring(SettingsFault) from fault

    def require_reach(self) -> None:
        """Open a live shard key and ask after both master keys; raises what keeps us from it."""
        for provider in self.providers.values():
            provider.versions()
        until_settled(self._open_one)

    def opened(self, rows: Iterable[t.AnyRow]) -> dict[Place, OpenShard]:
        """Open the shard keys of rows with zone, shard, generation and shard_wrapped.

        Raises ShardMoved when a rotation destroyed their master key after they were read.
        """
        found = {(Zone(row.zone), row.shard): row for row in rows}
        opened: dict[Place, OpenShard] = {}
        for zone, provider in self.providers.items():
            mine = [row for place, row in found.items() if place[0] is zone]
            secrets = unwrap_shard_keys(
                provider, [(row.shard_wrapped, _place_of(row)) for row in mine]
            )
            for row, secret in zip(mine, secrets, strict=True):
                opened[zone, row.shard] = OpenShard(row.generation, AESGCM(secret))
        return opened

    def ensured(self, zone: Zone, shards: Collection[int]) -> dict[Place, OpenShard]:
        """Open the keys of `shards`, making those that do not exist yet."""
        with self._database.read() as connection:
            rows = _shard_rows(connection, zone, shards)
        missing = sorted(set(shards) - {row.shard for row in rows})
        if missing:
            self._make(zone, missing)
            with self._database.read() as connection:
                rows = _shard_rows(connection, zone, shards)
        return self.opened(rows)

    def room(self, zone: Zone, shards: Collection[int]) -> Room:
        """Return room for keys of these shards, or pockets: of their homes, not beside them.

        Where this process may wrap but not open, each shard gets a new pocket.
        """
        homes = sorted({home_shard(shard) for shard in shards})
        try:
            opened = self.ensured(zone, homes)
        except Refused as fault:
            if not is_forbidden(fault):
                raise
            return self._new_pockets(zone, homes)
        return Room(zone, {shard: (shard, key) for (_, shard), key in opened.items()})

    def _new_pockets(self, zone: Zone, shards: Sequence[int]) -> Room:
        numbers = [new_pocket(shard) for shard in shards]
        secrets, rows = self._fresh(zone, numbers)
        opened = [OpenShard(1, AESGCM(secret)) for secret in secrets]
        placed = zip(shards, zip(numbers, opened, strict=True), strict=True)
        return Room(zone, dict(placed), rows)

    def _make(self, zone: Zone, shards: Sequence[int]) -> None:
        _, rows = self._fresh(zone, shards)
        with self._database.write() as connection:
            _insert_missing(connection, zone, rows)

    def _fresh(
        self, zone: Zone, numbers: Sequence[int]
    ) -> tuple[list[bytes], list[dict[str, object]]]:
        """Return new shard keys, and the rows that they are to have."""
        secrets = [os.urandom(KEY_BYTES) for _ in numbers]
        places = [shard_place(zone, number, 1) for number in numbers]
        wrapped = self.providers[zone].wrap_many(list(zip(secrets, places, strict=True)))
        return secrets, [
            new_shard_row(zone, number, 1, one)
            for number, one in zip(numbers, wrapped, strict=True)
        ]

    def _check_fit(self) -> None:
        for zone, provider in self.providers.items():
            held = provider.versions()
            with self._database.write() as connection:
                floor = _floor(connection, zone, newest=max(held, default=1))
                used = set(connection.scalars(_MASTERS_USED, {"zone": zone}))
            if not used <= set(held) or floor > max(held, default=0):
                raise ShardMoved
        self._open_one()

    def _open_one(self) -> None:
        # Serving needs no more than one live shard key, and escrow may be out of reach.
        with self._database.read() as connection:
            rows = connection.execute(_ONE_LIVE_SHARD).all()
        self.opened(rows)


def until_settled(
    attempt: Callable[[], _Result], refusal: type[ConsentServiceError] = Unavailable
) -> _Result:
    """Run `attempt` anew while rotations get between; a keyring that never opens is refused."""
    for _ in range(_TRIES):
        try:
            return attempt()
        except ShardMoved:
            continue
    raise stale_keyring(refusal)


def stale_keyring(refusal: type[ConsentServiceError]) -> ConsentServiceError:
    """The refusal of a keyring that its master keys do not open."""
    return refusal(_STALE, code="keyring_stale")


def require_generations(connection: Connection, shards: Mapping[Place, OpenShard]) -> None:
    """Inside a write transaction: raise ShardMoved unless every shard is as it was opened."""
    for zone in Zone:
        mine = {shard: one for (held, shard), one in shards.items() if held is zone}
        rows = _shard_rows(connection, zone, mine)
        if {row.shard: row.generation for row in rows} != {
            shard: one.generation for shard, one in mine.items()
        }:
            raise ShardMoved


def require_unchanged(connection: Connection, zone: Zone, rows: Sequence[t.AnyRow]) -> None:
    """Inside a write transaction: raise ShardMoved unless these shard keys are as they were."""
    now = _shard_rows(connection, zone, [row.shard for row in rows])
    if {row.shard: row.shard_wrapped for row in now} != {r.shard: r.shard_wrapped for r in rows}:
        raise ShardMoved


def new_shard_row(zone: Zone, shard: int, generation: int, wrapped: bytes) -> dict[str, object]:
    """Return the row of a shard key that wraps nothing destroyed."""
    return {
        "zone": zone,
        "shard": shard,
        "generation": generation,
        "master_version": master_version_of(wrapped),
        "wrapped": wrapped,
        "dirty": False,
        "due": False,
    }


def entry_of(row: t.AnyRow) -> KeyEntry:
    """Return the place of a row of `held_key`."""
    return KeyEntry(row.key_id, KeyKind(row.kind), Zone(row.zone), row.shard)


def unwrap_shard_keys(provider: KeyProvider, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Open shard keys; raises MasterGone when their master key is not held any more.

    Raises IntegrityFault where what it opened to is no shard key.
    """
    if not items:
        return []
    try:
        secrets = provider.unwrap_many(items)
    except KeyDestroyed as fault:
        raise MasterGone from fault
    if any(len(secret) != KEY_BYTES for secret in secrets):
        raise IntegrityFault(
            "A shard key in the keyring opens to something that is no key. "
            "Restore the keyring with `keys restore`.",
            code="wrapped_key_corrupt",
        )
    return secrets


def _place_of(row: t.AnyRow) -> bytes:
    return shard_place(Zone(row.zone), row.shard, row.generation)


def _insert_missing(connection: Connection, zone: Zone, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the shard keys that are not there; returns how many.

    Raises ShardMoved when one was wrapped under a master key that a rotation moves away from.
    """
    if not rows:
        return 0
    floor = _floor(connection, zone, newest=1)
    if any(row["master_version"] < floor for row in rows):
        raise ShardMoved
    numbers = [row["shard"] for row in rows]
    there = {row.shard for row in _shard_rows(connection, zone, numbers)}
    made = [dict(row) for row in rows if row["shard"] not in there]
    if made:
        connection.execute(insert(t.shard_keys), made)
    return len(made)


def _floor(connection: Connection, zone: Zone, newest: int) -> int:
    """Return the zone's floor; a new keyring begins at the `newest` version there is."""
    floor = connection.scalar(select(t.zones.c.master_floor).where(t.zones.c.zone == zone))
    if floor is None:
        connection.execute(insert(t.zones).values(zone=zone, master_floor=newest))
    return newest if floor is None else floor


def _shard_rows(connection: Connection, zone: Zone, shards: Collection[int]) -> Sequence[t.AnyRow]:
    wanted = SHARD_COLUMNS.where(t.shard_keys.c.zone == zone, t.shard_keys.c.shard.in_(shards))
    return connection.execute(wanted).all()


SHARD_COLUMNS = select(
    t.shard_keys.c.zone,
    t.shard_keys.c.shard,
    t.shard_keys.c.generation,
    t.shard_keys.c.master_version,
    t.shard_keys.c.wrapped.label("shard_wrapped"),
)
_MASTERS_USED = (
    select(t.shard_keys.c.master_version).where(t.shard_keys.c.zone == bindparam("zone")).distinct()
)
_ONE_LIVE_SHARD = SHARD_COLUMNS.where(t.shard_keys.c.zone == Zone.LIVE).limit(1)

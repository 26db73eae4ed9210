"""The keyring's words: kinds, zones, states, and the bytes that tie a wrapped key to its place.

No database, no clock.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from consent_service.vault.key_providers import Assurance

SHARDS = 1024
POCKETS = 2**21 - 1  # so that the number of the last one still fits 31 bits
KEY_BYTES = 32
KEY_ID_MAX = 100
OF_UNKNOWN_AGE = datetime.min.replace(tzinfo=UTC)
"""Since when a key is here that came from a key backup: nobody knows, so before everything."""


class KeyKind(StrEnum):
    """What a key is for."""

    CONSENT = "consent"
    ASSET = "asset"
    DATA = "data"  # only ever sealed


class Zone(StrEnum):
    """Under which provider a key is wrapped: serving code reads `live` only."""

    LIVE = "live"
    ESCROW = "escrow"


class KeyStatus(StrEnum):
    """What became of a key id."""

    LIVE = "live"
    SEALED = "sealed"
    DESTROYED = "destroyed"
    ABSENT = "absent"


@dataclass(frozen=True)
class NewKey:
    """A key to be made: its id, kind and shard (0 to 1023)."""

    key_id: str
    kind: KeyKind
    shard: int


@dataclass(frozen=True)
class KeyEntry:
    """Where a key stands; says nothing of its bytes."""

    key_id: str
    kind: KeyKind
    zone: Zone
    shard: int


@dataclass(frozen=True)
class Tombstone:
    """A key id that can never be made again, and the SHA-256 of its key if there was one.

    `shard` is told by who destroys it and not kept: where the key may lie in another copy.
    """

    key_id: str
    fingerprint: bytes | None
    destroyed_at: datetime
    order_id: str
    shard: int | None = None


@dataclass(frozen=True)
class RotationReport:
    """What a rotation did; `idle` when nothing awaited it and nothing was done.

    `old_master_versions_destroyed` maps a zone to the versions that went; `assurance` is the weaker
    of the two providers'. Figures of a rotation that was interrupted count all its runs.
    """

    rotation: int | None
    idle: bool
    shards_rotated: int
    keys_rewrapped: int
    old_master_versions_destroyed: dict[str, list[int]]
    assurance: Assurance | None
    live_master: int
    escrow_master: int
    finished_at: datetime


@dataclass(frozen=True)
class RotationAhead:
    """What the next rotation would do: shards that get a new key, tombstones that it covers.

    `unfinished` when it would first end one that was interrupted.
    """

    shards: int
    tombstones: int
    unfinished: bool

    @property
    def idle(self) -> bool:
        """Whether nothing awaits it."""
        return not (self.shards or self.tombstones or self.unfinished)


@dataclass(frozen=True)
class KeyBackup:
    """A registered key backup; it must be gone by `expires_at` and is since `expired_at`."""

    backup_id: str
    made_at: datetime
    expires_at: datetime
    expired_at: datetime | None


def shard_of(involvement_id: str) -> int:
    """Return the shard of everything that belongs to an involvement (its first 32 bits)."""
    return int(involvement_id[:8], 16) % SHARDS


def home_shard(number: int) -> int:
    """Return the shard (0 to 1023) that a shard or one of its pockets belongs to."""
    return number % SHARDS


def new_pocket(shard: int) -> int:
    """Return the number of a pocket of `shard`, by chance: 1024 and above.

    A pocket is a shard key of its own beside the shard's: whoever may not open the shard's key can
    make one, put keys under it, and forget it.
    """
    return shard + SHARDS * (1 + secrets.randbelow(POCKETS))


def shard_place(zone: Zone, shard: int, generation: int) -> bytes:
    """Return the associated data of a wrapped shard key."""
    place = f"{zone}\0{shard}\0{generation}"
    return b"consent-service/shard-key/v1\0" + place.encode("ascii")


def key_place(entry: KeyEntry, generation: int) -> bytes:
    """Return the associated data of a key wrapped under its shard's key of `generation`."""
    place = f"{entry.kind}\0{entry.key_id}\0{entry.zone}\0{entry.shard}\0{generation}"
    return b"consent-service/key/v1\0" + place.encode("ascii")


def require_key_id(key_id: str) -> None:
    """Refuse an id that could blur into its neighbours in the associated data."""
    if not 0 < len(key_id) <= KEY_ID_MAX or not key_id.isascii() or not key_id.isprintable():
        raise ValueError("a key id has 1 to 100 printable ASCII characters")


def require_shard(shard: int) -> None:
    """Refuse a shard outside 0 to 1023."""
    if not 0 <= shard < SHARDS:
        raise ValueError("a shard is a number from 0 to 1023")

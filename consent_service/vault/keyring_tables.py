"""The keyring's own tables: what stands where, and nothing of the domain.

Rules kept here:
- the keyring shares no table with the domain database: own MetaData, made when it is opened;
- rows hold wrapped keys, ids and instants; nothing in them opens anything without a master key.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import (
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
)
from sqlalchemy.types import TypeDecorator

from consent_service.vault.keyring_values import KEY_ID_MAX

BATCH = 2_000  # ids in one statement; both engines take far more parameters
AnyRow: TypeAlias = Row[*tuple[Any, ...]]
_Item = TypeVar("_Item")


class Instant(TypeDecorator[datetime]):
    """An aware instant as UTC text of fixed width, so that it sorts the same on both engines."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Write an aware instant; a naive one raises ValueError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Read it back, aware, UTC."""
        return None if value is None else datetime.fromisoformat(value)


tables = MetaData()

zones = Table(
    "keyring_zone",
    tables,
    Column("zone", String(10), primary_key=True),
    # Shard keys wrapped under an older master version are not accepted any more.
    Column("master_floor", Integer, nullable=False),
)
shard_keys = Table(
    "shard_key",
    tables,
    Column("zone", String(10), primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("generation", Integer, nullable=False),
    Column("master_version", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    # Still opens something that is gone from the shard; to be replaced by the present rotation.
    Column("dirty", Boolean, nullable=False),
    Column("due", Boolean, nullable=False),
)
keys = Table(
    "held_key",
    tables,
    Column("key_id", String(KEY_ID_MAX), primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("zone", String(10), nullable=False),
    Column("shard", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("sealed_at", Instant),
    Index("held_key_by_shard", "zone", "shard"),
    Index("held_key_by_fingerprint", "fingerprint"),
)
# Ids that were sealed before their key was made: no key is made while the row stands.
seal_fences = Table(
    "seal_fence",
    tables,
    Column("key_id", String(KEY_ID_MAX), primary_key=True),
    Column("sealed_at", Instant, nullable=False),
)
tombstones = Table(
    "tombstone",
    tables,
    Column("key_id", String(KEY_ID_MAX), primary_key=True),
    Column("fingerprint", LargeBinary(32)),
    Column("destroyed_at", Instant, nullable=False),
    Column("order_id", String(KEY_ID_MAX), nullable=False),
    # The rotation that replaced every shard key the destroyed key was ever wrapped under.
    Column("rotation", Integer),
    Index("tombstone_by_fingerprint", "fingerprint"),
    Index("tombstone_by_rotation", "rotation"),
)
rotations = Table(
    "rotation",
    tables,
    Column("rotation", Integer, primary_key=True, autoincrement=False),
    Column("started_at", Instant, nullable=False),
    Column("shards_rotated", Integer, nullable=False),
    Column("keys_rewrapped", Integer, nullable=False),
    Column("live_master", Integer),
    Column("escrow_master", Integer),
    Column("live_old", String),
    Column("escrow_old", String),
    Column("assurance", String(20)),
    Column("finished_at", Instant),
)
backups = Table(
    "key_backup",
    tables,
    Column("backup_id", String(KEY_ID_MAX), primary_key=True),
    Column("made_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("expired_at", Instant),
)


def batches(items: Sequence[_Item], size: int = BATCH) -> Iterator[list[_Item]]:
    """Cut `items` into lists of at most `size`."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch

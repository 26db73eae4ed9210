"""Key backups: the keyring's keys, encrypted to somebody who is not this service.

A backup is one age file (age-encryption.org/v1, X25519) of JSON lines, written at once and kept
elsewhere. It is what a lost keyring is restored from, and it lives at most seven days (R32),
because until then it can open what was destroyed meanwhile.

Rules kept here:
- a backup is told of and registered before a key is read for it, so none exists that is not known
  of; one that is known of and was never finished does no harm but to be waited for until its end;
- keys never touch the disk in the clear: the lines are made and encrypted in memory;
- a destroyed key is beyond recovery once its rotation has ended and every backup begun before that
  end is gone: each that can hold the key is among them;
- restoring refuses every id and every fingerprint that has a tombstone, here or in the backup; a
  data key, whose bytes are a film's for life, by its id alone;
- a key that was made anew under an id of the backup is never taken for the one that was lost;
- what was sealed here while its key was lost comes back sealed;
- whoever knows the recipient can write a file: it is read through, and refused whole, before
  anything of it is done;
- a backup does not tell when its keys were made, so those that come back are of unknown age: they
  count as older than anything, from their first moment in the keyring on.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any, BinaryIO

import pyrage
from sqlalchemy import insert, select, update

from consent_service.errors import Conflict, IntegrityFault
from consent_service.ids import new_id
from consent_service.vault import keyring_rows as rows
from consent_service.vault import keyring_tables as t
from consent_service.vault.age import recipient_of
from consent_service.vault.key_providers import Assurance
from consent_service.vault.keyring_database import KeyringDatabase
from consent_service.vault.keyring_values import (
    KEY_BYTES,
    OF_UNKNOWN_AGE,
    KeyBackup,
    KeyEntry,
    KeyKind,
    Tombstone,
    Zone,
    home_shard,
    require_key_id,
    require_shard,
)
from consent_service.vault.shard_keys import (
    OpenShard,
    Place,
    ShardKeys,
    entry_of,
    require_generations,
    until_settled,
)

LIFETIME = timedelta(days=7)
FORMAT = "consent-service/key-backup/v1"
_FINGERPRINT_BYTES = 32


@dataclass(frozen=True)
class RestoredKeys:
    """How many keys came back, were there already, or were refused because a tombstone stands."""

    restored: int
    present: int
    refused: int


def _told_nobody(_backup: KeyBackup) -> None:
    """Where nothing but the keyring remembers backups."""


class KeyBackups:
    """Makes, registers and restores key backups of one keyring."""

    def __init__(self, database: KeyringDatabase, shards: ShardKeys) -> None:
        self._database = database
        self._shards = shards

    def make(
        self,
        out: BinaryIO,
        recipient: str,
        at: datetime,
        tell: Callable[[KeyBackup], object] = _told_nobody,
    ) -> KeyBackup:
        """Write all keys, live and sealed, and all tombstones to `out`, encrypted to `recipient`.

        `recipient` is an age X25519 recipient (`age1...`); another text raises SettingsFault.
        `tell` writes the backup down where a lost keyring is not lost with it: before anything
        else is done, and when it raises nothing is.
        """
        reader = recipient_of(recipient)
        backup = KeyBackup(new_id(), at, at + LIFETIME, None)
        tell(backup)
        self.remember([backup])
        held, opened, stones, fences = until_settled(self._snapshot)
        lines: Iterable[dict[str, object]] = chain(
            [{"format": FORMAT, "backup": backup.backup_id, "made_at": at.isoformat()}],
            (_key_line(row, opened) for row in held),
            ({"fence": key_id} for key_id in fences),
            (_stone_line(stone) for stone in stones),
            [{"end": len(held) + len(fences) + len(stones)}],
        )
        plain = b"".join(json.dumps(line).encode("ascii") + b"\n" for line in lines)
        # Whole, and not through encrypt_io: that swallows a write error in its last buffer.
        out.write(pyrage.encrypt(plain, [reader]))
        return backup

    def restore(self, source: BinaryIO, identity: str, at: datetime) -> RestoredKeys:
        """Put the keys of a backup back, save those that were destroyed since.

        `identity` is the age identity (`AGE-SECRET-KEY-1...`) that belongs to the recipient. Raises
        IntegrityFault when it does not open the file, or the file is not a whole key backup, and
        Conflict, before anything is done, where a key of it was made anew here meanwhile.
        """
        secrets, fences, stones = _parse(_decrypted(source, identity))
        self._require_none_anew(secrets)
        with self._database.write() as connection:
            rows.bury(connection, stones)
            rows.fence(connection, fences, at)
            sealed = rows.ids_in(connection, t.seal_fences, [entry.key_id for entry in secrets])
        secrets = {
            replace(entry, zone=Zone.ESCROW) if entry.key_id in sealed else entry: secret
            for entry, secret in secrets.items()
        }
        restored = refused = 0
        for batch in t.batches(list(secrets)):
            chosen = {entry: secrets[entry] for entry in batch}
            came, dead = until_settled(partial(self._put_back, chosen, at))
            restored, refused = restored + came, refused + dead
        return RestoredKeys(restored, len(secrets) - restored - refused, refused)

    def registered(self) -> list[KeyBackup]:
        """Return every backup ever made, oldest first."""
        with self._database.read() as connection:
            found = connection.execute(select(t.backups).order_by(t.backups.c.made_at))
            return [
                KeyBackup(row.backup_id, row.made_at, row.expires_at, row.expired_at)
                for row in found
            ]

    def remember(self, known: Collection[KeyBackup]) -> None:
        """Register backups that this keyring does not know: new ones, and those of a lost one."""
        with self._database.write() as connection:
            present = set(connection.scalars(select(t.backups.c.backup_id)))
            missing = [asdict(one) for one in known if one.backup_id not in present]
            if missing:
                connection.execute(insert(t.backups), missing)

    def due(self, at: datetime) -> list[KeyBackup]:
        """Return the backups that must be gone by `at`, and of which nobody has said that."""
        return [one for one in self.registered() if one.expired_at is None and one.expires_at <= at]

    def expire(self, at: datetime) -> list[KeyBackup]:
        """Note that the backups due by `at` are gone, and return them.

        Call it when their files have been deleted: *irrecoverable since* builds on it.
        """
        due = self.due(at)
        with self._database.write() as connection:
            connection.execute(
                update(t.backups)
                .where(t.backups.c.backup_id.in_([one.backup_id for one in due]))
                .values(expired_at=at)
            )
        return [KeyBackup(one.backup_id, one.made_at, one.expires_at, at) for one in due]

    def irrecoverable_since(self, key_ids: Collection[str]) -> dict[str, datetime | None]:
        """See `Keyring.irrecoverable_since`."""
        made = self.registered()
        since: dict[str, datetime | None] = {}
        with self._database.read() as connection:
            for batch in t.batches(list(set(key_ids))):
                found = connection.execute(_WITH_ROTATION.where(t.tombstones.c.key_id.in_(batch)))
                since.update({row.key_id: _gone_since(row, made) for row in found})
        return since

    def _snapshot(
        self,
    ) -> tuple[list[t.AnyRow], dict[Place, OpenShard], list[Tombstone], list[str]]:
        with self._database.read() as connection:
            held = list(connection.execute(rows.HELD_WITH_SHARD))
            stones = rows.stones_of(connection, list(connection.scalars(_ALL_STONES)))
            fences = list(connection.scalars(select(t.seal_fences.c.key_id)))
        return held, self._shards.opened(held), list(stones.values()), fences

    def _require_none_anew(self, secrets: dict[KeyEntry, bytes]) -> None:
        """Refuse where an id has other bytes here: one of the two opens nothing of the other's."""
        prints = {entry.key_id: hashlib.sha256(one).digest() for entry, one in secrets.items()}
        with self._database.read() as connection:
            here = rows.fingerprints_of(connection, list(prints))
        if any(prints[key_id] != found for key_id, found in here.items()):
            raise Conflict(
                "A key of this backup stands in the keyring with other bytes: it was made anew"
                " after the keyring was lost. Nothing was changed. Stop every process, put this"
                " keyring aside, and restore into an empty one; what was taken in since then opens"
                " with the one that you put aside.",
                code="key_made_anew",
            )

    def _put_back(self, secrets: dict[KeyEntry, bytes], at: datetime) -> tuple[int, int]:
        """Insert one batch; return how many were restored and how many refused."""
        places = {(entry.zone, entry.shard) for entry in secrets}
        shards: dict[Place, OpenShard] = {}
        for zone in Zone:
            shards |= self._shards.ensured(zone, {shard for held, shard in places if held is zone})
        new = [
            rows.new_key_row(shards[entry.zone, entry.shard], entry, secret, at)
            | {"created_at": OF_UNKNOWN_AGE}
            for entry, secret in secrets.items()
        ]
        with self._database.write() as connection:
            require_generations(connection, shards)
            dead = rows.ids_in(connection, t.tombstones, [row["key_id"] for row in new])
            prints = rows.buried_fingerprints(connection, [row["fingerprint"] for row in new])
            alive = [
                row
                for row in new
                if row["key_id"] not in dead
                and (row["kind"] is KeyKind.DATA or row["fingerprint"] not in prints)
            ]
            return len(rows.insert_missing(connection, alive, taken=set())), len(new) - len(alive)


def _decrypted(source: BinaryIO, identity: str) -> list[bytes]:
    try:
        owner = pyrage.x25519.Identity.from_str(identity)
        plain: bytes = pyrage.decrypt(source.read(), [owner])
    except (pyrage.IdentityError, pyrage.DecryptError) as fault:
        raise IntegrityFault(
            "This key backup does not open: the identity is not the recipient's, or the file was "
            "altered or cut. Use the AGE-SECRET-KEY-1 line that belongs to the recipient.",
            code="key_backup_unreadable",
        ) from fault
    return plain.splitlines()


def _parse(
    plain: Iterable[bytes],
) -> tuple[dict[KeyEntry, bytes], list[str], list[Tombstone]]:
    """Read the lines; raises IntegrityFault when they are not those of one whole backup."""
    keys: list[tuple[KeyEntry, bytes]] = []
    fences: list[str] = []
    stones: list[Tombstone] = []
    try:
        for line in _body(plain):
            if "key" in line:
                keys.append(_key_of(line))
            elif "fence" in line:
                fences.append(_id_of(line["fence"]))
            else:
                stones.append(_stone_of(line))
        if len({entry.key_id for entry, _ in keys}) != len(keys):
            raise ValueError("a key stands there twice")
    except (KeyError, OverflowError, RecursionError, TypeError, ValueError) as fault:
        raise IntegrityFault(
            "This file is not a whole key backup of this service. Use another one.",
            code="key_backup_unreadable",
        ) from fault
    return dict(keys), fences, stones


def _body(plain: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    lines = [json.loads(line) for line in plain]
    if len(lines) < 2 or lines[0]["format"] != FORMAT or lines[-1]["end"] != len(lines) - 2:
        raise ValueError("first or last line missing")
    yield from lines[1:-1]


def _key_line(row: t.AnyRow, opened: dict[Place, OpenShard]) -> dict[str, object]:
    entry = entry_of(row)
    secret = opened[entry.zone, entry.shard].unwrap(entry, row.wrapped)
    return {
        "key": entry.key_id,
        "kind": entry.kind,
        "zone": entry.zone,
        "shard": home_shard(entry.shard),
        "secret": base64.b64encode(secret).decode("ascii"),
    }


def _key_of(line: dict[str, Any]) -> tuple[KeyEntry, bytes]:
    kind, zone, shard = KeyKind(line["kind"]), Zone(line["zone"]), line["shard"]
    require_shard(shard)
    secret = base64.b64decode(line["secret"], validate=True)
    if type(shard) is not int or len(secret) != KEY_BYTES:
        raise ValueError("this is no key in its place")
    if kind is KeyKind.DATA and zone is Zone.LIVE:
        raise ValueError("a data key is only ever sealed")
    return KeyEntry(_id_of(line["key"]), kind, zone, shard), secret


def _id_of(value: object) -> str:
    """Return an id that was read; raises TypeError and ValueError where it is none."""
    if not isinstance(value, str):
        raise TypeError("an id is text")
    require_key_id(value)
    return value


def _stone_line(stone: Tombstone) -> dict[str, object]:
    return {
        "tombstone": stone.key_id,
        "fingerprint": stone.fingerprint and stone.fingerprint.hex(),
        "destroyed_at": stone.destroyed_at.isoformat(),
        "order": stone.order_id,
    }


def _stone_of(line: dict[str, Any]) -> Tombstone:
    printed, at = line["fingerprint"], datetime.fromisoformat(line["destroyed_at"])
    fingerprint = None if printed is None else bytes.fromhex(printed)
    if fingerprint is not None and len(fingerprint) != _FINGERPRINT_BYTES:
        raise ValueError("a fingerprint is a SHA-256")
    if at.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    stone, order = _id_of(line["tombstone"]), _id_of(line["order"])
    return Tombstone(stone, fingerprint, at.astimezone(UTC), order)


def _gone_since(row: t.AnyRow, made: list[KeyBackup]) -> datetime | None:
    if row.finished_at is None or row.assurance == Assurance.UNLINKED_ONLY:
        return None
    # Not by when the key went: a backup begun just before has it, whatever the clocks say. One that
    # was made later, and before the rotation, is waited for in vain, and seldom for long.
    ends = [one.expired_at for one in made if one.made_at <= row.finished_at]
    known = [end for end in ends if end is not None]
    return max([row.finished_at, *known]) if len(known) == len(ends) else None


_ALL_STONES = select(t.tombstones.c.key_id)
_WITH_ROTATION = select(t.tombstones, t.rotations.c.finished_at, t.rotations.c.assurance).outerjoin(
    t.rotations, t.rotations.c.rotation == t.tombstones.c.rotation
)

"""Every key that a keyring still gives: what recover.py knows of where keys lie.

Imports nothing of ours. A key that does not open is left out: that is what "destroyed" means.
"""

import base64
import json
import re
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SHARDS = ("shard_key", ("zone", "shard", "generation", "wrapped"))
HELD = ("held_key", ("key_id", "kind", "zone", "shard", "wrapped"))
KEY_BACKUP = "consent-service/key-backup/v1"

Row: TypeAlias = Sequence[Any]
Tables: TypeAlias = tuple[Sequence[Row], Sequence[Row]]
Sealed: TypeAlias = tuple[bytes, bytes]
"""What is wrapped, behind 4 bytes that say under which version; and the place it is bound to."""
Opener: TypeAlias = Callable[[Sequence[Sealed]], Sequence[bytes | None]]


class Wrong(Exception):
    """What was asked for cannot be done so; the text says why, in one sentence."""


def opened(key: bytes, wrapped: bytes, place: bytes) -> bytes | None:
    """Open a 12-byte nonce and AES-256-GCM ciphertext; None when this key does not."""
    try:
        return AESGCM(key).decrypt(wrapped[:12], wrapped[12:], place)
    except (InvalidTag, ValueError):
        return None


def every_key(keyring: str, masters: Sequence[Opener]) -> dict[str, bytes]:
    """Return every consent and asset key that a master key, live or escrow, still opens."""
    if re.match(r"postgres(ql)?(\+\w+)?://", keyring):
        return unwrapped(in_postgresql(keyring), masters)
    path = Path(keyring.removeprefix("sqlite:///"))
    content = sys.stdin.buffer.read() if keyring == "-" else path.read_bytes()
    if content.startswith(b"SQLite format 3\0"):
        return unwrapped(in_sqlite(path), masters)
    if content.startswith((b"age-encryption.org/", b"-----BEGIN AGE")):
        raise Wrong("This keyring is encrypted: `age -d -i KEY FILE | ... --keyring -` opens it.")
    if content.startswith(b"PGDMP"):
        raise Wrong("This keyring is packed: `pg_restore -f - FILE | ... --keyring -` unpacks it.")
    try:
        text = content.decode()
        if text.startswith("{"):
            return in_key_backup(text)
        tables = copied(text, *SHARDS), copied(text, *HELD)
    except (ValueError, TypeError, KeyError) as fault:
        raise Wrong("This is no whole keyring, dump of one, or opened key backup.") from fault
    return unwrapped(tables, masters)


def in_sqlite(path: Path) -> Tables:
    """Read both tables from a SQLite file, and from its write-ahead log where that is there."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as found:
            return found.execute(every(*SHARDS)).fetchall(), found.execute(every(*HELD)).fetchall()
    except sqlite3.Error as fault:
        raise Wrong(f"The keyring cannot be read: {fault}.") from fault


def in_postgresql(address: str) -> Tables:
    """Read both tables from a running server."""
    try:
        import psycopg
    except ImportError:
        raise Wrong("Here is no psycopg: `pg_dump ADDRESS | ... --keyring -` does.") from None
    try:
        with psycopg.connect(re.sub(r"\+\w+", "", address, count=1)) as found:
            return found.execute(every(*SHARDS)).fetchall(), found.execute(every(*HELD)).fetchall()
    except psycopg.Error as fault:
        raise Wrong(f"The keyring cannot be read: {str(fault).splitlines()[0]}.") from fault


def every(table: str, columns: Sequence[str]) -> str:
    """Return the statement that reads a table."""
    return f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608  (the names stand above)


def copied(dump: str, table: str, columns: Sequence[str]) -> list[Row]:
    r"""Read a table from what `pg_dump` writes: lines with tabs, and bytes as hex behind `\\x`."""
    head = rf"^COPY \S*\b{table} \(([^)]*)\) FROM stdin;\n"
    found = re.search(rf"{head}(.*?)^\\\.$", dump, re.M | re.S)
    if found is None:
        raise ValueError("there is no such table")
    names, lines = found[1].split(", "), found[2].splitlines()
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines]
    return [[*(row[c] for c in columns[:-1]), bytes.fromhex(row["wrapped"][3:])] for row in rows]


def in_key_backup(text: str) -> dict[str, bytes]:
    """Return the keys of a key backup: they stand there unwrapped, so it needs no master key."""
    first, *lines, last = [json.loads(line) for line in text.splitlines()]
    if first["format"] != KEY_BACKUP or last["end"] != len(lines):
        raise ValueError("the first or the last line is missing")
    return {line["key"]: base64.b64decode(line["secret"]) for line in lines if "key" in line}


def unwrapped(tables: Tables, masters: Sequence[Opener]) -> dict[str, bytes]:
    """Open shard keys with the master keys, and with them every key that they hold."""
    if not masters:
        raise Wrong("This keyring needs master keys: name them with --masters.")
    shards, held = tables
    places = (f"consent-service/shard-key/v1\0{z}\0{s}\0{g}".encode() for z, s, g, _ in shards)
    sealed = [(bytes(row[-1]), place) for row, place in zip(shards, places, strict=True)]
    found = {}
    for opener in masters:
        for (zone, shard, generation, _), key in zip(shards, opener(sealed), strict=True):
            if key is not None:
                found[zone, shard] = (generation, key)
    keys = {}
    for key, kind, zone, shard, wrapped in held:
        generation, shard_key = found.get((zone, shard), (None, b""))
        place = f"consent-service/key/v1\0{kind}\0{key}\0{zone}\0{shard}\0{generation}".encode()
        secret = opened(shard_key, bytes(wrapped), place)
        if secret is not None:
            keys[key] = secret
    return keys


def in_folder(folder: str) -> Opener:
    """Open with the files `master-*.key` of a folder; the first 32 bytes of each are the key."""
    place = Path(folder.removeprefix("file://"))
    masters = [path.read_bytes()[:32] for path in sorted(place.glob("master-*.key"))]
    if not masters:
        raise Wrong(f"There is no master key in {place}.")

    def opener(sealed: Sequence[Sealed]) -> list[bytes | None]:
        tried = ((opened(key, one[4:], place) for key in masters) for one, place in sealed)
        return [next((key for key in keys if key is not None), None) for keys in tried]

    return opener

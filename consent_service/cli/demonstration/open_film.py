"""Opens a stored film without the service: blob, sidecar, keyring and key files are all it takes.

Run by itself, it imports nothing of ours. It tries every key it can reach in every place, sealed
ones too, and prints the film's SHA-256 and size, or ends with 1 when none of them opens it.

    python open_film.py BLOB SIDECAR KEYRING PURPOSE KEY_FOLDER...
"""

import base64
import hashlib
import itertools
import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KINDS = {"recording": 1, "clip": 2, "still": 3}


def opened(keys: list[bytes], sealed: bytes, place: str) -> list[bytes]:
    """Return what any of the keys makes of a wrapped key."""
    found = []
    for key in keys:
        try:
            found.append(AESGCM(key).decrypt(sealed[:12], sealed[12:], place.encode()))
        except InvalidTag:
            continue
    return found


def keys_in(keyring: str, folders: list[str]) -> dict[str, bytes]:
    """Return every key that the master keys in these folders open, live and sealed."""
    masters = [p.read_bytes()[:32] for folder in folders for p in Path(folder).glob("*.key")]
    found: dict[str, bytes] = {}
    shards: dict[tuple[str, int], tuple[int, list[bytes]]] = {}
    with closing(sqlite3.connect(f"file:{keyring}?mode=ro", uri=True)) as database:
        for zone, shard, generation, wrapped in database.execute(
            "SELECT zone, shard, generation, wrapped FROM shard_key"
        ):
            place = f"consent-service/shard-key/v1\0{zone}\0{shard}\0{generation}"
            shards[zone, shard] = generation, opened(masters, wrapped[4:], place)
        for key_id, kind, zone, shard, wrapped in database.execute(
            "SELECT key_id, kind, zone, shard, wrapped FROM held_key"
        ):
            generation, shard_keys = shards[zone, shard]
            place = f"consent-service/key/v1\0{kind}\0{key_id}\0{zone}\0{shard}\0{generation}"
            for key in opened(shard_keys, wrapped, place):
                found[key_id] = key
    return found


def data_keys(sidecar: dict[str, Any], purpose: str, keys: dict[str, bytes]) -> Iterator[bytes]:
    """Yield what opens the wrap; where a key is missing, every other one is tried in its place."""
    every = list(keys.values())
    for wrap in (w for w in sidecar["wraps"] if w["purpose"] == purpose):
        ids, name = sorted(wrap["keys"]), purpose.encode()
        info = b"consent-service/kek/v1\0" + bytes.fromhex(wrap["asset"])
        info += wrap["generation"].to_bytes(4, "big") + len(name).to_bytes(2, "big") + name
        info += len(ids).to_bytes(2, "big") + bytes.fromhex("".join(ids))
        sealed = base64.b64decode(wrap["wrapped"])
        tried = [[keys[k]] if k in keys else every for k in [sidecar["asset_key"], *ids]]
        for chosen in itertools.islice(itertools.product(*tried), 20_000):
            kek = HKDF(SHA256(), 32, b"", info).derive(b"".join(chosen))
            try:
                yield AESGCM(kek).decrypt(sealed[:12], sealed[12:], info)
            except InvalidTag:
                continue


def main() -> int:
    """Open the film, or say that nothing opens it."""
    blob, beside, keyring, purpose, *folders = sys.argv[1:]
    sidecar, keys = json.loads(Path(beside).read_bytes()), keys_in(keyring, folders)
    context = b"consent-service/film/v1\0" + bytes((KINDS[sidecar["kind"]], 0))
    context += bytes.fromhex(sidecar["asset"]) + sidecar["generation"].to_bytes(4, "big")
    for key in [*data_keys(sidecar, purpose, keys), *keys.values()]:
        try:
            cipher = Cobblestone256Decryptor(key, context)
            film = cipher.update(Path(blob).read_bytes()) + cipher.finalize()
        except (InvalidTag, ValueError):
            continue
        print(hashlib.sha256(film).hexdigest(), len(film))
        return 0
    print(f"nothing opens it: {len(keys)} keys tried", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""Open a film without the service: from its blob, its sidecar, the keyring and the master key.

    python recover.py DATA_FOLDER ASSET PURPOSE > film.mp4

For a disaster, and as the proof of what destroying keys does: after a withdrawal no key that is
left opens, and after a rotation not even a copy of the keyring does. Imports nothing of ours.
Formats: C2SP chunked-encryption (Cobblestone-256), HKDF (RFC 5869), AES-256-GCM.
"""

import base64
import json
import sqlite3
import sys
from pathlib import Path

from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KINDS = {"recording": 1, "clip": 2, "still": 3}


def opened(key: bytes, wrapped: bytes, place: bytes) -> bytes | None:
    """Open a 12-byte nonce and AES-256-GCM ciphertext; None when this key does not."""
    try:
        return AESGCM(key).decrypt(wrapped[:12], wrapped[12:], place)
    except InvalidTag:
        return None


def every_key(folder: Path) -> dict[str, bytes]:
    """Return every consent and asset key that any master key, live or escrow, still opens."""
    masters = [p.read_bytes()[:32] for p in folder.glob("[me]*/master-*.key")]
    database = sqlite3.connect(f"file:{folder}/keyring/keyring.sqlite3?mode=ro", uri=True)
    shards, keys = {}, {}
    for zone, shard, generation, wrapped in database.execute(
        "SELECT zone, shard, generation, wrapped FROM shard_key"
    ):
        place = f"consent-service/shard-key/v1\0{zone}\0{shard}\0{generation}".encode()
        found = [k for m in masters if (k := opened(m, wrapped[4:], place))]
        shards[zone, shard] = (generation, found)
    for key, kind, zone, shard, wrapped in database.execute(
        "SELECT key_id, kind, zone, shard, wrapped FROM held_key"
    ):
        generation, found = shards[zone, shard]
        place = f"consent-service/key/v1\0{kind}\0{key}\0{zone}\0{shard}\0{generation}".encode()
        secrets = [secret for k in found if (secret := opened(k, wrapped, place))]
        if secrets:
            keys[key] = secrets[0]
    database.close()
    return keys


def data_key(sidecar: dict, purpose: str, keys: dict[str, bytes]) -> bytes:
    """Unwrap a film's data key; raises LookupError when a key that it needs is gone."""
    wrap = next(w for w in sidecar["wraps"] if w["purpose"] == purpose)
    ids, name = sorted(wrap["keys"]), purpose.encode()
    parts = (b"consent-service/kek/v1\0", bytes.fromhex(sidecar["asset"]))
    numbers = sidecar["generation"].to_bytes(4, "big"), len(name).to_bytes(2, "big")
    info = b"".join((*parts, *numbers, name, len(ids).to_bytes(2, "big")))
    info += b"".join(bytes.fromhex(key) for key in ids)
    secrets = [keys[sidecar["asset_key"]], *(keys[key] for key in ids)]
    kek = HKDF(SHA256(), 32, salt=b"", info=info).derive(b"".join(secrets))
    found = opened(kek, base64.b64decode(wrap["wrapped"]), info)
    if found is None:
        raise LookupError("these keys do not open the wrap")
    return found


def film(sidecar: dict, stored: bytes, key: bytes) -> bytes:
    """Decrypt a stored object."""
    place = bytes([KINDS[sidecar["kind"]], 0]) + bytes.fromhex(sidecar["asset"])
    context = b"consent-service/film/v1\0" + place + sidecar["generation"].to_bytes(4, "big")
    decryptor = Cobblestone256Decryptor(key, context)
    return decryptor.update(stored) + decryptor.finalize()


def main(folder: Path, asset: str, purpose: str) -> bytes:
    """Return the film in the clear."""
    beside = folder / "film" / asset[:2]
    sidecar = json.loads((beside / f"{asset}.json").read_bytes())
    stored = (beside / f"{asset}.{sidecar['generation']}").read_bytes()
    return film(sidecar, stored, data_key(sidecar, purpose, every_key(folder)))


if __name__ == "__main__":
    sys.stdout.buffer.write(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))

"""The bytes of a stored object: one C2SP chunked-encryption message, Cobblestone-256.

Source: c2sp.org/chunked-encryption; the library's implementation is `cryptography.cobblestone`.

    salt (24) | commitment (32) | chunk 0 | chunk 1 | ... | last chunk

A chunk is at most 16 KiB of plaintext and its 16-byte GCM tag. Chunk k starts at 56 + 16400 * k.
The last chunk is always shorter than full (it may be empty), so a cut-off object shows.

Rules kept here:
  * the context names the kind, the asset and its generation, so a moved, swapped or rolled-back
    object fails at the commitment, before any of it is decrypted;
  * an upload part's context also names its offset: parts cannot change places;
  * one data key may encrypt several messages, since each has its own random salt, and hence its
    own chunk key and nonces.
"""

from enum import IntEnum

from cryptography.cobblestone import Cobblestone256Encryptor

from consent_service.errors import ContainerCorrupt
from consent_service.ids import id_bytes

DATA_KEY_BYTES = 32
SALT_BYTES = 24
COMMITMENT_BYTES = 32
HEADER_BYTES = SALT_BYTES + COMMITMENT_BYTES
TAG_BYTES = 16
NONCE_BYTES = 12
CHUNK_BYTES = 16 * 1024
STORED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
MAX_CHUNKS = 2**38
"""4 PiB, the longest message that the format allows."""

_FILM_LABEL = b"consent-service/film/v1\x00"


class ObjectKind(IntEnum):
    """What a stored object is; the number is part of its context and never changes."""

    RECORDING = 1
    CLIP = 2
    STILL = 3
    UPLOAD_PART = 4
    SCAN = 5


def new_data_key() -> bytes:
    """Return a fresh data key: 32 random bytes."""
    return Cobblestone256Encryptor.generate_key()


def film_context(kind: ObjectKind, asset_id: str, generation: int) -> bytes:
    """Return the context that binds an object to its kind, asset and generation.

    `generation` counts the encryptions of this asset, from 0 to 2**32 - 1. Raises ValueError for
    an upload part (see `part_context`), and OverflowError for a generation out of bounds.
    """
    if kind is ObjectKind.UPLOAD_PART:
        raise ValueError("an upload part needs its offset too: use part_context")
    return _context(kind, asset_id, generation)


def part_context(asset_id: str, generation: int, offset: int) -> bytes:
    """Return the context of the upload part that starts at `offset` bytes of the upload."""
    return _context(ObjectKind.UPLOAD_PART, asset_id, generation) + offset.to_bytes(8, "big")


def _context(kind: ObjectKind, asset_id: str, generation: int) -> bytes:
    number = generation.to_bytes(4, "big")
    return _FILM_LABEL + bytes((kind, 0)) + id_bytes(asset_id) + number


def stored_size_of(plain_size: int) -> int:
    """Return how many bytes `plain_size` bytes take once encrypted."""
    chunks = plain_size // CHUNK_BYTES + 1
    return HEADER_BYTES + plain_size + chunks * TAG_BYTES


def plain_size_of(stored_size: int) -> int:
    """Return the plaintext length that an object of `stored_size` bytes claims to hold.

    Only a claim: it holds once the last chunk has been authenticated. Raises ContainerCorrupt
    for a size that no message can have.
    """
    full, last = divmod(stored_size - HEADER_BYTES, STORED_CHUNK_BYTES)
    if full < 0 or last < TAG_BYTES or full >= MAX_CHUNKS:
        raise corrupt()
    return full * CHUNK_BYTES + last - TAG_BYTES


def corrupt() -> ContainerCorrupt:
    """Return the one error for every way in which an object can be wrong.

    It says no more, so that it tells a forger nothing.
    """
    return ContainerCorrupt(
        "The stored object is not what was put there. Restore it from a backup, "
        "and look for who or what changed it."
    )

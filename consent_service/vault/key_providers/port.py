"""What the keyring asks of whoever keeps the master keys, and the bytes they hand back.

Rules every adapter keeps (one contract suite runs against all of them):
- wrapped bytes begin with the version of the master key that made them (4 bytes, big-endian);
- wrapping always uses the newest version, also one that another process made a moment ago;
- the associated data must be the same on both sides, otherwise nothing opens;
- what this process may not ask for is `Refused` (code `key_server_forbids`): see `is_forbidden`;
- `destroy_before` never leaves the provider without a master key, and may be repeated.
"""

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent_service.errors import ConsentServiceError, IntegrityFault, KeyDestroyed, Refused

MASTER_BYTES = 32
NONCE_BYTES = 12
_VERSION_BYTES = 4
FORBIDDEN = "key_server_forbids"


class Assurance(StrEnum):
    """How far a destroyed master key is known to be gone."""

    OVERWRITTEN = "overwritten"
    UNLINKED_ONLY = "unlinked_only"
    TRIMMED = "trimmed"


class KeyProvider(Protocol):
    """Keeps master keys in versions; wraps and unwraps small secrets under them."""

    def wrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Wrap each (secret, associated data) under the newest version, in order."""
        ...

    def unwrap_many(self, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Open each (wrapped, associated data), in order.

        Raises KeyDestroyed (code `master_destroyed`) when its version is not held any more, and
        IntegrityFault (code `wrapped_key_corrupt`) when bytes or associated data are not those
        that were wrapped.
        """
        ...

    def rotate(self) -> int:
        """Make a new version, the newest from now on, and return its number."""
        ...

    def destroy_before(self, version: int) -> Assurance:
        """Destroy every version below `version`; raises ValueError if that would be all."""
        ...

    def versions(self) -> list[int]:
        """Return the versions held, oldest first."""
        ...


def is_forbidden(fault: ConsentServiceError) -> bool:
    """Tell whether this process's provider may not do it at all, though another's may."""
    return isinstance(fault, Refused) and fault.code == FORBIDDEN


def master_version_of(wrapped: bytes) -> int:
    """Return the version of the master key that `wrapped` was made with."""
    return int.from_bytes(wrapped[:_VERSION_BYTES], "big")


def joined_version(version: int, body: bytes) -> bytes:
    """Return wrapped bytes: the version of the master key, then what it made."""
    return version.to_bytes(_VERSION_BYTES, "big") + body


def split_version(wrapped: bytes) -> tuple[int, bytes]:
    """Undo `joined_version`."""
    return master_version_of(wrapped), wrapped[_VERSION_BYTES:]


def wrap_under(masters: Mapping[int, bytes], items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Wrap under the highest of `masters`: version, 12-byte nonce, AES-256-GCM ciphertext."""
    newest = max(masters)
    cipher = AESGCM(masters[newest])
    wrapped = []
    for secret, associated in items:
        nonce = os.urandom(NONCE_BYTES)
        wrapped.append(joined_version(newest, nonce + cipher.encrypt(nonce, secret, associated)))
    return wrapped


def unwrap_under(masters: Mapping[int, bytes], items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Open what `wrap_under` made; errors as `KeyProvider.unwrap_many` says."""
    ciphers = {version: AESGCM(master) for version, master in masters.items()}
    return [_unwrap(ciphers, wrapped, associated) for wrapped, associated in items]


def require_survivor(versions: Sequence[int], version: int) -> None:
    """Refuse to destroy every master key there is."""
    if not versions or max(versions) < version:
        raise ValueError("the newest master key cannot be destroyed: rotate first")


def _unwrap(ciphers: Mapping[int, AESGCM], wrapped: bytes, associated: bytes) -> bytes:
    version, rest = split_version(wrapped)
    if version not in ciphers:
        raise KeyDestroyed(
            f"Master key version {version} is not held any more. Nothing wrapped under it opens.",
            code="master_destroyed",
            version=version,
        )
    try:
        return ciphers[version].decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], associated)
    except (InvalidTag, ValueError) as fault:
        raise IntegrityFault(
            "A wrapped key does not open under its master key: it was altered, moved, or wrapped "
            "by another master key. Restore the keyring with `keys backup`.",
            code="wrapped_key_corrupt",
            version=version,
        ) from fault

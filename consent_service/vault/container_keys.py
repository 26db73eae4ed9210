"""What one message derives from its data key; only the random-access reader needs it."""

from typing import NamedTuple

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from consent_service.vault.container_format import COMMITMENT_BYTES, DATA_KEY_BYTES, NONCE_BYTES

_PROTOCOL_LABEL = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"
_NONCE_AT = 32
_COMMITMENT_AT = _NONCE_AT + NONCE_BYTES
_DERIVED_BYTES = _COMMITMENT_AT + COMMITMENT_BYTES


class ChunkKeys(NamedTuple):
    """The key of all chunks, the nonce of the first, and the commitment to the data key."""

    key: bytes
    base_nonce: int
    commitment: bytes

    def nonce(self, chunk: int) -> bytes:
        """Return the nonce of chunk number `chunk`, counted from 0."""
        return (self.base_nonce ^ chunk).to_bytes(NONCE_BYTES, "big")

    def nonces(self, first: int, count: int) -> list[bytes]:
        """Return the nonces of `count` chunks from number `first` on."""
        base = self.base_nonce
        return [
            (base ^ chunk).to_bytes(NONCE_BYTES, "big") for chunk in range(first, first + count)
        ]


def derive_chunk_keys(data_key: bytes, salt: bytes, context: bytes) -> ChunkKeys:
    """Derive a message's keys: HKDF-Expand with SHA-512 (RFC 5869), 76 bytes.

    Raises ValueError when the data key does not have 32 bytes.
    """
    if len(data_key) != DATA_KEY_BYTES:
        raise ValueError("a data key has 32 bytes")
    label = _PROTOCOL_LABEL + salt + context
    derived = HKDFExpand(SHA512(), _DERIVED_BYTES, label).derive(data_key)
    return ChunkKeys(
        key=derived[:_NONCE_AT],
        base_nonce=int.from_bytes(derived[_NONCE_AT:_COMMITMENT_AT], "big"),
        commitment=derived[_COMMITMENT_AT:],
    )

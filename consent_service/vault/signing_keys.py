"""What signs and what verifies: one Ed25519 key (RFC 8032) for each use.

Rules kept here:
- a key signs for its use only: a journal line signed by the certificates key is refused;
- verification needs public keys and nothing else.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from consent_service.domain.signed_note import note_key_hash
from consent_service.errors import IntegrityFault


class SigningUse(StrEnum):
    """What a key signs; a key never signs for another use."""

    LOG = "log"
    JOURNAL = "journal"
    CERTIFICATES = "certificates"


@dataclass(frozen=True)
class PublicKey:
    """A published key: `key_id` is the first 8 hex digits of SHA-256 over its 32 raw bytes."""

    use: SigningUse
    key_id: str
    pem: str
    created_at: datetime
    retired_at: datetime | None = None

    @cached_property
    def key(self) -> Ed25519PublicKey:
        """Return the key; raises IntegrityFault when the text is no Ed25519 key or not its id."""
        try:
            key = load_pem_public_key(self.pem.encode())
        except (ValueError, UnsupportedAlgorithm) as fault:
            raise _not_published(self.key_id) from fault
        if not isinstance(key, Ed25519PublicKey) or _key_id(key) != self.key_id:
            raise _not_published(self.key_id)
        return key

    def as_json(self) -> dict[str, str | None]:
        """Return the record as plain values, for a file or an export."""
        return {
            "use": self.use.value,
            "key_id": self.key_id,
            "pem": self.pem,
            "created_at": self.created_at.isoformat(),
            "retired_at": self.retired_at.isoformat() if self.retired_at else None,
        }

    @classmethod
    def from_json(cls, record: dict[str, str | None]) -> Self:
        """Read what `as_json` wrote; raises IntegrityFault when it is not that."""
        try:
            retired_at = record["retired_at"]
            public_key = cls(
                use=SigningUse(str(record["use"])),
                key_id=str(record["key_id"]),
                pem=str(record["pem"]),
                created_at=datetime.fromisoformat(str(record["created_at"])),
                retired_at=datetime.fromisoformat(retired_at) if retired_at else None,
            )
        except (KeyError, TypeError, ValueError) as fault:
            raise IntegrityFault(
                "A public key record cannot be read. Restore the public key folder.",
            ) from fault
        _ = public_key.key
        return public_key


class Signer:
    """Holds one private key and signs for its use."""

    def __init__(self, use: SigningUse, key: Ed25519PrivateKey) -> None:
        self.use = use
        self._key = key
        self.key_id = _key_id(key.public_key())

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of `message`."""
        return self._key.sign(message)

    def public_pem(self) -> str:
        """Return the public key as SubjectPublicKeyInfo PEM."""
        return _public_pem(self._key.public_key())

    def published(self, at: datetime) -> PublicKey:
        """Return the record under which this key is published from `at` on."""
        return PublicKey(self.use, self.key_id, self.public_pem(), at)

    def public_raw(self) -> bytes:
        """Return the 32 bytes of the public key (RFC 8032)."""
        return self._key.public_key().public_bytes_raw()

    def note_key_hash(self, name: str) -> bytes:
        """Return the four bytes that stand for this key under `name` in a signed note."""
        return note_key_hash(name, self.public_raw())


def verify(
    keys: Iterable[PublicKey], use: SigningUse, message: bytes, signature: bytes, key_id: str
) -> None:
    """Raise IntegrityFault unless the published key `key_id` for `use` made `signature`."""
    known = [key for key in keys if key.use is use and key.key_id == key_id]
    if not known:
        raise IntegrityFault(
            f"Signed with a key that is not published for {use}.", code="unknown_key", key_id=key_id
        )
    try:
        known[0].key.verify(signature, message)
    except InvalidSignature as fault:
        raise IntegrityFault(
            f"The signature of key {key_id} is not of these bytes.",
            code="bad_signature",
            key_id=key_id,
        ) from fault


def _not_published(key_id: str) -> IntegrityFault:
    return IntegrityFault(
        f"The record of public key {key_id} does not hold that key. Restore the record.",
        key_id=key_id,
    )


def _key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:8]


def _public_pem(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

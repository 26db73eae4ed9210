"""What a backup holds, signed: every file with its size and digest, and the moment it shows.

The manifest is one JSON document in canonical form (RFC 8785). `signature` (Ed25519, base64, by
the key for certificates) is over the canonical form of all other members. Ids, codes, digests and
numbers only.

Rules kept here:
- a manifest is accepted whole, in one form and signed by a published key, or not at all;
- names in it are checked before anything is done with them.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import rfc8785

from consent_service.domain.signed_note import decode_base64
from consent_service.errors import IntegrityFault
from consent_service.vault.blobs import is_name
from consent_service.vault.signing_keys import PublicKey, Signer, SigningUse, verify

FORMAT = "consent-service/backup/v1"
_PIECE = re.compile(r"(database|policies)\.[0-9]{4}\.age")
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class BackupFile:
    """A file as it lies in the backup: its size in bytes and SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class BackedUpObject:
    """An object of the store, copied as it was. `key` is the asset key that it dies with."""

    name: str
    size: int
    sha256: str
    key: str


@dataclass(frozen=True)
class Manifest:
    """One backup. `absent` are objects that the rows name and the store did not have any more.

    `engine` and `schema` say which kind and version of database the pieces are of; `checkpoint` is
    the newest signed head of the audit log in it, `journal_line` and `journal_hash` where the
    journal stood.
    """

    id: str
    made_at: datetime
    expires_at: datetime
    service: str
    engine: str
    schema: str
    checkpoint: str | None
    journal_line: int
    journal_hash: str
    database: tuple[BackupFile, ...]
    policies: tuple[BackupFile, ...]
    objects: tuple[BackedUpObject, ...]
    absent: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together, without the manifest."""
        files = (*self.database, *self.policies)
        return sum(one.size for one in files) + sum(one.size for one in self.objects)


def write_manifest(manifest: Manifest, signer: Signer) -> bytes:
    """Return the bytes of the signed manifest."""
    members = asdict(manifest) | {
        "format": FORMAT,
        "key_id": signer.key_id,
        "made_at": _written(manifest.made_at),
        "expires_at": _written(manifest.expires_at),
    }
    members = {name: _listed(value) for name, value in members.items()}
    signature = signer.sign(rfc8785.dumps(members))
    return rfc8785.dumps(members | {"signature": base64.b64encode(signature).decode()})


def read_manifest(raw: bytes, keys: Sequence[PublicKey]) -> Manifest:
    """Check form, names and signature; raises IntegrityFault that says which did not hold."""
    members = _members(raw)
    signature, key_id = members.pop("signature"), members["key_id"]
    try:
        signed = decode_base64(signature)
    except (TypeError, ValueError) as fault:
        raise _broken("its signature is no base64") from fault
    verify(keys, SigningUse.CERTIFICATES, rfc8785.dumps(members), signed, key_id)
    members.pop("key_id")
    if members.pop("format") != FORMAT:
        raise _broken("it is of another format")
    try:
        return _manifest_of(members)
    except (KeyError, TypeError, ValueError) as fault:
        raise _broken("it does not say what a backup says") from fault


def digest_of(raw: bytes) -> str:
    """Return the SHA-256 of a manifest's bytes, by which a backup is registered."""
    return hashlib.sha256(raw).hexdigest()


def _manifest_of(members: dict[str, Any]) -> Manifest:
    """Return the manifest that was read; raises ValueError for a name that is none of ours."""
    found = Manifest(
        **members
        | {
            "made_at": datetime.fromisoformat(members["made_at"]),
            "expires_at": datetime.fromisoformat(members["expires_at"]),
            "database": tuple(BackupFile(**one) for one in members["database"]),
            "policies": tuple(BackupFile(**one) for one in members["policies"]),
            "objects": tuple(BackedUpObject(**one) for one in members["objects"]),
            "absent": tuple(members["absent"]),
        }
    )
    pieces = all(_PIECE.fullmatch(one.name) for one in (*found.database, *found.policies))
    named = all(is_name(one.name) for one in found.objects)
    if not (pieces and named and found.database and _ID.fullmatch(found.id)):
        raise ValueError("a name is none of ours")
    return found


def _members(raw: bytes) -> dict[str, Any]:
    try:
        members = json.loads(raw)
        canonical = rfc8785.dumps(members)
    except (ValueError, RecursionError) as fault:
        raise _broken("it is no canonical JSON") from fault
    if canonical != raw or not isinstance(members, dict):
        raise _broken("it is no canonical JSON")
    if not {"signature", "key_id", "format"} <= members.keys():
        raise _broken("it is not signed")
    return members


def _broken(what: str) -> IntegrityFault:
    return IntegrityFault(
        f"The backup's manifest cannot be trusted: {what}. Use another backup.",
        code="backup_broken",
    )


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value

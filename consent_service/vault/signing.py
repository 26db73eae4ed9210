"""Ed25519 keys that sign the audit log, the journal and the certificates, and what they sign.

One key for each use, apart from the master key: a PKCS 8 file `<use>.pem` (0600) in the folder
named by CONSENT_SIGNING_KEYS, and one record for each public key there ever was in `public/`.

Rules kept here:
- a key is made once; making keys again changes nothing;
- a key signs for its use only: a journal line signed by the certificates key is refused;
- a retired public key stays published, so that what it signed can still be verified;
- verification needs public keys and nothing else.

Signed notes follow https://c2sp.org/signed-note (signature type 0x01, Ed25519).
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from consent_service.errors import IntegrityFault, SettingsFault
from consent_service.vault import durable

SETTING = "CONSENT_SIGNING_KEYS"
NOTE_TYPE_ED25519 = b"\x01"
NOTE_SIGNATURES_MAX = 100
_PUBLIC = "public"
_DASH = "\N{EM DASH}"
_KEY_HASH_BYTES = 4


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

    @property
    def raw(self) -> bytes:
        """Return the 32 bytes of RFC 8032."""
        return self.key.public_bytes_raw()

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

    def note_key_hash(self, name: str) -> bytes:
        """Return the four bytes that stand for this key under `name` in a signed note."""
        return note_key_hash(name, self._key.public_key().public_bytes_raw())


def make_signing_keys(folder: Path, at: datetime) -> None:
    """Make the keys that are missing, durably; those that exist stay as they are.

    Raises SettingsFault when a key that was published before is lost: a new one is made by
    `retire` only, because somebody should know.
    """
    with durable.system_faults("making the signing keys"):
        durable.make_folder(folder / _PUBLIC)
        with durable.locked_folder(folder):
            for use in SigningUse:
                if not _private_path(folder, use).exists():
                    _require_never_made(folder, use)
                    _write_private(folder, use, Ed25519PrivateKey.generate())
                signer = _read_signer(folder, use)
                if signer.key_id not in {key.key_id for key in _read_public_keys(folder)}:
                    _write_public(folder, signer.published(at))


def load_signer(folder: Path, use: SigningUse) -> Signer:
    """Read the key for `use`; raises SettingsFault when it is missing, open to others or odd."""
    with durable.system_faults("reading a signing key"):
        signer = _read_signer(folder, use)
        published = {key.key_id for key in _read_public_keys(folder)}
    if signer.key_id not in published:
        raise SettingsFault(
            f"{SETTING}: the public key of {use} is not published. "
            "Run `consent-service init`, which publishes it.",
            setting=SETTING,
        )
    return signer


def public_keys(folder: Path) -> list[PublicKey]:
    """Return every public key there ever was, oldest first, retired ones included."""
    with durable.system_faults("reading the public keys"):
        return _read_public_keys(folder)


def retire(folder: Path, use: SigningUse, at: datetime) -> Signer:
    """Put a new key in the place of the one for `use`; the old public key stays published.

    The new public key is published first: nobody ever meets a signature by an unknown key.
    """
    key = Ed25519PrivateKey.generate()
    signer = Signer(use, key)
    with durable.system_faults("retiring a signing key"), durable.locked_folder(folder):
        present = [k for k in _read_public_keys(folder) if k.use is use and k.retired_at is None]
        _write_public(folder, signer.published(at))
        _write_private(folder, use, key)
        for old in present:
            _write_public(folder, replace(old, retired_at=at))
    return signer


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


@dataclass(frozen=True)
class NoteSignature:
    """One signature line: who says to have signed, four bytes for the key, the signature."""

    name: str
    key_hash: bytes
    signature: bytes


@dataclass(frozen=True)
class SignedNote:
    """A note taken apart; its text means nothing before `verify_note`."""

    text: str
    signatures: tuple[NoteSignature, ...]


def note_key_hash(name: str, raw_public_key: bytes) -> bytes:
    """Return SHA-256(name, newline, 0x01, raw public key), the first four bytes."""
    hashed = hashlib.sha256(name.encode() + b"\n" + NOTE_TYPE_ED25519 + raw_public_key)
    return hashed.digest()[:_KEY_HASH_BYTES]


def signed_note(text: str, signer: Signer, name: str) -> str:
    """Return `text` (ending in a newline) as a signed note; `name` is the key's name.

    Raises ValueError when text or name cannot stand in a note.
    """
    if not text.endswith("\n") or not _is_note_text(text):
        raise ValueError("a note's text ends in a newline and has no other control characters")
    if not _is_key_name(name):
        raise ValueError("a key name is not empty and has neither spaces nor +")
    signature = signer.note_key_hash(name) + signer.sign(text.encode())
    return f"{text}\n{_DASH} {name} {base64.b64encode(signature).decode()}\n"


def parse_signed_note(note: str) -> SignedNote:
    """Take a note apart; raises IntegrityFault when it is none. Verifies nothing."""
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not text or not lines.endswith("\n") or not _is_note_text(note):
        raise _no_note()
    signatures = tuple(_parse_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > NOTE_SIGNATURES_MAX:
        raise _no_note()
    return SignedNote(text + "\n", signatures)


def verify_note(note: str, keys: Sequence[PublicKey], use: SigningUse, name: str) -> str:
    """Return the text of a note that a published key for `use` signed under `name`.

    Signatures of unknown keys are passed over; one of a known key that does not fit refuses the
    whole note. Raises IntegrityFault.
    """
    parsed = parse_signed_note(note)
    known = {note_key_hash(name, key.raw): key for key in keys if key.use is use}
    verified = False
    for line in parsed.signatures:
        key = known.get(line.key_hash) if line.name == name else None
        if key is not None:
            verify([key], use, parsed.text.encode(), line.signature, key.key_id)
            verified = True
    if not verified:
        raise IntegrityFault(
            f"No published key for {use} signed this note.", code="unknown_key", name=name
        )
    return parsed.text


def decode_base64(text: str) -> bytes:
    """Decode RFC 4648 base64; raises ValueError for any but the one way to write these bytes.

    A decoder that lets unused bits vary would let a signed line be changed and still verify.
    """
    decoded = base64.b64decode(text, validate=True)
    if base64.b64encode(decoded).decode() != text:
        raise ValueError("not the canonical base64 of these bytes")
    return decoded


def _parse_signature(line: str) -> NoteSignature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        signature = decode_base64(encoded)
    except ValueError as fault:
        raise _no_note() from fault
    if dash != _DASH or not _is_key_name(name) or len(signature) <= _KEY_HASH_BYTES:
        raise _no_note()
    return NoteSignature(name, signature[:_KEY_HASH_BYTES], signature[_KEY_HASH_BYTES:])


def _is_note_text(text: str) -> bool:
    return all(char == "\n" or char >= " " for char in text)


def _is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(char.isspace() for char in name)


def _no_note() -> IntegrityFault:
    return IntegrityFault("This is no signed note (c2sp.org/signed-note).", code="no_note")


def _not_published(key_id: str) -> IntegrityFault:
    return IntegrityFault(
        f"The record of public key {key_id} does not hold that key. Restore the record.",
        key_id=key_id,
    )


def _key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:8]


def _public_pem(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _private_path(folder: Path, use: SigningUse) -> Path:
    return folder / f"{use}.pem"


def _require_never_made(folder: Path, use: SigningUse) -> None:
    if any(key.use is use for key in _read_public_keys(folder)):
        raise SettingsFault(
            f"{SETTING}: the private key of {use} is lost. Restore the file {use}.pem, "
            "or retire the lost key to make a new one.",
            setting=SETTING,
        )


def _write_private(folder: Path, use: SigningUse, key: Ed25519PrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    durable.write_whole(_private_path(folder, use), pem)


def _read_signer(folder: Path, use: SigningUse) -> Signer:
    path = _private_path(folder, use)
    try:
        mode = path.stat().st_mode
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as fault:
        raise _wrong_key(use, "is missing", "Run `consent-service init`.") from fault
    except (ValueError, TypeError, UnsupportedAlgorithm) as fault:
        raise _wrong_key(use, "cannot be read as a key", "Restore the file.") from fault
    if mode & 0o077:
        raise _wrong_key(use, "can be read by others", f"Run chmod 600 on {use}.pem.")
    if not isinstance(key, Ed25519PrivateKey):
        raise _wrong_key(use, "is no Ed25519 key", "Restore the file.")
    return Signer(use, key)


def _wrong_key(use: SigningUse, what: str, advice: str) -> SettingsFault:
    return SettingsFault(f"{SETTING}: the key file {use}.pem {what}. {advice}", setting=SETTING)


def _write_public(folder: Path, key: PublicKey) -> None:
    content = json.dumps(key.as_json(), indent=1).encode() + b"\n"
    durable.write_whole(folder / _PUBLIC / f"{key.use}-{key.key_id}.json", content)


def _read_public_keys(folder: Path) -> list[PublicKey]:
    paths = sorted((folder / _PUBLIC).glob("[a-z]*.json"))
    keys = [_read_public(path) for path in paths]
    return sorted(keys, key=lambda key: (key.created_at, key.key_id))


def _read_public(path: Path) -> PublicKey:
    try:
        record = json.loads(path.read_bytes())
    except ValueError as fault:
        raise IntegrityFault(
            f"The public key record {path.name} cannot be read. Restore it."
        ) from fault
    return PublicKey.from_json(record)

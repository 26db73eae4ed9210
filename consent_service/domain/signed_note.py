"""Signed notes (https://c2sp.org/signed-note, Ed25519, signature type 0x01): text with its proof.

Pure. Rules kept here:
  * a note is verified with public keys and nothing else;
  * a signature of an unknown key is passed over (witnesses may add theirs); one that claims a
    known key and does not fit refuses the whole note;
  * there is one way to write a signature line: unused base64 bits may not vary.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consent_service.errors import IntegrityFault

ED25519 = b"\x01"
SIGNATURES_MAX = 100
_DASH = "\N{EM DASH}"
_KEY_HASH_BYTES = 4


class NoteSigner(Protocol):
    """A key that signs notes; it never leaves its holder."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of `message`."""
        ...

    def note_key_hash(self, name: str) -> bytes:
        """Return `note_key_hash(name, public key)` for the key that signs."""
        ...


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: the key's name, four bytes that stand for the key, the signature."""

    name: str
    key_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A note taken apart; its text means nothing before `open_note`."""

    text: str
    signatures: tuple[NoteSignature, ...]


def note_key_hash(name: str, raw_public_key: bytes) -> bytes:
    """Return the first four bytes of SHA-256(name, newline, 0x01, the key's 32 bytes)."""
    hashed = hashlib.sha256(name.encode() + b"\n" + ED25519 + raw_public_key)
    return hashed.digest()[:_KEY_HASH_BYTES]


def sign_note(text: str, signer: NoteSigner, name: str) -> str:
    """Return `text`, which ends in a newline, as a note signed under the key name `name`.

    Raises ValueError when text or name cannot stand in a note.
    """
    if not text.endswith("\n") or not _is_note_text(text):
        raise ValueError("a note's text ends in a newline and has no other control characters")
    if not _is_key_name(name):
        raise ValueError("a key name is not empty and has neither spaces nor +")
    signature = signer.note_key_hash(name) + signer.sign(text.encode())
    return f"{text}\n{_DASH} {name} {base64.b64encode(signature).decode()}\n"


def parse_note(note: str) -> SignedNote:
    """Take a note apart; raises IntegrityFault when it is none. Verifies nothing."""
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not text or not lines.endswith("\n") or not _is_note_text(note):
        raise _no_note()
    signatures = tuple(_parse_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > SIGNATURES_MAX:
        raise _no_note()
    return SignedNote(text + "\n", signatures)


def open_note(note: str, keys: Iterable[Ed25519PublicKey], name: str) -> str:
    """Return the text of a note that one of `keys` signed under `name`.

    Raises IntegrityFault: `no_note`, `bad_signature` or `unknown_key`.
    """
    parsed = parse_note(note)
    known = {note_key_hash(name, key.public_bytes_raw()): key for key in keys}
    ours = [line for line in parsed.signatures if line.name == name and line.key_hash in known]
    if not ours:
        raise IntegrityFault("No known key signed this note.", code="unknown_key", name=name)
    for line in ours:
        _require_signature(known[line.key_hash], line.signature, parsed.text, name)
    return parsed.text


def decode_base64(text: str) -> bytes:
    """Decode RFC 4648 base64; raises ValueError for any but the one way to write these bytes."""
    decoded = base64.b64decode(text, validate=True)
    if base64.b64encode(decoded).decode() != text:
        raise ValueError("not the canonical base64 of these bytes")
    return decoded


def _require_signature(key: Ed25519PublicKey, signature: bytes, text: str, name: str) -> None:
    try:
        key.verify(signature, text.encode())
    except InvalidSignature as fault:
        raise IntegrityFault(
            "The signature of this note does not fit its text.", code="bad_signature", name=name
        ) from fault


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

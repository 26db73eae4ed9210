"""Signed notes: text that stands alone with its signatures, as tools elsewhere read it.

Source: https://c2sp.org/signed-note, signature type 0x01 (Ed25519).

Rules kept here:
- signatures of unknown keys are passed over, a wrong one of a known key refuses the whole note;
- what could not be parsed again is not signed.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from consent_service.errors import IntegrityFault
from consent_service.vault.signing_keys import (
    PublicKey,
    Signer,
    SigningUse,
    decode_base64,
    verify,
)

NOTE_SIGNATURES_MAX = 100
_TYPE_ED25519 = b"\x01"
_DASH = "\N{EM DASH}"
_KEY_HASH_BYTES = 4


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
    hashed = hashlib.sha256(name.encode() + b"\n" + _TYPE_ED25519 + raw_public_key)
    return hashed.digest()[:_KEY_HASH_BYTES]


def signed_note(text: str, signer: Signer, name: str) -> str:
    """Return `text` (ending in a newline) as a signed note; `name` is the key's name.

    Raises ValueError when text or name cannot stand in a note.
    """
    if not text.endswith("\n") or not _is_note_text(text):
        raise ValueError("a note's text ends in a newline and has no other control characters")
    if not _is_key_name(name):
        raise ValueError("a key name is not empty and has neither spaces nor +")
    signature = note_key_hash(name, signer.public_raw()) + signer.sign(text.encode())
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

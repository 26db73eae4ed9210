"""The folder of signing keys, named by CONSENT_SIGNING_KEYS.

It holds a PKCS 8 file `<use>.pem` (0600) for each use, apart from the master key, and one record
for each public key there ever was in `public/`.

Rules kept here:
- a key is made once; making keys again changes nothing;
- a retired public key stays published, so that what it signed can still be verified.

Callers find here all that has to do with signing keys; signed notes are `domain.signed_note`.
"""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from consent_service.errors import IntegrityFault, SettingsFault
from consent_service.vault import durable
from consent_service.vault.signing_keys import PublicKey, Signer, SigningUse, verify

__all__ = [
    "PublicKey",
    "Signer",
    "SigningUse",
    "load_signer",
    "make_signing_keys",
    "public_keys",
    "retire",
    "verify",
]

SETTING = "CONSENT_SIGNING_KEYS"
_PUBLIC = "public"


def make_signing_keys(folder: Path, at: datetime, *, begin: bool = True) -> None:
    """Make the keys that are missing, durably; those that exist stay as they are.

    Raises SettingsFault when a key is lost that was published before, or without `begin` any: a new
    one is made by `retire` only, because somebody should know.
    """
    with durable.system_faults("making the signing keys"):
        if not begin:
            _require_all(folder)
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


def _private_path(folder: Path, use: SigningUse) -> Path:
    return folder / f"{use}.pem"


def _require_all(folder: Path) -> None:
    for use in SigningUse:
        if not _private_path(folder, use).exists():
            raise _lost(use)


def _require_never_made(folder: Path, use: SigningUse) -> None:
    if any(key.use is use for key in _read_public_keys(folder)):
        raise _lost(use)


def _lost(use: SigningUse) -> SettingsFault:
    return SettingsFault(
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

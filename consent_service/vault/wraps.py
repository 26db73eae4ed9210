"""From consent keys to the key of a film: pure cryptography, no store and no clock.

The data key of a film is wrapped once for each purpose. The wrapping key (KEK) is derived from the
asset's key and the consent keys of everyone who is in the film, so it exists only while all of them
do. Nothing here decides who is in a film: a wrap without consent keys opens with the asset key
alone, and making one is the caller's decision.

Rules kept here:
- the KEK belongs to one asset, generation, purpose and set of people: all of it is derivation info
  and associated data, so a wrap that was moved does not open;
- key ids are sorted by their bytes, so the same people give the same KEK in any order;
- one error for everything altered (ContainerCorrupt), one for a key that is gone (KeyDestroyed).

Sources: HKDF is RFC 5869, AES-256-GCM is NIST SP 800-38D, the sidecar is canonical JSON (RFC 8785).
"""

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import rfc8785
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consent_service.errors import ContainerCorrupt, KeyDestroyed
from consent_service.ids import id_bytes

KEK_LABEL = b"consent-service/kek/v1\0"
SIDECAR_FORMAT = "consent-service/sidecar/v1"
KEY_BYTES = 32
NONCE_BYTES = 12
GENERATION_MAX = 2**32 - 1
_Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_Generation = Annotated[int, Field(ge=0, le=GENERATION_MAX)]


@dataclass(frozen=True)
class Wrap:
    """A film's data key, wrapped for one purpose and exactly these consent keys."""

    asset_id: str
    generation: int
    purpose: str
    key_ids: tuple[str, ...]
    wrapped: bytes

    def __post_init__(self) -> None:
        """Keep the key ids in the one order that derivation uses."""
        object.__setattr__(self, "key_ids", _in_order(self.key_ids))

    @property
    def kek_info(self) -> bytes:
        """What the wrapping key is bound to."""
        return kek_info(self.asset_id, self.generation, self.purpose, self.key_ids)

    def to_json(self) -> dict[str, Any]:
        """Return the wrap as JSON values; `wrapped` in base64."""
        wrapped = base64.b64encode(self.wrapped).decode("ascii")
        return {
            "asset": self.asset_id,
            "generation": self.generation,
            "purpose": self.purpose,
            "keys": list(self.key_ids),
            "wrapped": wrapped,
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what `to_json` wrote; raises ContainerCorrupt."""
        try:
            read = _WrapJson.model_validate(value)
            wrapped = base64.b64decode(read.wrapped, validate=True)
            keys = tuple(read.keys)
            return cls(read.asset, read.generation, read.purpose, keys, wrapped)
        except (ValidationError, binascii.Error, ValueError) as fault:
            raise _corrupt("A wrap") from fault


@dataclass(frozen=True)
class Sidecar:
    """What stands beside a stored object so that blobs and keyring alone suffice to open it.

    `asset_key_id` names the asset key in the keyring; `kind` is the container's kind.
    """

    asset_id: str
    generation: int
    kind: str
    asset_key_id: str
    wraps: tuple[Wrap, ...]


def kek_info(asset_id: str, generation: int, purpose: str, key_ids: Iterable[str]) -> bytes:
    """Return the HKDF info and associated data of a wrap.

    Layout: label, 00, asset (16 bytes), generation (u32), length (u16) and purpose in UTF-8,
    count (u16) and the sorted key ids (16 bytes each); numbers big-endian.
    """
    name = purpose.encode("utf-8")
    ids = [id_bytes(key_id) for key_id in _in_order(key_ids)]
    return b"".join(
        [
            KEK_LABEL,
            id_bytes(asset_id),
            generation.to_bytes(4, "big"),
            len(name).to_bytes(2, "big"),
            name,
            len(ids).to_bytes(2, "big"),
            *ids,
        ]
    )


def derive_kek(asset_key: bytes, consent_keys: Mapping[str, bytes], info: bytes) -> bytes:
    """Return the 32-byte wrapping key: HKDF-SHA256 with an empty salt over all keys.

    `consent_keys` maps the ids that `info` was made with to their keys.
    """
    keys = [asset_key, *(consent_keys[key_id] for key_id in _in_order(consent_keys))]
    if any(len(key) != KEY_BYTES for key in keys):
        raise ValueError("asset and consent keys have 32 bytes")
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=b"", info=info).derive(b"".join(keys))


def wrap_data_key(kek: bytes, data_key: bytes, info: bytes) -> bytes:
    """Return a 12-byte nonce and the AES-256-GCM ciphertext of `data_key`."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(kek).encrypt(nonce, data_key, info)


def unwrap_data_key(kek: bytes, wrapped: bytes, info: bytes) -> bytes:
    """Open what `wrap_data_key` made; raises ContainerCorrupt when it is not that."""
    try:
        return AESGCM(kek).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], info)
    except (InvalidTag, ValueError) as fault:
        raise _corrupt("A wrapped data key") from fault


def make_wrap(
    place: tuple[str, int, str],
    data_key: bytes,
    asset_key: bytes,
    consent_keys: Mapping[str, bytes],
) -> Wrap:
    """Wrap `data_key` for `place` = (asset id, generation, purpose) and everyone's keys."""
    info = kek_info(*place, consent_keys)
    wrapped = wrap_data_key(derive_kek(asset_key, consent_keys, info), data_key, info)
    return Wrap(*place, tuple(consent_keys), wrapped)


def open_wrap(wrap: Wrap, asset_key: bytes | None, live_keys: Mapping[str, bytes]) -> bytes:
    """Return the data key. `live_keys` may hold more keys than the wrap needs.

    Raises KeyDestroyed when the asset key (None) or one of the wrap's keys is not live, and
    ContainerCorrupt when the wrap is not what these keys made.
    """
    missing = [key_id for key_id in wrap.key_ids if key_id not in live_keys]
    if asset_key is None or missing:
        raise KeyDestroyed(
            f"Asset {wrap.asset_id} cannot be opened: a key that it needs is sealed or destroyed.",
            asset_id=wrap.asset_id,
            key_ids=missing,
        )
    keys = {key_id: live_keys[key_id] for key_id in wrap.key_ids}
    return unwrap_data_key(derive_kek(asset_key, keys, wrap.kek_info), wrap.wrapped, wrap.kek_info)


def sidecar_bytes(sidecar: Sidecar) -> bytes:
    """Return the sidecar as canonical JSON (RFC 8785): the same wraps give the same bytes.

    Raises ValueError when a wrap belongs to another asset or generation.
    """
    _require_one_object(sidecar)
    wraps = sorted(sidecar.wraps, key=lambda wrap: (wrap.purpose, wrap.key_ids, wrap.wrapped))
    return rfc8785.dumps(
        {
            "format": SIDECAR_FORMAT,
            "asset": sidecar.asset_id,
            "generation": sidecar.generation,
            "kind": sidecar.kind,
            "asset_key": sidecar.asset_key_id,
            "wraps": [wrap.to_json() for wrap in wraps],
        }
    )


def parse_sidecar(content: bytes) -> Sidecar:
    """Read what `sidecar_bytes` wrote; raises ContainerCorrupt."""
    try:
        read = _SidecarJson.model_validate_json(content)
        wraps = tuple(Wrap.from_json(wrap.model_dump()) for wrap in read.wraps)
        sidecar = Sidecar(read.asset, read.generation, read.kind, read.asset_key, wraps)
        _require_one_object(sidecar)
    except ValueError as fault:  # pydantic's ValidationError is one
        raise _corrupt("A sidecar") from fault
    return sidecar


class _WrapJson(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    asset: _Id
    generation: _Generation
    purpose: str
    keys: list[_Id]
    wrapped: str


class _SidecarJson(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["consent-service/sidecar/v1"]
    asset: _Id
    generation: _Generation
    kind: str
    asset_key: str
    wraps: list[_WrapJson]


def _in_order(key_ids: Iterable[str]) -> tuple[str, ...]:
    """Sort ids; lower-case hexadecimal text sorts as its bytes do. Refuses one named twice."""
    ordered = tuple(sorted(key_ids))
    if len(set(ordered)) != len(ordered):
        raise ValueError("a consent key is named twice")
    return ordered


def _require_one_object(sidecar: Sidecar) -> None:
    place = (sidecar.asset_id, sidecar.generation)
    if any((wrap.asset_id, wrap.generation) != place for wrap in sidecar.wraps):
        raise ValueError("a sidecar holds the wraps of one asset and generation")


def _corrupt(what: str) -> ContainerCorrupt:
    return ContainerCorrupt(
        f"{what} is not what its keys and place say: altered, moved or cut. "
        "Restore it from a backup."
    )

"""What the headers of a resumable upload say (tus 1.0.0, https://tus.io/protocols/resumable-upload).

Pure: header values in, plain values out, and back. Rules kept here:
  * a header that is there and not understood is refused by name, never guessed at;
  * numbers are bytes, and short enough that no sum with them overflows a column.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Protocol

from consent_service.errors import InvalidInput

VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-defer-length", "termination", "expiration", "checksum")
CHECKSUMS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
"""Sums that a PATCH may carry; SHA-1 is asked for by the protocol and finds accidents only."""
MEDIA_TYPE = "application/offset+octet-stream"
OFFSET_PATTERN = r"^[0-9]{1,15}$"
CHECKSUM_PATTERN = r"^(sha1 [A-Za-z0-9+/]{27}|sha256 [A-Za-z0-9+/]{43})=$"
_COUNT = re.compile(OFFSET_PATTERN, re.ASCII)


class Headers(Protocol):
    """Request headers, by name, whatever their case."""

    def get(self, name: str, /) -> str | None:
        """Return a header's value, None when it was not sent."""
        ...


@dataclass(frozen=True)
class Checksum:
    """What the body of a PATCH must sum up to."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True)
class Offered:
    """What a PATCH says of its body: where it begins, and the whole length if only now known."""

    offset: int
    length: int | None
    checksum: Checksum | None


def speaks(headers: Headers) -> bool:
    """Tell whether the client speaks the one version that is spoken here.

    Raises InvalidInput when it does not say which.
    """
    spoken = headers.get("Tus-Resumable")
    if spoken is None:
        sentence = f"Send the header Tus-Resumable: {VERSION}."
        raise InvalidInput(sentence, {"Tus-Resumable": sentence})
    return spoken == VERSION


def offered(headers: Headers) -> Offered:
    """Read the headers of a PATCH; raises InvalidInput with every fault by header."""
    faults: dict[str, str] = {}
    if headers.get("Upload-Offset") is None:
        faults["Upload-Offset"] = "Say at which byte of the film this part begins."
    offset = _count(headers, "Upload-Offset", faults)
    length = _count(headers, "Upload-Length", faults)
    checksum = _checksum(headers.get("Upload-Checksum"), faults)
    if faults:
        raise InvalidInput("Some headers need to be put right.", faults)
    return Offered(offset or 0, length, checksum)


def declared_length(headers: Headers) -> int | None:
    """Return the length that a creation declares; None where it is deferred or not said."""
    faults: dict[str, str] = {}
    length = _count(headers, "Upload-Length", faults)
    if headers.get("Upload-Defer-Length") not in (None, "1"):
        faults["Upload-Defer-Length"] = "The only value is 1."
    elif headers.get("Upload-Defer-Length") is not None and length is not None:
        faults["Upload-Defer-Length"] = "Say the length or defer it, not both."
    elif length == 0:
        faults["Upload-Length"] = "A film has at least one byte."
    if faults:
        raise InvalidInput("Some headers need to be put right.", faults)
    return length


def state_headers(
    offset: int, length: int | None, expires_at: datetime, sha256: str | None = None
) -> dict[str, str]:
    """Return the headers that say how far an upload has come; `expires_at` is in UTC.

    `sha256` is of all that came, hexadecimal, once the film is stored (Repr-Digest, RFC 9530).
    """
    size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    expires = format_datetime(expires_at, usegmt=True)
    proof = {} if sha256 is None else {"Repr-Digest": f"sha-256=:{_base64_of(sha256)}:"}
    return {"Upload-Offset": str(offset), **size, "Upload-Expires": expires, **proof}


def capabilities(largest: int) -> dict[str, str]:
    """Return the headers that answer OPTIONS; `largest` is in bytes."""
    return {
        "Tus-Resumable": VERSION,
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(largest),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }


def answer_headers(status: int) -> Mapping[str, str]:
    """Return what every answer of an upload carries, refusals included."""
    told = {"Tus-Version": VERSION} if status == 412 else {}
    return {"Tus-Resumable": VERSION, **told}


def _base64_of(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode("ascii")


def _count(headers: Headers, name: str, faults: dict[str, str]) -> int | None:
    value = headers.get(name)
    if value is None:
        return None
    if not _COUNT.fullmatch(value):
        faults[name] = "This is a whole number of bytes, such as 1048576."
        return None
    return int(value)


def _checksum(value: str | None, faults: dict[str, str]) -> Checksum | None:
    if not value:  # an empty header says nothing
        return None
    algorithm, _, encoded = value.partition(" ")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if algorithm not in CHECKSUMS or len(digest) != CHECKSUMS[algorithm]().digest_size:
        faults["Upload-Checksum"] = "Send sha256 or sha1, a space, and the sum in Base64."
        return None
    return Checksum(algorithm, digest)

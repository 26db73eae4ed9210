"""One line of the journal: what it says, how it is written, how it is checked.

A line is JSON in its canonical form (RFC 8785) with exactly these members: `number` (from 1),
`kind`, `at` (UTC, microseconds), `body` (ids, codes and whole numbers), `previous_hash`,
`audit_hash` (hex SHA-256 or null), `key_id`, `signature`. The signature (Ed25519, base64) is over
the canonical form of all the others. A line's hash is SHA-256 over its bytes without the newline;
the line before line 1 counts as 64 zeros.

Rules kept here:
- what could be a name or free text is refused before it is written, because no line is ever erased;
- a line is accepted in one form only: any other bytes, even of the same meaning, are refused.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

import rfc8785

from consent_service.domain.signed_note import decode_base64
from consent_service.errors import IntegrityFault, JournalBroken
from consent_service.vault.signing_keys import (
    PublicKey,
    Signer,
    SigningUse,
    verify,
)

BodyValue: TypeAlias = "bool | int | str | Sequence[BodyValue] | Mapping[str, BodyValue] | None"

LINE_BYTES_MAX = 1 << 20
ADVICE = "The service must not serve. Put back the newest copy of the journal, then start again."
_MEMBERS = frozenset(
    ("number", "kind", "at", "body", "previous_hash", "audit_hash", "key_id", "signature")
)
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CODE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._:/+=-]{0,8191}")
_HASH = re.compile(r"[0-9a-f]{64}")


class LineKind(StrEnum):
    """What a line records; each is enough to do again what a restored backup has forgotten."""

    CONSENT_ENDED = "consent-ended"
    UNDO = "undo"
    HOLD_PLACED = "hold-placed"
    HOLD_RELEASED = "hold-released"
    ACCESS_REVOKED = "access-revoked"
    KEY_DESTROYED = "key-destroyed"
    MASTER_DESTROYED = "master-destroyed"
    KEY_BACKUP_MADE = "key-backup-made"
    KEY_BACKUP_EXPIRED = "key-backup-expired"
    CHECKPOINT = "checkpoint"
    RESTORED = "restored"


class Head(NamedTuple):
    """A line by its number (from 1) and its hash (64 hexadecimal digits)."""

    number: int
    hash: str


BEFORE_FIRST = Head(0, "0" * 64)


@dataclass(frozen=True)
class JournalLine:
    """One line that has been checked or has just been written; `hash` is what the next carries."""

    number: int
    kind: LineKind
    at: datetime
    body: Mapping[str, Any]
    previous_hash: str
    audit_hash: str | None
    key_id: str
    signature: str
    hash: str

    @property
    def head(self) -> Head:
        """Return the line as the head of the journal that ends with it."""
        return Head(self.number, self.hash)


@dataclass(frozen=True)
class Entry:
    """What is to be written, before it has a number and a signature."""

    kind: LineKind
    body: Mapping[str, BodyValue]
    at: datetime
    audit_hash: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError when this cannot stand in the journal."""
        if self.at.tzinfo is None:
            raise ValueError("a journal line needs an aware instant")
        if self.audit_hash is not None and not _HASH.fullmatch(self.audit_hash):
            raise ValueError("an audit hash has 64 lower-case hexadecimal digits")
        _require_codes(self.body)


def write_line(entry: Entry, after: Head, signer: Signer) -> bytes:
    """Return the bytes of the line that follows `after`, without a newline.

    Raises ValueError when it would be longer than `LINE_BYTES_MAX`: make several lines.
    """
    members: dict[str, Any] = {
        "number": after.number + 1,
        "kind": entry.kind.value,
        "at": _written_instant(entry.at),
        "body": entry.body,
        "previous_hash": after.hash,
        "audit_hash": entry.audit_hash,
        "key_id": signer.key_id,
    }
    signature = signer.sign(rfc8785.dumps(members))
    raw = rfc8785.dumps(members | {"signature": base64.b64encode(signature).decode()})
    if len(raw) > LINE_BYTES_MAX:
        raise ValueError("a journal line has at most 1 MiB; make several")
    return raw


def read_line(raw: bytes, number: int, keys: Sequence[PublicKey]) -> JournalLine:
    """Check the bytes of line `number` by themselves; raises JournalBroken naming the line."""
    members = _members(raw, number)
    if members["number"] != number:
        raise broken(number, "wrong_number", "it carries another number")
    try:
        line = JournalLine(
            **members | {"kind": LineKind(members["kind"]), "at": _read_instant(members["at"])},
            hash=line_hash(raw),
        )
        signed = {name: value for name, value in members.items() if name != "signature"}
        signature = decode_base64(line.signature)
        verify(keys, SigningUse.JOURNAL, rfc8785.dumps(signed), signature, line.key_id)
    except IntegrityFault as fault:
        raise broken(number, fault.code, "its signature is not of a published key") from fault
    except (TypeError, ValueError) as fault:
        raise broken(number, "not_a_line", "it is no journal line") from fault
    return line


def read_next(raw: bytes, after: Head, keys: Sequence[PublicKey]) -> JournalLine:
    """Check a line by itself and as the one that follows `after`; raises JournalBroken."""
    line = read_line(raw, after.number + 1, keys)
    if line.previous_hash != after.hash:
        raise broken(line.number, "wrong_previous", "it does not follow the line before it")
    return line


def line_hash(raw: bytes) -> str:
    """Return the hash of a line's bytes (no newline), by which the next line holds on to it."""
    return hashlib.sha256(raw).hexdigest()


def read_on(raws: Iterable[bytes], head: Head, keys: Sequence[PublicKey]) -> Iterator[JournalLine]:
    """Yield the lines that follow `head`, each checked against the one before."""
    for raw in raws:
        line = read_next(raw, head, keys)
        head = line.head
        yield line


def last_head(lines: Iterable[JournalLine]) -> Head:
    """Read to the end and return the head there; `BEFORE_FIRST` of no lines."""
    head = BEFORE_FIRST
    for line in lines:
        head = line.head
    return head


def require_same(found: Head, expected: str) -> None:
    """Raise JournalBroken unless the line found has the hash that it is remembered by."""
    if found.hash != expected:
        raise broken(found.number, "forked", "another line was acknowledged under this number")


def broken(number: int, code: str, what: str) -> JournalBroken:
    """Return the refusal that names the line and says what to do."""
    return JournalBroken(
        f"Line {number} of the journal cannot be trusted: {what}. {ADVICE}", code=code, line=number
    )


def cut_short(number: int, last: int) -> JournalBroken:
    """Return the refusal of a journal that ends at line `last`, before line `number`."""
    return JournalBroken(
        f"The journal ends with line {last}, but line {number} was acknowledged: it was cut, or an "
        f"old copy was put back. {ADVICE}",
        code="cut_short",
        line=last + 1,
    )


def _members(raw: bytes, number: int) -> dict[str, Any]:
    """Return the members of a line that is in canonical form and has no others."""
    try:
        members = json.loads(raw)
        canonical = rfc8785.dumps(members)
    except (ValueError, RecursionError) as fault:
        raise broken(number, "not_a_line", "it is no canonical JSON") from fault
    if canonical != raw or not isinstance(members, dict) or members.keys() != _MEMBERS:
        raise broken(number, "not_a_line", "it is no journal line")
    return members


def _written_instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read_instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def _require_codes(value: BodyValue) -> None:
    """Raise ValueError unless `value` is made of ids, codes and whole numbers only.

    A code has no spaces and no @: a name, an address or a sentence does not pass.
    """
    if isinstance(value, Mapping):
        if not all(_KEY.fullmatch(key) for key in value):
            raise ValueError("a journal body's keys are lower-case words")
        value = list(value.values())
    if isinstance(value, str):
        if not _CODE.fullmatch(value):
            raise ValueError("a journal body holds ids, codes and whole numbers only")
    elif isinstance(value, Sequence):
        for part in value:
            _require_codes(part)
    elif value is not None and not isinstance(value, int):
        raise ValueError("a journal body holds ids, codes and whole numbers only")

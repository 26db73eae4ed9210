"""Keys, files and journals for the journal's tests."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent_service.errors import JournalBroken
from consent_service.vault.journal import Journal, JournalLine, LineKind, open_journal
from consent_service.vault.signing import PublicKey, Signer, SigningUse

AT = datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC)
ORDER = "0123456789abcdef0123456789abcdef"


def new_signer(use: SigningUse = SigningUse.JOURNAL) -> Signer:
    """A key that nobody has published yet."""
    return Signer(use, Ed25519PrivateKey.generate())


@dataclass
class Desk:
    """One signer, the keys that are published, and a place for a journal."""

    path: Path
    signer: Signer
    keys: Sequence[PublicKey]

    @classmethod
    def at(cls, path: Path) -> "Desk":
        """A new key, published, for a journal at `path`."""
        signer = new_signer()
        return cls(path, signer, [signer.published(AT)])

    def open(self, *, must_exist: bool = False) -> Journal:
        """The journal in the file."""
        return open_journal(
            f"file://{self.path}", self.signer, lambda: self.keys, must_exist=must_exist
        )

    def open_memory(self) -> Journal:
        """A journal in memory with the same keys."""
        return open_journal("memory://", self.signer, lambda: self.keys)


def write(journal: Journal, count: int) -> list[JournalLine]:
    """Append `count` lines that end consents."""
    return [
        journal.append(LineKind.CONSENT_ENDED, {"order": ORDER, "count": n}, AT)
        for n in range(count)
    ]


def raw_lines(desk: Desk) -> list[bytes]:
    """The file's lines, with their newlines."""
    return desk.path.read_bytes().splitlines(keepends=True)


def refusal(act: Callable[[], object]) -> JournalBroken:
    """What `act` is refused with."""
    with pytest.raises(JournalBroken) as refused:
        act()
    return refused.value


def resigned(desk: Desk, raw: bytes, **changes: object) -> bytes:
    """The line with some members changed, signed again with the journal's own key."""
    members = json.loads(raw) | changes
    del members["signature"]
    signature = base64.b64encode(desk.signer.sign(rfc8785.dumps(members))).decode()
    return rfc8785.dumps(members | {"signature": signature}) + b"\n"

"""Keys, files and journals for the journal's tests."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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

    @property
    def url(self) -> str:
        """Where the journal lies, for CONSENT_JOURNAL_URL."""
        return f"file://{self.path}"

    def open(self, *, must_exist: bool = False) -> Journal:
        """The journal in its place."""
        return open_journal(self.url, self.signer, lambda: self.keys, must_exist=must_exist)

    def open_memory(self) -> Journal:
        """A journal in memory with the same keys."""
        return open_journal("memory://", self.signer, lambda: self.keys)

    def raw_lines(self) -> list[bytes]:
        """The lines as they lie there, with their newlines."""
        return self.path.read_bytes().splitlines(keepends=True)

    def put(self, lines: Sequence[bytes]) -> None:
        """Put these lines in the place of all that are there."""
        self.path.write_bytes(b"".join(lines))


@dataclass
class BucketDesk(Desk):
    """The same for a journal below a prefix of a bucket."""

    where: str
    client: Any

    @property
    def url(self) -> str:
        """Where the journal lies, for CONSENT_JOURNAL_URL."""
        return self.where

    @property
    def place(self) -> tuple[str, str]:
        """The bucket and the prefix of every line."""
        parts = urlsplit(self.where)
        return parts.netloc, f"{parts.path.strip('/')}/line-"

    def raw_lines(self) -> list[bytes]:
        """The objects in order of their names."""
        return [self._get(key) for key in self._names()]

    def put(self, lines: Sequence[bytes]) -> None:
        """Put these objects, numbered from 1, in the place of all that are there."""
        for key in self._names():
            self.client.delete_object(Bucket=self.place[0], Key=key)
        for number, raw in enumerate(lines, start=1):
            self.put_one(number, raw)

    def put_one(self, number: int, raw: bytes) -> None:
        """Put one object under a number, whatever is there."""
        bucket, prefix = self.place
        self.client.put_object(Bucket=bucket, Key=f"{prefix}{number:012d}", Body=raw)

    def take_out(self, number: int) -> None:
        """Delete one object and leave the others."""
        bucket, prefix = self.place
        self.client.delete_object(Bucket=bucket, Key=f"{prefix}{number:012d}")

    def _names(self) -> list[str]:
        bucket, prefix = self.place
        page = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [one["Key"] for one in page.get("Contents", ())]

    def _get(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.place[0], Key=key)["Body"].read()
        return content


def write(journal: Journal, count: int) -> list[JournalLine]:
    """Append `count` lines that end consents."""
    return [
        journal.append(LineKind.CONSENT_ENDED, {"order": ORDER, "count": n}, AT)
        for n in range(count)
    ]


def raw_lines(desk: Desk) -> list[bytes]:
    """The journal's lines as they lie there, with their newlines."""
    return desk.raw_lines()


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

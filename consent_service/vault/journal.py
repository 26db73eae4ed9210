"""The journal: what may never be forgotten, kept apart from the database and from its backups.

When a backup is restored, the journal says which consents ended, which keys were destroyed and
which holds stood after the backup was made, so that all of it happens again before anybody is
served.

What every adapter promises (tests/vault/test_journal.py):
- a line is durable before `append` returns, and is never changed or taken away afterwards;
- lines are numbered from 1 and chained, whoever appends, from however many threads and processes;
- nothing is read without being checked: number, hash of the line before, signature;
- a journal that is missing, cut, changed or forked is `JournalBroken`, which names the first bad
  line and says what to do; a store that cannot be reached is `Unavailable`.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias
from urllib.parse import urlsplit

from consent_service.errors import SettingsFault
from consent_service.vault.blobs import local_path
from consent_service.vault.journal_line import (
    BEFORE_FIRST,
    BodyValue,
    Entry,
    Head,
    JournalLine,
    LineKind,
    cut_short,
    last_head,
    read_line,
    read_on,
    require_same,
    write_line,
)
from consent_service.vault.signing import SETTING as KEYS_SETTING
from consent_service.vault.signing_keys import PublicKey, Signer, SigningUse

__all__ = [
    "BEFORE_FIRST",
    "Head",
    "Journal",
    "JournalLine",
    "KeySource",
    "LineKind",
    "MemoryJournal",
    "open_journal",
]

SETTING = "CONSENT_JOURNAL_URL"

KeySource: TypeAlias = Callable[[], Sequence[PublicKey]]
"""Reads the published keys anew, so that a key retired elsewhere needs no restart here."""


class Journal(Protocol):
    """Append-only lines of ids and codes; see the module for what is promised."""

    def append(
        self,
        kind: LineKind,
        body: Mapping[str, BodyValue],
        at: datetime,
        audit_hash: str | None = None,
    ) -> JournalLine:
        """Write one line, durable before this returns.

        `body` holds ids, codes and whole numbers only (anything else is a ValueError), `at` is
        aware, `audit_hash` is 64 hexadecimal digits. Raises JournalBroken, DiskFull, Unavailable:
        the line was then not acknowledged and the caller must not go on.
        """
        ...

    def lines(self, after: int = 0) -> Iterator[JournalLine]:
        """Yield the lines that follow number `after`, each checked before it is yielded.

        Costs follow what is yielded, not the length of the journal. Lines appended meanwhile may
        be missing. Raises JournalBroken at the first bad line, or when line `after` is not there.
        """
        ...

    def head(self) -> Head:
        """Return number and hash of the last line, checked; `BEFORE_FIRST` of an empty journal."""
        ...

    def verify(self) -> Head:
        """Check every line from the first on and return the head; raises JournalBroken."""
        ...

    def require_contains(self, number: int, expected: str) -> None:
        """Raise JournalBroken (cut or forked) unless line `number` has the hash `expected`."""
        ...

    def is_write_once(self) -> bool:
        """Tell whether the place itself lets nobody replace or delete a line.

        Raises Refused (`may_not_ask`) where these credentials may not know.
        """
        ...


def open_journal(
    url: str, signer: Signer, public_keys: KeySource, *, must_exist: bool = False
) -> Journal:
    """Return the journal at `file:///folder/journal.jsonl` or `s3://bucket/prefix`.

    A new one at `memory://`. A missing file is made and an empty prefix begun, unless `must_exist`:
    the caller knows of lines, so their absence is JournalBroken. Raises SettingsFault for any other
    address.
    """
    from consent_service.vault.journal_file import FileJournal

    _require_published(signer, public_keys())
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = local_path(parts, SETTING)
        return FileJournal(path, signer, public_keys, must_exist=must_exist)
    if parts.scheme == "memory":
        return MemoryJournal(signer, public_keys)
    if parts.scheme == "s3":
        # Its library takes a third of a second to load, which a file need not wait for.
        from consent_service.vault.journal_bucket import open_bucket_journal

        return open_bucket_journal(parts, signer, public_keys, must_exist=must_exist)
    raise SettingsFault(
        f"{SETTING}: there is no journal for {parts.scheme or 'an address without a scheme'}. "
        "Use file:///folder/journal.jsonl or s3://bucket/prefix.",
        setting=SETTING,
    )


def _require_published(signer: Signer, keys: Sequence[PublicKey]) -> None:
    """Refuse a key whose lines nobody could check."""
    if (SigningUse.JOURNAL, signer.key_id) not in {(key.use, key.key_id) for key in keys}:
        raise SettingsFault(
            f"{KEYS_SETTING}: the key that should sign the journal is not published for it. "
            "Restore the folder of signing keys.",
            setting=KEYS_SETTING,
        )


class MemoryJournal:
    """A journal that lives as long as the process, for tests and the demo."""

    def __init__(self, signer: Signer, public_keys: KeySource) -> None:
        self._signer = signer
        self._public_keys = public_keys
        self._lock = threading.Lock()
        self._lines: list[bytes] = []

    def append(
        self,
        kind: LineKind,
        body: Mapping[str, BodyValue],
        at: datetime,
        audit_hash: str | None = None,
    ) -> JournalLine:
        """Add one line; see the port."""
        entry = Entry(kind, body, at, audit_hash)
        with self._lock:
            raw = write_line(entry, self.head(), self._signer)
            line = read_line(raw, len(self._lines) + 1, self._public_keys())
            self._lines.append(raw)
        return line

    def lines(self, after: int = 0) -> Iterator[JournalLine]:
        """Yield the lines that follow number `after`, each checked."""
        keys = self._public_keys()
        head = self._head_at(after, keys)
        yield from read_on(self._lines[head.number :], head, keys)

    def head(self) -> Head:
        """Return number and hash of the last line."""
        return self._head_at(len(self._lines), self._public_keys())

    def verify(self) -> Head:
        """Check every line and return the head."""
        return last_head(self.lines())

    def require_contains(self, number: int, expected: str) -> None:
        """Raise JournalBroken unless line `number` is there with the hash `expected`."""
        require_same(self._head_at(number, self._public_keys()), expected)

    def is_write_once(self) -> bool:
        """Tell that nothing keeps these lines."""
        return False

    def _head_at(self, number: int, keys: Sequence[PublicKey]) -> Head:
        if number < 1:
            return BEFORE_FIRST
        if number > len(self._lines):
            raise cut_short(number, len(self._lines))
        return read_line(self._lines[number - 1], number, keys).head

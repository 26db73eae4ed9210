"""A journal to try things on: it reads a real one and keeps what is appended in memory.

For restore drills, which do everything that a restore does and must leave no line behind.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from consent_service.vault.journal import Journal, KeySource
from consent_service.vault.journal_line import (
    BodyValue,
    Entry,
    Head,
    JournalLine,
    LineKind,
    cut_short,
    read_line,
    require_same,
    write_line,
)
from consent_service.vault.signing_keys import Signer


class ScratchJournal:
    """The lines that `real` had when this was made, and after them those appended here."""

    def __init__(self, real: Journal, signer: Signer, public_keys: KeySource) -> None:
        self._real = real
        self._signer = signer
        self._public_keys = public_keys
        self._last_real = real.head()
        self._added: list[JournalLine] = []

    def append(
        self,
        kind: LineKind,
        body: Mapping[str, BodyValue],
        at: datetime,
        audit_hash: str | None = None,
    ) -> JournalLine:
        """Add one line, in memory; see the port for what it may hold."""
        after = self.head()
        raw = write_line(Entry(kind, body, at, audit_hash), after, self._signer)
        line = read_line(raw, after.number + 1, self._public_keys())
        self._added.append(line)
        return line

    def lines(self, after: int = 0) -> Iterator[JournalLine]:
        """Yield the lines that follow number `after`, each checked.

        Raises JournalBroken when the real journal lost lines since this was made.
        """
        if after < self._last_real.number:
            last = after
            for line in self._real.lines(after):
                yield line
                last = line.number
                if last == self._last_real.number:
                    break
            else:
                raise cut_short(self._last_real.number, last)
        yield from [line for line in self._added if line.number > after]

    def head(self) -> Head:
        """Return number and hash of the last line."""
        return self._added[-1].head if self._added else self._last_real

    def verify(self) -> Head:
        """Check every line and return the head."""
        for _ in self.lines():
            continue
        return self.head()

    def require_contains(self, number: int, expected: str) -> None:
        """Raise JournalBroken unless line `number` is there with the hash `expected`."""
        if number <= self._last_real.number:
            self._real.require_contains(number, expected)
            return
        found = [line.head for line in self._added if line.number == number]
        if not found:
            raise cut_short(number, self.head().number)
        require_same(found[0], expected)

    def is_write_once(self) -> bool:
        """Tell that what is added here stays nowhere."""
        return False

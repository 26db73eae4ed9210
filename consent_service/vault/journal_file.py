"""The journal as one file, a line each, appended under a lock that all processes share.

Rules kept here:
- the true end of the file is read under the lock; what this process remembers only spares it
  reading again what it has already checked;
- an unfinished last line (a crash while it was written) was never acknowledged and is cut off;
  everything else that is wrong is refused;
- a line is found by bisection, so that no act needs the whole file but `verify`.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from consent_service.errors import JournalBroken
from consent_service.vault import durable
from consent_service.vault.journal import KeySource
from consent_service.vault.journal_line import (
    ADVICE,
    BEFORE_FIRST,
    LINE_BYTES_MAX,
    BodyValue,
    Entry,
    Head,
    JournalLine,
    LineKind,
    broken,
    cut_short,
    last_head,
    line_hash,
    read_line,
    read_next,
    read_on,
    require_same,
    write_line,
)
from consent_service.vault.signing_keys import PublicKey, Signer

_BLOCK_BYTES = 1 << 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Tail:
    """The last line that was checked: its first byte, the byte after its newline, its head."""

    start: int
    end: int
    head: Head


class FileJournal:
    """A journal in the file `path`; may be used from many threads and processes."""

    def __init__(
        self, path: Path, signer: Signer, public_keys: KeySource, *, must_exist: bool
    ) -> None:
        self._path = path
        self._signer = signer
        self._public_keys = public_keys
        self._tail: _Tail | None = None
        with durable.system_faults("opening the journal"):
            if not path.exists():
                if must_exist:
                    raise _missing() from FileNotFoundError(errno.ENOENT, "not there", str(path))
                _make_file(path)

    def append(
        self,
        kind: LineKind,
        body: Mapping[str, BodyValue],
        at: datetime,
        audit_hash: str | None = None,
    ) -> JournalLine:
        """Write one line, durable before this returns; see the port."""
        entry = Entry(kind, body, at, audit_hash)
        keys = self._public_keys()
        with self._opened(fcntl.LOCK_EX) as fd, durable.system_faults("writing to the journal"):
            tail = self._true_tail(fd, keys)
            _cut_unfinished(fd, tail)
            raw = write_line(entry, tail.head, self._signer)
            line = read_line(raw, tail.head.number + 1, keys)
            _write_durably(fd, tail.end, raw + b"\n")
            self._tail = _Tail(tail.end, tail.end + len(raw) + 1, line.head)
        return line

    def lines(self, after: int = 0) -> Iterator[JournalLine]:
        """Yield the lines that follow number `after`, each checked; see the port."""
        keys = self._public_keys()
        with self._opened(fcntl.LOCK_SH) as fd, durable.system_faults("reading the journal"):
            end = _end_of_last_line(fd)
            start, head = _position_after(fd, end, after, keys)
            fcntl.flock(fd, fcntl.LOCK_UN)  # nobody waits for what the caller does with a line
            yield from read_on(_lines_between(fd, start, end), head, keys)

    def head(self) -> Head:
        """Return number and hash of the last line, checked."""
        keys = self._public_keys()
        with self._opened(fcntl.LOCK_SH) as fd, durable.system_faults("reading the journal"):
            self._tail = self._true_tail(fd, keys)
            return self._tail.head

    def verify(self) -> Head:
        """Check every line from the first on and return the head."""
        return last_head(self.lines())

    def require_contains(self, number: int, expected: str) -> None:
        """Raise JournalBroken unless line `number` is there with the hash `expected`."""
        keys = self._public_keys()
        with self._opened(fcntl.LOCK_SH) as fd, durable.system_faults("reading the journal"):
            _, found = _position_after(fd, _end_of_last_line(fd), number, keys)
        require_same(found, expected)

    def is_write_once(self) -> bool:
        """Tell that whoever may write to the file may cut it: only the chain shows it."""
        return False

    @contextlib.contextmanager
    def _opened(self, lock: int) -> Iterator[int]:
        """Open the file anew, locked: another may have been put in its place."""
        with contextlib.ExitStack() as closing:
            with durable.system_faults("opening the journal"):
                try:
                    fd = os.open(self._path, os.O_RDWR if lock == fcntl.LOCK_EX else os.O_RDONLY)
                except FileNotFoundError as fault:
                    raise _missing() from fault
                closing.callback(os.close, fd)
                fcntl.flock(fd, lock)
            yield fd

    def _true_tail(self, fd: int, keys: Sequence[PublicKey]) -> _Tail:
        """Return where the last whole line ends, having checked what was not yet checked."""
        end = _end_of_last_line(fd)
        known = self._tail
        if known is None:
            return _read_tail(fd, end, keys)
        if not _is_there(fd, known):
            _, found = _position_after(fd, end, known.head.number, keys)
            require_same(found, known.head.hash)
            raise broken(found.number, "moved", "a line before it was changed")
        return _follow(fd, known, end, keys)


def _missing() -> JournalBroken:
    return JournalBroken(f"The journal is missing. {ADVICE}", code="missing")


def _make_file(path: Path) -> None:
    durable.make_folder(path.parent)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, durable.FILE_MODE)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    durable.sync_folder(path.parent)


def _write_durably(fd: int, end: int, content: bytes) -> None:
    """Write `content` at the end of the file; a failure leaves nothing of it."""
    try:
        os.lseek(fd, end, os.SEEK_SET)
        durable.write_all(fd, content)
        os.fdatasync(fd)
    except OSError:
        # Where even this fails, the next writer cuts off half a line; a whole one may stay: it
        # says more than was acknowledged, and replay does an act again without harm.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, end)
        raise


def _cut_unfinished(fd: int, tail: _Tail) -> None:
    """Cut off what a crash left of a line that was never acknowledged, and note it."""
    surplus = os.fstat(fd).st_size - tail.end
    if surplus:
        os.ftruncate(fd, tail.end)
        _log.warning(
            "journal: cut off %d bytes after line %d, of a line that was never acknowledged",
            surplus,
            tail.head.number,
        )


def _end_of_last_line(fd: int) -> int:
    """Return the byte after the last newline; what follows it must be half a line, or nothing."""
    size = os.fstat(fd).st_size
    end = _after_last_newline(fd, 0, size)
    rest = os.pread(fd, LINE_BYTES_MAX, end).decode(errors="replace")
    with contextlib.suppress(ValueError, RecursionError):  # half a line is no JSON: as it should be
        members, length = json.JSONDecoder().raw_decode(rest)
        if length < len(rest):
            raise broken(_claimed_number(members) or 1, "not_a_line", "its newline was changed")
    return end


def _read_tail(fd: int, end: int, keys: Sequence[PublicKey]) -> _Tail:
    """Return the last line, which ends before `end`, its signature checked."""
    if end == 0:
        return _Tail(0, 0, BEFORE_FIRST)
    start = _after_last_newline(fd, 0, end - 1)
    raw = next(_lines_between(fd, start, end))
    return _Tail(start, end, read_line(raw, _number_of(fd, raw, start), keys).head)


def _is_there(fd: int, known: _Tail) -> bool:
    """Tell whether the line that this process remembers is still where it was."""
    raw = os.pread(fd, known.end - known.start, known.start)
    return known.end == 0 or line_hash(raw.removesuffix(b"\n")) == known.head.hash


def _follow(fd: int, known: _Tail, end: int, keys: Sequence[PublicKey]) -> _Tail:
    """Check the lines that others have appended since, and return the last."""
    tail = known
    for raw in _lines_between(fd, known.end, end):
        head = read_next(raw, tail.head, keys).head
        tail = _Tail(tail.end, tail.end + len(raw) + 1, head)
    return tail


def _position_after(fd: int, end: int, number: int, keys: Sequence[PublicKey]) -> tuple[int, Head]:
    """Find line `number` by bisection: the byte after it, and its number and hash, checked."""
    if number < 1:
        return 0, BEFORE_FIRST
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        start = _after_last_newline(fd, low, middle)
        raw = next(_lines_between(fd, start, high))
        stop = start + len(raw) + 1
        found = _number_of(fd, raw, start)
        if found == number:
            return stop, read_line(raw, number, keys).head
        low, high = (stop, high) if found < number else (low, start)
    last = _read_tail(fd, end, keys).head.number
    if last < number:
        raise cut_short(number, last)
    raise broken(number, "wrong_number", "it is not in its place")


def _number_of(fd: int, raw: bytes, start: int) -> int:
    """Return the number that a line claims; raises JournalBroken, naming it by its place."""
    try:
        number = _claimed_number(json.loads(raw))
    except (ValueError, RecursionError):
        number = None
    if number is None:
        raise broken(_place(fd, start), "not_a_line", "it is no journal line")
    return number


def _claimed_number(members: object) -> int | None:
    number = members.get("number") if isinstance(members, dict) else None
    return number if isinstance(number, int) else None


def _place(fd: int, start: int) -> int:
    """Return which line begins at byte `start`, by counting those before it."""
    blocks = range(0, start, _BLOCK_BYTES)
    counts = (os.pread(fd, min(_BLOCK_BYTES, start - at), at).count(b"\n") for at in blocks)
    return sum(counts) + 1


def _lines_between(fd: int, start: int, end: int) -> Iterator[bytes]:
    """Yield the lines from byte `start` to byte `end`, which follows a newline."""
    rest = b""
    while start < end:
        block = os.pread(fd, min(_BLOCK_BYTES, end - start), start)
        start += len(block)
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
        if not block or len(rest) > LINE_BYTES_MAX:
            raise broken(_place(fd, start), "not_a_line", "its end is not where it was")


def _after_last_newline(fd: int, low: int, high: int) -> int:
    """Return the byte after the last newline between `low` and `high`; `low` when there is none."""
    while high > low:
        start = max(low, high - _BLOCK_BYTES)
        found = os.pread(fd, high - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        high = start
    return low

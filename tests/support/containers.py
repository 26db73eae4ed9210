"""Containers made and opened by the library alone, and sources and sinks that misbehave.

What the service writes and reads is compared with these; nothing here uses its own code but the
numbers of the format.
"""

import errno
import io
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor

KEY = bytes(range(32))
CONTEXT = b"a context"
CHUNK = 16 * 1024
STORED_CHUNK = CHUNK + 16
HEADER = 56
EDGES = (0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1)
"""Plaintext lengths around which chunks begin and end."""


def film_of(size: int) -> bytes:
    """Return `size` bytes that look like noise and are the same each time."""
    return random.Random(size).randbytes(size)


def sealed_by_library(plain: bytes, key: bytes = KEY, context: bytes = CONTEXT) -> bytes:
    """Return the message that the library makes of `plain`."""
    encryptor = Cobblestone256Encryptor(key, context)
    return encryptor.update(plain) + encryptor.finalize()


def opened_by_library(stored: bytes, key: bytes = KEY, context: bytes = CONTEXT) -> bytes:
    """Return what the library makes of `stored`; raises InvalidTag when it is not whole."""
    decryptor = Cobblestone256Decryptor(key, context)
    return decryptor.update(stored) + decryptor.finalize()


def chunks_of(stored: bytes) -> list[bytes]:
    """Return the stored chunks of a message, the last one included."""
    return [stored[at : at + STORED_CHUNK] for at in range(HEADER, len(stored), STORED_CHUNK)]


@dataclass
class RecordingSource:
    """A source in memory that notes every request as (offset, length)."""

    stored: bytes
    longest_answer: int | None = None
    requests: list[tuple[int, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many bytes the object is said to have."""
        return len(self.stored)

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """Answer a request, with at most `longest_answer` bytes."""
        self.requests.append((offset, len(buffer)))
        piece = self.stored[offset : offset + len(buffer)][: self.longest_answer]
        buffer[: len(piece)] = piece
        return len(piece)


@dataclass
class SinkThatFills:
    """A sink with room for `room` bytes, which then fails as a full disk does."""

    room: int
    fault: BaseException
    taken: bytearray = field(default_factory=bytearray)
    at_most: int | None = None

    def write(self, buffer: memoryview, /) -> int:
        """Take what fits, at most `at_most` bytes at a time."""
        fits = bytes(buffer[: self.at_most])[: self.room - len(self.taken)]
        if buffer and not fits:
            raise self.fault
        self.taken += fits
        return len(fits)


class SinkThatFails:
    """A sink whose write number `at_write` fails as on a full disk; all others succeed."""

    def __init__(self, at_write: int, *, waits: bool = True) -> None:
        self._until_failure = at_write
        self.waits = waits
        self.taken = bytearray()

    def write(self, buffer: memoryview, /) -> None:
        """Take the bytes, or fail."""
        self._until_failure -= 1
        if self._until_failure == 0:
            raise OSError(errno.ENOSPC, "no room")
        self.taken += buffer


class CountingSink:
    """A sink that throws everything away, counts it, and notes which threads wrote."""

    def __init__(self, *, waits: bool = True) -> None:
        self.size = 0
        self.waits = waits
        self.threads: set[threading.Thread] = set()

    def write(self, buffer: memoryview, /) -> None:
        """Count the bytes."""
        self.size += len(buffer)
        self.threads.add(threading.current_thread())


class EndlessFilm(io.RawIOBase):
    """A film of `size` zero bytes that takes no memory; `spoil` may change what is read."""

    def __init__(self, size: int, spoil: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self._left = size
        self._spoil = spoil

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Leave the buffer as it is and say that it was filled."""
        if self._spoil is not None:
            self._spoil(self._left)
        count = min(len(buffer), self._left)
        self._left -= count
        return count

"""Where stored bytes are read at any place: the port that stores offer, a file, and memory."""

import os
from typing import Protocol


class RandomSource(Protocol):
    """A stored object that can be read at any place. One call is one request to the store."""

    @property
    def size(self) -> int:
        """How many bytes are stored."""
        ...

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """Fill `buffer` with the bytes from `offset` on; return how many there were."""
        ...


class FileSource:
    """A local file, read by descriptor; the descriptor stays the caller's to close."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """Read at `offset` without moving the file's position."""
        return os.preadv(self._descriptor, (buffer,), offset)


class BytesSource:
    """An object held in memory."""

    def __init__(self, stored: bytes) -> None:
        self._stored = memoryview(stored)
        self.size = len(stored)

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """Copy the bytes from `offset` on."""
        piece = self._stored[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

"""The plaintext of a stored object as a file, for libraries that read and seek."""

import io
from typing import TYPE_CHECKING

from consent_service.vault.container_reader import ContainerReader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES = 256 * 1024
"""Enough for reading on; little is decrypted in vain when a library only looks into the film."""


class ContainerFile(io.RawIOBase):
    """The plaintext of an object as a read-only, seekable binary file, for media libraries.

    Unbuffered: every read decrypts at least one chunk, so wrap it (see `open_plaintext`) where
    reads are small. Closing it leaves the source open.
    """

    def __init__(self, reader: ContainerReader) -> None:
        super().__init__()
        self._reader = reader
        self._position = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read from any place."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to `offset` from the start, the position or the end; beyond the end is allowed."""
        origins = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._reader.size}
        if whence not in origins or origins[whence] + offset < 0:
            raise ValueError("no such place in this file")
        self._position = origins[whence] + offset
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer` from the position on; return how many bytes there were, 0 at the end."""
        view = memoryview(buffer).cast("B")
        length = max(min(len(view), self._reader.size - self._position), 0)
        if length:
            self._reader.read_into(self._position, view[:length])
        self._position += length
        return length


def open_plaintext(reader: ContainerReader) -> io.BufferedReader:
    """Return the plaintext as a buffered, seekable binary file."""
    return io.BufferedReader(ContainerFile(reader), _BUFFER_BYTES)

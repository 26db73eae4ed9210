"""Encrypt and decrypt whole objects from end to end, one pass, with a few fixed buffers.

The cryptography is `cryptography.cobblestone`; what stands here feeds it preallocated buffers and
writes behind it: the sink's writes run in a second thread, so that the disk and the cipher work
at the same time. An object of less than one buffer (1 MiB) starts no thread.

Rules kept here:
  * a message is finished only by `close`; after any failure it stays without its last chunk, and
    whoever reads it is told that it is corrupt;
  * no chunk is encrypted twice: the writer cannot seek;
  * a decrypted byte reaches the sink only after its chunk has been authenticated, and a buffer
    that may hold unauthenticated bytes is overwritten;
  * a failure of the sink is raised in the caller, as it was raised by the sink.
"""

import hashlib
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from consent_service.vault.container_format import (
    CHUNK_BYTES,
    STORED_CHUNK_BYTES,
    corrupt,
    stored_size_of,
)
from consent_service.vault.write_behind import Sink, WriteBehind

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PLAIN_BUFFER_BYTES = 1024 * 1024
STORED_BUFFER_BYTES = stored_size_of(PLAIN_BUFFER_BYTES)


class Source(Protocol):
    """Where bytes come from, in order (any raw or buffered binary file)."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill `buffer` from its start and return how many bytes it got; 0 at the end."""
        ...


class EncryptingWriter:
    """Encrypts what is written to it into one message; use it in a `with` block.

    Leaving the block ends the message; leaving it by an exception never does. `plain_size` and
    `stored_size` are in bytes and grow with the message; `header` is its first 56 bytes.
    `plain_sha256` is there after `close`; `hashed=False` spares it where nobody asks for it
    (hashing is slower than encrypting).
    """

    def __init__(self, sink: Sink, key: bytes, context: bytes, *, hashed: bool = True) -> None:
        self._encryptor = Cobblestone256Encryptor(key, context)
        self._output = WriteBehind(sink, STORED_BUFFER_BYTES)
        self._digest = hashlib.sha256() if hashed else None
        self._open = True
        self._finished = False
        self.plain_size = 0
        self.stored_size = 0
        self.header = self._encryptor.update(b"")
        self._append(self.header)

    @property
    def plain_sha256(self) -> str:
        """Hexadecimal SHA-256 of the plaintext; raises ValueError before `close`."""
        if self._digest is None or not self._finished:
            raise ValueError("the digest is known once a hashed message has been closed")
        return self._digest.hexdigest()

    def writable(self) -> bool:
        """Tell that bytes may be written (some callers of file-likes ask)."""
        return self._open

    def write(self, plaintext: "ReadableBuffer") -> int:
        """Encrypt `plaintext` and return its length in bytes.

        Raises whatever the sink raised, now or at an earlier write.
        """
        self._require_open()
        view = memoryview(plaintext).cast("B")
        if self._digest is not None:
            self._digest.update(view)
        self._encrypt(view)
        return len(view)

    def close(self) -> None:
        """End the message and wait until the sink has all of it. A second call does nothing.

        Does not close the sink. Raises whatever the sink raised: the message has no end then.
        """
        if self._finished:
            return
        self._require_open()
        self._open = False
        self._append(self._encryptor.finalize())
        self._output.finish()
        self._finished = True

    def abandon(self) -> None:
        """Give the message up: it never gets its end. The sink is not in use afterwards."""
        self._open = False
        if not self._finished:
            self._output.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.abandon()
            return
        try:
            self.close()
        finally:
            self.abandon()

    def _require_open(self) -> None:
        if not self._open:
            raise ValueError("this message was closed or given up")

    def _encrypt(self, view: memoryview) -> None:
        start = 0
        while start < len(view):
            # A chunk begun earlier may become full as well: it takes the place of the last one.
            room = self._output.room()
            taken = view[start : start + len(room) // STORED_CHUNK_BYTES * CHUNK_BYTES]
            self._count(self._encryptor.update_into(taken, room))
            start += len(taken)
        self.plain_size += len(view)

    def _append(self, piece: bytes) -> None:
        self._output.room()[: len(piece)] = piece
        self._count(len(piece))

    def _count(self, written: int) -> None:
        self.stored_size += written
        self._output.fill(written)
        self._output.require_room(STORED_CHUNK_BYTES)


class WrittenContainer(NamedTuple):
    """What to remember of an object: sizes in bytes, plaintext digest, its first 56 bytes."""

    plain_size: int
    stored_size: int
    plain_sha256: str | None
    header: bytes


def encrypt_stream(
    source: Source, sink: Sink, key: bytes, context: bytes, *, hashed: bool = True
) -> WrittenContainer:
    """Encrypt all of `source` into one message on `sink`.

    Raises whatever source or sink raise; the message then has no end and must be thrown away.
    """
    buffer = memoryview(bytearray(PLAIN_BUFFER_BYTES))
    with EncryptingWriter(sink, key, context, hashed=hashed) as writer:
        while count := source.readinto(buffer):
            writer.write(buffer[:count])
    return WrittenContainer(
        plain_size=writer.plain_size,
        stored_size=writer.stored_size,
        plain_sha256=writer.plain_sha256 if hashed else None,
        header=writer.header,
    )


def decrypt_stream(source: Source, sink: Sink, key: bytes, context: bytes) -> int:
    """Decrypt one message from `source` to `sink`; return the plaintext length in bytes.

    The sink gets authenticated chunks only, but whether the message is whole shows at its end:
    when this raises ContainerCorrupt, throw away what the sink took.
    """
    decryptor = Cobblestone256Decryptor(key, context)
    stored = memoryview(bytearray(PLAIN_BUFFER_BYTES))
    output = WriteBehind(sink, PLAIN_BUFFER_BYTES + 2 * CHUNK_BYTES)
    size = 0
    try:
        while count := source.readinto(stored):
            output.require_room(count + CHUNK_BYTES)
            plain = _decrypt_piece(decryptor, stored[:count], output.room())
            output.fill(plain)
            size += plain
        last = _decrypt_end(decryptor)
        output.require_room(len(last))
        output.room()[: len(last)] = last
        output.fill(len(last))
        output.finish()
    finally:
        output.abandon()
    return size + len(last)


def _decrypt_piece(
    decryptor: Cobblestone256Decryptor, stored: memoryview, plain: memoryview
) -> int:
    try:
        return decryptor.update_into(stored, plain)
    except InvalidTag:
        plain[:] = bytes(len(plain))
        raise corrupt() from None


def _decrypt_end(decryptor: Cobblestone256Decryptor) -> bytes:
    try:
        return decryptor.finalize()
    except InvalidTag:
        raise corrupt() from None

"""Read any part of a stored object without decrypting the rest.

The library decrypts from end to end only, so this reader stands on `AESGCM.decrypt_into` and the
layout in `container_format`; what it reads is what `cryptography.cobblestone` writes.

Rules kept here:
  * first the commitment (in constant time), then the last chunk, and only then is a length
    believed: a shortened object never looks like a shorter film;
  * no byte is handed out before the chunk that holds it has been authenticated; a buffer that may
    hold unauthenticated bytes is overwritten;
  * a range costs its own chunks, at most one more for each end, and at most one for the last
    chunk, which is decrypted once per reader;
  * every wrong object is one error, `ContainerCorrupt`: altered, cut, extended, reordered,
    spliced, wrong key, wrong context; failures of the source itself are raised as they are.
"""

import hmac
import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent_service.errors import ContainerCorrupt, RangeInvalid
from consent_service.vault.container_format import (
    CHUNK_BYTES,
    HEADER_BYTES,
    SALT_BYTES,
    STORED_CHUNK_BYTES,
    TAG_BYTES,
    corrupt,
    plain_size_of,
)
from consent_service.vault.container_keys import derive_chunk_keys
from consent_service.vault.random_source import RandomSource

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BATCH_BYTES = 512 * 1024
_KEPT_ROOMS = 8


class _Room:
    """Memory for one batch of stored chunks, and for two chunks that are only partly wanted.

    Lent from a small stock, because fresh memory faults page by page, which costs more than
    decrypting into it.
    """

    def __init__(self, chunks: int) -> None:
        self.chunks = chunks
        self.stored = memoryview(bytearray(chunks * STORED_CHUNK_BYTES))
        self.sealed = [
            self.stored[begin : begin + STORED_CHUNK_BYTES]
            for begin in range(0, len(self.stored), STORED_CHUNK_BYTES)
        ]
        self.edges = (memoryview(bytearray(CHUNK_BYTES)), memoryview(bytearray(CHUNK_BYTES)))


_BATCH_CHUNKS = BATCH_BYTES // CHUNK_BYTES + 1
"""A batch that begins inside a chunk ends inside one more."""

_spare_rooms: deque[_Room] = deque(maxlen=_KEPT_ROOMS)


def _borrow_room(chunks: int) -> _Room:
    if chunks > _BATCH_CHUNKS:
        return _Room(chunks)
    try:
        return _spare_rooms.pop()
    except IndexError:
        return _Room(_BATCH_CHUNKS)


def _return_room(room: _Room) -> None:
    if room.chunks == _BATCH_CHUNKS:
        _spare_rooms.append(room)


class ContainerReader:
    """Random access to the plaintext of one stored object; one per request, one thread.

    `header` is the object's first 56 bytes, if the caller keeps them: that spares a request.
    `known_size` is the plaintext length, if the caller has it from somewhere that it trusts as
    much as the last chunk (its own database): then the stored size must fit it exactly, and the
    last chunk is read only when it is asked for. `batch` is how many bytes of plaintext one
    request to the source brings at most; a remote source wants more than a local file.

    `size` is the plaintext length in bytes; `chunks_decrypted` counts the work done so far.
    Raises ContainerCorrupt, and ValueError when the key does not have 32 bytes.
    """

    def __init__(
        self,
        source: RandomSource,
        key: bytes,
        context: bytes,
        *,
        header: bytes | None = None,
        known_size: int | None = None,
        batch: int = BATCH_BYTES,
    ) -> None:
        self._source = source
        self._batch = batch
        self.size = plain_size_of(source.size)
        self.chunks_decrypted = 0
        self._last: bytes | None = None
        self._open_with(self._read_header() if header is None else header, key, context)
        if known_size is None:
            self._last_chunk()
        elif known_size != self.size:
            raise corrupt()

    def read_into(self, offset: int, buffer: "WriteableBuffer") -> None:
        """Fill `buffer` with the plaintext from `offset` on; one request for each batch.

        Raises RangeInvalid when the buffer reaches beyond the object. After ContainerCorrupt the
        buffer holds zeros.
        """
        view = memoryview(buffer).cast("B")
        self._require_inside(offset, len(view))
        start = 0
        try:
            for piece in _pieces(offset, offset + len(view), self._batch):
                self._fill(offset + start, view[start : start + piece])
                start += piece
        except ContainerCorrupt:
            view[:] = bytes(len(view))
            raise

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes of plaintext from `offset` on; otherwise like `read_into`."""
        self._require_inside(offset, length)
        return _filled(length, partial(self.read_into, offset))

    def iter_range(self, offset: int, length: int, batch: int | None = None) -> Iterator[bytes]:
        """Yield the range in pieces of at most `batch` bytes, each authenticated as a whole.

        Each piece is one request to the source. Raises RangeInvalid at once, and ContainerCorrupt
        before anything of the first wrong piece is yielded.
        """
        self._require_inside(offset, length)
        return self._iter_pieces(offset, offset + length, batch or self._batch)

    def _iter_pieces(self, start: int, end: int, batch: int) -> Iterator[bytes]:
        for length in _pieces(start, end, batch):
            yield _filled(length, partial(self._fill, start))
            start += length

    def _require_inside(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise RangeInvalid(
                "That part does not lie inside the object. Ask for a part of it.", size=self.size
            )

    def _open_with(self, header: bytes, key: bytes, context: bytes) -> None:
        salt, commitment = header[:SALT_BYTES], header[SALT_BYTES:]
        self._keys = derive_chunk_keys(key, salt, context)
        if not hmac.compare_digest(self._keys.commitment, commitment):
            raise corrupt()
        self._cipher = AESGCM(self._keys.key)

    def _read_header(self) -> bytes:
        header = bytearray(HEADER_BYTES)
        self._fetch(0, memoryview(header))
        return bytes(header)

    def _last_chunk(self) -> bytes:
        """Return the plaintext of the last chunk; its tag proves where the object ends."""
        if self._last is None:
            number, length = divmod(self.size, CHUNK_BYTES)
            stored = memoryview(bytearray(length + TAG_BYTES))
            self._fetch(HEADER_BYTES + number * STORED_CHUNK_BYTES, stored)
            try:
                self._last = self._cipher.decrypt(self._keys.nonce(number), stored, None)
            except InvalidTag:
                raise corrupt() from None
            self.chunks_decrypted += 1
        return self._last

    def _fill(self, start: int, view: memoryview) -> None:
        """Fill `view` with the plaintext from `start` on, with one request."""
        end = start + len(view)
        first, last = start // CHUNK_BYTES, self.size // CHUNK_BYTES
        count = min((end - 1) // CHUNK_BYTES + 1, last) - first
        if count > 0:
            room = _borrow_room(count)
            self._fetch(
                HEADER_BYTES + first * STORED_CHUNK_BYTES,
                room.stored[: count * STORED_CHUNK_BYTES],
            )
            self._decrypt_run(first, room.sealed[:count], first * CHUNK_BYTES - start, view, room)
            _return_room(room)
        if end > last * CHUNK_BYTES:
            _copy_part(self._last_chunk(), view, last * CHUNK_BYTES - start)

    def _decrypt_run(
        self, first: int, sealed: Sequence[memoryview], at: int, view: memoryview, room: _Room
    ) -> None:
        """Decrypt full chunks; the first of them belongs at `at` in `view`, or before it."""
        places = range(at, at + len(sealed) * CHUNK_BYTES, CHUNK_BYTES)
        targets = [view[place : place + CHUNK_BYTES] for place in places]
        front, back = room.edges
        if at < 0:
            targets[0] = front
        if cut_off := len(targets[-1]) < CHUNK_BYTES:
            targets[-1] = back
        self._decrypt(first, sealed, targets)
        if at < 0:
            _copy_part(front, view, at)
        if cut_off:
            _copy_part(back, view, places[-1])

    def _decrypt(
        self, first: int, sealed: Sequence[memoryview], plain: Sequence[memoryview]
    ) -> None:
        """Decrypt chunk number `first` and those after it, each into its own place."""
        decrypt_into = self._cipher.decrypt_into
        nonces = self._keys.nonces(first, len(sealed))
        try:
            for nonce, chunk, target in zip(nonces, sealed, plain, strict=True):
                decrypt_into(nonce, chunk, None, target)
        except InvalidTag:
            for target in plain:
                target[:] = bytes(len(target))
            raise corrupt() from None
        self.chunks_decrypted += len(sealed)

    def _fetch(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from the source: one call, unless the source gives less than asked."""
        got = 0
        while got < len(buffer):
            count = self._source.read_into(offset + got, buffer[got:] if got else buffer)
            if count <= 0:
                raise corrupt()
            got += count


def _pieces(start: int, end: int, batch: int) -> Iterator[int]:
    """Yield the lengths of the pieces of a range; all but the first begin with a chunk.

    What fits into one batch is one piece, wherever it begins.
    """
    chunks = max(batch // CHUNK_BYTES, 1)
    while end - start > chunks * CHUNK_BYTES:
        stop = (start // CHUNK_BYTES + chunks) * CHUNK_BYTES
        yield stop - start
        start = stop
    if start < end:
        yield end - start


def _filled(length: int, fill: Callable[[memoryview], None]) -> bytes:
    """Return `length` bytes that `fill` wrote; BytesIO spares the copy from buffer to bytes."""
    memory = io.BytesIO(bytes(length))
    with memory.getbuffer() as view:
        fill(view)
    return memory.getvalue()


def _copy_part(chunk: bytes | memoryview, view: memoryview, at: int) -> None:
    """Copy as much of `chunk` as lies inside `view`, when it begins at `at` (which may be < 0)."""
    wanted = chunk[max(-at, 0) : len(view) - at]
    begin = max(at, 0)
    view[begin : begin + len(wanted)] = wanted

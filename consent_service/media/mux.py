"""Writes a film with its index first, strictly forwards, although muxers want to seek back.

The film is muxed twice. The rehearsal goes nowhere: of it only the head (the room reserved for
the index and what stands around it) is kept, with every correction the muxer makes there. The
performance gives out that head and then the body in order. Rules kept: no byte of the output is
ever given out twice or changed afterwards, and both bodies must have the same digest; if the
reserved room is too small the rehearsal is repeated with more.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import av
from av.container import OutputContainer

from consent_service.media.port import MAX_BLOCK
from consent_service.media.refusal import FilmRefused

Emit = Callable[[memoryview], None]
Feed = Callable[[OutputContainer], None]
"""Adds streams to the output and muxes every packet; called once per rehearsal or performance."""

_MUXERS = {"mp4": "mp4", "webm": "webm"}
_ROOM_OPTION = {"mp4": "moov_size", "webm": "reserve_index_space"}
_MARGIN = 16 * 1024
_SMALLEST_ROOM = 2 * 1024
_LARGEST_ROOM = 96 * 1024 * 1024
_AVIO_BUFFER = 256 * 1024


class OutOfOrder(Exception):
    """The muxer went back behind the head, or performed otherwise than it rehearsed."""


@dataclass(frozen=True)
class Layout:
    """The container, and how many bytes are reserved for its index."""

    container: str
    room: int

    @property
    def head(self) -> int:
        """Bytes from the start within which the muxer may go back."""
        return self.room + _MARGIN


class _Stage(io.RawIOBase):
    """A file that the muxer believes it can seek in; body bytes go on to `_body`."""

    def __init__(self, head: int) -> None:
        super().__init__()
        self._head = head
        self._at = 0
        self.end = 0
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.end}[whence]
        self._at = base + offset
        return self._at

    def write(self, piece: Any) -> int:
        view = memoryview(piece)
        in_head = max(0, min(len(view), self._head - self._at))
        if in_head:
            self._in_head(self._at, view[:in_head])
        if in_head < len(view):
            self._in_body(self._at + in_head, view[in_head:])
        self._at += len(view)
        self.end = max(self.end, self._at)
        return len(view)

    def _in_head(self, at: int, view: memoryview) -> None:
        raise NotImplementedError

    def _in_body(self, at: int, view: memoryview) -> None:
        if at != max(self.end, self._head):
            raise OutOfOrder
        self.digest.update(view)


class _Rehearsal(_Stage):
    """Keeps the head, forgets the body."""

    def __init__(self, head: int) -> None:
        super().__init__(head)
        self.kept = bytearray(head)

    def _in_head(self, at: int, view: memoryview) -> None:
        self.kept[at : at + len(view)] = view


class _Performance(_Stage):
    """Gives out the body in blocks; what the muxer writes in the head is already out."""

    def __init__(self, head: int, emit: Emit) -> None:
        super().__init__(head)
        self._emit = emit
        self._block = bytearray(MAX_BLOCK)
        self._filled = 0

    def _in_head(self, at: int, view: memoryview) -> None:
        """The rehearsal's head went out first."""

    def _in_body(self, at: int, view: memoryview) -> None:
        super()._in_body(at, view)
        self.give(view)

    def give(self, view: memoryview) -> None:
        """Pass bytes on in blocks of `MAX_BLOCK`."""
        while view:
            count = min(len(view), MAX_BLOCK - self._filled)
            self._block[self._filled : self._filled + count] = view[:count]
            self._filled += count
            view = view[count:]
            if self._filled == MAX_BLOCK:
                self.flush_block()

    def flush_block(self) -> None:
        """Pass on what is left."""
        if self._filled:
            self._emit(memoryview(self._block)[: self._filled])
            self._filled = 0


def mux_twice(container: str, feed: Feed, emit: Emit, room: int) -> int:
    """Write the film that `feed` supplies to `emit`, index first; return its size in bytes.

    `room` is a guess at the size of the index.
    """
    layout, rehearsed = _rehearse(container, feed, max(room, _SMALLEST_ROOM))
    performed = _Performance(layout.head, emit)
    performed.give(memoryview(rehearsed.kept)[: min(layout.head, rehearsed.end)])
    if not _play(layout, feed, performed):
        raise OutOfOrder
    if performed.digest.digest() != rehearsed.digest.digest() or performed.end != rehearsed.end:
        raise OutOfOrder
    performed.flush_block()
    return performed.end


def _rehearse(container: str, feed: Feed, room: int) -> tuple[Layout, _Rehearsal]:
    while room <= _LARGEST_ROOM:
        layout = Layout(container, room)
        stage = _Rehearsal(layout.head)
        if _play(layout, feed, stage):
            return layout, stage
        room *= 4
    raise FilmRefused("too_costly")


def _play(layout: Layout, feed: Feed, stage: _Stage) -> bool:
    """Mux everything to `stage`; False if the reserved room was too small for the index."""
    output = av.open(
        stage,
        mode="w",
        format=_MUXERS[layout.container],
        container_options={
            "fflags": "+bitexact",
            _ROOM_OPTION[layout.container]: str(layout.room),
        },
        buffer_size=_AVIO_BUFFER,
    )
    try:
        feed(output)
    except BaseException:
        _abandon(output)
        raise
    try:
        output.close()
    except av.ArgumentError:
        return False
    return True


def _abandon(output: OutputContainer) -> None:
    """Close after a failure; the muxer may well object to its half-written film."""
    try:
        output.close()
    except (av.FFmpegError, OutOfOrder):
        return

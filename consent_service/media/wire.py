"""The frames that parent and child exchange over one socket pair.

A frame is a kind (1 byte), a length (u32 big endian) and that many bytes, at most `MAX_BLOCK`.
The parent sends `JOB` (JSON) once and one `BLOCK` per `READ`. The child sends `READ` (offset
u64, length u32), `OUTPUT` (film bytes, in order, final), and ends with one of `DONE`, `REFUSED`
or `FAULT` (JSON). Only the parent's sentences are ever shown: a refusal carries a code.
"""

import json
import re
import socket
import struct
from collections.abc import Callable
from typing import Any

from consent_service.media.port import MAX_BLOCK

JOB, BLOCK = b"J", b"B"
READ, OUTPUT, DONE, REFUSED, FAULT = b"R", b"O", b"D", b"N", b"F"

_HEADER = struct.Struct(">cI")
_RANGE = struct.Struct(">QI")
_PLAIN = re.compile(r"[A-Za-z0-9_.:\- ]{1,80}")


class Closed(Exception):
    """The other end has gone."""


class TooSlow(Exception):
    """The other end took longer than this end was willing to wait."""


class Violation(Exception):
    """The other end sent what the protocol does not allow."""


class Line:
    """One end of the conversation. `before_io` is called before each wait, to set time limits."""

    def __init__(self, sock: socket.socket, before_io: Callable[[], None] | None = None) -> None:
        self._sock = sock
        self._before_io = before_io
        self._buffer = memoryview(bytearray(MAX_BLOCK))
        self._header = memoryview(bytearray(_HEADER.size))

    def send(self, kind: bytes, payload: bytes | memoryview) -> None:
        """Send one frame; raises `Closed` if nobody listens any more."""
        self._send_all(_HEADER.pack(kind, len(payload)))
        self._send_all(payload)

    def receive(self) -> tuple[bytes, memoryview]:
        """Return kind and payload; the payload is only valid until the next call."""
        self._fill(self._header)
        kind, length = _HEADER.unpack(self._header)
        if length > MAX_BLOCK:
            raise Violation("frame too long")
        self._fill(self._buffer[:length])
        return kind, self._buffer[:length]

    def _send_all(self, payload: bytes | memoryview) -> None:
        rest = memoryview(payload)
        while rest:
            rest = rest[self._bounded(self._sock.send, rest) :]

    def _fill(self, target: memoryview) -> None:
        while target:
            count = self._bounded(self._sock.recv_into, target)
            if count == 0:
                raise Closed
            target = target[count:]

    def _bounded(self, transfer: Callable[[memoryview], int], part: memoryview) -> int:
        """Move some bytes; only here are the socket's own errors given our names."""
        if self._before_io:
            self._before_io()
        try:
            return transfer(part)
        except TimeoutError as slow:
            raise TooSlow from slow
        except (BrokenPipeError, ConnectionResetError) as gone:
            raise Closed from gone


def pack_json(value: dict[str, Any]) -> bytes:
    """Encode a job, result or refusal."""
    return json.dumps(value, separators=(",", ":")).encode()


def unpack_json(payload: memoryview) -> dict[str, Any]:
    """Decode a JSON object; raises `Violation` for anything else."""
    try:
        value = json.loads(bytes(payload))
    except (ValueError, RecursionError) as wrong:
        raise Violation("not JSON") from wrong
    if not isinstance(value, dict):
        raise Violation("not an object")
    return value


def pack_range(offset: int, length: int) -> bytes:
    """Encode the range that a `READ` asks for."""
    return _RANGE.pack(offset, length)


def unpack_range(payload: memoryview, size: int) -> tuple[int, int]:
    """Decode a range; raises `Violation` if it is not inside `size` or longer than a block."""
    if len(payload) != _RANGE.size:
        raise Violation("malformed range")
    offset, length = _RANGE.unpack(payload)
    if not 0 < length <= MAX_BLOCK or offset + length > size:
        raise Violation("range outside the film")
    return offset, length


def plain(value: object) -> str:
    """Return a short harmless word from the child, or "unnamed": film text must not get out."""
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else "unnamed"

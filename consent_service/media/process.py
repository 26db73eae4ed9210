"""Runs one film job in a child process, feeds it the film, takes its output, judges its end.

The parent keeps the keys and decrypts block by block. Rules kept: the parent never waits for
ever; a source or sink that fails ends the child and its own exception goes on; memory here is a
block or two, whatever the film; the child gets no environment but the module path.
"""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from consent_service.errors import ConsentServiceError, Unavailable
from consent_service.media import wire
from consent_service.media.port import FilmSource, Limits
from consent_service.media.refusal import not_a_film, refusal

Write = Callable[[memoryview], None]
"""Takes output in order. The view is reused afterwards: consume or copy it before returning."""

_T = TypeVar("_T")
CHILD_MODULE = "consent_service.media.child"
_SOCKET_BUFFER = 1024 * 1024
_CRASHES = {
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGILL,
    signal.SIGFPE,
    signal.SIGABRT,
    signal.SIGTRAP,
    signal.SIGSYS,
    signal.SIGXFSZ,
}


@dataclasses.dataclass(frozen=True)
class Order:
    """One job: the operation, its arguments (JSON-ready) and what it may use."""

    operation: str
    limits: Limits
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    module: str = CHILD_MODULE


def run(order: Order, source: FilmSource, write: Write) -> dict[str, Any]:
    """Do the job and return the child's result.

    Raises `NotAFilm` when the film is refused or breaks the child, `Unavailable` when the fault
    is ours (no child, too slow a machine, a defect), and whatever `source` or `write` raise.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            _enlarge(ours, theirs)
            child = _start(order.module, theirs)
        try:
            return _Conversation(ours, order, source, write).hold()
        except wire.Closed:
            raise _judge(_status(child)) from None
        except wire.Violation as broken:
            raise not_a_film("hostile") from broken
        except wire.TooSlow as slow:
            raise Unavailable("The film worker took too long: try again later.") from slow
        finally:
            child.kill()
            child.wait()


def _enlarge(*ends: socket.socket) -> None:
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)


def _start(module: str, end: socket.socket) -> "subprocess.Popen[bytes]":
    """Start the child with the parent's module path as its whole environment."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100
    flags = ["-B", "-P", "-s"]
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            [sys.executable, *flags, "-m", module, str(end.fileno())],
            env={"PYTHONPATH": path},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[end.fileno()],
        )
    except OSError as refused:
        raise Unavailable("The film worker cannot be started: try again later.") from refused


class _Conversation:
    """The parent's side of one job."""

    def __init__(self, sock: socket.socket, order: Order, source: FilmSource, write: Write) -> None:
        self._sock = sock
        self._order = order
        self._source = source
        self._write = write
        self._line = wire.Line(sock, self._limit_wait)
        self._patience = order.limits.patience_s
        self._deadline = 0.0
        self._given_out = 0

    def hold(self) -> dict[str, Any]:
        """Serve the child until it reports how it ended."""
        self._timed(lambda: self._line.send(wire.JOB, self._job()))
        while True:
            kind, payload = self._timed(self._line.receive)
            if kind == wire.READ:
                self._serve_block(payload)
            elif kind == wire.OUTPUT:
                self._take(payload)
            else:
                return self._conclude(kind, wire.unpack_json(payload))

    def _job(self) -> bytes:
        return wire.pack_json(
            {
                "operation": self._order.operation,
                "arguments": self._order.arguments,
                "limits": dataclasses.asdict(self._order.limits),
                "size": self._source.size,
            }
        )

    def _serve_block(self, payload: memoryview) -> None:
        offset, length = wire.unpack_range(payload, self._source.size)
        block = self._source.read_at(offset, length)
        if len(block) != length:
            raise Unavailable("The film's store returned too little: try again later.")
        self._timed(lambda: self._line.send(wire.BLOCK, block))

    def _take(self, payload: memoryview) -> None:
        self._given_out += len(payload)
        if self._given_out > self._order.limits.output_bytes:
            raise wire.Violation("more output than the job can have")
        self._write(payload)

    def _conclude(self, kind: bytes, report: dict[str, Any]) -> dict[str, Any]:
        if kind == wire.DONE:
            return self._checked(report)
        if kind == wire.REFUSED:
            raise refusal(wire.plain(report.get("reason")))
        if kind == wire.FAULT:
            place = wire.plain(report.get("place"))
            raise Unavailable(f"The film worker failed at {place}: report this.", place=place)
        raise wire.Violation("unknown kind of frame")

    def _checked(self, report: dict[str, Any]) -> dict[str, Any]:
        if report.get("size", self._given_out) != self._given_out:
            raise wire.Violation("another size than was given out")
        return report

    def _timed(self, step: Callable[[], _T]) -> _T:
        """Do one exchange with the child; only this time counts against its patience."""
        begun = time.monotonic()
        self._deadline = begun + self._patience
        try:
            return step()
        finally:
            self._patience = self._deadline - time.monotonic()

    def _limit_wait(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise wire.TooSlow
        self._sock.settimeout(left)


def _status(child: "subprocess.Popen[bytes]") -> int:
    """Return how a child ended that closed its line; it has a moment to finish dying."""
    try:
        return child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        return 1


def _judge(status: int) -> ConsentServiceError:
    """Tell the film's fault from ours by how the child ended."""
    if status == -signal.SIGXCPU:
        return not_a_film("too_costly")
    if -status in _CRASHES:
        return not_a_film("hostile")
    return Unavailable("The film worker stopped before it was done: try again later.")

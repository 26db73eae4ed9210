"""A warm printing process, kept for one document after another.

Loading WeasyPrint takes a second, printing a page a tenth: so one child process is started when
the first document is asked for and kept. It is replaced after 200 documents, after any fault, and
in a forked process. Threads take turns. It ends with the service: its input is a pipe from us.
"""

import atexit
import os
import signal
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from consent_service.documents.confine import Limits
from consent_service.errors import TooLarge, Unavailable

DOCUMENTS_PER_PROCESS = 200
SECONDS_PER_DOCUMENT = 60.0
SECONDS_TO_START = 60.0

_LENGTH = struct.Struct(">I")
_MAX_ANSWER = 64 * 1024 * 1024
_ROOT = Path(__file__).parents[2]
_START = (
    "import runpy, sys; sys.path.append(sys.argv[1]); "
    "runpy.run_module(sys.argv[2], run_name='__main__')"
)
_KEPT_SETTINGS = ("FONTCONFIG_FILE", "FONTCONFIG_PATH", "LD_LIBRARY_PATH")
_TOO_MUCH = "This document takes too long to print. Shorten it, or print part of it."


def command_for(module: str, limits: Limits) -> tuple[str, ...]:
    """Return what starts one of our own modules in a process apart, with its limits."""
    where = (sys.executable, "-I", "-B", "-c", _START, str(_ROOT), module)
    return (*where, str(limits.cpu_seconds), str(limits.memory_bytes))


def environment() -> dict[str, str]:
    """Return all that such a process knows of ours."""
    kept = {name: os.environ[name] for name in _KEPT_SETTINGS if name in os.environ}
    return kept | {
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HOME": "/nonexistent",
        "PATH": "/usr/bin:/bin",
    }


class Press:
    """One printing process. `seconds` is how long one document may take by the clock, once it runs.

    `limits` bounds its processor time and memory; it holds on a busy machine, too.
    """

    def __init__(
        self, *, seconds: float = SECONDS_PER_DOCUMENT, limits: Limits | None = None
    ) -> None:
        self._seconds = seconds
        self._limits = limits or Limits()
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._printed = 0
        _PRESSES.add(self)

    def print(self, frames: Sequence[bytes]) -> bytes:
        """Return the PDF of a job's frames.

        Raises TooLarge when it takes too much time or memory, Unavailable when it fails.
        """
        with self._turn:
            for last_try in (False, True):
                process = self._ready_process()
                warm = self._printed > 0
                answer = self._ask(process, frames)
                if answer is not None:
                    return self._read_answer(*answer)
                if last_try or not warm:
                    break
        raise Unavailable("The document could not be printed. Try again.", code="document_failed")

    def warm_up(self) -> None:
        """Start the process now, so that the first document need not wait for it."""
        with self._turn:
            self._ready_process()

    def close(self) -> None:
        """End the process. A later document starts a new one."""
        with self._turn:
            self._end()

    def _ready_process(self) -> subprocess.Popen[bytes]:
        if self._printed >= DOCUMENTS_PER_PROCESS:
            self._end()
        if self._process is None:
            self._process = _start_process(self._limits)
            self._printed = 0
            self._await_ready(self._process)
        return self._process

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        try:
            with _deadline(process, SECONDS_TO_START):
                assert process.stdout is not None
                _read_exactly(process.stdout, 1)
        except EOFError:
            self._end()
            raise Unavailable(
                "Documents cannot be printed: the printing process does not start. "
                "Check that the system packages named in the README are installed.",
                code="document_failed",
            ) from None

    def _ask(
        self, process: subprocess.Popen[bytes], frames: Sequence[bytes]
    ) -> tuple[bytes, bytes] | None:
        """Return kind and frame of the answer, or None when the process ended by itself.

        Raises TooLarge when the time or processor limit ended it.
        """
        with _deadline(process, self._seconds) as late:
            try:
                return _exchange(process, frames)
            except EOFError:
                self._end()
                if late.is_set() or process.returncode == -signal.SIGXCPU:
                    raise TooLarge(_TOO_MUCH) from None
                return None

    def _read_answer(self, kind: bytes, frame: bytes) -> bytes:
        self._printed += 1
        if kind == b"P":
            return frame
        self._end()
        fault = frame.decode("ascii", "replace")
        if fault in {"MemoryError", "RecursionError"}:
            raise TooLarge(_TOO_MUCH)
        raise Unavailable(
            "The document could not be printed. Tell the person who runs the service.",
            code="document_failed",
            fault=fault,
        )

    def _end(self) -> None:
        process, self._process, self._printed = self._process, None, 0
        if process is not None:
            _end_process(process)

    def _forget(self) -> None:
        """After a fork: the process belongs to the parent, and so does whoever held the turn."""
        self._turn = threading.Lock()
        process, self._process, self._printed = self._process, None, 0
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()
            process.returncode = 0  # not ours to wait for


@contextmanager
def _deadline(process: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """Kill `process` unless the block ends in `seconds`; yields what is set when that happened."""
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    watch = threading.Timer(seconds, stop)
    watch.daemon = True
    watch.start()
    try:
        yield late
    finally:
        watch.cancel()


def _start_process(limits: Limits) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 our own interpreter, our own words
        command_for("consent_service.documents.child", limits),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=environment(),
        cwd="/",
        start_new_session=True,
    )


def _exchange(process: subprocess.Popen[bytes], frames: Sequence[bytes]) -> tuple[bytes, bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):  # it may say what is wrong before it has read everything
        for frame in frames:
            _write_all(process.stdin, _LENGTH.pack(len(frame)))
            _write_all(process.stdin, frame)
    kind = _read_exactly(process.stdout, 1)
    (length,) = _LENGTH.unpack(_read_exactly(process.stdout, _LENGTH.size))
    if length > _MAX_ANSWER:
        raise EOFError
    return kind, _read_exactly(process.stdout, length)


def _write_all(pipe: IO[bytes], frame: bytes) -> None:
    rest = memoryview(frame)
    while rest:
        rest = rest[pipe.write(rest) :]


def _read_exactly(pipe: IO[bytes], length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = pipe.read(length - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _end_process(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.kill()  # it holds nothing that would need saving
    process.wait()
    process.stdin.close()
    process.stdout.close()


_PRESSES: "weakref.WeakSet[Press]" = weakref.WeakSet()


def _forget_all() -> None:
    for press in list(_PRESSES):
        press._forget()


def _close_all() -> None:
    for press in list(_PRESSES):
        press.close()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)

"""Servers and other processes of the tests: begun, waited for, and always ended.

Rules kept here:
  * whatever was begun is ended with the block, also when the test failed: first asked, then its
    whole session killed;
  * should the test run itself be killed, the kernel asks its servers to end;
  * one waits for events: the end of a process, a change of a file, never for time to pass.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

START_SECONDS = 60
STOP_SECONDS = 30
ENDS_WITH_US = ("setpriv", "--pdeathsig", "TERM")
_KNOCK_SECONDS = 0.05
_IN_MODIFY = 0x2


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def started(
    command: Sequence[str],
    port: int,
    *,
    cwd: Path,
    environment: Mapping[str, str],
    before: Sequence[str] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server that answers on `port` until the block ends; `before` goes before the command.

    After the block the process has a `returncode`.
    """
    with begun(command, cwd=cwd, environment=environment, before=before) as process:
        _wait_until_alive(process, f"http://127.0.0.1:{port}/health/live")
        yield process


@contextmanager
def begun(
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    before: Sequence[str] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that answers nobody, as a worker does, until the block ends."""
    process = subprocess.Popen(
        [*ENDS_WITH_US, *before, *(ENDS_WITH_US if before else ()), *command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _stop(process, wrapped=bool(before))


def children(pid: int) -> list[int]:
    """The process ids of what a process started itself."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def ended_within(pid: int, seconds: float) -> bool:
    """Wait for a process, ours or not, to end."""
    try:
        watching = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watching], [], [], seconds)[0])
    finally:
        os.close(watching)


@contextmanager
def changes_in(folder: Path, seconds: float) -> Iterator[Iterator[None]]:
    """Yield what goes on once now, and again whenever a file directly in `folder` was written to.

    The iterator ends when `seconds` are over. A database writes a moment before others may read,
    so a quiet second also counts as a change.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    watching = libc.inotify_init1(os.O_CLOEXEC)
    assert libc.inotify_add_watch(watching, os.fsencode(folder), _IN_MODIFY) >= 0, folder
    try:
        yield _changes(watching, time.monotonic() + seconds)
    finally:
        os.close(watching)


def _changes(watching: int, deadline: float) -> Iterator[None]:
    while time.monotonic() < deadline:
        yield
        if select.select([watching], [], [], 1)[0]:
            os.read(watching, 65536)


def _wait_until_alive(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            urlopen(url, timeout=START_SECONDS).close()
        except OSError:
            # No other process is told when a port opens: knock again, unless the server has ended.
            if ended_within(process.pid, _KNOCK_SECONDS):
                raise RuntimeError(f"the server ended with {process.wait()}") from None
        else:
            return
    raise RuntimeError("the server did not answer within a minute")


def _stop(process: subprocess.Popen[bytes], *, wrapped: bool) -> None:
    """Ask the server to end and see it end; what is left of its session is killed.

    `wrapped`: the process only waits for the server, which is its one child, and passes nothing on.
    """
    try:
        if process.poll() is None:
            for pid in children(process.pid) if wrapped else [process.pid]:
                os.kill(pid, signal.SIGTERM)
        process.wait(STOP_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

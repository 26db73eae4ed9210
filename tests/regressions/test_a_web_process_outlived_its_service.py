"""A web process told to stop while it was loading never heard it, and served on when all had ended.

It shared the port with the service that was started next, so that part of the answers were its.
"""

import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.installation import close, found_installation
from tests.support.processes import children, ended_within
from tests.support.running import Running, running, starting

SECONDS = 30
_KNOCK_SECONDS = 0.01


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An installation that nobody has open."""
    close(found_installation(tmp_path / "installation"))
    return tmp_path / "installation"


def _web(service: Running) -> tuple[int, int]:
    """Granian's own process and the one that it forked, as soon as there is one."""
    # Nobody is told when another process forks: look again, unless the service has ended.
    while not ended_within(service.process.pid, _KNOCK_SECONDS):
        for granian in children(service.process.pid):
            for serving in children(granian):
                return granian, serving
    raise AssertionError("the service ended before it served")


@contextmanager
def _all_end(pids: list[int]) -> Iterator[None]:
    """See that these processes have ended within a bounded time after the block."""
    watched = [os.pidfd_open(pid) for pid in pids]
    try:
        yield
        assert all(select.select([process], [], [], SECONDS)[0] for process in watched)
    finally:
        for process in watched:
            os.close(process)


def _nobody_listens(port: int) -> bool:
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ours.bind(("127.0.0.1", port))
    return True


def test_a_web_process_that_is_still_loading_hears_that_it_must_stop(folder: Path) -> None:
    """Whoever stops a service seconds after its start would be left with one that nobody owns."""
    with starting(folder) as service, _all_end([service.process.pid, *_web(service)]):
        service.process.send_signal(signal.SIGTERM)
    assert _nobody_listens(service.port)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_web_servers_own_process_is_killed(
    folder: Path, number: signal.Signals
) -> None:
    """Too little memory ends one process and not those that it forked."""
    with running(folder) as service:
        granian, _ = _web(service)
        with _all_end(service.processes()):
            os.kill(granian, number)
    assert service.process.returncode == 1
    assert _nobody_listens(service.port)

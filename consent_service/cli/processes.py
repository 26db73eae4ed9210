"""Processes of an embedded installation: one web server, one worker, one parent over both.

Rules kept here: the parent holds no keys and serves nothing; if one child ends, the other is
stopped and the parent ends with a fault, so that a service manager starts all of it anew; SIGTERM
stops both.
"""

import os
import select
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping

from consent_service.settings import PREFIX, Settings

STOP_SECONDS = 15
THREADS = 8


def supervise(settings: Settings, workers: int) -> int:
    """Run web server and worker until one ends or SIGTERM comes; return the exit code."""
    environment = environment_of(settings)
    children = [
        subprocess.Popen(command, env=environment)  # noqa: S603  (our own commands)
        for command in (serve_command(settings, workers), worker_command())
    ]
    try:
        asked = _wait(children)
    finally:
        _stop(children)
    return 0 if asked else 1


def serve_here(settings: Settings, workers: int) -> None:
    """Replace this process by the web server."""
    command = serve_command(settings, workers)
    os.execve(command[0], command, environment_of(settings))  # noqa: S606


def serve_command(settings: Settings, workers: int) -> list[str]:
    """Return the command of the web server: granian, WSGI, threads for long ranges."""
    command = [
        sys.executable,
        "-m",
        "granian",
        "--interface",
        "wsgi",
        "--host",
        settings.listen_host,
        "--port",
        str(settings.listen_port),
        "--workers",
        str(workers),
        "--blocking-threads",
        str(THREADS),
        "--log-level",
        "warning",
        "--no-access-log",
    ]
    if settings.tls_cert and settings.tls_key:
        command += ["--ssl-certificate", str(settings.tls_cert)]
        command += ["--ssl-keyfile", str(settings.tls_key)]
    return [*command, "--factory", "consent_service.app:create_served_app"]


def worker_command() -> list[str]:
    """Return the command of the worker."""
    return [sys.executable, "-c", "from consent_service.cli import main; main(['worker'])"]


def environment_of(settings: Settings) -> Mapping[str, str]:
    """Return the environment of the children: this one, with the settings spelt out."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    return inherited | settings.as_environment()


def _wait(children: list[subprocess.Popen[bytes]]) -> bool:
    """Wait until a child ends (False) or we are asked to stop (True)."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        while all(child.poll() is None for child in children):
            selector.select()
            received = set(os.read(reading, 64))
            if received & {signal.SIGTERM, signal.SIGINT}:
                return True
    return False


def _stop(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        if not _ended_within(child, STOP_SECONDS):
            child.kill()
        child.wait()


def _ended_within(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for the end of a child, by its event and not by looking again and again."""
    if child.poll() is not None:
        return True
    watching = os.pidfd_open(child.pid)
    try:
        select.select([watching], [], [], seconds)
    finally:
        os.close(watching)
    return child.poll() is not None

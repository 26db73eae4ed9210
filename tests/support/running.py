"""`consent-service run` as people start it: a parent, granian and a worker, over a real folder."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RUN = "from consent_service.cli import main; main()"
START_SECONDS = 60


@dataclass(frozen=True)
class Running:
    """A service that answers on `port`; `token` is what `call` signs in with."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    temporary: Path

    def processes(self) -> list[int]:
        """The process ids of parent, web server and worker, and of all that they started."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += _children(pid)
        return found

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(
        self, method: str, path: str, token: str, body: Any = None, *, raw: bytes | None = None
    ) -> tuple[int, Any]:
        """Send one request; returns status and what came back, read as JSON where it is."""
        headers = {"Authorization": f"Bearer {token}"}
        if raw is not None:
            headers["Content-Type"] = "application/octet-stream"
        elif body is not None:
            raw = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection = self.connect()
        connection.request(method, f"/api/v1{path}", raw, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        kind = response.headers.get("Content-Type", "")
        return response.status, json.loads(content) if "json" in kind else content


@contextmanager
def running(
    folder: Path, *, before: Sequence[str] = (), verb: Sequence[str] = ("run",), **more: str
) -> Iterator[Running]:
    """Run the service over `folder` until the block ends; `before` goes before the command.

    It has a folder for temporary files of its own, so that nothing of anybody else is looked at.
    """
    port = free_port()
    temporary = folder.parent / f"{folder.name}-tmp"
    temporary.mkdir(exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CONSENT_")} | {
        "CONSENT_DATA_DIR": str(folder),
        "CONSENT_LISTEN": f"127.0.0.1:{port}",
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(temporary),
        **more,
    }
    process = subprocess.Popen(
        [*before, sys.executable, "-c", RUN, *verb],
        cwd=temporary,
        env=environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_until_alive(process, port)
        yield Running(process, port, folder, temporary)
    finally:
        _stop(process, wrapped=bool(before))


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_until_alive(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with {process.returncode}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health/live")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise RuntimeError("the service did not answer within a minute")


def _stop(process: subprocess.Popen[bytes], *, wrapped: bool) -> None:
    """Ask the service to end and see it end; what is left of its session is killed.

    `wrapped`: the process only waits for the service, which is its one child.
    """
    if process.poll() is None:
        for pid in _children(process.pid) if wrapped else [process.pid]:
            os.kill(pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found

"""`consent-service run` as people start it: a parent, granian and a worker, over a real folder."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import begun, children, free_port, started

ROOT = Path(__file__).parents[2]
RUN = "from consent_service.cli import main; main()"


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
            waiting += children(pid)
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
    environment = _environment(folder, CONSENT_LISTEN=f"127.0.0.1:{port}", **more)
    temporary = Path(environment["TMPDIR"])
    command = [sys.executable, "-c", RUN, *verb]
    with started(command, port, cwd=temporary, environment=environment, before=before) as process:
        yield Running(process, port, folder, temporary)


@contextmanager
def starting(folder: Path, **more: str) -> Iterator[Running]:
    """`running`, but without waiting for an answer: it has only just been begun."""
    port = free_port()
    environment = _environment(folder, CONSENT_LISTEN=f"127.0.0.1:{port}", **more)
    temporary = Path(environment["TMPDIR"])
    command = [sys.executable, "-c", RUN, "run"]
    with begun(command, cwd=temporary, environment=environment) as process:
        yield Running(process, port, folder, temporary)


@contextmanager
def working(folder: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker alone over `folder` until the block ends."""
    environment = _environment(folder, **more)
    command = [sys.executable, "-c", RUN, "worker"]
    with begun(command, cwd=Path(environment["TMPDIR"]), environment=environment) as process:
        yield process


def _environment(folder: Path, **more: str) -> dict[str, str]:
    temporary = folder.parent / f"{folder.name}-tmp"
    temporary.mkdir(exist_ok=True)
    return {k: v for k, v in os.environ.items() if not k.startswith("CONSENT_")} | {
        "CONSENT_DATA_DIR": str(folder),
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(temporary),
        **more,
    }

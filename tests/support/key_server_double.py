"""A simulator of a key server that goes wrong: it speaks real HTTP and answers what it was told.

A real OpenBao server does not give these answers at will. It says nothing of what a healthy server
does; that is asked of the real one in `tests/support/openbao.py`.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LOOKUP = "GET auth/token/lookup-self"
RENEW = "POST auth/token/renew-self"
FOR_EVER = {"data": {"renewable": False, "ttl": 0}}


@dataclass(frozen=True)
class Answer:
    """A status and a body: bytes go out as they stand, anything else as JSON."""

    status: int = 200
    body: Any = b""

    def content(self) -> bytes:
        """Return what goes over the wire."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class KeyServerDouble:
    """Answers each question, like "GET transit/keys/live", from its own list.

    The last answer of a list stands for ever. A question without a list gets 404, and the token's
    look-up is answered as for a token without an end unless a test says otherwise.
    """

    port: int
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    _answers: dict[str, list[Answer]] = field(
        default_factory=lambda: {LOOKUP: [Answer(200, FOR_EVER)]}
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def will_answer(self, question: str, *answers: Answer) -> None:
        """Answer `question` (method and path below /v1/) with these, in order."""
        with self._lock:
            self._answers[question] = list(answers)

    def answer_to(self, question: str, token: str) -> Answer:
        """Note the question and the token it came with, and return the next answer."""
        with self._lock:
            self.asked.append(question)
            self.tokens.append(token)
            left = self._answers.get(question, [Answer(404, {"errors": []})])
            return left.pop(0) if len(left) > 1 else left[0]

    def times_asked(self, question: str) -> int:
        """Tell how often `question` has come."""
        with self._lock:
            return self.asked.count(question)

    def provider_url(self, key: str, token_file: Path) -> str:
        """The address of a transit key, for CONSENT_KEY_PROVIDER."""
        return f"openbao://127.0.0.1:{self.port}/transit/{key}?token_file={token_file}&tls=off"


@contextmanager
def key_server_double() -> Iterator[KeyServerDouble]:
    """Lend a simulator that listens on loopback; it ends with the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Questions) as server:
        double = KeyServerDouble(server.server_port)
        server.double = double  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield double
        finally:
            server.shutdown()
            thread.join()


class _Questions(BaseHTTPRequestHandler):
    """One connection; each question is read to its end, so that the connection could go on."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        double: KeyServerDouble = self.server.double  # type: ignore[attr-defined]
        question = f"{self.command} {self.path.removeprefix('/v1/')}"
        answer = double.answer_to(question, self.headers.get("X-Vault-Token", ""))
        content = answer.content()
        self.send_response(answer.status)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a test reads `asked`."""

"""A plain file from Flask under the same web server: what framework and server cost alone.

No permission, no key, no log, nothing decrypted: no service on Flask can be faster than this.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from flask import Flask, Response, request
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

PIECE = 256 * 1024
_FILM = "BARE_FILM"
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


def create_app() -> Flask:
    """Return an app that serves the one file that the environment names, or a range of it."""
    app = Flask("bare", static_folder=None)
    film = Path(os.environ[_FILM])

    @app.get("/health/live")
    def live() -> str:
        return "ok"

    @app.get("/film")
    def serve() -> Response:
        size = film.stat().st_size
        asked = _RANGE.fullmatch(request.headers.get("Range", ""))
        start, end = (int(asked[1]), int(asked[2]) + 1) if asked else (0, size)
        headers = {"Content-Length": str(end - start)}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        return Response(_pieces(film, start, end), 206 if asked else 200, headers)

    return app


def _pieces(film: Path, start: int, end: int) -> Iterator[bytes]:
    descriptor = os.open(film, os.O_RDONLY)
    try:
        for at in range(start, end, PIECE):
            yield os.pread(descriptor, min(PIECE, end - at), at)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    os.environ[_FILM] = sys.argv[1]
    Granian(
        "benchmarks.peers.bare_flask:create_app",
        factory=True,
        interface=Interfaces.WSGI,
        address="127.0.0.1",
        port=int(sys.argv[2]),
        workers=int(sys.argv[3]),
        blocking_threads=int(sys.argv[4]),
        log_level=LogLevels.warning,
    ).serve()

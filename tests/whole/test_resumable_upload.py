"""A film by parts against the real service, which is killed in the middle of it: kill -9.

What was acknowledged is there afterwards, what was under way is there as far as it was made
durable, and no byte of it ever lay in the clear.
"""

import hashlib
import http.client
import os
import signal
import socket
import time
from datetime import date
from pathlib import Path

from consent_service.clock import london_day
from consent_service.services import recordings
from tests.support.api import issue_token
from tests.support.clinic import Clinic, Family
from tests.support.films import heavy_film
from tests.support.installation import close, files_with, found_installation, opened_anew
from tests.support.running import Running, running

HEADERS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}


def _prepared(folder: Path) -> tuple[Clinic, Family, str]:
    clinic = found_installation(folder)
    family = clinic.family()
    clinic.both_consent(family)
    token = issue_token(clinic, clinic.guider)
    close(clinic)
    return clinic, family, token


def _reserved(service: Running, family: Family, token: str, day: date, size: int) -> str:
    body = {
        "involvement": family.involvement,
        "depicted": list(family.everyone),
        "filmed_on": day.isoformat(),
        "declared_size": size,
    }
    status, made = service.call("POST", "/recordings", token, body)
    assert status == 201, made
    return str(made["recording"]["id"])


def _ask(
    service: Running, method: str, asset: str, token: str, offset: int = 0, body: bytes = b""
) -> http.client.HTTPResponse:
    headers = {**HEADERS, "Authorization": f"Bearer {token}", "Upload-Offset": str(offset)}
    connection = service.connect()
    connection.request(method, f"/api/v1/uploads/{asset}", body, headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def _send_some(
    service: Running, asset: str, token: str, offset: int, rest: bytes, count: int
) -> socket.socket:
    """Begin a PATCH of all the rest, and stop after `count` bytes."""
    sock = socket.create_connection(("127.0.0.1", service.port), timeout=60)
    head = (
        f"PATCH /api/v1/uploads/{asset} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {token}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n"
        f"Content-Type: application/offset+octet-stream\r\nContent-Length: {len(rest)}\r\n\r\n"
    )
    sock.sendall(head.encode() + rest[:count])
    return sock


def _kill(service: Running) -> None:
    for pid in service.processes():
        os.kill(pid, signal.SIGKILL)
    service.process.wait(timeout=30)


def _offset(service: Running, asset: str, token: str) -> int:
    said = _ask(service, "HEAD", asset, token)
    assert said.status == 200, said.status
    return int(said.headers["Upload-Offset"])


def _wait_for_offset(service: Running, asset: str, token: str, wanted: int) -> None:
    """The service learns that a sender is gone some moments after the sender is."""
    deadline = time.monotonic() + 30
    while _offset(service, asset, token) != wanted:
        assert time.monotonic() < deadline, _offset(service, asset, token)
        time.sleep(0.1)


def test_an_upload_survives_kill_9_of_the_service_and_a_sender_that_is_gone(
    tmp_path: Path,
) -> None:
    """A guider's hour of sending must not be lost to a restart, nor to a lift without network."""
    film = heavy_film()
    third = len(film) // 3
    clinic, family, token = _prepared(tmp_path / "data")
    with running(tmp_path / "data") as service:
        asset = _reserved(service, family, token, london_day(clinic.clock.now()), len(film))
        assert _ask(service, "PATCH", asset, token, 0, film[:third]).status == 204
        cut = _send_some(service, asset, token, third, film[third:], third // 2)
        _kill(service)
        cut.close()

    with running(tmp_path / "data") as service:
        assert _offset(service, asset, token) == third
        gone = _send_some(service, asset, token, third, film[third:], third // 2)
        gone.close()
        _wait_for_offset(service, asset, token, third + third // 2)
        marker = film[third + 4096 : third + 4128]
        assert files_with(tmp_path / "data", [marker]) == {}

        last = _ask(service, "PATCH", asset, token, third + third // 2, film[third + third // 2 :])
        assert (last.status, last.headers["Upload-Offset"]) == (204, str(len(film)))

    with opened_anew(clinic) as seen:
        view = recordings.asset(seen.ctx, seen.guider, asset)
        assert view.received_sha256 == hashlib.sha256(film).hexdigest()
        assert seen.objects() == {f"{asset}.1", f"{asset}.json"}
        assert hashlib.sha256(seen.watches(asset)).hexdigest() == view.sha256

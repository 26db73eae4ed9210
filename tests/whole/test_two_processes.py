"""A web server and a worker over one folder: what one ends, the other carries out."""

import contextlib
import http.client
import socket
import time
from pathlib import Path

from consent_service.db.models.erasure import ErasureOrder
from consent_service.domain.erasure import OrderState
from consent_service.services import erasure
from tests.support.api import issue_token
from tests.support.clinic import Clinic
from tests.support.films import heavy_film
from tests.support.installation import close, found_installation, opened_anew
from tests.support.processes import changes_in
from tests.support.running import Running, running

CUT_WITHIN = 5.0
PIECE = 8192
"""Ten of them a second: a telephone at the edge of its network."""


def _stream(service: Running, path: str, token: str) -> http.client.HTTPResponse:
    """Begin to read a film like a slow telephone: a small window, and no more than one piece."""
    connection = service.connect(timeout=30)
    connection.sock = socket.socket()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sock.settimeout(30)
    connection.sock.connect(("127.0.0.1", service.port))
    connection.request("GET", f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    assert response.status == 200
    assert response.read(PIECE)
    return response


def _rest(response: http.client.HTTPResponse, pace: float) -> tuple[int, float]:
    """Read on slowly until nothing more comes; returns how many bytes came, in how many seconds."""
    began, count = time.monotonic(), 0
    with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
        while piece := response.read(PIECE):
            count += len(piece)
            time.sleep(pace)
    return count, time.monotonic() - began


def _prepared(folder: Path) -> tuple[Clinic, dict[str, str], str, str]:
    clinic = found_installation(folder)
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family, heavy_film()).id
    token = issue_token(clinic, clinic.guider)
    close(clinic)
    return clinic, {"involvement": family.involvement, "person": family.mother}, film, token


def test_a_withdrawal_over_http_cuts_an_open_stream_and_the_worker_does_the_rest(
    tmp_path: Path,
) -> None:
    """Someone says stop while the film is being watched: it stops for whoever is watching."""
    clinic, who, film, token = _prepared(tmp_path / "data")
    with running(tmp_path / "data") as service:
        stream = _stream(service, f"/recordings/{film}/content?purpose=care", token)
        status, said = service.call(
            "POST",
            "/withdrawals",
            token,
            {**who, "by": who["person"], "scope": "everything", "route": "in_person"},
        )
        assert status in (200, 201, 202), said

        count, seconds = _rest(stream, pace=0.1)

        assert count + PIECE < int(stream.headers["Content-Length"])
        assert seconds < CUT_WITHIN
        assert service.call("GET", f"/recordings/{film}/content?purpose=care", token)[0] == 410
        with opened_anew(clinic) as seen:
            _wait_until_done(seen, said["erasure_order"]["id"])
            assert not list(seen.ctx.blobs.list())


def _wait_until_done(clinic: Clinic, order: str) -> None:
    with changes_in(clinic.ctx.settings.data_dir, seconds=60) as changes:
        done = any(_state(clinic, order) is OrderState.DONE for _ in changes)
    assert done, erasure.order(clinic.ctx, clinic.ig, order)


def _state(clinic: Clinic, order: str) -> OrderState:
    with clinic.ctx.read() as session:
        return session.get_one(ErasureOrder, order).state

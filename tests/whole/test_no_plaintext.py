"""No byte of film in the clear on any disk: during an upload, a playback, or after either.

The real service, as people start it. Looked through: every file of the data folder and of the
service's folder for temporary files, and every file that one of its processes holds open, the
deleted ones too. The search must first find a marker planted in each of these places.
"""

import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from consent_service.clock import london_day
from consent_service.domain.assets import AssetState
from tests.support.api import issue_token
from tests.support.films import heavy_film
from tests.support.installation import close, found_installation
from tests.support.running import Running, running

HOLDING_A_DELETED_FILE = """
import sys, tempfile
with tempfile.TemporaryFile(dir=sys.argv[1]) as held:
    held.write(bytes.fromhex(sys.argv[2])); held.flush()
    print("holding", flush=True)
    sys.stdin.read()
"""


def _markers(film: bytes) -> list[bytes]:
    """Bytes from all through the film that occur once: packets keep theirs whatever is remuxed."""
    step = len(film) // 40
    found = [film[at : at + 32] for at in range(step, len(film) - step, step)]
    return [marker for marker in found if film.count(marker) == 1 and len(set(marker)) > 12]


def _places(folders: Iterable[Path], pids: Iterable[int]) -> Iterable[Path]:
    for folder in folders:
        yield from (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    for pid in pids:
        for held in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = str(held.readlink())
                if target.startswith("/") and held.is_file() and not target.startswith("/memfd:"):
                    yield held
            except OSError:
                continue  # closed, or the process ended, while we looked


def _found(markers: list[bytes], folders: Iterable[Path], pids: Iterable[int]) -> list[str]:
    """Every place that holds one of the markers."""
    hits = []
    for place in _places(folders, pids):
        try:
            content = place.read_bytes()
        except OSError:
            continue
        if any(marker in content for marker in markers):
            hits.append(str(place))
    return hits


def _require_that_the_search_finds(service: Running, marker: bytes) -> None:
    folders = (service.folder, service.temporary)
    for folder in folders:
        planted = folder / "planted"
        planted.write_bytes(b"before" + marker + b"after")
        assert _found([marker], folders, []) == [str(planted)]
        planted.unlink()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDING_A_DELETED_FILE, service.temporary, marker.hex()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"holding\n"
    assert len(_found([marker], [], [holder.pid])) == 1
    holder.communicate()


def _nowhere(service: Running, markers: list[bytes]) -> None:
    pids = service.processes()
    assert len(pids) >= 4  # parent, granian, its worker, our worker
    assert _found(markers, (service.folder, service.temporary), pids) == []


def _upload_slowly(service: Running, path: str, token: str, film: bytes) -> socket.socket:
    """Send half of a film and stop there."""
    sock = socket.create_connection(("127.0.0.1", service.port), timeout=60)
    head = (
        f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(film)}\r\n"
        "Connection: close\r\n\r\n"
    )
    sock.sendall(head.encode() + film[: len(film) // 2])
    return sock


def _answer(sock: socket.socket) -> bytes:
    received = b""
    while piece := sock.recv(65536):
        received += piece
    sock.close()
    return received


def test_no_byte_of_a_film_lies_in_the_clear_anywhere(tmp_path: Path) -> None:
    """Destroying a key destroys film only if no copy of it was ever written without one."""
    clinic = found_installation(tmp_path / "data")
    family = clinic.family()
    clinic.both_consent(family)
    token = issue_token(clinic, clinic.guider)
    close(clinic)
    film = heavy_film()
    markers = _markers(film)
    assert len(markers) > 20
    with running(tmp_path / "data") as service:
        _require_that_the_search_finds(service, markers[0])
        status, reserved = service.call(
            "POST",
            "/recordings",
            token,
            {
                "involvement": family.involvement,
                "depicted": list(family.everyone),
                "filmed_on": london_day(clinic.clock.now()).isoformat(),
            },
        )
        assert status == 201, reserved

        upload = _upload_slowly(service, reserved["upload"]["href"], token, film)
        _nowhere(service, markers)
        upload.sendall(film[len(film) // 2 :])
        answer = _answer(upload)
        assert b" 200 " in answer or b" 201 " in answer, answer[:300]
        assert AssetState.STORED.value.encode() in answer
        _nowhere(service, markers)

        path = f"/recordings/{reserved['recording']['id']}/content?purpose=care"
        slow = service.connect()
        slow.request("GET", f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
        playing = slow.getresponse()
        beginning = playing.read(len(film) // 8)
        _nowhere(service, markers)
        served = beginning + playing.read()
        assert all(marker in served for marker in markers)
        _nowhere(service, markers)

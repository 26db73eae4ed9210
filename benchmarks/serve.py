"""Film over HTTP beside other servers, on loopback: `python -m benchmarks.serve [--json]`.

Ours is the real service, as `consent-service run` starts it: embedded, one folder, a token with
each request, its permission checked, its viewing written down, one line of log for each request.
nginx sends the plain file and writes no log; `rclone serve http` decrypts with its own crypt.
wrk asks all of them over connections that stay open, for the whole film or for ranges at random
places. A bare Flask app under the same web server, which asks nothing and decrypts nothing, shows
what of the way to nginx is theirs. `upload` sends a raw stream by one PATCH and ends when every
byte is durable, encrypted; `cp_fsync` copies the same file and syncs it.
"""

import argparse
import http.client
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from benchmarks.measure import Report, compare, run_process, seconds_of
from benchmarks.peers import servers
from benchmarks.peers.servers import Asking, Place
from consent_service.clock import SystemClock
from consent_service.db.models.recordings import Asset
from consent_service.domain.purposes import CARE
from consent_service.domain.roles import Permission
from consent_service.services import film_keys, film_objects
from tests.support.api import issue_token
from tests.support.clinic import Clinic, sample_film
from tests.support.installation import close, found_installation
from tests.support.processes import free_port, started
from tests.support.running import ROOT, RUN
from tests.support.uploading import reserved

HOUR_AGO = timedelta(hours=1)
"""What was said before it all began, so that it counts by the clock of the real service."""
MEBIBYTE = 1024 * 1024
LENGTHS = {"range_1m": MEBIBYTE, "range_64k": 65536}
GOALS = {
    "full_over_nginx": 1 / 0.8,
    "full_over_rclone": 1 / 2.5,
    "range_1m_over_nginx": 1 / 0.7,
    "range_64k_over_nginx": 1 / 0.15,
    "range_64k_over_rclone": 1 / 30,
    "upload_over_cp_fsync": 1 / 0.5,
}


@dataclass(frozen=True)
class Options:
    """How much to measure; the film in MiB."""

    mebibytes: int
    turns: int
    seconds: int
    connections: int
    workers: int


@dataclass(frozen=True)
class Stage:
    """Our service and a plain copy of the film that it serves."""

    folder: Path
    film: str
    uploads: list[str]
    token: str

    @property
    def root(self) -> Path:
        """What the plain servers serve."""
        return self.folder / "root"

    @property
    def plain(self) -> Path:
        """The film as it is; noise, so that nobody need fear for it."""
        return self.root / "film"


def build_stage(folder: Path, options: Options) -> Stage:
    """Found an installation with one film, and room for as many uploads as there are turns."""
    clinic = found_installation(folder / "data", at=SystemClock().now() - HOUR_AGO)
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family, sample_film()).id
    more = options.mebibytes * MEBIBYTE + 1
    uploads = [reserved(clinic, family, more) for _ in range(options.turns + 1)]
    stage = Stage(folder, film, uploads, issue_token(clinic, clinic.guider))
    (stage.root / "health").mkdir(parents=True)
    (stage.root / "health" / "live").write_text("ok")
    block = os.urandom(MEBIBYTE)
    with stage.plain.open("wb") as plain:
        for _ in range(options.mebibytes):
            plain.write(block)
    _put_in_place(clinic, film, stage.plain)
    close(clinic)
    return stage


def _put_in_place(clinic: Clinic, film: str, plain: Path) -> None:
    """Let noise stand in the place of a stored film, under its key."""
    ctx = clinic.ctx
    ground = film_keys.ground_for(ctx, clinic.guider, film, CARE, Permission.FILM_WATCH)
    key = film_keys.data_key_of(ctx, ground)
    place = film_objects.film_place(film, ground.facts.kind, ground.facts.generation)
    ctx.blobs.delete(place.name)
    with plain.open("rb") as source, film_objects.writing(ctx, place, key) as writer:
        while piece := source.read(MEBIBYTE):
            writer.write(piece)
    stored = film_objects.written(place, writer)
    with ctx.begin() as uow:
        row = uow.session.get_one(Asset, film)
        row.header, row.sha256 = stored.header, stored.sha256
        row.stored_size, row.plain_size = stored.stored_size, stored.plain_size


@contextmanager
def our_service(folder: Path, workers: int) -> Iterator[tuple[int, int]]:
    """Run the service over `folder`/data as its users do, its log in a file; its port and pid."""
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CONSENT_")} | {
        "CONSENT_DATA_DIR": str(folder / "data"),
        "CONSENT_LISTEN": f"127.0.0.1:{port}",
        "CONSENT_LOG_FORMAT": "json",
        "PYTHONPATH": str(ROOT),
    }
    log = folder / "service.log"
    command = ["sh", "-c", 'log=$1; shift; exec "$@" 2>>"$log"', "sh", str(log)]
    command += [sys.executable, "-c", RUN, "run", "--workers", str(workers)]
    with started(command, port, cwd=folder, environment=environment) as process:
        yield port, process.pid


def measure_playing(
    report: Report, stage: Stage, ours: Place, options: Options, others: dict[str, Place]
) -> None:
    """Compare whole films and ranges with every other server."""
    size = options.mebibytes * MEBIBYTE
    for what, length in {"full": size, **LENGTHS}.items():
        asking = Asking(size, length, options.seconds, options.connections)
        for peer, place in others.items():
            compared = compare(
                partial(servers.seconds_per_mebibyte, ours, asking, stage.folder),
                partial(servers.seconds_per_mebibyte, place, asking, stage.folder),
                options.turns,
            )
            report.add(f"{what}_over_{peer}", compared)
            report.figures[f"{what}_per_s_beside_{peer}"] = round(
                MEBIBYTE / length / compared.ours, 2
            )
            report.figures[f"{what}_per_s_of_{peer}"] = round(
                MEBIBYTE / length / compared.theirs, 2
            )


def measure_upload(report: Report, stage: Stage, port: int, turns: int) -> None:
    """Compare sending a film, until it is durable and encrypted, with copying and syncing it."""
    waiting = iter(stage.uploads)
    compared = compare(
        lambda: _upload(stage, port, next(waiting)), partial(_copy_and_sync, stage), turns
    )
    report.add("upload_over_cp_fsync", compared)


def _upload(stage: Stage, port: int, upload: str) -> float:
    path, size = f"/api/v1/uploads/{upload}", stage.plain.stat().st_size
    headers = {
        "Authorization": f"Bearer {stage.token}",
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": str(size),
        "Upload-Offset": "0",
        "Tus-Resumable": "1.0.0",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300, blocksize=MEBIBYTE)
    with stage.plain.open("rb") as body:
        seconds = seconds_of(partial(_send, connection, "PATCH", path, headers, body))
    del headers["Content-Type"], headers["Content-Length"], headers["Upload-Offset"]
    _send(connection, "DELETE", path, headers, None)
    connection.close()
    return seconds


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: dict[str, str],
    body: object,
) -> None:
    connection.request(method, path, body, headers)  # type: ignore[arg-type]
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 204:
        raise SystemExit(f"an upload was answered {answer.status} {said!r}: nothing was measured")


def _copy_and_sync(stage: Stage) -> float:
    target = stage.folder / "copy"

    def work() -> None:
        run_process(("cp", str(stage.plain), str(target)))
        with target.open("rb") as copied:
            os.fsync(copied.fileno())

    seconds = seconds_of(work)
    target.unlink()
    return seconds


def measure(options: Options, folder: Path) -> Report:
    """Measure everything, with all files in `folder`."""
    report = Report("serve", GOALS)
    stage = build_stage(folder, options)
    with ExitStack() as running:
        port, _pid = running.enter_context(our_service(folder, options.workers))
        measure_upload(report, stage, port, options.turns)
        others: dict[str, Place] = {}
        peers = {"nginx": servers.nginx, "flask": servers.flask, "rclone": servers.rclone}
        for name, serve in peers.items():
            if (version := servers.version_of(name)) is None:
                report.missing.append(name)
                continue
            report.peers[name] = version
            others[name] = Place(f"{running.enter_context(serve(folder, stage.root))}/film")
        watching = f"/api/v1/recordings/{stage.film}/content?purpose={CARE}"
        ours = Place(f"http://127.0.0.1:{port}{watching}", stage.token)
        measure_playing(report, stage, ours, options, others)
    return report


def main() -> None:
    """Read the options, measure, print, and leave nothing behind."""
    parser = argparse.ArgumentParser(description="Measure film over HTTP beside other servers.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--mebibytes", type=int, default=256, help="size of the film")
    parser.add_argument("--turns", type=int, default=3, help="turns that count")
    parser.add_argument("--seconds", type=int, default=5, help="how long each is asked in a turn")
    parser.add_argument("--connections", type=int, default=8, help="connections at once")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="of our service")
    said = vars(parser.parse_args())
    as_json = said.pop("json")
    if (asker := servers.version_of(servers.ASKER)) is None:
        raise SystemExit("wrk asks the servers, and is not installed: ./dev bench --install")
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        report = measure(Options(**said), Path(folder))
    report.peers[servers.ASKER] = asker
    report.conditions |= {name: str(value) for name, value in said.items()}
    report.show(as_json)


if __name__ == "__main__":
    main()

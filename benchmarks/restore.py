"""What a restore costs: `python -m benchmarks.restore [--objects N] [--json]`.

A backup of many objects is restored into an empty database and an empty folder: everything is
verified, put in its place durably, read from the journal. Beside it the backup's folder is copied
as plain files, by `cp -r` and, where it is installed, by `rclone copy`, and then synced to the
disk. The goal is 50,000 objects in 30 minutes; with fewer, what they would take is extrapolated in
proportion to their number, which the conditions say.
"""

import argparse
import dataclasses
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

from sqlalchemy import select, update

from benchmarks.measure import Report, compare, run_process, seconds_of
from benchmarks.withdrawal import family_with, open_embedded
from consent_service.db.engine import open_engine
from consent_service.db.models.recordings import Asset
from consent_service.services.backups import MadeBackup
from consent_service.services.keys import sidecar_name
from consent_service.vault.blobs.folder import FolderStore
from tests.support.clinic import Clinic
from tests.support.safe import Safe, made_backup, open_safe, restored

PROMISED = 50_000
GOALS = {"restore_50000_objects_minutes": 30.0}
SIDECAR_BYTES = 1024


class Place:
    """A clinic with so many objects, a backup of it, and new empty places to restore it into."""

    def __init__(self, folder: Path, objects: int, size: int) -> None:
        self._folder = folder
        self._turn: Iterator[int] = count(1)
        for name in ("home", "safe", "out"):
            (folder / name).mkdir()
        self.clinic = open_embedded(folder / "home")
        family_with(self.clinic, objects // 2)
        _write_objects(self.clinic, size)
        self.clinic.passes(hours=1)
        self._safe: Safe = open_safe(self.clinic, folder / "safe")
        self.backup: MadeBackup = made_backup(self.clinic, self._safe)
        if self.backup.objects < objects - 1:
            raise SystemExit(
                f"the backup holds {self.backup.objects} objects: nothing was measured"
            )

    def restore_seconds(self) -> float:
        """Restore into an empty database and store; how long it took."""
        place = self._new_place()
        engine = open_engine(f"sqlite:///{place / 'consent.sqlite3'}")
        store = FolderStore(place / "film")
        empty = dataclasses.replace(self.clinic.ctx, engine=engine, blobs=store)
        clinic = dataclasses.replace(self.clinic, ctx=empty)
        found = []
        seconds = seconds_of(lambda: found.append(restored(clinic, self._safe, self.backup)))
        engine.dispose()
        if found[0].objects != self.backup.objects:
            raise SystemExit(f"{found[0].objects} objects came back: nothing was measured")
        shutil.rmtree(place)
        return seconds

    def copy_seconds(self, *command: str) -> float:
        """Copy the backup's folder with a program, and have the disk hold it; how long it took."""
        place = self._new_place()

        def copy() -> None:
            run_process([*command, str(self.backup.folder), str(place / "copy")])
            run_process(["sync", "--file-system", str(place)])

        seconds = seconds_of(copy)
        shutil.rmtree(place)
        return seconds

    def close(self) -> None:
        """Let go of the databases."""
        self.clinic.ctx.keyring.close()
        self.clinic.ctx.engine.dispose()

    def _new_place(self) -> Path:
        place = self._folder / "out" / str(next(self._turn))
        place.mkdir()
        return place


def _write_objects(clinic: Clinic, size: int) -> None:
    """Put noise where film and sidecars of every row would lie: a restore opens none of it."""
    store = clinic.ctx.blobs
    with clinic.ctx.begin() as uow:
        uow.session.execute(update(Asset).values(blob=Asset.id + ".1"))
        assets = uow.session.scalars(select(Asset.id)).all()
    for asset in assets:
        for name, length in ((f"{asset}.1", size), (sidecar_name(asset), SIDECAR_BYTES)):
            with store.put(name, expected_size=length, replace=True) as sink:
                sink.write(os.urandom(length))


def measure(objects: int, size: int, turns: int, folder: Path) -> Report:
    """Measure everything, with all files in `folder`."""
    report = Report("restore", GOALS)
    report.peers |= {"sqlite3": sqlite3.sqlite_version, "linux": os.uname().release}
    place = Place(folder, objects, size)
    peers: dict[str, Callable[[], float]] = {"cp": partial(place.copy_seconds, "cp", "-r")}
    if shutil.which("rclone"):
        peers["rclone"] = partial(place.copy_seconds, "rclone", "copy")
    else:
        report.missing.append("rclone")
    try:
        seconds = []
        for name, copy in peers.items():
            compared = compare(place.restore_seconds, copy, turns)
            report.add(f"restore_over_{name}", compared)
            seconds.append(compared.ours)
    finally:
        place.close()
    _note_figures(report, place.backup, min(seconds))
    return report


def _note_figures(report: Report, backup: MadeBackup, seconds: float) -> None:
    minutes = seconds / backup.objects * PROMISED / 60
    report.figures |= {
        "objects": backup.objects,
        "object_bytes": backup.object_bytes,
        "objects_a_second": round(backup.objects / seconds, 1),
        "restore_50000_objects_minutes": round(minutes, 2),
    }
    measured = backup.objects >= PROMISED
    report.conditions["restore_50000_objects_minutes"] = (
        "measured" if measured else f"extrapolated from {backup.objects} objects, in proportion"
    )


def main() -> None:
    """Read the options, measure, print, and leave nothing behind."""
    parser = argparse.ArgumentParser(description="Measure a restore beside a plain copy.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--objects", type=int, default=2000, help=f"full form: {PROMISED}")
    parser.add_argument("--size", type=int, default=65536, help="bytes of each film")
    parser.add_argument("--turns", type=int, default=3, help="turns that count")
    options = parser.parse_args()
    if options.objects < 100:
        parser.error("give at least 100 objects")
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        report = measure(options.objects, options.size, options.turns, Path(folder))
    report.show(options.json)


if __name__ == "__main__":
    main()

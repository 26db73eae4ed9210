"""What deleting and finding what is due cost: `python -m benchmarks.deletion [--json]`.

`folder` removes many objects of the folder store, durably; `unlink_sync` does the least that the
file system asks for the same: unlink each file, then sync each folder once. `one_by_one` syncs
after each. `due_among_many` finds what may be destroyed among many films that are
kept, beside the same among few.
"""

import argparse
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from sqlalchemy import select, update

from benchmarks.measure import Report, compare, seconds_of
from benchmarks.withdrawal import family_with, open_embedded
from consent_service.clock import london_day
from consent_service.db.models.recordings import Asset
from consent_service.ids import new_id
from consent_service.services import retention_plan
from consent_service.vault.blobs.folder import FolderStore
from tests.support.clinic import Clinic

DUE = 100
GOALS = {"folder_over_unlink_sync": 1 / 0.6, "due_among_many_over_few": 1.5}


def measure_folder(report: Report, folder: Path, objects: int, turns: int) -> None:
    """Compare deleting in the store with unlinking."""
    store = FolderStore(folder / "store")

    def one_by_one(names: Sequence[str]) -> None:
        for name in names:
            store.delete(name)

    def timed(delete: Callable[[Sequence[str]], None]) -> float:
        names = _written(folder / "store", objects)
        seconds = seconds_of(partial(delete, names))
        if list(store.list()):
            raise SystemExit("objects are left that were deleted: nothing was measured")
        return seconds

    bare = partial(timed, partial(_unlink_and_sync, folder / "store"))
    compared = compare(partial(timed, store.delete_many), bare, turns)
    report.add("folder_over_unlink_sync", compared)
    report.add("one_by_one_over_unlink_sync", compare(partial(timed, one_by_one), bare, turns))


def _written(root: Path, count: int) -> list[str]:
    """Put files where the store keeps objects, and have the disk hold them."""
    names = [f"{new_id()}.1" for _ in range(count)]
    for name in names:
        path = root / name[:2] / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(65536))
    _sync(root, names)
    return names


def _unlink_and_sync(root: Path, names: Sequence[str]) -> None:
    for name in names:
        (root / name[:2] / name).unlink()
    _sync(root, names)


def _sync(root: Path, names: Sequence[str]) -> None:
    for part in sorted({name[:2] for name in names}):
        number = os.open(root / part, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(number)
        os.close(number)


def measure_due(report: Report, folder: Path, rows: int, turns: int) -> None:
    """Compare finding what is due among many rows and among few."""
    clinics = {count: _with_due(folder / str(count), count) for count in (rows, 2 * DUE)}
    many, few = (partial(_find, clinic) for clinic in clinics.values())
    report.add("due_among_many_over_few", compare(many, few, turns))
    report.figures |= {"rows_many": rows, "rows_few": 2 * DUE, "rows_due": DUE}
    for clinic in clinics.values():
        clinic.ctx.keyring.close()
        clinic.ctx.engine.dispose()


def _with_due(folder: Path, rows: int) -> Clinic:
    """Return a clinic with so many films, of which some are due today."""
    folder.mkdir()
    clinic = open_embedded(folder)
    family_with(clinic, rows)
    with clinic.ctx.begin() as uow:
        due = list(uow.session.scalars(select(Asset.id).order_by(Asset.id).limit(DUE)))
        uow.session.execute(
            update(Asset).where(Asset.id.in_(due)).values(due_on=london_day(uow.at))
        )
    return clinic


def _find(clinic: Clinic) -> float:
    with clinic.ctx.read() as session:
        began = time.perf_counter()
        found = retention_plan.candidates(clinic.ctx, session, clinic.clock.now())
        seconds = time.perf_counter() - began
    count = sum(map(len, found.values()))
    if count != DUE:
        raise SystemExit(f"{count} things are due, not {DUE}: nothing was measured")
    return seconds


def measure(objects: int, rows: int, turns: int, folder: Path) -> Report:
    """Measure everything, with all files in `folder`."""
    report = Report("deletion", GOALS)
    report.peers |= {"sqlite3": sqlite3.sqlite_version, "linux": os.uname().release}
    measure_folder(report, folder, objects, turns)
    measure_due(report, folder, rows, turns)
    return report


def main() -> None:
    """Read the options, measure, print, and leave nothing behind."""
    parser = argparse.ArgumentParser(description="Measure deletion and finding what is due.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--objects", type=int, default=1000, help="objects deleted in each turn")
    parser.add_argument("--rows", type=int, default=100_000, help="how many rows the many are")
    parser.add_argument("--turns", type=int, default=5, help="turns that count")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        report = measure(options.objects, options.rows, options.turns, Path(folder))
    report.show(options.json)


if __name__ == "__main__":
    main()

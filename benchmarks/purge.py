"""What erasing many films costs beside deleting their rows: `python -m benchmarks.purge [--json]`.

`purge` carries out one order of retention from its first step to its certificate, with one worker:
keys destroyed after the journal's durable line, wraps and objects gone, an inventory, a tombstone
and an audit entry for each film, everything read back. `delete` is the least that a database does
to forget the same films: one `DELETE` for each table, in one transaction of plain `sqlite3` on a
copy, as safe as ours, foreign keys checked; no keys, no objects, no proof. A purge stays far from
that, since it writes three rows of proof for each film, and no goal stands on it. `one_by_one` is
the same film by film, each in a transaction of its own: what a loop does.
"""

import argparse
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from sqlalchemy import select

from benchmarks.measure import Compared, Report, medians, seconds_of
from benchmarks.withdrawal import copy_database, family_with, open_embedded
from consent_service.db.engine import PRAGMAS
from consent_service.db.models.recordings import Asset
from consent_service.db.queries.erasure import OrderScope
from consent_service.domain.erasure import OrderCause
from consent_service.services import erasure
from consent_service.services.erasure_keys import ERASER
from tests.support.clinic import Clinic

GOALS = {"purge_over_one_by_one": 1 / 0.6}
TABLES = ("asset_wrap", "depicted_person", "asset")
"""Where a film has rows, and by which column they are found: its id in the last."""

Delete = Callable[[sqlite3.Connection, Sequence[str]], None]


def ordered(clinic: Clinic, films: int) -> tuple[str, list[str]]:
    """Return a new order of retention for so many films of a family, and their ids."""
    family, _film = family_with(clinic, films)
    with clinic.ctx.begin() as uow:
        mine = select(Asset.id).where(Asset.involvement_id == family.involvement)
        ids = sorted(uow.session.scalars(mine))
        wanted = erasure.OrderErasure(
            family.involvement, OrderCause.RETENTION, OrderScope(assets=tuple(ids)), uow.at
        )
        return erasure.order_erasure(uow, ERASER, wanted).id, ids


def purge(clinic: Clinic, order: str) -> None:
    """Carry an order out to its end."""
    if not erasure.carry_out(clinic.ctx, order, "benchmark"):
        raise SystemExit("an order was not carried out: nothing was measured")


def delete_at_once(bare: sqlite3.Connection, films: Sequence[str]) -> None:
    """Delete every row of the films in one transaction."""
    bare.execute("CREATE TEMP TABLE going (id TEXT PRIMARY KEY)")
    bare.executemany("INSERT INTO going VALUES (?)", [(film,) for film in films])
    bare.execute("BEGIN IMMEDIATE")
    for table in TABLES:
        column = "id" if table == "asset" else "asset_id"
        bare.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT id FROM going)")
    bare.execute("COMMIT")


def delete_one_by_one(bare: sqlite3.Connection, films: Sequence[str]) -> None:
    """Delete the rows of each film in a transaction of its own."""
    for film in films:
        bare.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            column = "id" if table == "asset" else "asset_id"
            bare.execute(f"DELETE FROM {table} WHERE {column} = ?", (film,))
        bare.execute("COMMIT")


def _raw_seconds(copy: Path, films: Sequence[str], delete: Delete) -> float:
    with closing(sqlite3.connect(copy, isolation_level=None)) as bare:
        for pragma in PRAGMAS:
            bare.execute(pragma)
        seconds = seconds_of(partial(delete, bare, films))
        if bare.execute("SELECT count(*) FROM asset WHERE id = ?", films[:1]).fetchone() != (0,):
            raise SystemExit("a film is left that was deleted: nothing was measured")
    return seconds


def measure(films: int, turns: int, folder: Path) -> Report:
    """Measure everything, with all files in `folder`."""
    report = Report("purge", GOALS)
    report.peers["sqlite3"] = sqlite3.sqlite_version
    report.figures["films"] = films
    clinic = open_embedded(folder)
    pairs: dict[str, list[tuple[float, float]]] = {"delete": [], "one_by_one": []}
    for _ in range(turns + 1):
        order, ids = ordered(clinic, films)
        raw = {}
        for name, delete in (("delete", delete_at_once), ("one_by_one", delete_one_by_one)):
            copy = folder / "raw.sqlite3"
            copy_database(folder / "consent.sqlite3", copy)
            raw[name] = _raw_seconds(copy, ids, delete)
        ours = seconds_of(partial(purge, clinic, order))
        for name, theirs in raw.items():
            pairs[name].append((ours, theirs))
    for name, found in pairs.items():
        compared: Compared = medians(found[1:])
        report.add(f"purge_over_{name}", compared)
        report.figures["purge_us_per_film"] = round(compared.ours * 1e6 / films, 1)
    clinic.ctx.keyring.close()
    clinic.ctx.engine.dispose()
    return report


def main() -> None:
    """Read the options, measure, print, and leave nothing behind."""
    parser = argparse.ArgumentParser(description="Measure what erasing many films costs.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--films", type=int, default=2000, help="how many go in each turn")
    parser.add_argument("--turns", type=int, default=3, help="turns that count")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        report = measure(options.films, options.turns, Path(folder))
    report.show(options.json)


if __name__ == "__main__":
    main()

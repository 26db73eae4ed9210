"""How long one question about consent takes among many answers: `python -m benchmarks.permission`.

One family's consent is copied, row by row and with ids of its own, until the table holds as many
decisions as asked for. Then films and people are picked by chance: *check* is what every use of
film asks, *state* is what the API and the pages read of a person, *select* is a bare look-up of one
person's decisions by the same index, in plain `sqlite3`.
"""

import argparse
import random
import sqlite3
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Table, func, insert, select
from sqlalchemy.orm import Session

from benchmarks.measure import Report, seconds_of
from benchmarks.withdrawal import open_embedded
from consent_service.db.base import Base
from consent_service.db.models.consent import ConsentDecision
from consent_service.db.models.recordings import Asset
from consent_service.domain.purposes import CARE
from consent_service.ids import new_id
from consent_service.services import consent, permission
from tests.support.clinic import Clinic, Family

GOALS = {"check_p95_ms": 1.0, "state_p95_ms": 1.0}
COPIED = (
    ("person", "id"),
    ("parental_responsibility", "child_id"),
    ("involvement", "id"),
    ("involvement_person", "involvement_id"),
    ("leaflet_issue", "involvement_id"),
    ("consent_act", "involvement_id"),
    ("consent_decision", "involvement_id"),
    ("asset", "involvement_id"),
    ("depicted_person", "person_id"),
)
"""Tables that a family fills, parents first, and by which column its rows are found."""
_AT_ONCE = 200
_WARMING = 30


@dataclass(frozen=True)
class Filled:
    """A database full of families: what may be asked about."""

    clinic: Clinic
    decisions: int
    films: Sequence[str]
    people: Sequence[str]


def fill(folder: Path, decisions: int) -> Filled:
    """Return a clinic with at least that many decisions, all of families alike."""
    clinic = open_embedded(folder)
    family = clinic.family()
    clinic.both_consent(family)
    clinic.stores_film(family)
    with clinic.ctx.begin() as uow:
        rows = {name: _rows(uow.session, family, name, column) for name, column in COPIED}
    families = decisions // len(rows["consent_decision"]) + 1
    for start in range(0, families, _AT_ONCE):
        _copy(clinic, rows, min(_AT_ONCE, families - start))
    with clinic.ctx.read() as session:
        chance = random.Random(20261102)
        films = sorted(session.scalars(select(Asset.id)))
        people = sorted(session.scalars(select(ConsentDecision.person_id).distinct()))
        held = session.scalar(select(func.count()).select_from(ConsentDecision)) or 0
    return Filled(clinic, held, chance.sample(films, 330), chance.sample(people, 330))


def _rows(session: Session, family: Family, name: str, column: str) -> list[dict[str, Any]]:
    table = Base.metadata.tables[name]
    wanted = (*family.everyone, family.involvement)
    found = session.execute(select(table).where(table.c[column].in_(wanted)))
    return [dict(row) for row in found.mappings()]


def _copy(clinic: Clinic, rows: dict[str, list[dict[str, Any]]], families: int) -> None:
    """Insert every row once for each family, each id replaced by one of the family's own."""
    own = {row["id"] for found in rows.values() for row in found if "id" in row}
    names = [{identifier: new_id() for identifier in own} for _ in range(families)]
    with clinic.ctx.begin() as uow:
        for name, found in rows.items():
            table = Base.metadata.tables[name]
            made = [_renamed(table, row, ids) for ids in names for row in found]
            uow.session.execute(insert(table), made)


def _renamed(table: Table, row: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    made = {
        column: ids.get(value, value) if isinstance(value, str) else value
        for column, value in row.items()
    }
    if table.name == "asset":
        made |= {"asset_key_id": new_id(), "blob": f"{made['id']}.1"}
    return made


def _p95_ms(ask: Callable[[str], object], about: Sequence[str]) -> tuple[float, float]:
    """Return median and 95th percentile of asking once about each, in milliseconds.

    The first few warm up: they are not counted, and not asked about again.
    """
    for one in about[:_WARMING]:
        ask(one)
    times = [seconds_of(partial(ask, one)) * 1000 for one in about[_WARMING:]]
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def measure(decisions: int, folder: Path) -> Report:
    """Measure everything, with all files in `folder`."""
    report = Report("permission", GOALS)
    report.peers["sqlite3"] = sqlite3.sqlite_version
    filled = fill(folder, decisions)
    clinic, ctx = filled.clinic, filled.clinic.ctx
    report.figures["decisions"] = filled.decisions
    now = clinic.clock.now()

    def state(person: str) -> object:
        return consent.state(ctx, clinic.ig, person, None, None)

    with ctx.read() as session:

        def check(film: str) -> object:
            asset = session.get_one(Asset, film)
            found = permission.check(ctx, session, asset, CARE, now, clinic.guider)
            if not found.permitted:
                raise SystemExit("nobody may see the film: nothing was measured")
            return found

        middle = {"check": _note(report, "check", check, filled.films)}
    middle["state"] = _note(report, "state", state, filled.people)
    with closing(sqlite3.connect(folder / "consent.sqlite3")) as bare:
        plain = _note(report, "select", partial(_select, bare), filled.people)
    for name, number in middle.items():
        report.ratios[f"{name}_over_select"] = round(number / plain, 1)
    ctx.keyring.close()
    ctx.engine.dispose()
    return report


def _note(report: Report, name: str, ask: Callable[[str], object], about: Sequence[str]) -> float:
    middle, high = _p95_ms(ask, about)
    report.figures[f"{name}_p50_ms"] = round(middle, 3)
    report.figures[f"{name}_p95_ms"] = round(high, 3)
    return middle


def _select(bare: sqlite3.Connection, person: str) -> object:
    query = "SELECT id, answer, event_at FROM consent_decision WHERE person_id = ? AND purpose = ?"
    return bare.execute(query, (person, CARE)).fetchall()


def main() -> None:
    """Read the options, measure, print, and leave nothing behind."""
    parser = argparse.ArgumentParser(description="Measure how long a question of consent takes.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--decisions", type=int, default=100_000, help="how many there are")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        report = measure(options.decisions, Path(folder))
    report.show(options.json)


if __name__ == "__main__":
    main()

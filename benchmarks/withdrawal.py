"""How long a stop takes, for 10 and for 10,000 films: `python -m benchmarks.withdrawal [--json]`.

Everything is as embedded: SQLite, a folder, keys and journal in files. *Unreadable* is from
calling `withdraw` until opening a film is refused and the consent key is destroyed. *Transaction*
is the time inside the withdrawal's own transaction, Python included; `raw` writes the same rows
in one transaction of plain `sqlite3`, on a copy of the database made just before.
*Acknowledged* is the time inside all transactions of the call, up to the key's end.
"""

import argparse
import gc
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import event, insert

from benchmarks.measure import Report, compare, medians, seconds_of
from consent_service.clock import FixedClock
from consent_service.db.engine import PRAGMAS
from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset, AssetWrap, DepictedPerson
from consent_service.db.queries.consent import yes_decisions
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import AssetKind, AssetState, Depiction, RecordClass
from consent_service.domain.purposes import CARE
from consent_service.errors import Gone
from consent_service.ids import new_id
from consent_service.services import viewing
from consent_service.services.context import Context
from consent_service.settings import Settings
from consent_service.vault.keyring import KeyKind, KeyStatus
from consent_service.vault.keyring_values import NewKey
from tests.support.clinic import Clinic, Family, build_schema, furnish_clinic, sample_film

FEW = 10
GOALS = {
    "unreadable_10000_over_10": 1.5,
    "transaction_over_raw": 2.5,
    "unreadable_10000_s": 1.0,
}
_WRITES = ("INSERT", "UPDATE", "DELETE")
_ROWS_AT_ONCE = 2000


@dataclass(frozen=True)
class TimedContext(Context):
    """A context that notes how long each of its transactions was open, in seconds."""

    transactions: list[float] = field(default_factory=list)

    @contextmanager
    def begin(self) -> Iterator[UnitOfWork]:
        """Open a writing transaction and time it, commit included, but not what follows it."""
        began = time.perf_counter()
        with super().begin() as uow:
            uow.after_commit(lambda: self.transactions.append(time.perf_counter() - began))
            yield uow


def open_embedded(folder: Path) -> Clinic:
    """Return a clinic as it is on one machine: everything in files under `folder`."""
    settings = Settings(data_dir=folder, database_url=f"sqlite:///{folder / 'consent.sqlite3'}")
    build_schema(settings.database_url)
    at = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    clinic = furnish_clinic(settings.filled(), FixedClock(at))
    gc.collect()
    gc.freeze()  # as a process that serves does
    return clinic


def family_with(clinic: Clinic, films: int) -> tuple[Family, str]:
    """Return a family that consented and has `films` films, one of them real; and that one's id.

    The others are rows, keys and wraps without an object: nothing looks at objects here.
    """
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family, sample_film())
    clinic.passes(minutes=1)
    _multiply(clinic, family, film.id, films - 1)
    clinic.ctx.viewings.forget_all()
    return family, film.id


def unreadable_seconds(clinic: Clinic, films: int) -> float:
    """Return how long it takes until nobody can open a film of a mother who withdraws."""
    family, film = family_with(clinic, films)
    with clinic.ctx.read() as session:
        care_keys = yes_decisions(session, family.involvement, family.mother, CARE)
    began = time.perf_counter()
    clinic.withdraws(family, family.mother)
    _require_closed(clinic, film, care_keys)
    return time.perf_counter() - began


def measure_unreadable(report: Report, clinic: Clinic, films: int, turns: int) -> None:
    """Compare a stop for many films with one for few."""
    compared = compare(
        partial(unreadable_seconds, clinic, films), partial(unreadable_seconds, clinic, FEW), turns
    )
    report.ratios[f"unreadable_{films}_over_{FEW}"] = round(compared.ratio, 3)
    report.figures[f"unreadable_{films}_s"] = round(compared.ours, 4)
    report.figures[f"unreadable_{FEW}_s"] = round(compared.theirs, 4)


def measure_transaction(report: Report, clinic: Clinic, folder: Path, turns: int) -> None:
    """Compare the withdrawal's transactions with the same rows written raw."""
    first: list[tuple[float, float]] = []
    whole: list[tuple[float, float]] = []
    for _ in range(turns + 1):
        family, _film = family_with(clinic, FEW)
        copy = folder / "raw.sqlite3"
        copy_database(folder / "consent.sqlite3", copy)
        timed = TimedContext(**{f.name: getattr(clinic.ctx, f.name) for f in fields(clinic.ctx)})
        writes: list[list[tuple[str, Any]]] = []
        with _listening(clinic, writes):
            Clinic(timed, clinic.clock, clinic.team, clinic.guider).withdraws(family, family.mother)
        raw_first = _raw_seconds(copy, writes[0])
        first.append((timed.transactions[0], raw_first))
        whole.append((sum(timed.transactions), raw_first))
        report.figures["transactions"] = len(timed.transactions)
        report.figures["rows"] = len(writes[0])
    report.add("transaction_over_raw", medians(first[1:]))
    report.ratios["acknowledged_over_raw"] = round(medians(whole[1:]).ratio, 3)


def _require_closed(clinic: Clinic, film: str, care_keys: Sequence[str]) -> None:
    try:
        viewing.open_film(clinic.ctx, clinic.guider, film, CARE)
    except Gone:
        states = set(clinic.ctx.keyring.status(care_keys).values())
        if states == {KeyStatus.DESTROYED}:
            return
    raise SystemExit("the film can still be opened: nothing was measured")


def _multiply(clinic: Clinic, family: Family, film: str, times: int) -> None:
    """Insert `times` films like `film`, with keys of their own."""
    with clinic.ctx.begin() as uow:
        session = uow.session
        shard = session.get_one(Involvement, family.involvement).shard
        wrap = session.get_one(AssetWrap, (film, CARE))
        ids = [(new_id(), new_id()) for _ in range(times)]
        for start in range(0, times, _ROWS_AT_ONCE):
            part = ids[start : start + _ROWS_AT_ONCE]
            session.execute(insert(Asset), [_asset(family, shard, uow, *one) for one in part])
            session.execute(
                insert(DepictedPerson),
                [
                    {
                        "asset_id": asset,
                        "person_id": person,
                        "depiction": Depiction.DEPICTED,
                        "added_by": family.mother,
                        "added_at": uow.at,
                    }
                    for asset, _ in part
                    for person in family.everyone
                ],
            )
            session.execute(
                insert(AssetWrap),
                [
                    {
                        "asset_id": asset,
                        "purpose": CARE,
                        "generation": 1,
                        "key_ids": wrap.key_ids,
                        "wrapped": wrap.wrapped,
                        "made_at": uow.at,
                    }
                    for asset, _ in part
                ],
            )
    for start in range(0, times, _ROWS_AT_ONCE):
        clinic.ctx.keyring.create_many(
            [NewKey(key, KeyKind.ASSET, shard) for _, key in ids[start : start + _ROWS_AT_ONCE]],
            clinic.clock.now(),
        )


def _asset(family: Family, shard: int, uow: UnitOfWork, asset: str, key: str) -> dict[str, Any]:
    return {
        "id": asset,
        "kind": AssetKind.RECORDING,
        "involvement_id": family.involvement,
        "state": AssetState.STORED,
        "record_class": RecordClass.TRANSITORY,
        "shard": shard,
        "generation": 1,
        "asset_key_id": key,
        "filmed_on": uow.at.date(),
        "created_by": family.mother,
        "created_at": uow.at,
        "version": 1,
    }


@contextmanager
def _listening(clinic: Clinic, writes: list[list[tuple[str, Any]]]) -> Iterator[None]:
    """Note every row that is written, transaction by transaction."""

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith(_WRITES):
            writes[-1].append((statement, parameters))

    def begin(_conn: Any) -> None:
        if not writes or writes[-1]:
            writes.append([])

    engine = clinic.ctx.engine
    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "begin", begin)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", note)
        event.remove(engine, "begin", begin)


def _raw_seconds(path: Path, writes: Sequence[tuple[str, Any]]) -> float:
    """Return how long the rows take in one transaction on an open connection, as safe as ours."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in PRAGMAS:
            connection.execute(pragma)
        return seconds_of(partial(_write_raw, connection, writes))


def _write_raw(connection: sqlite3.Connection, writes: Sequence[tuple[str, Any]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement, parameters in writes:
        if isinstance(parameters, list):
            connection.executemany(statement, parameters)
        else:
            connection.execute(statement, parameters)
    connection.execute("COMMIT")


def copy_database(source: Path, target: Path) -> None:
    """Copy a database of SQLite as it stands, nothing left of what `target` was."""
    for ending in ("", "-wal", "-shm"):
        target.with_name(f"{target.name}{ending}").unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(target)) as there:
        here.backup(there)


def measure(films: int, turns: int, folder: Path) -> Report:
    """Measure everything, with all files in `folder`."""
    report = Report("withdrawal", GOALS)
    report.peers["sqlite3"] = sqlite3.sqlite_version
    clinic = open_embedded(folder)
    measure_transaction(report, clinic, folder, turns * 2)
    measure_unreadable(report, clinic, films, turns)
    clinic.ctx.keyring.close()
    clinic.ctx.engine.dispose()
    return report


def main() -> None:
    """Read the options, measure, print, and leave nothing behind."""
    parser = argparse.ArgumentParser(description="Measure how long a withdrawal takes.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--films", type=int, default=10_000, help="how many the many are")
    parser.add_argument("--turns", type=int, default=5, help="turns that count")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        report = measure(options.films, options.turns, Path(folder))
    report.show(options.json)


if __name__ == "__main__":
    main()

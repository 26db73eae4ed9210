"""The audit log beside the work it is added to: `python -m benchmarks.audit [--json]`.

`consent_with_entries` and `consent` are the recording of one consent, keys included, with and
without its audit entries; `bare_with_entry` and `bare` a durable transaction of six rows and no
other work. `verify_database` and `verify_export` stand beside `sha256`: hashing each body once
and nothing else, which no log in one process of Python can beat (the database is verified by as
many as there are processors). `proof` is one inclusion proof, nothing cached.
SQLite, on the disk where `--folder` lies.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, insert, text

from benchmarks.measure import Report, compare, seconds_of
from consent_service.db import audit_export, audit_log, audit_verify, schema
from consent_service.db.audit_log import AppendedEntry
from consent_service.db.engine import open_engine
from consent_service.db.models.audit import AuditEntry
from consent_service.db.unit_of_work import UnitOfWork, begin, read
from consent_service.domain.audit import (
    Actor,
    ActorKind,
    AuditEvent,
    EventKind,
    body,
    instant_text,
)
from consent_service.domain.audit_check import Trust, VerifyReport
from consent_service.domain.merkle import HASH_BYTES
from consent_service.ids import new_id
from consent_service.services.context import Context
from consent_service.vault.signing import Signer, SigningUse
from tests.support.clinic import build_schema, open_clinic

LOG = "log.benchmark.example"
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
VIEWER = Actor(ActorKind.USER, "2c" * 16)
GOALS = {
    "consent_with_entries_over_consent": 1.1,
    "proof_ms": 10.0,
    "verify_database_us_per_entry": 1e6 / 300_000,
    "verify_export_us_per_entry": 1e6 / 300_000,
}
_BATCH = 10_000


@dataclass
class Log:
    """A log of so many entries in a folder, and the key that signs it."""

    folder: Path
    entries: int
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    at: datetime = START

    def __post_init__(self) -> None:
        """Make the tables of the service."""
        self.engine: Engine = open_engine(f"sqlite:///{self.folder / 'benchmark.db'}")
        schema.upgrade(self.engine)

    @property
    def trust(self) -> Trust:
        """The public key."""
        return Trust([self.key.public_key()])

    def fill(self) -> None:
        """Put the entries in as `append` writes them, many at a time."""
        for _ in range(0, self.entries, _BATCH):
            rows = [self._row() for _ in range(_BATCH)]
            with begin(self.engine, self.at) as uow:
                uow.session.execute(insert(AuditEntry), rows)

    def _row(self) -> dict[str, object]:
        self.at += timedelta(milliseconds=1)
        event = _film_viewed()
        entry_id = new_id()
        return {
            "id": entry_id,
            "at": instant_text(self.at),
            "kind": event.kind.value,
            "actor": str(event.actor),
            "subject": event.subject,
            "involvement": event.involvement,
            "body": body(event, entry_id, self.at),
        }

    def seal(self) -> None:
        """Seal everything, ten thousand entries under each head."""
        signer = Signer(SigningUse.LOG, self.key)
        sealed = True
        while sealed:
            with begin(self.engine, self.at) as uow:
                sealed = audit_log.seal(uow.session, signer, LOG, self.at, _BATCH) is not None

    def verify(self) -> None:
        """Verify the database."""
        with read(self.engine) as session:
            _require_sound(audit_verify.verify(session, self.trust, self.at), self.entries)

    def bodies(self) -> list[bytes]:
        """Return the bodies of all entries."""
        with read(self.engine) as session:
            return list(session.scalars(text("SELECT body FROM audit_entry")))

    def proof_seconds(self, index: int) -> float:
        """Return how long one proof takes, from the id to the path."""
        place = text('SELECT entry_id FROM audit_leaf WHERE epoch = 1 AND "index" = :index')
        with read(self.engine) as session:
            entry_id = session.scalar(place, {"index": index})
            return seconds_of(partial(audit_log.inclusion_proof, session, str(entry_id)))


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="./dev bench audit", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--entries", type=int, default=200_000, help="a multiple of 10,000")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to measure (default: temporary)")
    options = parser.parse_args()
    report = Report("audit", GOALS, {"hashlib.sha256": "one per body"})
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        log = Log(Path(folder), options.entries)
        _measure_consents(report, log.folder / "clinic", 10 * options.turns)
        _measure_bare(report, log, 40 * options.turns)
        _measure_log(report, log, options.turns)
        log.engine.dispose()
    report.show(options.json)


class Unrecorded(Context):
    """The same service, but that what it records is thrown away."""

    @contextmanager
    def begin(self) -> Iterator[UnitOfWork]:
        """Open a transaction whose `record` does nothing."""
        with super().begin() as uow:
            thrown_away = AppendedEntry(new_id(), bytes(HASH_BYTES))
            setattr(uow, "record", lambda event: thrown_away)  # noqa: B010
            yield uow


def _measure_consents(report: Report, folder: Path, turns: int) -> None:
    """Record consents of families that were made before, by turns with and without entries."""
    folder.mkdir()
    url = f"sqlite:///{folder / 'clinic.db'}"
    build_schema(url)
    clinic = open_clinic(url, folder)
    recorded = clinic.ctx
    parts = {part.name: getattr(recorded, part.name) for part in fields(recorded)}
    unrecorded = Unrecorded(**parts)
    families = iter([clinic.family() for _ in range(2 * turns + 2)])

    def consents(ctx: Context) -> float:
        family = next(families)
        clinic.ctx = recorded
        answers = clinic.answers(family, family.mother)
        clinic.ctx = ctx
        return seconds_of(partial(clinic.captures, family, family.mother, answers))

    compared = compare(partial(consents, recorded), partial(consents, unrecorded), turns)
    report.add("consent_with_entries_over_consent", compared)
    recorded.engine.dispose()


def _measure_bare(report: Report, log: Log, turns: int) -> None:
    with log.engine.begin() as connection:
        connection.execute(text("CREATE TABLE bare (id TEXT PRIMARY KEY, act TEXT, said TEXT)"))

    def acts(recorded: bool) -> None:
        row = {"act": new_id(), "said": "yes"}
        with begin(log.engine, log.at) as uow:
            for _ in range(6):
                insert_row = text("INSERT INTO bare VALUES (:id, :act, :said)")
                uow.session.execute(insert_row, row | {"id": new_id()})
            if recorded:
                uow.record(_film_viewed())

    with_entry, without = partial(acts, True), partial(acts, False)
    compared = compare(partial(seconds_of, with_entry), partial(seconds_of, without), turns)
    report.add("bare_with_entry_over_bare", compared)
    log.seal()


def _measure_log(report: Report, log: Log, turns: int) -> None:
    with read(log.engine) as session:
        head = audit_log.latest_checkpoint(session)
    recorded = head.size if head else 0
    log.fill()
    report.figures["seal_us_per_entry"] = _per_entry(seconds_of(log.seal), log)
    log.entries += recorded
    bodies = log.bodies()
    hashing = partial(seconds_of, partial(_hash_all, bodies))
    exported = log.folder / "log.ndjson"
    with read(log.engine) as session, exported.open("wb") as out:
        report.figures["export_us_per_entry"] = _per_entry(
            seconds_of(lambda: audit_export.export(session, out)), log
        )
    offline = partial(_verify_file, exported, log)
    works: dict[str, Callable[[], None]] = {"database": log.verify, "export": offline}
    for name, work in works.items():
        compared = compare(partial(seconds_of, work), hashing, turns)
        report.add(f"verify_{name}_over_sha256", compared)
        report.figures[f"verify_{name}_us_per_entry"] = _per_entry(compared.ours, log)
        per_second = round(log.entries / compared.ours)
        report.figures[f"verify_{name}_entries_per_second"] = per_second
    proofs = [log.proof_seconds(log.entries * part // 100) for part in range(1, 100, 5)]
    report.figures["proof_ms"] = round(statistics.median(proofs) * 1000, 2)


def _verify_file(path: Path, log: Log) -> None:
    _require_sound(audit_export.verify_export(path, log.trust), log.entries)


def _require_sound(report: VerifyReport, entries: int) -> None:
    if not report.ok or report.entries != entries:
        raise SystemExit(f"the log that was measured is not sound: {report}")


def _hash_all(bodies: list[bytes]) -> None:
    for found in bodies:
        sha256(found).digest()


def _film_viewed() -> AuditEvent:
    return AuditEvent(EventKind.FILM_VIEWED, VIEWER, new_id(), "3d" * 16, {"purpose": "care"})


def _per_entry(seconds: float, log: Log) -> float:
    return round(seconds * 1e6 / log.entries, 2)


if __name__ == "__main__":
    main()

"""Questions asked at every use of film go by an index, and by as many statements as ever."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Connection, event

from consent_service.db.models.recordings import Asset
from consent_service.db.queries import retention
from consent_service.domain.purposes import CARE
from consent_service.domain.retention import RECORDING
from consent_service.services import consent, permission
from tests.support.clinic import Clinic, Family


@dataclass(frozen=True)
class Asked:
    """A family with a film, among others."""

    clinic: Clinic
    family: Family
    film: str


Ask = Callable[[Asked], object]


def _check(asked: Asked) -> object:
    clinic = asked.clinic
    with clinic.ctx.read() as session:
        film = session.get_one(Asset, asked.film)
        now = clinic.clock.now()
        return permission.check(clinic.ctx, session, film, CARE, now, clinic.guider)


def _state(asked: Asked) -> object:
    clinic = asked.clinic
    return consent.state(clinic.ctx, clinic.guider, asked.family.mother, None, None)


def _due(asked: Asked) -> object:
    with asked.clinic.ctx.read() as session:
        return list(retention.due_assets(session, asked.clinic.today))


def _quiet(asked: Asked) -> object:
    with asked.clinic.ctx.read() as session:
        return retention.assets_of_the_quiet(session, asked.clinic.clock.now())


def _class(asked: Asked) -> object:
    with asked.clinic.ctx.read() as session:
        return retention.standing_under(session, RECORDING, 100)


@contextmanager
def _ran(clinic: Clinic) -> Iterator[list[tuple[str, Any]]]:
    """Collect the reading statements that run meanwhile, with their parameters."""
    found: list[tuple[str, Any]] = []

    def note(_conn: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT"):
            found.append((statement, parameters))

    event.listen(clinic.ctx.engine, "before_cursor_execute", note)
    yield found
    event.remove(clinic.ctx.engine, "before_cursor_execute", note)


def _scans(connection: Connection, statement: str, parameters: Any) -> list[str]:
    """Return the lines of the plan that read a whole table though an index is preferred."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return [row[3] for row in rows if row[3].startswith("SCAN")]
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
    return [row[0] for row in rows if "Seq Scan" in row[0]]


@pytest.mark.parametrize(
    ("ask", "most"),
    [
        pytest.param(_check, 6, id="permission"),
        pytest.param(_state, 6, id="state"),
        pytest.param(_due, 1, id="due"),
        pytest.param(_quiet, 1, id="quiet"),
        pytest.param(_class, 1, id="class"),
    ],
)
def test_a_question_goes_by_indexes_in_few_statements(clinic: Clinic, ask: Ask, most: int) -> None:
    """A clinic with a million answers must watch a film as soon as one with ten."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"PHOTO.KEEP"}))
    asked = Asked(clinic, family, clinic.stores_film(family).id)

    with _ran(clinic) as statements:
        ask(asked)

    assert 0 < len(statements) <= most
    with clinic.ctx.engine.connect() as connection:
        scans = {s: _scans(connection, s, p) for s, p in statements}
    assert not {s: lines for s, lines in scans.items() if lines}


def test_a_stop_is_written_after_four_questions(clinic: Clinic) -> None:
    """Nobody else writes while a stop is written, and a parent waits for it.

    The family, who belongs to it, what was agreed, and whether the same stop stands already.
    """
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(minutes=1)
    locking = clinic.ctx.engine.dialect.name == "postgresql"
    first: list[list[str]] = []

    def note_the_first(_connection: Connection) -> None:
        first.append([statement for statement, _ in statements])

    event.listen(clinic.ctx.engine, "commit", note_the_first)
    with _ran(clinic) as statements:
        clinic.withdraws(family, family.mother)
    event.remove(clinic.ctx.engine, "commit", note_the_first)

    assert len(first[0]) == 4 + locking


def test_a_table_read_whole_is_noticed(clinic: Clinic) -> None:
    """Otherwise the test above could not fail."""
    whole = "SELECT id FROM consent_decision WHERE statement = 'CARE.TALK'"

    with clinic.ctx.engine.connect() as connection:
        assert _scans(connection, whole, ())

"""The operator's check says what is wrong, also when most is."""

from dataclasses import replace

from consent_service.db.engine import open_engine
from consent_service.services import checks
from tests.support.clinic import Clinic


def test_a_database_that_is_away_is_one_line_among_others(clinic: Clinic) -> None:
    """Whoever looks for the fault needs every line, and no address with a password in it."""
    away = open_engine("postgresql+psycopg://keeper:hush@127.0.0.1:1/film")

    lines = checks.check(replace(clinic.ctx, engine=away))

    found = {line.what: line for line in lines}
    assert found["database"].state == checks.FAULT
    assert found["film store"].state == checks.OK
    assert not [line for line in lines if "hush" in line.finding]


def test_the_time_is_said_as_people_say_it(clinic: Clinic) -> None:
    """An operator compares it with the clock on the wall, in the zone of the wall."""
    found = {line.what: line.finding for line in checks.check(clinic.ctx)}

    assert found["clock"] == "2 November 2026, 9:30am GMT"

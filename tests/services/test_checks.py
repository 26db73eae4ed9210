"""The operator's check says what is wrong, also when most is."""

from dataclasses import replace
from pathlib import Path

import pytest

from consent_service.db.engine import open_engine
from consent_service.errors import Refused, Unavailable
from consent_service.services import checks
from consent_service.services.context import Context
from tests.support.clinic import Clinic
from tests.support.installation import settings_for

PLACE = "place of the journal"
JOURNAL = ("journal", "bucket of the journal")


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


def with_journal_in_a_bucket(clinic: Clinic, **more: str) -> Context:
    """The clinic's Context with settings that say so."""
    where = {"journal_url": "s3://journal/clinic?endpoint=https://s3.example", **more}
    return replace(clinic.ctx, settings=clinic.ctx.settings.model_copy(update=where))


def test_a_journal_in_the_bucket_of_the_film_is_warned_of(clinic: Clinic) -> None:
    """Film is deleted there every day, by credentials that would delete the journal as well."""
    for bucket, server, warned in (
        ("journal", "https://s3.example", True),
        ("film", "https://s3.example", False),
        ("journal", "https://other.example", False),
    ):
        ctx = with_journal_in_a_bucket(clinic, blob_url=f"s3://{bucket}/x?endpoint={server}")
        found = [line for line in checks.check_settings(ctx.settings) if line.what == PLACE]
        assert [line.state for line in found] == [checks.WARNING] * warned


@pytest.mark.parametrize("kept", [True, False])
def test_an_operator_is_told_whether_the_bucket_itself_keeps_the_journal(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """The chain shows that a line was deleted; only the bucket can prevent it."""
    ctx = with_journal_in_a_bucket(clinic)
    monkeypatch.setattr(ctx.journal, "is_write_once", lambda: kept)

    found = [line for line in checks.check(ctx) if line.what in JOURNAL]

    assert [line.state for line in found] == [checks.OK, checks.OK if kept else checks.WARNING]


def test_an_operator_is_told_what_to_grant_where_nobody_may_ask_the_bucket(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """*May not ask* is not *no*: the bucket may be as it should be, and nobody would know."""
    ctx = with_journal_in_a_bucket(clinic)

    def may_not() -> None:
        raise Refused("Grant them this.", code="may_not_ask")

    monkeypatch.setattr(ctx.journal, "is_write_once", may_not)

    found = [line for line in checks.check(ctx) if line.what in JOURNAL]

    assert [line.state for line in found] == [checks.OK, checks.WARNING]
    assert found[1].finding == "Grant them this."


def test_a_bucket_that_is_away_is_said_once(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lines for one fault would send somebody looking for the second."""
    ctx = with_journal_in_a_bucket(clinic)

    def away() -> None:
        raise Unavailable("The store is away.")

    for act in ("verify", "is_write_once"):
        monkeypatch.setattr(ctx.journal, act, away)

    assert [line.state for line in checks.check(ctx) if line.what in JOURNAL] == [checks.FAULT]


def test_an_operator_is_told_of_a_folder_and_database_that_others_may_read(tmp_path: Path) -> None:
    """A folder made beforehand has whatever mode its maker's umask left, mostly one for all."""
    settings = settings_for(tmp_path)
    database = tmp_path / "consent.sqlite3"
    database.touch()
    for mode_of_folder, mode_of_file, warned in (
        (0o700, 0o600, set()),
        (0o755, 0o600, {"data folder"}),
        (0o700, 0o644, {"database file"}),
        (0o750, 0o640, {"data folder", "database file"}),
    ):
        tmp_path.chmod(mode_of_folder)
        database.chmod(mode_of_file)

        lines = {line.what: line for line in checks.check_settings(settings)}

        assert lines.keys() & {"data folder", "database file"} == warned
        assert {lines[what].state for what in warned} <= {checks.WARNING}
        assert all("chmod" in lines[what].finding for what in warned)


@pytest.mark.parametrize(("recipient", "states"), [("age1foo", [checks.FAULT]), ("", [])])
def test_an_operator_is_told_of_a_recipient_that_is_none(
    tmp_path: Path, recipient: str, states: list[str]
) -> None:
    """Otherwise the first to know is the night without a backup."""
    settings = settings_for(tmp_path, backup_recipient=recipient)

    found = [line for line in checks.check_settings(settings) if line.what == "backup recipient"]

    assert [line.state for line in found] == states
    assert all("CONSENT_BACKUP_RECIPIENT" in line.finding for line in found)

"""A database in a file is its owner's alone from its first moment, whatever its folder lets in."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from consent_service.db.engine import open_engine


@pytest.fixture
def folder_of_all(tmp_path: Path) -> Iterator[Path]:
    """A folder into which everybody may look, and a umask that forbids nobody anything."""
    before = os.umask(0)
    tmp_path.chmod(0o755)
    try:
        yield tmp_path
    finally:
        os.umask(before)


def test_a_new_database_and_its_log_are_for_nobody_else(folder_of_all: Path) -> None:
    """Names and goals are in it as they are: another account of this machine must not read them."""
    engine = open_engine(f"sqlite:///{folder_of_all}/consent.sqlite3")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE one (a)"))

        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder_of_all.iterdir()}

    engine.dispose()
    assert modes.keys() >= {"consent.sqlite3", "consent.sqlite3-wal", "consent.sqlite3-shm"}
    assert set(modes.values()) == {0o600}


def test_a_database_that_is_there_stays_as_it_is(folder_of_all: Path) -> None:
    """Rows are not lost by opening; who let a group in is told by `check`, not overruled."""
    file = folder_of_all / "consent.sqlite3"
    engine = open_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE one (a)"))
    engine.dispose()
    file.chmod(0o640)

    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM one")).scalar() == 0

    engine.dispose()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_no_file_is_made_for_a_database_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of that odd name would be left in whatever folder somebody works in."""
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true"):
        with open_engine(url).connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1

    assert list(tmp_path.iterdir()) == []

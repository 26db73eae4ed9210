"""The databases that tests are lent: if these lied, every other database test would."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect, text

from tests.support.databases import Databases
from tests.support.postgres import server_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["first", "second"])
def opened(request: pytest.FixtureRequest, database_url: str) -> Iterator[Connection]:
    """A connection to a lent database, asked for twice so that the second follows the first."""
    engine = create_engine(database_url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_a_lent_database_is_empty_even_after_a_test_that_filled_one(opened: Connection) -> None:
    """A row left by one test must never decide another."""
    found = inspect(opened).get_table_names()

    opened.execute(text("CREATE TABLE left_behind (id INTEGER PRIMARY KEY)"))
    opened.execute(text("INSERT INTO left_behind VALUES (1)"))

    assert found == []


def test_a_ready_database_is_built_once_and_lent_as_built(databases: Databases) -> None:
    """Migrating for every test would take longer than the tests."""
    builds = []

    def build(url: str) -> None:
        builds.append(url)
        _execute(
            url,
            "CREATE TABLE version (number INTEGER)",
            "INSERT INTO version VALUES (7)",
            "CREATE TABLE family (id INTEGER PRIMARY KEY)",
            "CREATE TABLE baby (id INTEGER PRIMARY KEY, family INTEGER REFERENCES family)",
        )

    with databases.ready(build) as url:
        _execute(url, "INSERT INTO family VALUES (1)", "INSERT INTO baby VALUES (1, 1)")
        _execute(url, "DELETE FROM version")
    with databases.ready(build) as url:
        rows = _count(url, "version"), _count(url, "family"), _count(url, "baby")

    assert (rows, len(builds)) == ((1, 0, 0), 1)


def test_two_databases_lent_together_are_apart(databases: Databases) -> None:
    """Restore tests hold an old and a new database at the same time."""
    with databases.empty() as one, databases.empty() as other:
        _execute(one, "CREATE TABLE only_here (id INTEGER)")

        engine = create_engine(other)
        found = inspect(engine).get_table_names()
        engine.dispose()

    assert found == []


def test_the_server_of_a_killed_session_is_taken_away() -> None:
    """Otherwise every interrupted run would leave a server on somebody's machine for ever."""
    left_behind = _killed_session()
    pid_file = left_behind / "cluster" / "postmaster.pid"
    server = int(pid_file.read_text(encoding="utf-8").split()[0])

    with server_folder():
        still_there = left_behind.exists(), _runs(server)

    assert still_there == (False, False)


def test_what_a_machine_that_fell_over_left_behind_is_taken_away() -> None:
    """Its server is dead, and the number in its pid file is by now somebody else's: leave them."""
    left_behind = _killed_session()
    pid_file = left_behind / "cluster" / "postmaster.pid"
    server, *rest = pid_file.read_text(encoding="utf-8").splitlines()
    os.kill(int(server), signal.SIGKILL)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as somebody:
        pid_file.write_text("\n".join([str(somebody.pid), *rest]), encoding="utf-8")

        with server_folder():
            still_there = left_behind.exists(), somebody.poll() is None
        somebody.communicate()

    assert still_there == (False, True)


def _killed_session() -> Path:
    """Start a server in a session of its own, kill the session, and return the server's folder."""
    script = (
        "import os, signal\n"
        "from tests.support.postgres import PostgresServer, server_folder\n"
        "with server_folder() as folder:\n"
        "    PostgresServer(folder).require_running()\n"
        "    print(folder, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    return Path(killed.stdout.strip())


def _runs(process: int) -> bool:
    # A dead process whose parent has not noticed yet has no command line.
    command = Path(f"/proc/{process}/cmdline")
    return command.exists() and command.read_bytes() != b""


def _execute(url: str, *statements: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def _count(url: str, table: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
    engine.dispose()
    return int(rows)


def test_only_pages_choose_their_engine() -> None:
    """A folder that quietly kept to SQLite would leave what it tests untried on PostgreSQL."""
    tests = Path(__file__).parents[1]
    choosing = {
        str(path.parent.relative_to(tests))
        for path in tests.rglob("*.py")
        if re.search(r"^def (engine_name|databases|database_url)\(", path.read_text("utf-8"), re.M)
    }

    assert choosing == {".", "web"}

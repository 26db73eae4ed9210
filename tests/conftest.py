"""What every test may ask for, and two promises about the run itself.

Rules kept here:
  * nothing is skipped: a skip or an expected failure counts as a failure;
  * SQLite and PostgreSQL run the same tests, and the closing lines say how many.

Coverage of the floors above the database is counted on SQLite alone: counting costs a run half as
much again, and the same tests on the other engine add hardly a line.
"""

import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

from tests.support.databases import ENGINES, Databases, PostgresDatabases, SqliteDatabases
from tests.support.openbao import OpenBao, openbao
from tests.support.postgres import PostgresServer, server_folder
from tests.support.seaweed import Seaweed, seaweed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.support.clinic import Clinic, Family

_ADAPTERS = {"db", "vault"}
"""Where engines differ, so that coverage counts both."""
ROOM_FOR_FILES = 6 * 1024**3
_FOLDER = pytest.StashKey[Path]()
_Report = Any  # pytest.TestReport or pytest.CollectReport
_CLEAN_UP = pytest.StashKey[ExitStack]()

# A busy machine is no fault of what is tested.
settings.register_profile("any clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any clock")


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> PostgresServer:
    """The session's own PostgreSQL, shared by all test processes, running."""
    server = PostgresServer(request.config.stash[_FOLDER])
    server.require_running()
    return server


@pytest.fixture(scope="session")
def key_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """A real OpenBao server, unsealed, with a transit mount; each test uses keys of its own."""
    with openbao(tmp_path_factory.mktemp("openbao")) as server:
        yield server


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A real S3 server; each test makes a bucket of its own."""
    with seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """The machine's Chromium: one for all tests of a process, where no second may be driven."""
    from tests.support.browser import chromium

    with chromium() as opened:
        yield opened


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """`sqlite`, then `postgresql`: a test that asks for this runs once on each."""
    return str(request.param)


@pytest.fixture(scope="session")
def _databases_by_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> dict[str, Databases]:
    server = PostgresServer(request.config.stash[_FOLDER])
    return {
        "sqlite": SqliteDatabases(tmp_path_factory.mktemp("databases")),
        "postgresql": PostgresDatabases(server, prefix=f"test_{worker_id}"),
    }


@pytest.fixture
def databases(engine_name: str, _databases_by_engine: dict[str, Databases]) -> Databases:
    """Lends databases on each engine in turn, for tests that need more than one."""
    return _databases_by_engine[engine_name]


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """SQLAlchemy URL of an empty database, on each engine in turn."""
    with databases.empty() as url:
        yield url


@pytest.fixture
def clinic(databases: Databases, tmp_path: Path) -> Iterator["Clinic"]:
    """A clinic with staff and published policies, on each engine in turn."""
    # Loaded here, so that tests of rules alone need not wait for the whole service.
    from tests.support.clinic import build_schema, open_clinic

    with databases.ready(build_schema) as url:
        opened = open_clinic(url, tmp_path)
        try:
            yield opened
        finally:
            opened.ctx.keyring.close()
            opened.ctx.engine.dispose()


@pytest.fixture
def family(clinic: "Clinic") -> "Family":
    """A family who agreed, an hour ago, to being filmed."""
    from tests.support.safe import consenting_family

    return consenting_family(clinic)


def pytest_configure(config: pytest.Config) -> None:
    """Name one folder for the session's server; the process that starts the others owns it."""
    _keep_files_in_memory()
    shared = getattr(config, "workerinput", {}).get("postgres_folder")
    config.stash[_CLEAN_UP] = ExitStack()
    if shared:
        config.stash[_FOLDER] = Path(shared)
    else:
        config.stash[_FOLDER] = config.stash[_CLEAN_UP].enter_context(server_folder())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the server is."""
    node.workerinput["postgres_folder"] = str(node.config.stash[_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server, in the process that owns it."""
    config.stash[_CLEAN_UP].close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stop when a file runs a test on one engine only, unless that one was asked for by name."""
    engines = defaultdict(set)
    for item in items:
        if engine := _engine_of(item):
            engines[item.nodeid.replace(engine, "…")].add(engine)

    asked_by_name = any("::" in argument for argument in items[0].config.args) if items else True
    alone = [name for name, found in engines.items() if found != set(ENGINES)]
    if alone and not asked_by_name:
        raise pytest.UsageError(f"on one database engine only: {', '.join(sorted(alone))}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Count no coverage while a test of an upper floor runs on the second engine."""
    again = _engine_of(item) == "postgresql" and item.path.parent.name not in _ADAPTERS
    counting = Coverage.current() if again else None
    if counting is None:
        return (yield)
    counting.stop()
    try:
        return (yield)
    finally:
        counting.start()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, _Report, _Report]:
    """Turn a skipped test into a failed one, and note which engine it ran on."""
    report = yield
    report.user_properties.append(("engine", _engine_of(item)))
    return _refuse_skip(report)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, _Report, _Report]:
    """Turn a file that skips itself into a failure."""
    return _refuse_skip((yield))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many tests passed on each engine."""
    reports = terminalreporter.stats.get("passed", [])
    passed = Counter(dict(report.user_properties).get("engine") for report in reports)
    counts = ", ".join(f"{passed[engine]} on {engine}" for engine in ENGINES)
    terminalreporter.write_line(f"Passed: {counts}, {passed[None]} on no database or on one only.")


def _keep_files_in_memory() -> None:
    """Put the tests' folders into memory where there is room: much of their time is fsync.

    What pytest was told (`--basetemp`, PYTEST_DEBUG_TEMPROOT) wins.
    """
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > ROOM_FOR_FILES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def _engine_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("engine_name") if callspec else None


def _refuse_skip(report: _Report) -> _Report:
    if report.outcome == "skipped":
        report.outcome = "failed"
        reason = getattr(report, "wasxfail", None) or report.longrepr
        report.longrepr = f"Nothing may be skipped or expected to fail: {reason}"
        if hasattr(report, "wasxfail"):
            del report.wasxfail
    return report

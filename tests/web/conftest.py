"""The pages over a clinic; SQLite is enough here, since use cases are tried on both engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clinic import Clinic, Family, build_schema, open_clinic
from tests.support.databases import SqliteDatabases
from tests.support.pages import Pages, open_pages


@pytest.fixture(scope="session")
def sqlite_databases(tmp_path_factory: pytest.TempPathFactory) -> SqliteDatabases:
    """Lends databases that carry the schema."""
    return SqliteDatabases(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def clinic(sqlite_databases: SqliteDatabases, tmp_path: Path) -> Iterator[Clinic]:
    """A clinic with staff and published policies."""
    with sqlite_databases.ready(build_schema) as url:
        opened = open_clinic(url, tmp_path)
        yield opened
        opened.ctx.keyring.close()
        opened.ctx.engine.dispose()


@pytest.fixture
def pages(clinic: Clinic) -> Pages:
    """The web application over that clinic."""
    return open_pages(clinic)


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which everybody said yes."""
    family = clinic.family()
    clinic.both_consent(family)
    return family

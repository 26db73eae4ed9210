"""The clinic that every use case is tried in, on each database engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clinic import Clinic, build_schema, open_clinic
from tests.support.databases import Databases


@pytest.fixture
def clinic(databases: Databases, tmp_path: Path) -> Iterator[Clinic]:
    """A clinic with staff and published policies; see `tests.support.clinic`."""
    with databases.ready(build_schema) as url:
        opened = open_clinic(url, tmp_path)
        yield opened
        opened.ctx.keyring.close()
        opened.ctx.engine.dispose()

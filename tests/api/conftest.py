"""The API of a whole clinic, called as a program calls it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consent_service.app import create_app
from tests.support.api import Api
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


@pytest.fixture
def api(clinic: Clinic) -> Api:
    """The clinic's API, with a token for every member of staff."""
    return Api(clinic, create_app(clinic.ctx))

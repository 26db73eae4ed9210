"""The API of a whole clinic, called as a program calls it."""

import pytest

from consent_service.app import create_app
from tests.support.api import Api
from tests.support.clinic import Clinic


@pytest.fixture
def api(clinic: Clinic) -> Api:
    """The clinic's API, with a token for every member of staff."""
    return Api(clinic, create_app(clinic.ctx))

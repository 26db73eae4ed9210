"""The pages over a clinic.

Use cases are tried on both database engines; pages only show what they say. So the first test of
each file, which tells how its pages are mostly used, runs on both engines, and the others on
SQLite: all of them on both would cost two minutes more.
"""

import inspect
from typing import Any

import pytest

from tests.support.clinic import Clinic, Family
from tests.support.databases import ENGINES
from tests.support.pages import Pages, open_pages


@pytest.fixture
def engine_name(request: pytest.FixtureRequest) -> str:
    """SQLite, or each engine in turn where `pytest_generate_tests` says so."""
    return str(getattr(request, "param", "sqlite"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the first test of each file that opens pages on both engines."""
    first = _first_with_pages(vars(metafunc.module))
    if metafunc.function.__name__ == first and "engine_name" in metafunc.fixturenames:
        metafunc.parametrize("engine_name", ENGINES, indirect=True)


def _first_with_pages(names: dict[str, Any]) -> str | None:
    tests = (name for name, found in names.items() if _opens_pages(name, found))
    return next(tests, None)


def _opens_pages(name: str, found: Any) -> bool:
    return name.startswith("test_") and "pages" in inspect.signature(found).parameters


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

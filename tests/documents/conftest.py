"""A press of its own for each test that asks."""

from collections.abc import Iterator

import pytest

from consent_service.documents.press import Press


@pytest.fixture
def press() -> Iterator[Press]:
    """A press of the test's own."""
    press = Press()
    yield press
    press.close()

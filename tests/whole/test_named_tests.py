"""A document that says "this test shows it" must name a test that exists."""

import re
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
DOCUMENTS = sorted(
    str(path.relative_to(HOUSE))
    for path in (HOUSE / "docs").rglob("*.md")
    if _NAMED.search(path.read_text())
)


def test_the_hazard_log_names_tests() -> None:
    """Otherwise the next test would have nothing to look at, and pass."""
    assert "docs/safety/hazard-log.md" in DOCUMENTS


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_a_document_names_is_there(document: str) -> None:
    """A control without its test is a promise without its proof."""
    named = _NAMED.findall((HOUSE / document).read_text())

    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (HOUSE / path).is_file() or f"def {name}(" not in (HOUSE / path).read_text()
    ]

    assert missing == []

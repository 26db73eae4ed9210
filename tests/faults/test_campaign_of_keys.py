"""Samples of the flows in which keys are replaced, backed up and put back, and film is cut."""

from pathlib import Path

import pytest

from tests.faults.flow_clip import Clipping
from tests.faults.flow_keys import KeyBackingUp, KeyRestoring
from tests.faults.flow_noticed import Noticing
from tests.faults.flows import Flow
from tests.faults.test_campaign import POINTS, tried
from tests.faults.trials import Choice

FLOWS = [Noticing(), KeyBackingUp(), KeyRestoring(), Clipping()]
WRONG = [
    Noticing("destroyed-first"),
    KeyBackingUp("named-first"),
    KeyRestoring("buried-last"),
    Clipping("stored-first"),
]


@pytest.mark.parametrize("build", WRONG, ids=lambda build: str(build.name))
def test_a_build_that_does_one_thing_too_early_is_found_out(build: Flow, tmp_path: Path) -> None:
    """What a flow cannot tell from the right build, it does not look at."""
    found = tried(build, tmp_path, Choice(sample=12, until_found=True))

    assert found.violations


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: str(flow.name))
def test_a_fault_at_any_call_loses_no_key_and_brings_none_back(flow: Flow, tmp_path: Path) -> None:
    """A film that nobody can open, or somebody may who must not: both are found here first."""
    found = tried(flow, tmp_path, Choice(sample=POINTS))

    assert found.violations == []
    assert sum(found.tried.values()) == POINTS
    assert found.points > 100
    assert found.missed == 0

"""What is acknowledged must be on the disk, not in memory that a power cut takes.

`./dev faults --power-cuts` cuts the power of real disks, for which it must be root. Here the calls
of the same flows are read instead, which anybody may: what was not synced is what a cut takes.
"""

from pathlib import Path

import pytest

from tests.faults.calls import Call, Fault, Point
from tests.faults.flow_keys import KeyBackingUp
from tests.faults.flows import Flow, Uploading
from tests.faults.flows_out import Withdrawing
from tests.faults.power import NeverSyncing, moments
from tests.faults.unsynced import left_by

FLOWS = [Uploading(), Withdrawing(), KeyBackingUp()]


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: str(flow.name))
def test_all_that_was_acknowledged_is_on_the_disk(flow: Flow, tmp_path: Path) -> None:
    """A parent is told that her film is kept, or gone; the lights going out must not change it."""
    assert left_by(flow, tmp_path) == []


def test_a_build_that_never_syncs_is_found_out(tmp_path: Path) -> None:
    """Or the test above would prove nothing."""
    left = left_by(NeverSyncing(), tmp_path)

    assert any("was renamed before it was synced" in one for one in left)
    assert any("a name in" in one for one in left)


def test_the_power_is_cut_where_the_disk_has_just_changed_or_is_about_to() -> None:
    """Anywhere else the disk is as it was at one of these moments, so each is enough."""
    calls = [
        Call(name, number, "/a")
        for number, name in enumerate(("write", "write", "fsync", "rename", "write", "write"), 1)
    ]

    cuts = moments(calls)

    assert cuts == [Point(calls[n], Fault.KILL) for n in (2, 3, 5)]

"""A sample of the campaign that `./dev faults` runs in full, at calls of the system itself."""

from pathlib import Path

import pytest

from tests.faults.calls import Call, Fault, Point, is_possible
from tests.faults.flow_migration import Migrating
from tests.faults.flows import Consenting, Flow
from tests.faults.flows_out import Purging, Withdrawing
from tests.faults.interrupting import Homes, Interrupting
from tests.faults.trials import Result, spread, try_points

POINTS = 3


@pytest.fixture(autouse=True)
def tracer() -> None:
    """There is no other way to meet a fault at a call of SQLite's."""
    assert is_possible(), "strace is missing: apt-get install strace"


def _sampled(flow: Flow, folder: Path, sample: int, *, until_found: bool = False) -> Result:
    return try_points(
        lambda: Interrupting(flow, Homes(folder, None), folder),
        Result(flow.name, "sqlite"),
        sample,
        until_found=until_found,
    )


def test_a_build_that_unlinks_before_it_commits_is_found_out(tmp_path: Path) -> None:
    """A campaign that cannot tell this build from the right one proves nothing."""
    found = _sampled(Withdrawing("unlink-first"), tmp_path, 12, until_found=True)

    assert found.violations


@pytest.mark.parametrize("flow", [Consenting(), Purging(), Migrating()], ids=lambda f: str(f.name))
def test_a_fault_at_any_call_loses_nothing_and_comes_to_the_same_end(
    flow: Flow, tmp_path: Path
) -> None:
    """Power cuts and full disks come at the worst moment; three moments of each flow here."""
    found = _sampled(flow, tmp_path, POINTS)

    assert found.violations == []
    assert sum(found.tried.values()) == POINTS
    assert found.points > 100
    assert found.missed == 0


def test_a_sample_is_spread_over_the_whole_flow_and_every_fault() -> None:
    """Or the end of a flow, where things are destroyed, would never be tried."""
    every = [Point(Call("write", n, "/a"), fault) for n in range(100) for fault in Fault]

    chosen = spread(every, 10)

    assert len(set(chosen)) == 10
    assert chosen[0].call.number < 10
    assert chosen[-1].call.number >= 90
    assert {point.fault for point in chosen} == set(Fault)

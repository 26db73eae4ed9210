"""A sample of the campaign that `./dev faults` runs in full, at calls of the system itself."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.calls import Call, Fault, Point, disturbed, edges, is_possible, recorded
from tests.faults.flow_migration import Migrating
from tests.faults.flows import Consenting, Flow
from tests.faults.flows_out import Purging, Withdrawing
from tests.faults.interrupting import Homes, Interrupting
from tests.faults.trials import Choice, Result, spread, try_points

POINTS = 3


@pytest.fixture(autouse=True)
def tracer() -> None:
    """There is no other way to meet a fault at a call of SQLite's."""
    assert is_possible(), "strace is missing: apt-get install strace"


def tried(flow: Flow, folder: Path, choice: Choice) -> Result:
    result = Result(flow.name, "sqlite")
    return try_points(lambda: Interrupting(flow, Homes(folder, None), folder), result, choice)


def test_a_build_that_unlinks_before_it_commits_is_found_out(tmp_path: Path) -> None:
    """A campaign that cannot tell this build from the right one proves nothing."""
    found = tried(Withdrawing("unlink-first"), tmp_path, Choice(sample=12, until_found=True))

    assert found.violations


@pytest.mark.parametrize("flow", [Consenting(), Purging(), Migrating()], ids=lambda f: str(f.name))
def test_a_fault_at_any_call_loses_nothing_and_comes_to_the_same_end(
    flow: Flow, tmp_path: Path
) -> None:
    """Power cuts and full disks come at the worst moment; three moments of each flow here."""
    found = tried(flow, tmp_path, Choice(sample=POINTS))

    assert found.violations == []
    assert sum(found.tried.values()) == POINTS
    assert found.points > 100
    assert found.missed == 0


def test_a_call_is_met_though_a_started_program_had_made_as_many_before(tmp_path: Path) -> None:
    """A backup is loaded by a program; what restores it acts after that, and counts from one."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"

    def act(_: Callable[[Any], None]) -> None:
        subprocess.run(["mkdir", theirs], check=True)
        ours.mkdir()

    _, calls = recorded(lambda: act, tmp_path / "calls.log")
    ours.rmdir()
    theirs.rmdir()
    made = [call for call in calls if call.name == "mkdir"]

    assert [(c.number, c.place, c.overtaken) for c in made] == [
        (1, str(theirs), False),
        (1, str(ours), True),
    ]
    assert disturbed(lambda: act, Point(made[1], Fault.KILL)).code == -signal.SIGKILL
    assert theirs.exists()
    assert not ours.exists()


def test_a_sample_is_spread_over_the_whole_flow_and_every_fault() -> None:
    """Or the end of a flow, where things are destroyed, would never be tried."""
    every = [Point(Call("write", n, "/a"), fault) for n in range(100) for fault in Fault]

    chosen = spread(every, 10)

    assert len(set(chosen)) == 10
    assert chosen[0].call.number < 10
    assert chosen[-1].call.number >= 90
    assert {point.fault for point in chosen} == set(Fault)


def test_a_long_run_is_tried_at_its_edges_and_everything_else_at_each() -> None:
    """A commit of a thousand pages would else be tried three thousand times, all to the same end.

    A transaction's statements are such a run as well, and its COMMIT is always the last of it.
    """
    pages = [Call("pwrite64", n, "/a-wal") for n in range(1, 101)]
    syncs = [Call("fdatasync", n, "/a-wal") for n in range(1, 9)]
    said = [Call("sendto", n, "socket:[1]", committed=n // 50) for n in range(100)]
    every = [Point(call, fault) for call in (*pages, *syncs, *said) for fault in Fault]

    chosen = edges(every)

    assert [p.call.number for p in chosen[::3] if p.call in pages] == [1, 2, 51, 52, 99, 100]
    assert [p.call for p in chosen[::3] if p.call in syncs] == syncs
    sent = [p.call.number for p in chosen[::3] if p.call in said]
    assert sent == [0, 1, 25, 26, 48, 49, 50, 51, 75, 76, 98, 99]
    assert len(chosen) == 3 * (6 + 8 + 12)

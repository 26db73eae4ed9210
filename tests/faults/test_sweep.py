"""A sample of the sweep that `./dev faults` runs in full."""

import json
import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).parents[2]


def test_a_process_killed_anywhere_on_the_way_out_comes_to_the_same_end() -> None:
    """A power cut must not leave film half destroyed, destroyed twice, or alive.

    Every ninth boundary here, all of them in `./dev faults`; first a build that unlinks before it
    commits, which the sweep must find out.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.sweep", "--every", "9", "--json"],
        cwd=HOUSE,
        stdout=subprocess.PIPE,
        check=False,
    )

    said = json.loads(done.stdout)
    assert said["wrong"]["faults"], "the wrong build was not found out"
    assert said["right"]["faults"] == []
    assert said["right"]["ends"] == 1
    assert said["right"]["killed"] >= 10
    assert done.returncode == 0

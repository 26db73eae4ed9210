"""Power cuts: what a disk of its own holds at some moment, mounted anew.

The installation lies on ext4 in a file. The act is killed at a call, and the file is copied as its
bytes lie: whatever was written and not synced is in memory only and so not in the copy. Mounted,
the file system replays its own journal, and the flow's promises are looked at there.

Rules kept here:
  * nothing reaches the disk by the lapse of time: neither its journal nor written pages are old
    enough, so a cut is the hardest that this order of syncs allows;
  * each moment gives two disks: as it lies, and with all *names* on it (creations, renames and
    unlinks are committed for everybody when anybody syncs) but not what was written since;
  * the first sweep is over a wrong build that never syncs, and must find fault with it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults import disks
from tests.faults.calls import SYNCS, Act, Call, Ended, Fault, Point, disturbed, recorded
from tests.faults.flows import Flow, Home, Say, Uploading
from tests.faults.processes import finished, in_a_child, learn
from tests.faults.sweep import Broken, promise
from tests.support.installation import Story

_MIB = 64
_UNHURRIED = ("commit=600", "noauto_da_alloc")


class PowerCuts:
    """A flow of which the power is cut; SQLite only, since it is the disk that is tried."""

    def __init__(self, flow: Flow, work: Path) -> None:
        self._flow, self._work = flow, work
        self._prepared, self._place = work / "prepared.ext4", work / "place"
        self._end = ""

    def prepare(self) -> tuple[int, list[Point]]:
        """Make the installation on its disk, go through it undisturbed; return calls and points."""
        disks.make(self._prepared, _MIB)
        with self._mounted(self._prepared) as home:
            in_a_child(lambda: self._flow.prepare(home))
        with self._mounted(disks.copied(self._prepared, "learnt")) as home:
            learn(self._flow, home)
        with self._mounted(disks.copied(self._prepared, "undisturbed")) as home:
            ended, calls = recorded(_until_over(self._flow, home), self._work / "calls.log")
            promise(ended.code == 0, f"an undisturbed run failed: {ended.fault}")
            self._end = finished(self._flow, home, ended)
        return len(calls), moments(calls)

    def try_point(self, point: Point) -> Ended:
        """Cut the power at one call; raises Broken when a promise did not hold."""
        image = disks.copied(self._prepared, "running")
        with self._mounted(image, *_UNHURRIED) as home:
            ended = disturbed(_until_over(self._flow, home), point)
            left = {"as it lay": disks.copied(image, "lay")}
            _commit_names(self._place)
            left["with all names"] = disks.copied(image, "named")
        for which, disk in left.items():
            self._require_right(ended, disk, which)
        return ended

    def _require_right(self, ended: Ended, disk: Path, which: str) -> None:
        with self._mounted(disk) as home:
            try:
                end = finished(self._flow, home, ended)
                promise(end == self._end, "it came to another end")
            except Broken as fault:
                raise Broken(f"the disk {which}: {fault}") from fault

    @contextmanager
    def _mounted(self, image: Path, *options: str) -> Iterator[Home]:
        with disks.mounted(image, self._place, *options) as place:
            yield Home(place / "installation")


class NeverSyncing(Uploading):
    """The wrong build: what Python's own code wants synced is not."""

    name = "never-synced"

    def act(self, told: Story, say: Say) -> None:
        for name in ("fsync", "fdatasync"):
            setattr(os, name, _nothing)
        super().act(told, say)


def moments(calls: list[Call]) -> list[Point]:
    """Before each sync, after it, and when all is over: between these the disk stays as it is."""
    cut = [
        call
        for before, call in zip([None, *calls], calls, strict=False)
        if call.name in SYNCS or (before is not None and before.name in SYNCS) or call is calls[-1]
    ]
    return [Point(call, Fault.KILL) for call in cut]


def _until_over(flow: Flow, home: Home) -> Callable[[], Act]:
    """Ready the flow; its act ends with a call that may be killed after all was acknowledged."""

    def ready() -> Act:
        act = flow.ready(home)

        def until_over(say: Say) -> None:
            act(say)
            with Path(os.devnull).open("wb", buffering=0) as nowhere:
                nowhere.write(b"over")

        return until_over

    return ready


def _commit_names(place: Path) -> None:
    with (place / "somebody-elses").open("wb") as file:
        file.write(b"-")
        file.flush()
        os.fsync(file.fileno())


def _nothing(_fd: Any) -> None:
    """What a sync is in the wrong build."""

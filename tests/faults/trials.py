"""Points tried one after the other, and what came of them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.faults.calls import Ended, Fault, Point, edges
from tests.faults.processes import in_a_child
from tests.faults.sweep import Broken


class Trial(Protocol):
    """One flow in one place."""

    def prepare(self) -> tuple[int, list[Point]]:
        """Make it ready and go through it undisturbed; return the count of calls, and all points."""
        ...

    def try_point(self, point: Point) -> Ended:
        """Meet one fault; raises Broken when a promise did not hold."""
        ...


@dataclass
class Result:
    """What a sweep of one flow found."""

    flow: str
    engine: str
    calls: int = 0
    points: int = 0
    tried: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Fault, 0))
    missed: int = 0
    violations: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def told(self) -> dict[str, Any]:
        """As JSON; `Result(**told)` is the same again."""
        return vars(self)

    def sentence(self) -> str:
        """In one line, and one for each violation."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.tried.items())
        whole = (
            f"{self.flow} on {self.engine}: {self.calls} calls, {self.points} points,"
            f" {sum(self.tried.values())} tried ({kinds}), {self.missed} not come to,"
            f" {len(self.violations)} violations, {self.seconds} s"
        )
        found = [f"    {one['point']}: {one['fault']}" for one in self.violations]
        return "\n".join([whole, *found])


@dataclass(frozen=True)
class Choice:
    """Which points to try: all; those at the edges of runs of writes; so many, evenly spread."""

    edges: bool = False
    sample: int = 0
    until_found: bool = False

    def among(self, every: Sequence[Point]) -> list[Point]:
        """Choose."""
        return spread(edges(every) if self.edges else every, self.sample)


def spread(among: Sequence[Point], sample: int) -> list[Point]:
    """`sample` points evenly from all, of every fault; all of them for 0."""
    if not sample or sample >= len(among):
        return list(among)
    kinds = [[p for p in among if p.fault is fault] for fault in Fault]
    kinds = [kind for kind in kinds if kind]
    chosen = []
    for i in range(sample):
        kind = kinds[i % len(kinds)]
        chosen.append(kind[(2 * i + 1) * len(kind) // (2 * sample)])
    return chosen


def try_points(make: Callable[[], Trial], result: Result, choice: Choice) -> Result:
    """Try the chosen points, in a process of the trial's own; return what came of it.

    `until_found` stops at the first violation.
    """
    return Result(**in_a_child(lambda: _tried(make(), result, choice).told()))


def _tried(trial: Trial, result: Result, choice: Choice) -> Result:
    began = time.monotonic()
    result.calls, every = trial.prepare()
    result.points = len(every)
    for point in choice.among(every):
        result.tried[point.fault] += 1
        try:
            ended = trial.try_point(point)
        except Broken as fault:
            result.violations.append({"point": str(point), "fault": str(fault)})
            if choice.until_found:
                break
        else:
            result.missed += point.fault is Fault.KILL and ended.code != -9
    result.seconds = round(time.monotonic() - began, 1)
    return result

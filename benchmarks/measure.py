"""Measure two ways of doing one work by turns, and report ratios: ours to theirs, in time.

Taking turns cancels what else the machine does; medians ignore the odd slow turn.
"""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

Work = Callable[[], float]
"""Does the work once and returns the seconds that count."""


@dataclass(frozen=True)
class Compared:
    """Medians of both sides in seconds, the median of the ratios turn by turn, and these."""

    ours: float
    theirs: float
    ratio: float
    ratios: tuple[float, ...] = ()


def compare(ours: Work, theirs: Work, turns: int) -> Compared:
    """Let both do their work `turns` times, by turns, after one turn that does not count."""
    pairs = []
    for turn in range(turns + 1):
        order = (ours, theirs) if turn % 2 else (theirs, ours)
        seconds = [work() for work in order]
        pairs.append(tuple(seconds) if turn % 2 else (seconds[1], seconds[0]))
    return medians([(ours, theirs) for ours, theirs in pairs[1:]])


def medians(pairs: Sequence[tuple[float, float]]) -> Compared:
    """Return what turns came to: pairs of our seconds and theirs."""
    ratios = tuple(ours / theirs for ours, theirs in pairs)
    return Compared(
        ours=statistics.median(ours for ours, _ in pairs),
        theirs=statistics.median(theirs for _, theirs in pairs),
        ratio=statistics.median(ratios),
        ratios=ratios,
    )


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long `work` takes once."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run_process(argv: Sequence[str]) -> str:
    """Run a program and return what it printed.

    Raises CalledProcessError, with a note of what it said, when it fails.
    """
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        failure = subprocess.CalledProcessError(done.returncode, argv)
        failure.add_note(done.stderr.decode(errors="replace"))
        raise failure
    return done.stdout.decode()


@dataclass
class Report:
    """What a benchmark found. `goals` are the largest ratios (or figures) that were promised."""

    name: str
    goals: Mapping[str, float]
    peers: dict[str, str] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    spread: dict[str, tuple[float, float]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    conditions: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, compared: Compared) -> None:
        """Note a ratio, and both sides in milliseconds."""
        ours, theirs = name.split("_over_")
        self.ratios[name] = round(compared.ratio, 3)
        if compared.ratios:
            self.spread[name] = (round(min(compared.ratios), 3), round(max(compared.ratios), 3))
        self.figures[f"{ours}_ms_beside_{theirs}"] = _short(compared.ours * 1000)
        self.figures[f"{theirs}_ms_beside_{ours}"] = _short(compared.theirs * 1000)

    def show(self, as_json: bool) -> None:
        """Print it: one JSON object, or tables for people."""
        load = " ".join(f"{part:.1f}" for part in os.getloadavg())
        self.conditions |= {"load_average": load, "processors": str(os.cpu_count())}
        if as_json:
            parts = ("name", "peers", "missing", "conditions", "ratios", "spread", "figures")
            print(json.dumps({part: getattr(self, part) for part in parts}, indent=2))
            return
        console = Console()
        console.print(self._table("ours / theirs, in time", self.ratios))
        console.print(self._table("figures", self.figures))
        console.print(" · ".join(f"{peer} {version}" for peer, version in self.peers.items()))
        console.print(" · ".join(f"{name} {said}" for name, said in self.conditions.items()))
        if self.missing:
            console.print("not installed: " + ", ".join(self.missing))

    def _table(self, title: str, numbers: Mapping[str, float]) -> Table:
        table = Table(title=f"{self.name}: {title}")
        table.add_column("what")
        for column in ("measured", "from", "to", "goal", ""):
            table.add_column(column, justify="right")
        for what, number in numbers.items():
            goal = self.goals.get(what)
            met = "" if goal is None else "met" if number <= goal else "[bold]MISSED[/bold]"
            ends = [f"{end:g}" for end in self.spread.get(what, ())] or ["", ""]
            table.add_row(what, f"{number:g}", *ends, "" if goal is None else f"≤ {goal:g}", met)
        return table


def _short(number: float) -> float:
    return float(f"{number:.4g}")

"""`./dev faults`: kill, fill the disk and fail I/O at every call of each critical flow.

Each flow is prepared once. For every point a copy of it is opened by a process of its own, which
acts under strace and meets one fault there. What stands is looked at before anything is mended,
then a new process goes on, and the end must be the same every time.

Rules kept here:
  * the first sweep is over a wrong build (*unlink, then commit*) and must find fault with it;
  * a point that a run did not come to is counted and named, never taken for a success;
  * on PostgreSQL the ledger is there, and faults are ours: its own disk is its own matter.

Where strace is missing it says so and falls back to `tests.faults.sweep`, which kills the
withdrawal at boundaries within the process.
"""

import argparse
import hashlib
import json
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.faults import residue, sweep
from tests.faults.calls import Call, Ended, Fault, Point, disturbed, is_possible, points, recorded
from tests.faults.flow_migration import Migrating
from tests.faults.flows import Consenting, Flow, Home, Uploading
from tests.faults.flows_out import Purging, Restoring, Rotating, Withdrawing
from tests.faults.sweep import Broken, in_a_process, promise
from tests.support.clinic import sample_film
from tests.support.postgres import PostgresServer, server_folder

FLOWS: tuple[Flow, ...] = (
    Consenting(),
    Uploading(),
    Withdrawing(),
    Purging(),
    Rotating(),
    Restoring(),
    Migrating(),
)
ENGINES = ("sqlite", "postgresql")


@dataclass
class Result:
    """What a sweep of one flow found."""

    flow: str
    engine: str
    calls: int = 0
    points: int = 0
    tried: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    violations: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "tried": dict(self.tried)}


class Homes:
    """Installations and copies of them, with their databases on one engine."""

    def __init__(self, work: Path, server: PostgresServer | None) -> None:
        self._work, self._server = work, server
        # A server's databases outlive a flow, so their names are of this flow alone.
        self._names = f"home_{secrets.token_hex(4)}"
        self._made = 0

    def new(self) -> Home:
        """An empty place."""
        home = self._next()
        if self._server is not None:
            self._create(home, "template1")
        return home

    @contextmanager
    def copy(self, prepared: Home) -> Iterator[Home]:
        """A copy of a closed installation, taken away afterwards."""
        home = self._next()
        shutil.copytree(prepared.folder, home.folder)
        if self._server is not None:
            self._create(home, prepared.folder.name)
        try:
            yield home
        finally:
            shutil.rmtree(home.folder)
            if self._server is not None:
                self._do("DROP DATABASE {} WITH (FORCE)", home.folder.name)

    def _next(self) -> Home:
        self._made += 1
        name = f"{self._names}_{self._made}"
        url = "" if self._server is None else self._server.url(name)
        return Home(self._work / name, url)

    def _create(self, home: Home, template: str) -> None:
        self._do("CREATE DATABASE {} TEMPLATE {}", home.folder.name, template)

    def _do(self, command: str, *names: str) -> None:
        assert self._server is not None
        with psycopg.connect(self._server.conninfo(), autocommit=True) as admin:
            admin.execute(sql.SQL(command).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]


class Campaign:
    """One flow on one engine."""

    def __init__(self, flow: Flow, homes: Homes, work: Path) -> None:
        self.flow, self._homes, self._log = flow, homes, work / "calls.log"
        self._prepared = homes.new()
        self._end = ""

    def prepare(self) -> list[Call]:
        """Make the installation, go through it once undisturbed; return every call."""
        _in_a_child(lambda: self.flow.prepare(self._prepared))
        with self._homes.copy(self._prepared) as home:
            ended, calls = recorded(lambda: self.flow.ready(home), self._log)
            promise(ended.code == 0, f"an undisturbed run failed: {ended.fault}")
            self._end = self._finish(home, ended)
        return calls

    def try_point(self, point: Point) -> Ended:
        """Meet one fault; raises Broken when a promise did not hold."""
        with self._homes.copy(self._prepared) as home:
            ended = disturbed(lambda: self.flow.ready(home), point)
            promise(ended.code != -14, "it hung")
            promise(self._finish(home, ended) == self._end, "it came to another end")
        return ended

    def _finish(self, home: Home, ended: Ended) -> str:
        _in_a_child(lambda: self.flow.look(home, ended.words))
        _in_a_child(lambda: self.flow.go_on(home))
        end = _in_a_child(lambda: self.flow.end(home))
        return hashlib.sha256(json.dumps(end, sort_keys=True).encode()).hexdigest()


def _in_a_child(act: Callable[[], Any]) -> Any:
    code, word = in_a_process(act)
    if code:
        raise Broken(str(word))
    return word


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


def sweep_flow(
    flow: Flow, engine: str, homes: Homes, work: Path, *, sample: int, until_found: bool = False
) -> Result:
    """Try points of a flow; `until_found` stops at the first violation."""
    began = time.monotonic()
    result = Result(flow.name, engine)
    running = Campaign(flow, homes, work)
    calls = running.prepare()
    every = points(calls)
    result.calls, result.points = len(calls), len(every)
    for point in spread(every, sample):
        result.tried[point.fault.value] += 1
        try:
            ended = running.try_point(point)
        except Broken as fault:
            result.violations.append({"point": str(point), "fault": str(fault)})
            if until_found:
                break
        else:
            result.missed += point.fault is Fault.KILL and ended.code != -9
    result.seconds = round(time.monotonic() - began, 1)
    return result


@contextmanager
def _server(engine: str) -> Iterator[PostgresServer | None]:
    if engine == "sqlite":
        yield None
        return
    with server_folder() as folder:
        server = PostgresServer(folder)
        server.require_running()
        yield server


def _folder(flow: Flow) -> "tempfile.TemporaryDirectory[str]":
    """In memory where there is such a place: a killed process leaves the same files in either.

    But a rotation asks its file system how surely old master keys are gone, so that is a disk's.
    """
    memory = Path("/dev/shm")
    wanted = memory.is_dir() and not isinstance(flow, Rotating)
    return tempfile.TemporaryDirectory(prefix="consent-faults-", dir=memory if wanted else None)


def campaign(flows: Sequence[str], engines: Sequence[str], sample: int) -> list[Result]:
    """The wrong build until it is found out, then every flow on every engine."""
    found = []
    sample_film()  # made once, for all children
    for engine in engines:
        with _server(engine) as server, ExitStack() as folders:
            chosen: list[tuple[str, Flow, bool]] = [
                (f.name, f, False) for f in FLOWS if f.name in flows
            ]
            if "withdrawal" in flows:
                chosen.insert(0, (WRONG, Withdrawing("unlink-first"), True))
            for name, flow, wrong in chosen:
                part = Path(folders.enter_context(_folder(flow)))
                homes = Homes(part, server)
                few = max(sample, 12) if wrong else sample
                one = sweep_flow(flow, engine, homes, part, sample=few, until_found=wrong)
                one.flow = name
                found.append(one)
                _say(one)
    return found


def _say(one: Result) -> None:
    tried = sum(one.tried.values())
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(one.tried.items()))
    print(
        f"{one.flow} on {one.engine}: {one.calls} calls, {one.points} points, {tried} tried"
        f" ({kinds}), {one.missed} not come to, {len(one.violations)} violations,"
        f" {one.seconds} s",
        file=sys.stderr,
    )
    for violation in one.violations:
        print(f"    {violation['point']}: {violation['fault']}", file=sys.stderr)


def is_good(results: Sequence[Result]) -> bool:
    """The wrong build was found out wherever it ran; nothing else has a violation."""
    return all(bool(one.violations) == (one.flow == WRONG) for one in results)


WRONG = "unlink-first"


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; 0 when all held."""
    names = [flow.name for flow in FLOWS]
    parser = argparse.ArgumentParser(prog="./dev faults", description=__doc__)
    parser.add_argument("--flow", action="append", choices=names, help="only this one; repeatable")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="only this one")
    parser.add_argument("--sample", type=int, default=0, help="so many points of each flow")
    parser.add_argument(
        "--residue", action="store_true", help="search a raw disk for film and keys (root)"
    )
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    if chosen.residue:
        print(residue.search_disk())
        return 0
    if not is_possible():
        print(
            "strace is missing or may not look into processes here: only kills of the withdrawal,"
            " at boundaries within the process.",
            file=sys.stderr,
        )
        return sweep.main(["--every", "5"] if chosen.sample else [])
    results = campaign(chosen.flow or names, chosen.engine or ENGINES, chosen.sample)
    if chosen.json:
        print(json.dumps([one.told() for one in results], indent=2))
    return 0 if is_good(results) else 1


if __name__ == "__main__":
    sys.exit(main())

"""`./dev faults`: kill, fill the disk and fail I/O at every call of each critical flow.

Each flow is prepared once. For every point a copy of it is opened by a process of its own, which
acts under strace and meets one fault there. What stands is looked at before anything is mended,
then a new process goes on, and the end must be the same every time. Then the power is cut: see
`tests.faults.power`.

Rules kept here:
  * sweeps of wrong builds come first (*unlink, then commit*, and the like; for power cuts: *never
    sync*) and must find fault with each;
  * a point that a run did not come to is counted and named, never taken for a success;
  * on PostgreSQL the ledger is there, and faults are ours: its own disk is its own matter;
  * what cannot be done on this machine is said.

Where strace is missing it falls back to `tests.faults.sweep`, which kills the withdrawal at
boundaries within the process. With `--results` a campaign that was stopped goes on where it was.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.faults import disks, residue, sweep
from tests.faults.calls import is_possible
from tests.faults.flow_backup import RestoringBackup
from tests.faults.flow_clip import Clipping
from tests.faults.flow_keys import KeyBackingUp, KeyRestoring
from tests.faults.flow_migration import Migrating
from tests.faults.flow_noticed import Noticing
from tests.faults.flows import Consenting, Flow, Uploading
from tests.faults.flows_out import Purging, Restoring, Rotating, Withdrawing
from tests.faults.interrupting import Homes, Interrupting
from tests.faults.power import NeverSyncing, PowerCuts
from tests.faults.trials import Choice, Result, Trial, try_points
from tests.support.clinic import sample_film
from tests.support.postgres import PostgresServer, server_folder

FLOWS: tuple[Flow, ...] = (
    Consenting(),
    Uploading(),
    Withdrawing(),
    Purging(),
    Rotating(),
    Restoring(),
    RestoringBackup(),
    Migrating(),
    Noticing(),
    KeyBackingUp(),
    KeyRestoring(),
    Clipping(),
)
WRONG_BUILDS: tuple[Flow, ...] = (
    Withdrawing("unlink-first"),
    Noticing("destroyed-first"),
    KeyBackingUp("named-first"),
    KeyRestoring("buried-last"),
    Clipping("stored-first"),
)
"""Each has one thing done in the wrong order, as somebody might who means well."""
ENGINES = ("sqlite", "postgresql")
DISK = "ext4"
"""The place where the power is cut: SQLite, film, keys and journal on a disk of their own."""

_LEAST_OF_WRONG = 12


@dataclass(frozen=True)
class Wanted:
    """What to try, and a folder for results where a campaign is to be resumable."""

    flows: Sequence[str]
    places: Sequence[str]
    choice: Choice
    results: Path | None = None


def campaign(wanted: Wanted) -> list[Result]:
    """The wrong builds until they are found out, then every flow, in every place."""
    sample_film()  # made once, for all children
    found = []
    for place in wanted.places:
        with _server(place) as server:
            for flow in _flows(place, wanted.flows):
                found.append(_tried(flow, place, server, wanted))
                print(found[-1].sentence(), file=sys.stderr, flush=True)
    return found


def is_good(results: Sequence[Result]) -> bool:
    """The wrong builds were found out wherever they ran; nothing else has a violation."""
    return all(bool(one.violations) == (one.flow in WRONG) for one in results)


def _flows(place: str, names: Sequence[str]) -> list[Flow]:
    wrong = (NeverSyncing(),) if place == DISK else WRONG_BUILDS
    found_out = [build for build in wrong if WRONG[build.name] in names]
    return [*found_out, *(flow for flow in FLOWS if flow.name in names)]


def _tried(flow: Flow, place: str, server: PostgresServer | None, wanted: Wanted) -> Result:
    kept = wanted.results / f"{flow.name}-{place}.json" if wanted.results else None
    if kept is not None and kept.exists():
        return Result(**json.loads(kept.read_text(encoding="utf-8")))
    wrong = flow.name in WRONG
    sample = max(wanted.choice.sample, _LEAST_OF_WRONG) if wrong else wanted.choice.sample
    # What is wrong with it lies within such runs, and a sample of the edges may pass it by.
    edges = wanted.choice.edges and not wrong
    choice = Choice(edges, sample, until_found=wrong)
    with _folder(flow, place) as folder:
        work = Path(folder)

        def trial() -> Trial:
            if place == DISK:
                return PowerCuts(flow, work)
            return Interrupting(flow, Homes(work, server), work)

        one = try_points(trial, Result(flow.name, place), choice)
    if kept is not None:
        kept.write_text(json.dumps(one.told(), indent=2), encoding="utf-8")
    return one


@contextmanager
def _server(place: str) -> Iterator[PostgresServer | None]:
    if place != "postgresql":
        yield None
        return
    with server_folder() as folder:
        server = PostgresServer(folder)
        server.require_running()
        # Its own disk is not tried, and every point makes and drops a database.
        with psycopg.connect(server.conninfo(), autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET fsync = off")
            admin.execute("SELECT pg_reload_conf()")
        yield server


def _folder(flow: Flow, place: str) -> "tempfile.TemporaryDirectory[str]":
    """In memory where there is such a place: a killed process leaves the same files in either.

    But a rotation asks its file system how surely old master keys are gone, so that is a disk's.
    """
    memory = Path("/dev/shm")
    asks = isinstance(flow, Rotating | KeyBackingUp)
    wanted = memory.is_dir() and (place == DISK or not asks)
    return tempfile.TemporaryDirectory(prefix="consent-faults-", dir=memory if wanted else None)


WRONG = {
    "unlink-first": "withdrawal",
    "destroyed-first": "noticed",
    "named-first": "key-backup",
    "buried-last": "key-restore",
    "stored-first": "clip",
    "never-synced": "upload",
}
"""Builds that must be found out, and the flow whose they are."""


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; 0 when all held."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that disks are taken down
    chosen = _parser().parse_args(arguments)
    if chosen.residue:
        print(residue.search_disk())
        return 0
    if not is_possible():
        _say(
            "strace is missing or may not look into processes here: only kills of the withdrawal,"
            " at boundaries within the process, and no power cuts."
        )
        return sweep.main(["--every", "5"] if chosen.sample else [])
    places = [DISK] if chosen.power_cuts else [*(chosen.engine or (*ENGINES, DISK))]
    if DISK in places and not disks.are_possible():
        _say("No power cuts: file systems in files may not be mounted here (root, loop devices).")
        places.remove(DISK)
    if chosen.results is not None:
        chosen.results.mkdir(parents=True, exist_ok=True)
    names = chosen.flow or [flow.name for flow in FLOWS]
    results = campaign(Wanted(names, places, Choice(chosen.edges, chosen.sample), chosen.results))
    if chosen.json:
        print(json.dumps([one.told() for one in results], indent=2))
    return 0 if results and is_good(results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev faults", description=__doc__)
    names = [flow.name for flow in FLOWS]
    parser.add_argument("--flow", action="append", choices=names, help="only this one; repeatable")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="only this one")
    parser.add_argument("--power-cuts", action="store_true", help="only these (root)")
    parser.add_argument("--sample", type=int, default=0, help="so many points of each flow")
    parser.add_argument(
        "--edges",
        action="store_true",
        help="not the inside of long runs of writes or of a transaction",
    )
    parser.add_argument("--results", type=Path, help="folder for results; those there are kept")
    parser.add_argument(
        "--residue", action="store_true", help="search a raw disk for film and keys (root)"
    )
    parser.add_argument("--json", action="store_true")
    return parser


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

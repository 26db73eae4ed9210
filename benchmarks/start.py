"""How long starting takes: `python -m benchmarks.start [--json]`.

*Start* is a second start: `consent-service run` over a folder that is set up, from calling it until
`/health/ready` says yes; beside it stands a Python that only loads Flask and SQLAlchemy, which no
service made of them can go below. *CPU* is user time of all processes of a start, stopping too:
unlike the clock it hardly moves when the machine is busy. *Help* is the slowest `NOUN --help`.
"""

import argparse
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measure import Compared, Report, compare, run_process
from consent_service.cli.root import NOUNS

GOALS = {"second_start_s": 3.0, "help_cpu_s": 0.5}
SERVICE = (sys.executable, "-c", "from consent_service.cli import main; main()")
LIBRARIES = (sys.executable, "-c", "import flask, sqlalchemy")
GIVE_UP_SECONDS = 120
LOOK_EVERY_SECONDS = 0.01


@dataclass(frozen=True)
class Spent:
    """Seconds on the clock, and of user time."""

    clock: float
    cpu: float


def start(environment: Mapping[str, str], port: int) -> Spent:
    """Start the service, wait until it is healthy, and stop it."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [*SERVICE, "run"], env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while not _is_healthy(port):
            if process.poll() is not None or time.perf_counter() - began > GIVE_UP_SECONDS:
                raise SystemExit("the service did not become healthy: nothing was measured")
            time.sleep(LOOK_EVERY_SECONDS)
        clock = time.perf_counter() - began
        process.terminate()
        return Spent(clock, _user_seconds(process))
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def run(argv: Sequence[str], environment: Mapping[str, str]) -> Spent:
    """Run a program to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL)
    cpu = _user_seconds(process)
    return Spent(time.perf_counter() - began, cpu)


def measure(turns: int, folder: Path) -> Report:
    """Measure everything, with all files in `folder`."""
    report = Report("start", GOALS)
    port = _free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CONSENT_")} | {
        "CONSENT_DATA_DIR": str(folder / "service"),
        "CONSENT_LISTEN": f"127.0.0.1:{port}",
        # Compiled once, as in any installation.
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    run((*SERVICE, "init"), environment)
    start(environment, port)
    measure_start(report, turns, partial(start, environment, port), environment)
    helps = [run((*SERVICE, noun, "--help"), environment).cpu for noun in NOUNS]
    report.figures["help_cpu_s"] = round(max(helps), 3)
    report.peers |= dict(line.split() for line in run_process(_VERSIONS).splitlines())
    return report


def measure_start(
    report: Report, turns: int, started: "partial[Spent]", environment: Mapping[str, str]
) -> None:
    """Compare a start with loading the two largest libraries."""
    ours: list[float] = []
    theirs: list[float] = []

    def our_turn() -> float:
        spent = started()
        ours.append(spent.cpu)
        return spent.clock

    def their_turn() -> float:
        spent = run(LIBRARIES, environment)
        theirs.append(spent.cpu)
        return spent.clock

    report.add("start_over_libraries", compare(our_turn, their_turn, turns))
    report.figures["second_start_s"] = report.figures["start_ms_beside_libraries"] / 1000
    report.add("cpu_over_librariescpu", _medians(ours, theirs))


def _medians(ours: Sequence[float], theirs: Sequence[float]) -> Compared:
    mine, yours = sorted(ours)[len(ours) // 2], sorted(theirs)[len(theirs) // 2]
    return Compared(mine, yours, mine / yours)


_VERSIONS = (
    sys.executable,
    "-c",
    "from importlib.metadata import version\n"
    "for name in ('flask', 'sqlalchemy', 'granian'): print(name, version(name))",
)


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _user_seconds(process: "subprocess.Popen[bytes]") -> float:
    """Wait for the end; return user time of it and of all that it started and waited for."""
    _pid, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"a program ended with {process.returncode}: nothing was measured")
    return used.ru_utime


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def main() -> None:
    """Read the options, measure, print, and leave nothing behind."""
    parser = argparse.ArgumentParser(description="Measure how long starting takes.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--turns", type=int, default=5, help="turns that count")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        report = measure(options.turns, Path(folder))
    report.show(options.json)


if __name__ == "__main__":
    main()

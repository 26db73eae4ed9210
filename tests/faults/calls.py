"""Every write, sync, rename and unlink that a process asks of the system, and breaking one of them.

A child is forked, makes ready, and waits; strace takes hold of it; only then does it act. So the
n-th call counted here is the n-th call of the act, and the same act asks for much the same again.

Rules kept here:
  * the calls are the kernel's own: SQLite's, Python's, libpq's and film workers' alike;
  * a kill is SIGKILL before the call takes effect; an I/O error is that one call's; a full disk
    stays full for all calls of the kind that follow;
  * words that a child says survive it: they lie in memory that it shares with its parent.
"""

import ctypes
import json
import mmap
import os
import re
import shutil
import signal
import subprocess
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any

WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "fallocate")
_SENDS = ("sendto", "sendmsg")
SYNCS = ("fsync", "fdatasync")
_NAMES = ("rename", "renameat", "renameat2", "unlink", "unlinkat", "link", "linkat", "mkdir")
_WATCHED = ",".join((*WRITES, *_SENDS, *SYNCS, *_NAMES))
_LINE = re.compile(r"(?P<thread>\d+) +(?P<call>[a-z0-9]+)\((?P<rest>.*)")
_PLACE = re.compile(r'<(?P<open>[^>]*)>|"(?P<name>[^"]*)"')
_SECONDS = 120
_LET_IN = 0x59616D61  # PR_SET_PTRACER of linux/prctl.h, with PR_SET_PTRACER_ANY
_ALL = ["-f"]  # threads and processes that it starts, too
_FULL_STAYS = {*WRITES, "mkdir"}


class Fault(StrEnum):
    """What befalls a call."""

    KILL = "kill"
    FULL = "ENOSPC"
    IO = "EIO"


@dataclass(frozen=True)
class Call:
    """The n-th call of its kind in a thread, and the file (or socket) that it was for."""

    name: str
    number: int
    place: str
    committed: int = 0
    """How many transactions the same connection had asked to commit before."""
    overtaken: bool = False
    """It is the first thread's, and a program or thread that it started came to as many before."""

    @property
    def is_file(self) -> bool:
        """Whether the place is a path on a disk (or where tests keep one, in memory)."""
        device = self.place.startswith(("/dev/", "/proc/")) and "/dev/shm/" not in self.place
        return self.place.startswith("/") and not device

    def __str__(self) -> str:
        place = Path(self.place).name if self.is_file else self.place
        return f"{self.name} {self.number}{' by the first' if self.overtaken else ''} {place}"


@dataclass(frozen=True)
class Point:
    """One fault at one call."""

    call: Call
    fault: Fault

    def __str__(self) -> str:
        return f"{self.fault.value} at {self.call}"

    @property
    def injection(self) -> str:
        """What strace calls it."""
        if self.fault is Fault.KILL:
            return f"{self.call.name}:signal=SIGKILL:when={self.call.number}"
        on = "+" if self.fault is Fault.FULL and self.call.name in _FULL_STAYS else ""
        return f"{self.call.name}:error={self.fault.value}:when={self.call.number}{on}"


class Words:
    """A list that a child appends to and its parent reads when the child is dead."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1 << 20)

    def say(self, word: Any) -> None:
        """Append; no system call is made, so nothing is counted."""
        raw = json.dumps([*self.all(), word]).encode()
        self._memory[8 : 8 + len(raw)] = raw
        self._memory[:8] = len(raw).to_bytes(8, "big")

    def all(self) -> list[Any]:
        """What was said so far."""
        size = int.from_bytes(self._memory[:8], "big")
        return list(json.loads(self._memory[8 : 8 + size])) if size else []


@dataclass(frozen=True)
class Ended:
    """How a child ended: its code (minus the signal), what it said, what it died of, who it was."""

    code: int
    words: list[Any]
    fault: str
    pid: int


Act = Callable[[Callable[[Any], None]], object]
"""Does the work; calls its argument with whatever it acknowledges."""


def is_possible() -> bool:
    """Tell whether strace is here and lets us look into our own children."""
    if shutil.which("strace") is None:
        return False
    tried = ["strace", "-o", "/dev/null", "-e", "trace=fsync", "true"]
    return subprocess.run(tried, stderr=subprocess.DEVNULL, check=False).returncode == 0


def recorded(ready: Callable[[], Act], log: Path) -> tuple[Ended, list[Call]]:
    """Run undisturbed; return how it ended and every call, in the order of their first time."""
    ended = _run(ready, [*_ALL, "-y", "-s", "16", "-o", str(log)])
    return ended, _read(log, str(ended.pid))


def disturbed(ready: Callable[[], Act], point: Point) -> Ended:
    """Run with one fault."""
    # Each thread counts for itself, and the fault befalls whichever comes to that number first.
    those = [] if point.call.overtaken else _ALL
    return _run(ready, [*those, "-e", f"inject={point.injection}", "-o", "/dev/null"])


def points(calls: list[Call]) -> list[Point]:
    """Every fault at every call: a kill anywhere, errors of the disk where a file is meant."""
    return [
        Point(call, fault)
        for call in calls
        for fault in Fault
        if fault is Fault.KILL or (call.is_file and not _cannot(call, fault))
    ]


def edges(every: Sequence[Point]) -> list[Point]:
    """Leave out the inside of long runs: writes to one file, or a transaction's statements.

    Nothing else lies between them, so whichever fails, the file ends half-way through the same
    stretch, or the server rolls the same transaction back. A frame of SQLite's is two writes, so
    the first two, two in the middle and the last two stand for a run.
    """
    calls = list(dict.fromkeys(point.call for point in every))
    runs = [list(run) for _, run in groupby(calls, key=_stretch)]
    kept = {call for run in runs for call in _standing_for(run)}
    return [point for point in every if point.call in kept]


def _stretch(call: Call) -> tuple[str, str, int]:
    return call.name, call.place, call.committed


def _standing_for(run: list[Call]) -> list[Call]:
    if run[0].name not in (*WRITES, *_SENDS):
        return run
    middle = len(run) // 2
    return [*run[:2], *run[middle : middle + 2], *run[-2:]]


def _cannot(call: Call, fault: Fault) -> bool:
    """A full disk does not keep anyone from unlinking."""
    return fault is Fault.FULL and call.name.startswith("unlink")


def _run(ready: Callable[[], Act], options: list[str]) -> Ended:
    words, fault = Words(), Words()
    is_ready, says_ready = os.pipe()
    waits, says_go = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _child(ready, words, fault, says_ready, waits)
        finally:
            os._exit(2)  # never on through what its parent cleans up
    os.close(says_ready)
    os.close(waits)
    with os.fdopen(is_ready, "rb") as pipe, os.fdopen(says_go, "wb", buffering=0) as go:
        if pipe.read(1):
            _trace(child, options, go)
    _, status = os.waitpid(child, 0)
    said = fault.all()
    code = os.waitstatus_to_exitcode(status)
    return Ended(code, words.all(), said[0] if said else "", child)


def _trace(child: int, options: list[str], go: Any) -> None:
    command = ["strace", "-e", f"trace={_WATCHED}", *options, "-p", str(child)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        attached = tracer.stderr.readline()
        if "attached" not in attached:
            os.kill(child, signal.SIGKILL)
            raise RuntimeError(f"strace does not take hold: {attached}{tracer.stderr.read()}")
        go.write(b"g")
        tracer.communicate()


def _child(
    ready: Callable[[], Act], words: Words, fault: Words, says_ready: int, waits: int
) -> None:
    code = 0
    try:
        signal.alarm(_SECONDS)
        # Where only a parent may look into a process, strace, our sibling, must be let in.
        ctypes.CDLL(None).prctl(_LET_IN, ctypes.c_ulong(-1), 0, 0, 0)
        act = ready()
        os.write(says_ready, b"r")
        os.read(waits, 1)
        act(words.say)
    except BaseException:  # noqa: BLE001  (whatever it was, the parent must hear of it)
        code = 1
        fault.say(traceback.format_exc()[-4000:])
    os._exit(code)


def _read(log: Path, first_thread: str) -> list[Call]:
    counted: Counter[tuple[str, str]] = Counter()
    committed: Counter[str] = Counter()
    found: dict[tuple[str, int, bool], Call] = {}
    for line in log.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None:  # the second half of a call, a signal, an exit
            continue
        name, thread = match["call"], match["thread"]
        counted[thread, name] += 1
        number = counted[thread, name]
        place = _PLACE.search(match["rest"])
        where = (place["open"] or place["name"] or "") if place else ""
        overtaken = (name, number, False) in found
        if not where.startswith("pipe:") and (thread == first_thread or not overtaken):
            call = Call(name, number, where, committed[where], overtaken)
            found[name, number, overtaken] = call
        committed[where] += name in _SENDS and "COMMIT" in match["rest"]
    return list(found.values())

"""Shuts the printing process in before it reads what strangers wrote.

Rules kept: no network, no process of its own, no core dump, no byte written to any file, no
privileges gained, bounded memory, and bounded processor time for each document. What the kernel
may not be asked for (a network namespace in some containers) is refused in Python as well: an
audit hook cannot be taken off again. Linux calls that Python 3.11 lacks go through libc
(`prctl(2)`, `unshare(2)`).
"""

import ctypes
import math
import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000

_REFUSED = ("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.system", "pty.")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


@dataclass(frozen=True)
class Limits:
    """Processor seconds for one document, and memory in bytes for the whole process."""

    cpu_seconds: int = 20
    memory_bytes: int = 1024**3


class Shut(PermissionError):
    """The printing process tried something that printing does not need."""


def shut_in(limits: Limits) -> None:
    """Apply every limit to this process; to be called before any content is read."""
    if sys.platform == "linux":
        _leave_the_network()
    for kind, amount in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_AS, limits.memory_bytes),
    ):
        resource.setrlimit(kind, (amount, amount))
    os.umask(0o777)
    sys.addaudithook(_Gate(_readable_roots()))


def allow_one_document(limits: Limits) -> None:
    """Give this process the time for one more; the kernel ends it when that is used up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = math.ceil(used.ru_utime + used.ru_stime) + limits.cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


def _leave_the_network() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_NO_NEW_PRIVS, 1)):
        libc.prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0)))
    any(libc.unshare(flags) == 0 for flags in (_CLONE_NEWUSER | _CLONE_NEWNET, _CLONE_NEWNET))


def _readable_roots() -> tuple[str, ...]:
    """Return the folders that hold Python, this package and the fonts."""
    package = Path(__file__).parents[1]
    libraries = (entry for entry in sys.path if entry.endswith("-packages"))
    found = {sys.prefix, sys.base_prefix, str(package), *libraries}
    found |= {"/usr/share", "/usr/lib", "/etc/fonts"}
    return tuple(f"{os.path.realpath(root)}/" for root in sorted(found))


class _Gate:
    """Audit hook (PEP 578): raises `Shut` for sockets, processes, writing and foreign files."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        self._roots = roots

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Look at one event."""
        if event == "open":
            self._look_at_opening(*arguments)
        elif event.startswith(_REFUSED):
            raise Shut(event)

    def _look_at_opening(self, path: object, mode: object, flags: int) -> None:
        if isinstance(path, int):
            return
        name = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        writing = bool(set(str(mode or "r")) & set("wax+")) or flags & _WRITING
        if writing or not name.startswith(self._roots):
            raise Shut("open")

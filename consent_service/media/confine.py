"""Shuts the child process in before it looks at a film that a stranger made.

Rules kept: no network, no core dump, no byte written to any file, no privileges gained, bounded
processor time and memory, and, once the libraries are loaded, no file or socket can be opened at
all. Linux calls that Python 3.11 lacks go through libc (see `prctl(2)`, `unshare(2)`).
"""

import ctypes
import resource
import signal

from consent_service.media.port import Limits

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_GRACE_S = 2


def limit(limits: Limits) -> None:
    """Apply what must stand before the libraries load."""
    libc = ctypes.CDLL(None)
    for option, value in (
        (_PR_SET_PDEATHSIG, int(signal.SIGKILL)),
        (_PR_SET_DUMPABLE, 0),
        (_PR_SET_NO_NEW_PRIVS, 1),
    ):
        libc.prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0)))
    for kind, amount in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_AS, limits.memory_bytes),
    ):
        _lower(kind, amount, amount)
    _lower(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + _GRACE_S)


def _lower(kind: int, soft: int, hard: int) -> None:
    """Set a limit, or leave the one that the machine's owner set if that is lower."""
    present = resource.getrlimit(kind)[1]
    if present != resource.RLIM_INFINITY:
        soft, hard = min(soft, present), min(hard, present)
    resource.setrlimit(kind, (soft, hard))


def leave_network() -> bool:
    """Leave the machine's network and give up a root's rights; False where that is not allowed.

    Only after the libraries are loaded: root in a user namespace may not enter the home folders
    that they may lie in. Where it is refused, `close_files` still keeps sockets from being made.
    """
    libc = ctypes.CDLL(None)
    return any(
        libc.unshare(flags) == 0 for flags in (_CLONE_NEWUSER | _CLONE_NEWNET, _CLONE_NEWNET)
    )


def close_files() -> None:
    """From here on no file and no socket can be opened; those already open go on working."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))

"""Shuts the child process in before it looks at a film that a stranger made.

Rules kept: no network, no core dump, no byte written to any file, no privileges gained, bounded
processor time and memory, and, once the libraries are loaded, no file or socket can be opened at
all. Linux calls that Python 3.11 lacks go through libc (see `prctl(2)`, `unshare(2)`).
"""

import ctypes
import os
import resource
import signal

from consent_service.media.port import Limits

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_GRACE_S = 2


def shut_in(limits: Limits) -> bool:
    """Apply every limit that must stand before the libraries load.

    Returns whether the process has left the machine's network (it may not be allowed to make a
    namespace; `close_files` then still keeps it from making a socket).
    """
    libc = ctypes.CDLL(None, use_errno=True)
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
        resource.setrlimit(kind, (amount, amount))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + _GRACE_S))
    os.umask(0o777)
    return any(
        libc.unshare(flags) == 0 for flags in (_CLONE_NEWUSER | _CLONE_NEWNET, _CLONE_NEWNET)
    )


def close_files() -> None:
    """From here on no file and no socket can be opened; those already open go on working."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))

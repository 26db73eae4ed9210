"""Processes of a trial, forked from one that has loaded and learned everything and opened nothing.

A new Python process needs a second and a half for the service's modules, and half a second for
compiling the same statements again. So a trial runs in a process that goes through its flow once
itself, closes what it opened, makes sure of that, and then forks a child for each part of a point.

Rules kept here:
  * nothing that is open crosses a fork: no file of an installation, no connection, no thread;
  * what is carried over is what was computed: modules, mappers, statements, the policies as read;
  * databases are at the same address for every point, since what was compiled belongs to it.
"""

import functools
import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from consent_service import wiring
from consent_service.vault import keyring_database
from tests.faults.calls import Ended
from tests.faults.flows import Flow, Home
from tests.faults.sweep import Broken, in_a_process, promise


def in_a_child(act: Callable[[], Any]) -> Any:
    """Do it in a process of its own; return its word, or raise Broken with it."""
    code, word = in_a_process(act)
    if code:
        raise Broken(str(word))
    return word


def finished(flow: Flow, home: Home, ended: Ended) -> str:
    """Look, go on and end, each as a new process; return the end's fingerprint."""
    in_a_child(lambda: flow.look(home, ended.words))
    in_a_child(lambda: flow.go_on(home))
    end = in_a_child(lambda: flow.end(home))
    return hashlib.sha256(json.dumps(end, sort_keys=True).encode()).hexdigest()


def learn(flow: Flow, home: Home) -> None:
    """Go through a flow here; this process is for trials of it only from now on."""
    # What whoever began this process had open is not the flow's, which never uses it.
    theirs = _open_below(home.folder)
    wiring.read_policies = functools.cache(wiring.read_policies)
    wiring.open_engine = functools.cache(wiring.open_engine)
    keyring_database.create_engine = functools.cache(keyring_database.create_engine)
    flow.go_on(home)
    flow.end(home)
    promise(not _working_threads(), f"a fork would lose {_working_threads()}")
    left = _open_below(home.folder) - theirs
    promise(not left, f"a fork would share {sorted(left)}")


def _working_threads() -> list[str]:
    """All but timers: one forgets the keys of a viewer who is gone, which a fork has, too."""
    others = set(threading.enumerate()) - {threading.main_thread()}
    return [thread.name for thread in others if not isinstance(thread, threading.Timer)]


def _open_below(folder: Path) -> set[str]:
    handles = list(Path("/proc/self/fd").iterdir())
    names = [str(handle.readlink()) for handle in handles if handle.is_symlink()]
    return {name for name in names if name.startswith((str(folder), "socket:"))}

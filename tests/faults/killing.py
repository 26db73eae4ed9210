"""Places where a process may be killed, and the hook that kills it there.

Pass-through proxies and hooks only: whatever is called is the service's own. Every boundary has a
name; counted from 1, the same run meets the same boundaries in the same order.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from consent_service.services import erasure_steps
from consent_service.services.context import Context

KEYRING = ("create_many", "seal", "unseal", "destroy", "purge_tombstoned")
STORE = ("delete", "delete_many", "discard_unfinished")
SYSTEM = ("fsync", "fdatasync", "unlink", "rename", "replace", "ftruncate")


class Boundaries:
    """Counts boundaries; kills this process at number `kill_at`, as kill -9 does."""

    def __init__(self, kill_at: int = 0) -> None:
        self.names: list[str] = []
        self._kill_at = kill_at

    def cross(self, name: str) -> None:
        """Note a boundary, and die if it is the one."""
        self.names.append(name)
        if len(self.names) == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        """Return `act` with a boundary before and one after."""

        def watched(*arguments: Any, **named: Any) -> Any:
            self.cross(f"before {name}")
            outcome = act(*arguments, **named)
            self.cross(f"after {name}")
            return outcome

        return watched


class _Watched:
    """Another object with boundaries around some of its methods."""

    def __init__(self, inner: Any, what: str, methods: tuple[str, ...], at: Boundaries) -> None:
        self._inner = inner
        self._acts = {m: at.around(f"{what}.{m}", getattr(inner, m)) for m in methods}

    def __getattr__(self, name: str) -> Any:
        return self._acts.get(name) or getattr(self._inner, name)


@contextmanager
def watched(ctx: Context, at: Boundaries, *, system: bool) -> Iterator[Context]:
    """Yield the context with a boundary around each act, line, key, object and commit.

    `system` adds each sync, rename and unlink that Python makes; the process is not to be used
    after this for anything else, since it stays hooked.
    """
    event.listen(ctx.engine, "commit", lambda _: at.cross("before commit"))
    event.listen(Session, "after_commit", lambda _: at.cross("after commit"))
    acts = {kind: at.around(f"act {kind.value}", act) for kind, act in erasure_steps.ACTS.items()}
    erasure_steps.ACTS = acts
    if system:
        for name in SYSTEM:
            setattr(os, name, at.around(f"os.{name}", getattr(os, name)))
        Path.unlink = at.around("Path.unlink", Path.unlink)  # type: ignore[method-assign]
        Path.rename = at.around("Path.rename", Path.rename)  # type: ignore[method-assign]
    yield replace(
        ctx,
        journal=_Watched(ctx.journal, "journal", ("append",), at),  # type: ignore[arg-type]
        keyring=_Watched(ctx.keyring, "keyring", KEYRING, at),  # type: ignore[arg-type]
        blobs=_Watched(ctx.blobs, "store", STORE, at),  # type: ignore[arg-type]
    )

"""A process that carries out an erasure until it is killed: for showing that a rerun converges.

It says so on standard output when it has come to the place named, and then waits to be killed.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from consent_service.cli.demonstration.promises import promise
from consent_service.clock import FixedClock
from consent_service.domain.erasure import StepKind
from consent_service.services import erasure
from consent_service.settings import PREFIX, Settings
from consent_service.wiring import build_context, settings_from

HERE = "here"
WITHIN = "within:"
_CODE = "from consent_service.cli.demonstration.doomed import carry_out; carry_out()"


class StopsAfterDeleting:
    """A store that deletes one object and then waits for the end."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def delete(self, name: str) -> bool:
        """Delete, and wait: the deletion is done and nobody has written it down."""
        done: bool = self._store.delete(name)
        if not name.endswith(".json"):
            _wait_for_the_end()
        return done

    def delete_many(self, names: Collection[str]) -> None:
        """Delete one after another, so that there is a moment with some of them gone."""
        for name in names:
            self.delete(name)


def carry_out() -> None:
    """Carry out an order up to the end of a step, or within the deletion of its objects."""
    order, place, at = sys.argv[1:]
    ctx = build_context(settings_from(), FixedClock(datetime.fromisoformat(at)))
    if place.startswith(WITHIN):
        store = StopsAfterDeleting(ctx.blobs)
        ctx = build_context(ctx.settings, ctx.clock, blobs=store)
        erasure.carry_out(ctx, order, "doomed")
    else:
        erasure.carry_out(ctx, order, "doomed", until=StepKind(place))
    _wait_for_the_end()


def kill_at(settings: Settings, order: str, place: str, at: datetime) -> None:
    """Let another process carry out `order` and kill it with SIGKILL when it comes to `place`."""
    with subprocess.Popen(  # noqa: S603  (our own command)
        [sys.executable, "-c", _CODE, order, place, at.isoformat()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_environment(settings),
        text=True,
    ) as child:
        line = child.stdout.readline() if child.stdout else ""
        child.kill()
        code = child.wait()
    promise(line.strip() == HERE, f"the process ended before it came to {place}")
    promise(code == -signal.SIGKILL, f"the process ended by itself with {code}")


def _environment(settings: Settings) -> Mapping[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    return kept | settings.as_environment()


def _wait_for_the_end() -> None:
    sys.stdout.write(f"{HERE}\n")
    sys.stdout.flush()
    sys.stdin.read()

"""Telling a story of promises: each step is timed, says what it saw, and ends it when broken."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from consent_service.errors import ConsentServiceError

Tell = Callable[["Step"], None]


class PromiseBroken(Exception):
    """What was promised is not so; the message says what was seen instead."""


@dataclass(frozen=True)
class Step:
    """One step as told: whether it held, how long it took in seconds, and what was seen."""

    name: str
    ok: bool
    seconds: float
    evidence: dict[str, object]


@dataclass
class Story:
    """Steps in the order told; `tell` hears each as it ends."""

    tell: Tell
    steps: list[Step] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every promise held."""
        return all(step.ok for step in self.steps)

    def step(self, name: str, act: Callable[[], dict[str, object]]) -> bool:
        """Act, and keep what it saw; False when a promise broke, which ends the story."""
        began = time.perf_counter()
        try:
            evidence, ok = act(), True
        except PromiseBroken as broken:
            evidence, ok = {"broken": str(broken)}, False
        except ConsentServiceError as fault:
            evidence, ok = {"broken": fault.message, "code": fault.code, **fault.details}, False
        step = Step(name, ok, round(time.perf_counter() - began, 3), evidence)
        self.steps.append(step)
        self.tell(step)
        return ok


def promise(held: bool, otherwise: str) -> None:
    """Raise PromiseBroken with what was seen instead, unless it held."""
    if not held:
        raise PromiseBroken(otherwise)


def refusal(act: Callable[[], object], *codes: str) -> ConsentServiceError:
    """Return the refusal that `act` must get, one of these codes; raises PromiseBroken."""
    try:
        act()
    except ConsentServiceError as fault:
        promise(fault.code in codes, f"refused with {fault.code}, not {' or '.join(codes)}")
        return fault
    raise PromiseBroken(f"it was done, though it is refused with {' or '.join(codes)}")

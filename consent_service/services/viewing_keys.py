"""Data keys of the films that are being watched, held in this process's memory for a short while.

Rules kept here:
  * a key stays at most 60 seconds after the last byte, asked for or not: a timer wipes it;
  * an involvement's consent epoch is read at most once a second in a process, and so is who a
    token that watches film stands for, and what became of whoever began a stream;
  * there is room for so many keys only: the one not used for longest goes first;
  * a clock that steps back makes everything look old, never fresh.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from consent_service.domain.assets import AssetKind
from consent_service.services.pace import Pace
from consent_service.vault.blobs import Seen

if TYPE_CHECKING:
    from consent_service.services.access import Caller
    from consent_service.services.standing_caller import Powers

T = TypeVar("T")

KEY_STAYS = timedelta(seconds=45)
SWEEP_EVERY = timedelta(seconds=15)
"""Unused for 45 seconds and found within 15: gone 60 seconds after the last byte."""
READ_HOLDS = timedelta(seconds=1)
MOST_KNOWN = 1000
"""With more names than these, those go that nobody asked about within the last second."""
ROOM = 256
_STRIPES = 64


@dataclass(frozen=True)
class ViewName:
    """One person watching one asset for one purpose, with the powers that they had."""

    user: str
    asset: str
    purpose: str
    roles: frozenset[str]
    teams: frozenset[str]


@dataclass(frozen=True)
class FilmFacts:
    """What serving an asset needs to know of it; sizes in bytes."""

    asset: str
    involvement: str
    kind: AssetKind
    generation: int
    blob: str
    header: bytes
    size: int
    media_type: str
    sha256: str


@dataclass(frozen=True)
class Held:
    """A key as it is handed out: a copy of its own, good for the moment."""

    facts: FilmFacts
    key: bytes
    epoch: int
    checked_at: datetime
    seen: Seen | None = None
    """The object whose last chunk was authenticated with this key; None before that."""
    pace: Pace = field(default_factory=Pace)


class Recent(Generic[T]):
    """What was read within the last second, by name; shared by the threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[T, datetime]] = {}

    def get(self, name: str, at: datetime, read: Callable[[], T]) -> T:
        """Return what is known of `name`, read again where that is a second old."""
        known = self._known.get(name)
        if known is not None and _fresh(known[1], at, READ_HOLDS):
            return known[0]
        found = read()
        with self._lock:
            self._known[name] = (found, at)
        if len(self._known) > MOST_KNOWN:
            self.sweep(at)
        return found

    def sweep(self, at: datetime) -> None:
        """Forget what is too old to be told again."""
        with self._lock:
            self._known = {n: k for n, k in self._known.items() if _fresh(k[1], at, READ_HOLDS)}

    def forget(self, name: str) -> None:
        """Have it read again at the next asking."""
        with self._lock:
            self._known.pop(name, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._known = {}


class _Slot:
    """One key in memory, overwritten when it goes (as far as Python lets us)."""

    def __init__(self, held: Held, at: datetime) -> None:
        self.facts = held.facts
        self.epoch = held.epoch
        self.checked_at = held.checked_at
        self.seen = held.seen
        self.pace = held.pace
        self.key = bytearray(held.key)
        self.used_at = at

    def wipe(self) -> None:
        self.key[:] = bytes(len(self.key))


class ViewingKeys:
    """The keys in memory of one process; shared by its threads."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._slots: OrderedDict[ViewName, _Slot] = OrderedDict()
        self.epochs: Recent[int] = Recent()
        self.callers: Recent[Caller] = Recent()
        self.standings: Recent[Powers | None] = Recent()
        self._known: tuple[Recent[Any], ...] = (self.epochs, self.callers, self.standings)
        self._starting = [threading.Lock() for _ in range(_STRIPES)]
        self._sweeping = False

    def __len__(self) -> int:
        """Return how many keys are held."""
        return len(self._slots)

    @contextmanager
    def starting(self, name: ViewName) -> Iterator[None]:
        """Let one thread at a time begin this viewing, so that it is written down once."""
        with self._starting[hash(name) % _STRIPES]:
            yield

    def take(self, name: ViewName, at: datetime) -> Held | None:
        """Return the key of a viewing that is going on, and count this as a use of it."""
        with self._lock:
            slot = self._slots.get(name)
            if slot is None:
                return None
            if not _fresh(slot.used_at, at, KEY_STAYS):
                self._drop(name)
                return None
            slot.used_at = at
            self._slots.move_to_end(name)
            key = bytes(slot.key)
            return Held(slot.facts, key, slot.epoch, slot.checked_at, slot.seen, slot.pace)

    def touch(self, name: ViewName, at: datetime) -> None:
        """Count bytes that flow as a use of the viewing's key, if it is held."""
        with self._lock:
            slot = self._slots.get(name)
            if slot is not None:
                slot.used_at = max(slot.used_at, at)

    def keep(self, name: ViewName, held: Held, now: Callable[[], datetime]) -> None:
        """Hold a key that was just opened; `now` tells the sweeper the time later on."""
        with self._lock:
            self._drop(name)
            self._slots[name] = _Slot(held, now())
            while len(self._slots) > self._room:
                self._drop(next(iter(self._slots)))
            self._arrange_sweep(now)

    def forget(self, name: ViewName) -> None:
        """Wipe the key of one viewing."""
        with self._lock:
            self._drop(name)

    def forget_all(self) -> None:
        """Wipe every key."""
        with self._lock:
            for name in list(self._slots):
                self._drop(name)
        for known in self._known:
            known.clear()

    def sweep(self, at: datetime) -> None:
        """Wipe every key that has not been used for a while, and forget old readings."""
        with self._lock:
            for name in [n for n, s in self._slots.items() if not _fresh(s.used_at, at, KEY_STAYS)]:
                self._drop(name)
        for known in self._known:
            known.sweep(at)

    def _drop(self, name: ViewName) -> None:
        slot = self._slots.pop(name, None)
        if slot is not None:
            slot.wipe()

    def _arrange_sweep(self, now: Callable[[], datetime]) -> None:
        """Have the keys looked through a little later, as long as any is held."""
        if self._sweeping or not self._slots:
            return
        self._sweeping = True
        timer = threading.Timer(SWEEP_EVERY.total_seconds(), self._sweep_again, (now,))
        timer.daemon = True
        timer.start()

    def _sweep_again(self, now: Callable[[], datetime]) -> None:
        self.sweep(now())
        with self._lock:
            self._sweeping = False
            self._arrange_sweep(now)


def _fresh(since: datetime, at: datetime, lasts: timedelta) -> bool:
    """Tell whether `at` is less than `lasts` after `since`, and not before it."""
    return timedelta(0) <= at - since < lasts

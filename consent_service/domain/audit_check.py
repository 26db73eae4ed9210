"""Check a log: feed it epochs, leaves and signed heads in order; it stops at the first bad entry.

Pure, and the same for the database and for an exported file. Rules kept here:
  * every head is signed by a known key, names this log and epoch, follows the head before it, and
    has the root that the entries give;
  * every leaf is covered by a head;
  * a head that was published elsewhere (journal, witness) must be in the log, unless a later epoch
    owns up to the loss;
  * an epoch after the first begins with an entry that commits to the one before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consent_service.domain.audit import Detail, EventKind, parse_body
from consent_service.domain.checkpoint import (
    Checkpoint,
    open_checkpoint,
    origin_epoch,
    parse_checkpoint,
)
from consent_service.domain.merkle import TILE_HEIGHT, Frontier
from consent_service.domain.signed_note import parse_note
from consent_service.errors import IntegrityFault


@dataclass(frozen=True, slots=True)
class BadEntry:
    """The first thing that is wrong: its place, the entry if it can be named, and what."""

    epoch: int
    index: int
    entry_id: str | None
    what: str

    def __str__(self) -> str:
        """Return one sentence for a person."""
        named = f" ({self.entry_id})" if self.entry_id else ""
        return f"Epoch {self.epoch}, entry {self.index}{named}: {self.what.removesuffix('.')}."


@dataclass(frozen=True, slots=True)
class LostRange:
    """What a restore lost, as the log itself says: from the head kept to the head that ended."""

    kept_epoch: int
    kept_size: int
    ended_epoch: int
    ended_size: int


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a check found. `unsealed`: entries of the last moments that no signature covers yet."""

    ok: bool
    entries: int
    epochs: int
    checkpoints: int
    unsealed: int = 0
    lost: tuple[LostRange, ...] = ()
    first_bad: BadEntry | None = None


class LogFault(IntegrityFault):
    """The log is not what was signed; `bad` says where."""

    def __init__(self, bad: BadEntry) -> None:
        super().__init__(str(bad), epoch=bad.epoch, index=bad.index, entry_id=bad.entry_id)
        self.bad = bad


@dataclass(frozen=True, slots=True)
class Trust:
    """What a check believes: public keys, and signed heads that were kept outside the log."""

    keys: Sequence[Ed25519PublicKey]
    published: Sequence[str] = ()


@dataclass
class _Epoch:
    """One epoch while its leaves go by."""

    number: int
    origin: str
    tree: Frontier = field(default_factory=Frontier)
    head: Checkpoint | None = None
    first_after_head: str | None = None

    @property
    def covered(self) -> int:
        """Return how many leaves the last good head covers."""
        return self.head.size if self.head else 0


class LogCheck:
    """Goes along a log in order. Every method raises LogFault at the first bad entry."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._epoch: _Epoch | None = None
        self._unseen: dict[tuple[int, int], bytes] = {}
        self._entries = self._epochs = self._checkpoints = 0
        self._lost: list[LostRange] = []

    def expect_published(self) -> None:
        """Note the heads kept outside; raises LogFault for one that no known key signed."""
        for note in self._trust.published:
            try:
                origin = parse_checkpoint(parse_note(note).text).origin
                head = open_checkpoint(note, self._trust.keys, origin)
                number = origin_epoch(origin)
            except IntegrityFault as fault:
                bad = BadEntry(0, 0, None, f"a published checkpoint is not valid: {fault.message}")
                raise LogFault(bad) from fault
            self._unseen[number, head.size] = head.root

    def begin_epoch(self, number: int, origin: str, first_body: bytes | None) -> None:
        """Start with an epoch, whose first entry is `first_body`; the one before is complete."""
        before = self._epoch
        self._end_epoch()
        self._epoch = _Epoch(number, origin)
        self._epochs += 1
        try:
            named = origin_epoch(origin)
        except IntegrityFault:
            named = None
        if named != number or (before is not None and before.number >= number):
            self._fail(0, None, "the origin of this epoch is not that of its number")
        if first_body is None:
            self._fail(0, None, "this epoch has no first entry")
        if number > 1:
            self._require_commitment(before, first_body)

    def add_leaves(
        self, first_id: str | None, hashes: Sequence[bytes], tile_root: bytes | None = None
    ) -> None:
        """Go over the next leaves; `hashes` have been compared with their bodies already.

        `first_id` is the entry of the first of them. `tile_root` saves work when they are exactly
        one tile and its root is known.
        """
        epoch = self._present()
        if epoch.tree.size == epoch.covered:
            epoch.first_after_head = first_id
        if tile_root is None:
            epoch.tree.extend(hashes)
        else:
            epoch.tree.add_perfect(TILE_HEIGHT, tile_root)
        self._entries += len(hashes)

    def add_checkpoint(self, note: str) -> Checkpoint:
        """Check a signed head against the leaves so far; return it."""
        epoch = self._present()
        place = max(epoch.tree.size - 1, 0)
        try:
            head = open_checkpoint(note, self._trust.keys, epoch.origin)
        except IntegrityFault as fault:
            self._fail(place, None, f"the checkpoint after it is not valid: {fault.message}")
        if head.previous != epoch.covered:
            self._fail(place, None, f"the checkpoint of size {head.previous} before it is missing")
        if head.size != epoch.tree.size:
            self._fail(
                min(epoch.tree.size, head.size), None, f"a checkpoint says {head.size} entries"
            )
        if head.root != epoch.tree.root():
            what = f"it or a later one up to {head.size - 1} is not what the checkpoint signs"
            self._fail(epoch.covered, epoch.first_after_head, what)
        self._tick_off(epoch.number, head)
        epoch.head = head
        self._checkpoints += 1
        return head

    def finish(self, unsealed: int = 0) -> VerifyReport:
        """End the last epoch and return the report of a good log."""
        self._end_epoch()
        for number, size in sorted(self._unseen):
            if not self._owned_up(number, size):
                self._fail_published(number, size)
        return VerifyReport(
            True, self._entries, self._epochs, self._checkpoints, unsealed, tuple(self._lost)
        )

    def failed(self, bad: BadEntry) -> VerifyReport:
        """Return the report of a log that stopped at `bad`."""
        return VerifyReport(
            False, self._entries, self._epochs, self._checkpoints, 0, tuple(self._lost), bad
        )

    def _present(self) -> _Epoch:
        if self._epoch is None:
            raise LogFault(BadEntry(0, 0, None, "there are entries before the first epoch"))
        return self._epoch

    def _end_epoch(self) -> None:
        epoch = self._epoch
        if epoch is not None and epoch.tree.size != epoch.covered:
            self._fail(epoch.covered, epoch.first_after_head, "no checkpoint covers it")

    def _require_commitment(self, before: _Epoch | None, first_body: bytes) -> None:
        """An epoch after the first must say what it follows and what was lost."""
        said = _epoch_started(first_body)
        kept = (before.number, before.covered) if before else (0, 0)
        if said is None or (said.get("kept_epoch"), said.get("kept_size")) != kept:
            self._fail(0, None, "it does not commit to the epoch before")
        epoch, size = said.get("previous_epoch"), said.get("previous_size")
        if not isinstance(epoch, int) or not isinstance(size, int) or (epoch, size) < kept:
            self._fail(0, None, "it does not commit to the epoch before")
        if (epoch, size) != kept:
            self._lost.append(LostRange(*kept, epoch, size))
        elif before and before.head and said.get("previous_root") != before.head.root.hex():
            self._fail(0, None, "it commits to another head of the epoch before")

    def _tick_off(self, number: int, head: Checkpoint) -> None:
        published = self._unseen.pop((number, head.size), head.root)
        if published != head.root:
            self._fail(head.size - 1, None, "another checkpoint of this size was published: a fork")

    def _owned_up(self, number: int, size: int) -> bool:
        return any(
            (lost.kept_epoch, lost.kept_size) < (number, size)
            and (number, size) <= (lost.ended_epoch, lost.ended_size)
            for lost in self._lost
        )

    def _fail_published(self, number: int, size: int) -> NoReturn:
        epoch = self._epoch
        place = epoch.tree.size if epoch and epoch.number == number else 0
        what = f"a published checkpoint says {size} entries and is not in the log: entries were cut"
        raise LogFault(BadEntry(number, min(place, size), None, what))

    def _fail(self, index: int, entry_id: str | None, what: str) -> NoReturn:
        raise LogFault(BadEntry(self._epoch.number if self._epoch else 0, index, entry_id, what))


def _epoch_started(raw: bytes) -> dict[str, Detail] | None:
    """Return what the first entry of a later epoch says; nothing when it is another entry."""
    try:
        event = parse_body(raw).event
    except IntegrityFault:
        return None
    return dict(event.details) if event.kind is EventKind.LOG_EPOCH_STARTED else None

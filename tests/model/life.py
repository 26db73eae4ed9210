"""What is known of a family's film beside the service, and what must hold after every step.

What must hold:
  * where somebody's live consent is missing, the service refuses and live keys open no wrap;
  * what was withdrawn never becomes readable, whatever anybody agrees to later;
  * what a certificate calls gone stays gone, after rotations and restores too;
  * a certificate says what the preview said, and verifies; so does the audit log;
  * no object of the store is without an owner.
"""

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass

from hypothesis.stateful import RuleBasedStateMachine, invariant

from consent_service.domain.erasure import OrderState
from consent_service.services import audit, erasure, key_rotation
from consent_service.services.access import job_caller
from tests.model import looking
from tests.model.looking import Film, Lines
from tests.model.said import PURPOSES, Record
from tests.model.stage import Stage
from tests.support import whole_lists
from tests.support.backups import DatabaseBackup
from tests.support.clinic import Clinic


@dataclass(frozen=True)
class Kept:
    """A database as it was: how far the record had gone, and which films and acts it knows."""

    backup: DatabaseBackup
    number: int
    films: frozenset[str]
    acts: frozenset[str]


class Life(RuleBasedStateMachine):
    """One family's film on one installation, and all that is promised about it."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._ends = ExitStack()
        self.stage = stage
        self.clinic: Clinic = self._ends.enter_context(stage.begins())
        self.family = stage.family
        self.record = Record(self.family.baby)
        self.films: list[Film] = []
        self.lost: set[str] = set()
        self.acts: list[str] = []
        self.holds: list[str] = []
        self.withdrawals: list[tuple[str, str]] = []
        self.promised: dict[str, Lines] = {}
        self.certified: set[str] = set()
        self.kept: Kept | None = None
        self.disturbed = False
        self.started = self.clinic.clock.now()

    def teardown(self) -> None:
        """Let everything that was ordered be carried out, look once more, and clear the stage."""
        try:
            self.passes(days=8)
            self.work()
            self.rotate()
            self.look()
            looking.require_sound_log(self.clinic)
        finally:
            self.leave()

    def leave(self) -> None:
        """Close the installation and clear it away."""
        self._ends.close()

    def ended(self, act: str, order: str, lines: Lines, over: Collection[str], person: str) -> None:
        """Note what an act ends for good, and what its order promises."""
        # What another order takes before this one comes to it, this one does not name.
        self.promised = {} if self._goes_on(other_than=order) else {order: lines}
        # What another use keeps may be agreed to anew, also one that parents still disagree about;
        # nothing else of it may.
        keeps = {"purpose_remains"} | ({"dispute"} if set(PURPOSES) - set(over) else set())
        touched = {asset for asset, _, ground in lines if ground not in keeps}
        for film in self.films:
            if film.id in touched and person in film.depicted:
                film.end(over, act)

    # What must hold

    @invariant()
    def look(self) -> None:
        """Hold the service against the record, every film and use of it."""
        for film in self.films:
            for purpose in PURPOSES:
                if not self.may(film, purpose):
                    self._require_shut(film, purpose)
            if film.gone:
                assert looking.is_left(self.clinic, film) == [], "what was erased is there again"
        strangers = {name.split(".")[0] for name in looking.without_owner(self.clinic)}
        assert strangers <= self.lost, "the store holds what belongs to nobody"

    @invariant()
    def log_is_sound(self) -> None:
        """Verify the audit log."""
        looking.require_sound_log(self.clinic)

    def _require_shut(self, film: Film, purpose: str) -> None:
        assert looking.opens(self.clinic, film, purpose) is None, f"{purpose} can be watched"
        assert not looking.is_ground(self.clinic, film, purpose), f"{purpose} has a ground"
        if film.is_keyless(purpose) or not self.record.permits(film.depicted, purpose):
            assert not looking.unwraps(self.clinic, film, purpose), f"keys open {purpose}"

    def may(self, film: Film, purpose: str) -> bool:
        return film.may_open(purpose) and self.record.permits(film.depicted, purpose)

    def read_certificates(self) -> None:
        """Hold each new certificate against what was promised, and remember what is gone."""
        for order in whole_lists.orders(self.clinic.ctx, self.clinic.ig):
            if order.state is not OrderState.DONE or order.id in self.certified:
                continue
            self.certified.add(order.id)
            lines = looking.certified(self.clinic, order.id)
            if order.id in self.promised:
                promised = self.promised.pop(order.id)
                assert lines == promised, f"promised {promised}, certified {lines}"
            gone = {asset for asset, outcome, _ in lines if outcome == "destroy"}
            for film in self.films:
                film.gone = film.gone or film.id in gone

    def _goes_on(self, other_than: str) -> bool:
        ended = (OrderState.DONE, OrderState.CANCELLED)
        orders = whole_lists.orders(self.clinic.ctx, self.clinic.ig)
        return any(one.state not in ended and one.id != other_than for one in orders)

    # What goes on by itself

    def work(self) -> None:
        """Do all that is due, and read what was certified."""
        erasure.work(self.clinic.ctx, "model")
        self.read_certificates()

    def rotate(self) -> None:
        """Rotate the keys."""
        key_rotation.rotate(self.clinic.ctx, job_caller("rotate-keys"))

    # Small words

    def id_of(self, who: str) -> str:
        return str(getattr(self.family, who))

    def passes(self, **time: float) -> None:
        self.clinic.passes(**time)

    def publish(self) -> None:
        audit.seal(self.clinic.ctx)
        audit.publish_checkpoint(self.clinic.ctx)

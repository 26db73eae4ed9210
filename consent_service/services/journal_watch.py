"""Beside a process that serves: is what it serves from still what the journal says it must be?

Rules kept here:
  * the journal is looked at every few seconds, on every node, by what looks at it at a start: what
    a restored database or keyring has forgotten is done again before anything else;
  * from the moment that an older database is seen until it is brought up to date nothing is served;
  * nothing is served beside a journal that is missing, cut or forked, nor for long beside one that
    cannot be looked at; a later look that finds all well opens again;
  * whoever is about to destroy looks first, and destroys nothing unless that look is a good one;
  * that a journal cannot be trusted, and that it can again, stands in the log, once each, and is
    told to people; whoever found it broken says that it is whole, or anybody once that is long ago:
    they may have ended before it was mended, or may see it as broken still.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from consent_service.db.one_at_a_time import in_turn
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.roles import ADMINISTRATOR, IG_OFFICER
from consent_service.errors import ConsentServiceError, JournalBroken, Unavailable
from consent_service.services import startup
from consent_service.services.context import Context
from consent_service.services.notices import notify
from consent_service.services.overview import journal_is_broken

LOOK_SECONDS = 10.0
RETRY_SECONDS = 3.0
PATIENCE_SECONDS = 60.0
"""So old may the last good look be."""
SPEAK_FOR_OTHERS = timedelta(minutes=10)
"""After so long a process says that the journal is whole although another found it broken."""
_TELL_LOCK = 0x74656C6C  # any fixed number: "tell"
WATCH = Actor(ActorKind.JOB, "journal-watch")
_log = logging.getLogger(__name__)


class JournalWatch:
    """Looks, remembers what it found, and refuses on behalf of the process it stands beside.

    Made right after `startup.require_ready`, which counts as the first good look.
    """

    def __init__(self, ctx: Context, seconds: Callable[[], float] = time.monotonic) -> None:
        self._ctx = ctx
        self._seconds = seconds
        self._replayed_to = startup.replayed_to(ctx)
        self._good_at = seconds()
        self._fault: ConsentServiceError | None = None
        self._looking = threading.RLock()
        self._tell(None)

    def require_whole(self) -> None:
        """Raise what forbids serving now: JournalBroken or Unavailable. Asks nothing of anybody."""
        fault = self._fault  # another thread may forget it meanwhile
        if fault is not None:
            raise fault.with_traceback(None)
        if self._seconds() - self._good_at > PATIENCE_SECONDS:
            raise _away()

    def look(self) -> bool:
        """Look once, and bring back what was forgotten; tells whether all is well."""
        try:
            self.require_newest()
            self._speak_for_others()
        except JournalBroken as fault:
            _log.error("journal: %s", fault.message)
        except Exception as fault:  # noqa: BLE001  (away for now; time tells if it stays so)
            _log.warning("journal: a look failed: %s", _code(fault))
        else:
            return True
        return False

    def require_newest(self) -> None:
        """Look once, and bring back what was forgotten; raise what keeps all from being well.

        One thread at a time, or a good look that began before a bad one could end after it.
        """
        if not self._looking.acquire(timeout=PATIENCE_SECONDS):
            raise _away()
        try:
            self._require_newest()
        finally:
            self._looking.release()

    def _require_newest(self) -> None:
        try:
            self._look()
        except JournalBroken as fault:
            self._fault = fault
            self._tell(fault)
            raise
        mended = isinstance(self._fault, JournalBroken)
        self._fault, self._good_at = None, self._seconds()
        if mended:
            self._tell(None)

    def run(self, stop: threading.Event) -> None:
        """Look again and again until `stop` is set."""
        wait = LOOK_SECONDS
        while not stop.wait(wait):
            wait = LOOK_SECONDS if self.look() else RETRY_SECONDS

    def _look(self) -> None:
        # First of all: an older database may also be of an older version.
        if startup.replayed_to(self._ctx) < self._replayed_to:
            self._fault = Unavailable(
                "An older copy of the database was put in place. What ended since is being done"
                " again: try again in a minute.",
                code="restoring",
            )
        startup.require_schema(self._ctx)
        startup.replay(self._ctx)
        self._replayed_to = startup.replayed_to(self._ctx)

    def _speak_for_others(self) -> None:
        """Say that the journal is whole where whoever found it broken has not for long."""
        with self._ctx.read() as session:
            said = journal_is_broken(session, since=self._ctx.clock.now() - SPEAK_FOR_OTHERS)
        if said:
            self._tell(None)

    def _tell(self, fault: JournalBroken | None) -> None:
        """Write down what was found, unless that is what is written down already."""
        with self._ctx.read() as session:
            if journal_is_broken(session) is (fault is not None):
                return
        kind = EventKind.JOURNAL_WHOLE if fault is None else EventKind.JOURNAL_BROKEN
        details = {} if fault is None else {"reason": fault.code, **fault.details}
        with self._ctx.begin() as uow:
            in_turn(uow.session, _TELL_LOCK)
            if journal_is_broken(uow.session) is (fault is not None):
                return  # another process was quicker
            uow.record(AuditEvent(kind, WATCH, "journal", details=details))
            if fault is not None:
                for role in (IG_OFFICER, ADMINISTRATOR):
                    notify(uow, "journal_broken", role=role, subject="journal")


def _away() -> Unavailable:
    return Unavailable(
        "The journal of endings could not be looked at for a minute. Nothing is lost: try again"
        " once it is back.",
        code="journal_away",
    )


def _code(fault: Exception) -> str:
    return fault.code if isinstance(fault, ConsentServiceError) else type(fault).__name__

"""Several threads and processes look at one journal: what is found is told once, and stays true."""

import threading

import pytest

from consent_service.domain.audit import EventKind
from consent_service.errors import ConsentServiceError, JournalBroken
from consent_service.services import audit, overview, startup
from consent_service.services.journal_watch import SPEAK_FOR_OTHERS, JournalWatch
from consent_service.vault.journal import MemoryJournal
from tests.support.clinic import Clinic


@pytest.fixture
def journal(clinic: Clinic) -> MemoryJournal:
    """The clinic's own journal, in which something ended, and which the database has seen."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)
    clinic.withdraws(family, family.mother)
    audit.seal(clinic.ctx)
    audit.publish_checkpoint(clinic.ctx)
    startup.replay(clinic.ctx)
    found = clinic.ctx.journal
    assert isinstance(found, MemoryJournal)
    return found


def cut(journal: MemoryJournal) -> list[bytes]:
    """Cut the journal short; returns the lines to put back."""
    whole, journal._lines = journal._lines, journal._lines[:1]
    return whole


def is_told_broken(clinic: Clinic) -> bool:
    return bool(overview.overview(clinic.ctx, clinic.ig).exceptions["journal_broken"])


def told(clinic: Clinic) -> list[int]:
    """How often it was written down that the journal is broken, and that it is whole."""
    kinds = (EventKind.JOURNAL_BROKEN, EventKind.JOURNAL_WHOLE)
    return [len(clinic.written_down(kind)) for kind in kinds]


def test_many_who_find_it_broken_in_the_same_moment_tell_it_once(
    clinic: Clinic, journal: MemoryJournal
) -> None:
    """Four messages about one fault read as four faults."""
    watches = [JournalWatch(clinic.ctx) for _ in range(8)]
    start = threading.Barrier(len(watches))

    def tell(watch: JournalWatch) -> None:
        start.wait()
        watch._tell(JournalBroken("It was cut."))

    threads = [threading.Thread(target=tell, args=(watch,)) for watch in watches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert told(clinic) == [1, 0]


def test_a_good_look_that_ends_late_does_not_undo_a_bad_one(
    clinic: Clinic, journal: MemoryJournal
) -> None:
    """Timer and requests look from threads of their own: the newest finding is what counts."""
    moment = 0.0
    late: list[threading.Thread] = []

    def seconds() -> float:
        if moment and not late:
            cut(journal)
            late.append(threading.Thread(target=watch.look))
            late[0].start()
            late[0].join(timeout=1)
        return moment

    watch = JournalWatch(clinic.ctx, seconds)
    moment = 1.0

    assert watch.look()
    late[0].join()

    found: list[ConsentServiceError] = []
    try:
        watch.require_whole()
    except ConsentServiceError as fault:
        found.append(fault)
    assert [type(fault) for fault in found] == [JournalBroken]
    assert told(clinic) == [1, 0]


def test_an_alarm_ends_although_whoever_raised_it_did(
    clinic: Clinic, journal: MemoryJournal
) -> None:
    """Left standing it would hide the next break, which nobody would then be told of."""
    finder, other = JournalWatch(clinic.ctx), JournalWatch(clinic.ctx)
    whole = cut(journal)
    assert not finder.look()
    journal._lines = whole

    clinic.passes(minutes=1)
    assert other.look()
    assert is_told_broken(clinic), "whoever found it may see it so still, and would tell it again"
    clinic.clock.advance(SPEAK_FOR_OTHERS)
    assert other.look()

    assert not is_told_broken(clinic)
    clinic.passes(minutes=1)
    cut(journal)
    assert not other.look()
    assert told(clinic) == [2, 1]

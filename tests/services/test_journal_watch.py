"""Beside a process that serves: older databases and broken journals are noticed while it runs."""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from consent_service.app import create_app
from consent_service.db.models.audit import AuditEntry, AuditEpoch
from consent_service.db.models.jobs import Notice
from consent_service.errors import ConsentServiceError, Gone, JournalBroken, Unavailable
from consent_service.services import audit, journal_watch, startup
from consent_service.services.context import Context
from consent_service.services.journal_watch import (
    LOOK_SECONDS,
    PATIENCE_SECONDS,
    RETRY_SECONDS,
    JournalWatch,
)
from consent_service.services.viewing_keys import ViewingKeys
from consent_service.vault.journal import JournalLine, LineKind, MemoryJournal
from consent_service.web import standing
from tests.support.backups import DatabaseBackup
from tests.support.clinic import Clinic, Family
from tests.support.safe import count


@pytest.fixture
def now() -> list[float]:
    """The monotonic clock as a watch sees it; a test moves it on."""
    return [1000.0]


def publish(clinic: Clinic) -> None:
    """Do what the worker does each minute."""
    audit.seal(clinic.ctx)
    audit.publish_checkpoint(clinic.ctx)
    startup.replay(clinic.ctx)


def backed_up(clinic: Clinic, folder: Path) -> DatabaseBackup:
    """A copy of the database, after which time goes on."""
    publish(clinic)
    found = DatabaseBackup.take(clinic.ctx.engine, folder)
    clinic.passes(minutes=5)
    return found


def refused(watch: JournalWatch) -> ConsentServiceError | None:
    """What a request would be refused with now."""
    try:
        watch.require_whole()
    except ConsentServiceError as fault:
        return fault
    return None


class Listened(MemoryJournal):
    """The clinic's own journal; whoever reads its lines makes it call `heard` first."""

    def __init__(self, ctx: Context) -> None:
        real = ctx.journal
        assert isinstance(real, MemoryJournal)
        super().__init__(real._signer, real._public_keys)
        self._lines = real._lines
        self.heard: Callable[[], object] = lambda: None

    def lines(self, after: int = 0) -> Iterator[JournalLine]:
        self.heard()
        return super().lines(after)


def test_an_older_database_is_brought_up_to_date_and_nothing_is_served_meanwhile(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """An operator restores under running nodes: what a parent took back must not play again."""
    film = clinic.stores_film(family).id
    backup = backed_up(clinic, tmp_path)
    clinic.withdraws(family, family.mother)
    publish(clinic)
    journal = Listened(clinic.ctx)
    node = dataclasses.replace(clinic.ctx, journal=journal, viewings=ViewingKeys())
    watch = JournalWatch(node)
    meanwhile: list[ConsentServiceError | None] = []
    backup.put_back()
    clinic.ctx = node
    journal.heard = lambda: meanwhile.append(refused(watch))

    assert watch.look()

    assert meanwhile
    assert {fault.code for fault in meanwhile if fault} == {"restoring"}
    assert None not in meanwhile
    assert refused(watch) is None
    with pytest.raises(Gone):
        clinic.watches(film)


def test_a_quiet_look_writes_nothing_and_refuses_nobody(clinic: Clinic, family: Family) -> None:
    """It happens every few seconds on every node, for years."""
    publish(clinic)
    watch, head = JournalWatch(clinic.ctx), clinic.ctx.journal.head()
    entries = count(clinic, AuditEntry)

    assert all(watch.look() for _ in range(3))

    assert refused(watch) is None
    assert (clinic.ctx.journal.head(), count(clinic, AuditEntry)) == (head, entries)


def test_beside_a_cut_journal_nothing_is_served_until_it_is_put_back(
    clinic: Clinic, family: Family
) -> None:
    """Without its last lines nobody can say what must not be shown."""
    clinic.withdraws(family, family.mother)
    publish(clinic)
    watch, journal = JournalWatch(clinic.ctx), clinic.ctx.journal
    assert isinstance(journal, MemoryJournal)
    whole, journal._lines = journal._lines, journal._lines[:1]

    assert not watch.look()

    for _ in range(2):
        fault = refused(watch)
        assert isinstance(fault, JournalBroken)
        assert fault.code == "cut_short"
    journal._lines = whole
    assert watch.look()
    assert refused(watch) is None


def test_a_journal_that_cannot_be_looked_at_is_borne_for_a_minute_and_no_longer(
    clinic: Clinic, now: list[float]
) -> None:
    """A hiccup must not stop a clinic; a node that is cut off must not serve what ended since."""
    publish(clinic)
    away = Listened(clinic.ctx)

    def fail() -> None:
        raise Unavailable("The journal is away.")

    watch = JournalWatch(dataclasses.replace(clinic.ctx, journal=away), lambda: now[0])
    away.heard = fail
    now[0] += PATIENCE_SECONDS

    assert not watch.look()
    assert refused(watch) is None
    now[0] += 1
    fault = refused(watch)
    assert fault is not None
    assert fault.code == "journal_away"
    away.heard = lambda: None
    assert watch.look()
    assert refused(watch) is None


def test_a_fault_of_any_kind_is_no_good_look(clinic: Clinic, now: list[float]) -> None:
    """The thread that looks must outlive whatever it meets, or the node would stop for good."""
    watch = JournalWatch(clinic.ctx, lambda: now[0])
    clinic.ctx.engine.dispose()
    broken = dataclasses.replace(clinic.ctx, journal=None)  # type: ignore[arg-type]
    watch._ctx = broken

    assert not watch.look()
    watch._ctx = clinic.ctx
    assert watch.look()


def test_it_looks_again_sooner_after_a_bad_look(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once an outage is over nobody should wait longer than needed."""
    watch, looks = JournalWatch(clinic.ctx), iter([False, True])
    waits: list[float | None] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            return len(waits) == 3

    monkeypatch.setattr(watch, "look", lambda: next(looks))
    watch.run(Stop())

    assert waits == [LOOK_SECONDS, RETRY_SECONDS, LOOK_SECONDS]
    assert PATIENCE_SECONDS <= 60, "what is promised: at least every minute"


def test_several_processes_bring_back_a_restored_database_once(
    clinic: Clinic, family: Family, tmp_path: Path
) -> None:
    """Web and worker of every node notice it in the same moment; it is told of once."""
    backup = backed_up(clinic, tmp_path)
    clinic.withdraws(family, family.mother)
    publish(clinic)
    watches = [JournalWatch(clinic.ctx) for _ in range(4)]
    backup.put_back()
    start, good = threading.Barrier(len(watches)), []

    def look(watch: JournalWatch) -> None:
        start.wait()
        good.append(watch.look())

    threads = [threading.Thread(target=look, args=(watch,)) for watch in watches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert good == [True] * len(watches)
    kinds = [line.kind for line in clinic.ctx.journal.lines()]
    assert kinds.count(LineKind.RESTORED) == 1
    assert count(clinic, Notice, Notice.kind == "restore_found") == 2
    assert count(clinic, AuditEpoch) == 2


def test_a_served_app_asks_the_watch_and_still_answers_machines(
    clinic: Clinic, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A balancer must be able to see why a node is out; people get a page that says what to do."""
    publish(clinic)
    watch, app = JournalWatch(clinic.ctx), create_app(clinic.ctx)
    standing.register(app, watch)
    client = app.test_client()
    assert client.get("/health/ready").status_code == 200
    assert client.get("/sign-in").status_code == 200
    assert isinstance(clinic.ctx.journal, MemoryJournal)
    del clinic.ctx.journal._lines[-1:]

    watch.look()

    page = client.get("/sign-in")
    assert page.status_code == 503
    assert "stopped to keep a promise" in page.text
    problem = client.get(f"/api/v1/people/{family.mother}/consent-state")
    assert (problem.status_code, problem.mimetype) == (503, "application/problem+json")
    ready = client.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json is not None
    assert ready.json["checks"]["journal"] is False
    assert client.get("/health/live").status_code == 200


def test_a_thread_looks_for_as_long_as_the_process_lives(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks for a look: it happens by itself."""
    monkeypatch.setattr(journal_watch, "LOOK_SECONDS", 0.001)
    watch, looked = JournalWatch(clinic.ctx), threading.Event()

    def look() -> bool:
        looked.set()
        return True

    monkeypatch.setattr(watch, "look", look)

    stop = standing.watch_on(watch)

    assert looked.wait(30)
    stop.set()

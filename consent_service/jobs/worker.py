"""The worker: heartbeats that fire due jobs, carry out erasures and keep the audit log sealed.

Rules kept here:
  * APScheduler is only this process's pulse; what is due, and who does it, stands in the database,
    so any number of workers on PostgreSQL do each thing once;
  * on SQLite there is one worker, by a file lock, and the leases of one that died are void when
    the next starts;
  * nothing is destroyed out of an older database that was put in place, nor beside a journal that
    cannot be trusted: before a job and before each step of an erasure what the journal knows beyond
    the database, a hold or a change of mind, is done again; until that went well nothing is done
    but to tell people;
  * a job that takes hours keeps no other waiting: those have a heartbeat of their own;
  * withdrawals are carried out whatever else fails; a heartbeat that fails is logged by its code
    and beats again.
"""

import logging
import os
import select
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger
from filelock import FileLock, Timeout

from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.errors import Conflict, ConsentServiceError
from consent_service.ids import new_id
from consent_service.jobs.catalogue import CATALOGUE, Job
from consent_service.services import audit, clock_guard, erasure, jobs
from consent_service.services.context import Context
from consent_service.services.journal_watch import LOOK_SECONDS, JournalWatch

_log = logging.getLogger(__name__)

LOCK_FILE = "worker.lock"
LOCK_SECONDS = 10
RENEW_EVERY = jobs.LEASE.total_seconds() / 3
THREADS = 5
PULSE_SECONDS = 0.5

Beat = tuple[str, float, Callable[[], object]]
"""Name, seconds between beats, and what to do."""


class Worker:
    """Runs every job of a catalogue until it is told to stop."""

    def __init__(
        self, ctx: Context, catalogue: Mapping[str, Job] = CATALOGUE, name: str | None = None
    ) -> None:
        self._ctx = ctx
        self._catalogue = catalogue
        self.name = name or f"{socket.gethostname()[:40]}-{os.getpid()}-{new_id()[:8]}"
        self._doing: dict[tuple[str, object], jobs.ClaimedRun] = {}
        self._stop = threading.Event()
        self._watch = JournalWatch(ctx)
        ctx.standing.follow(self._watch)

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; then finish what is under way.

        Raises Conflict (`worker_running`) when another worker has the data folder of a SQLite
        database.
        """
        with self._alone():
            self.start_up()
            scheduler = self._scheduler()
            scheduler.start()
            try:
                _pulse(scheduler, stop)
            finally:
                self._stop.set()
                scheduler.shutdown(wait=True)

    def start_up(self) -> None:
        """Give jobs their rows, ask for those that run at every start, begin the clock guard."""
        clock_guard.beat(self._ctx)
        jobs.register(self._ctx, [job.timed for job in self._catalogue.values()])
        with self._ctx.begin() as uow:
            uow.record(AuditEvent(EventKind.SERVICE_STARTED, jobs.WORKER, "worker"))
        for job in self._catalogue.values():
            if job.at_start:
                self._act(job)

    def beats(self) -> tuple[Beat, ...]:
        """Return the heartbeats: name, seconds, and what each does."""
        return (
            ("tick", 5, self.tick),
            ("sweep-leases", 2, self.work_runs),
            ("sweep-long-jobs", 2, self.work_long_runs),
            ("renew-leases", RENEW_EVERY, self.renew),
            ("carry-out-erasures", 2, self.carry_out),
            ("checkpoint-audit", 1, self.seal),
            ("publish-checkpoint", 60, self.publish),
            ("watch-journal", LOOK_SECONDS, self._watch.look),
        )

    def tick(self) -> int:
        """Look at the clock, and fire what is due; returns how many fired here."""
        clock_guard.beat(self._ctx)
        timed = {name: job.timed for name, job in self._catalogue.items()}
        return len(jobs.fire_due(self._ctx, timed))

    def work_runs(self) -> int:
        """Do every run that waits or was left by a dead worker; returns how many were tried."""
        return self._work(long=False)

    def work_long_runs(self) -> int:
        """Do the same for long jobs, on a thread of their own."""
        return self._work(long=True)

    def _work(self, *, long: bool) -> int:
        mine = [job for job in self._catalogue.values() if job.long is long]
        tried = 0
        while not self._stop.is_set() and jobs.is_any_due(self._ctx, [job.name for job in mine]):
            claimed = jobs.claim_run(self._ctx, self.name, self._allowed(mine))
            if claimed is None:
                break
            self._perform(claimed)
            tried += 1
        return tried

    def renew(self) -> int:
        """Hold on to the runs under way; returns how many are still ours."""
        return sum(jobs.renew(self._ctx, claimed) for claimed in list(self._doing.values()))

    def carry_out(self) -> int:
        """Carry out what was ordered destroyed; returns steps done."""
        return erasure.work(self._ctx, self.name)["steps_done"]

    def seal(self) -> bool:
        """Seal what waits in the audit log, published at once where keys went; tells if any did."""
        return audit.seal_and_publish_ends(self._ctx) is not None

    def publish(self) -> bool:
        """Write the newest audit checkpoint into the journal; tells whether it was new."""
        return audit.publish_checkpoint(self._ctx) is not None

    def _allowed(self, mine: Iterable[Job]) -> list[str]:
        """Look at the journal; return the names of those jobs that may be done now."""
        whole = self._watch.look()
        return [job.name for job in mine if whole or job.tells]

    def _perform(self, claimed: jobs.ClaimedRun) -> None:
        place = (claimed.name, claimed.fire_at)
        self._doing[place] = claimed
        try:
            figures = self._catalogue[claimed.name].act(self._ctx)
        except Exception as fault:  # noqa: BLE001  (any fault is written down and tried again)
            _log.warning("job %s failed: %s", claimed.name, _code(fault))
            jobs.fail_run(self._ctx, claimed, fault)
        else:
            jobs.finish_run(self._ctx, claimed, figures)
        finally:
            del self._doing[place]

    def _act(self, job: Job) -> None:
        """Do a job at the start; a fault there must not keep the worker from working."""
        try:
            job.act(self._ctx)
        except Exception as fault:  # noqa: BLE001  (its next fire tries again)
            _log.warning("job %s failed at the start: %s", job.name, _code(fault))

    def _scheduler(self) -> BackgroundScheduler:
        scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(THREADS)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )
        for name, seconds, act in self.beats():
            scheduler.add_job(
                _guarded(name, act),
                IntervalTrigger(seconds=int(seconds), timezone="UTC"),
                id=name,
                name=name,
            )
        return scheduler

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """On SQLite, hold the folder's lock and void what a dead worker held; else nothing."""
        if self._ctx.engine.dialect.name != "sqlite":
            yield
            return
        lock = FileLock(self._ctx.settings.under_data(LOCK_FILE))
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            raise Conflict(
                "Another worker runs on this data folder. Stop it first, or use PostgreSQL.",
                code="worker_running",
            ) from None
        try:
            erasure.void_leases(self._ctx)
            jobs.void_leases(self._ctx)
            yield
        finally:
            lock.release()


def _pulse(scheduler: BackgroundScheduler, stop: threading.Event) -> None:
    """Let the scheduler look at the clock again and again until `stop` is set.

    Its own wait is a deadline on the monotonic clock, which stands still while a machine sleeps and
    is another clock than the one that jobs are due by. A short relative wait sees either change.
    """
    while not stop.is_set():
        select.select((), (), (), PULSE_SECONDS)
        scheduler.wakeup()


def _guarded(name: str, act: Callable[[], object]) -> Callable[[], None]:
    """Return a heartbeat that outlives its faults; they are logged by code, never with content."""

    def beat() -> None:
        try:
            act()
        except Exception as fault:  # noqa: BLE001  (the next beat tries again)
            _log.warning("heartbeat %s failed: %s", name, _code(fault))

    return beat


def _code(fault: Exception) -> str:
    return fault.code if isinstance(fault, ConsentServiceError) else type(fault).__name__

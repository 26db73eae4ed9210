"""Every job: its name, when it runs, what becomes of missed fires, and what it does.

Rules kept here: a job is safe to run twice; it returns figures only, never names; what must be
done by the second or belongs to one process alone is a heartbeat of the worker, not a job.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from consent_service.jobs.timetable import Daily, Every, Trigger
from consent_service.services import (
    backup_register,
    clock_guard,
    depicted,
    erasure_again,
    invalidation,
    jobs,
    key_rotation,
    leaflet_dates,
    notices,
    reconcile,
    retention,
    upkeep,
    uploads,
)
from consent_service.services.access import job_caller
from consent_service.services.context import Context
from consent_service.services.jobs import CatchUp, Timed

Figures = Mapping[str, int | str]
Act = Callable[[Context], Figures]

KEYS_LOOKED_BACK = timedelta(hours=1)
_EVER = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Job:
    """One job of the catalogue; `at_start` ones also run whenever a worker starts.

    `tells`: it only tells people, and is done beside a journal that cannot be trusted, too.
    `long`: it may take hours where there is much film, and no other job waits for it.
    """

    name: str
    trigger: Trigger
    act: Act
    catch_up: CatchUp = CatchUp.ONCE
    at_start: bool = False
    tells: bool = False
    long: bool = False

    @property
    def timed(self) -> Timed:
        """Return the job as the timetable sees it."""
        return Timed(self.name, str(self.trigger), self.catch_up, self.trigger.next_after)


def run_retention(ctx: Context) -> Figures:
    """Destroy what an appraisal covers, queue the rest; order anew what nothing keeps any more."""
    clock_guard.beat(ctx)
    done = retention.run(ctx, job_caller("retention"))
    erasure_again.order_everywhere(ctx, job_caller("retention").actor)
    again = invalidation.review_received(ctx, job_caller("retention"))
    return {
        "due": len(done.plan.lines),
        "destroyed": done.destroyed,
        "queued": done.queued + again,
        "kept": done.kept,
        **({"refused": done.refused} if done.refused else {}),
    }


def abandon_uploads(ctx: Context) -> Figures:
    """Erase uploads that nobody finished within a day."""
    clock_guard.beat(ctx)
    return {"abandoned": len(retention.abandon_uploads(ctx, job_caller("abandon-uploads")))}


def finish_uploads(ctx: Context) -> Figures:
    """Store films that were received whole but not finished, as after a crash."""
    return {"received": len(uploads.finish_received(ctx, job_caller("finish-uploads")))}


def settle_awaiting(ctx: Context) -> Figures:
    """End the waiting of films in which somebody was noticed: yes, no, or no answer in time."""
    clock_guard.beat(ctx)
    return depicted.settle_awaiting(ctx)


def make_keys(ctx: Context) -> Figures:
    """Make keys that a crash, or a key server out of reach, left out since this last went well."""
    since = jobs.last_done(ctx, "make-keys") or _EVER
    return {"involvements": upkeep.make_keys(ctx, since - KEYS_LOOKED_BACK)}


def watch_leaflets(ctx: Context) -> Figures:
    """Remind, escalate and archive leaflets by the day."""
    return leaflet_dates.watch_dates(ctx, job_caller("leaflet-dates"))


def watch_families(ctx: Context) -> Figures:
    """Tell people what waits for them."""
    return upkeep.watch_families(ctx, job_caller("watch-families"))


def rotate_keys(ctx: Context) -> Figures:
    """Make what was destroyed since the last rotation irrecoverable, and certify it."""
    done = key_rotation.rotate(ctx, job_caller("rotate-keys"))
    return {"shards": done.report.shards_rotated, "certificates": len(done.supplemented)}


def compare_all(ctx: Context) -> Figures:
    """Hold store, database, ledger and keyring against one another."""
    report = reconcile.reconcile(ctx, job_caller("reconcile"))
    return {"findings": len(report.findings), "open": len(report.open)}


def remind_of_key_backups(ctx: Context) -> Figures:
    """Ask for key backups whose seven days are over to be deleted."""
    return {"due": key_rotation.remind_of_backups(ctx)}


def expire_backups(ctx: Context) -> Figures:
    """Delete backups whose time is over; ask for those that this machine cannot reach."""
    clock_guard.beat(ctx)
    done = backup_register.expire(ctx, job_caller("backups"))
    return {"deleted": len(done.deleted), "due": len(done.due)}


def deliver_notices(ctx: Context) -> Figures:
    """Send messages to staff on, where a setting says so; the inbox has them anyway."""
    return notices.deliver(ctx, job_caller("deliver-notices"))


def clean_up(ctx: Context) -> Figures:
    """Forget what only served for a day."""
    return upkeep.clean_up(ctx)


CATALOGUE: Mapping[str, Job] = {
    job.name: job
    for job in (
        Job("make-keys", Every(300), make_keys, at_start=True),
        Job("abandon-uploads", Every(3600), abandon_uploads),
        Job("finish-uploads", Every(60), finish_uploads, at_start=True),
        Job("deliver-notices", Every(60), deliver_notices, tells=True),
        Job("settle-awaiting", Every(3600), settle_awaiting),
        Job("rotate-keys", Daily(2, 30), rotate_keys),
        Job("retention", Daily(3), run_retention),
        Job("key-backups", Daily(3, 30), remind_of_key_backups),
        Job("backups", Daily(3, 45), expire_backups),
        Job("reconcile", Daily(4), compare_all, long=True),
        Job("clean-up", Daily(4, 30), clean_up),
        Job("watch-families", Daily(5), watch_families),
        Job("leaflet-dates", Daily(6), watch_leaflets, at_start=True),
    )
}
"""Name -> job."""

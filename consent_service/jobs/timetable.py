"""When jobs run: triggers as values, with APScheduler to calculate the next time.

Rules kept here:
  * due times live in the database, never in a scheduler's own store, which several processes
    cannot share;
  * times of day are London's; those between 01:00 and 02:00 are refused, because that hour comes
    twice in autumn and never in spring.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from consent_service.clock import LONDON

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_JUST_AFTER = timedelta(microseconds=1)


@dataclass(frozen=True)
class Every:
    """At fixed distances, the same on every node."""

    seconds: int

    def __post_init__(self) -> None:
        """Refuse what is no distance."""
        if self.seconds < 1:
            raise ValueError("a job runs once a second at most")

    def __str__(self) -> str:
        return f"every {self.seconds} s"

    def next_after(self, at: datetime) -> datetime:
        """Return the first fire after `at`."""
        trigger = IntervalTrigger(seconds=self.seconds, start_date=_EPOCH, timezone=UTC)
        return _required(trigger.get_next_fire_time(None, at + _JUST_AFTER))


@dataclass(frozen=True)
class Daily:
    """Once a day, at a time of day in London."""

    hour: int
    minute: int = 0

    def __post_init__(self) -> None:
        """Refuse the hour that clocks skip or repeat."""
        if self.hour == 1:
            raise ValueError("between 01:00 and 02:00 London clocks change; choose another hour")
        if not (0 <= self.hour < 24 and 0 <= self.minute < 60):
            raise ValueError("a time of day is between 00:00 and 23:59")

    def __str__(self) -> str:
        return f"daily {self.hour:02}:{self.minute:02} London"

    def next_after(self, at: datetime) -> datetime:
        """Return the first fire after `at`."""
        trigger = CronTrigger(hour=self.hour, minute=self.minute, timezone=LONDON)
        return _required(trigger.get_next_fire_time(None, at + _JUST_AFTER))


Trigger = Every | Daily


def _required(found: datetime | None) -> datetime:
    if found is None:
        raise ValueError("this trigger never fires again")
    return found.astimezone(UTC)

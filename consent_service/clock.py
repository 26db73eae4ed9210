"""Time: instants are aware UTC, days are Europe/London calendar days (rule 19)."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")


class Clock(Protocol):
    """Where a use case reads the time, once."""

    def now(self) -> datetime:
        """Return the present instant, aware, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's present instant."""
        return datetime.now(UTC)


@dataclass
class FixedClock:
    """A clock that moves only when told; for tests and the demo story."""

    at: datetime

    def now(self) -> datetime:
        """Return the instant set."""
        return self.at

    def advance(self, by: timedelta) -> None:
        """Move the clock forward by `by`."""
        self.at += by


def london_day(at: datetime) -> date:
    """Return the London calendar day of an aware instant."""
    if at.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return at.astimezone(LONDON).date()


def start_of_london_day(day: date) -> datetime:
    """Return the first instant of a London calendar day, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=LONDON).astimezone(UTC)

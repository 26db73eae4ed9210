"""Calendar rules (rule 19): London days, periods that never end early or never end late.

Pure. A period for *keeping* ends on the first day on which destruction is allowed and is never
shortened: 31 January + 1 month is 1 March. A period with a *promise to destroy* ends on the last
day on which a thing may exist and is never lengthened: 31 January + 1 month is 28 February.
"""

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum


class Unit(StrEnum):
    """Units of a period."""

    DAYS = "days"
    MONTHS = "months"
    YEARS = "years"


@dataclass(frozen=True)
class Period:
    """A number of days, months or years; never negative."""

    count: int
    unit: Unit

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("a period is never negative")

    def __str__(self) -> str:
        unit = self.unit.value
        return f"{self.count} {unit[:-1] if self.count == 1 else unit}"


def _month_after(start: date, months: int) -> tuple[int, int]:
    index = start.year * 12 + start.month - 1 + months
    return index // 12, index % 12 + 1


def keep_until(start: date, period: Period) -> date:
    """Return `due_on`: the first day on which destruction is allowed (never early)."""
    if period.unit is Unit.DAYS:
        return start + timedelta(days=period.count)
    year, month = _month_after(start, _months(period))
    if start.day <= calendar.monthrange(year, month)[1]:
        return date(year, month, start.day)
    year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return date(year, month, 1)


def gone_by(start: date, period: Period) -> date:
    """Return the last day on which a thing may exist (never late)."""
    if period.unit is Unit.DAYS:
        return start + timedelta(days=period.count)
    year, month = _month_after(start, _months(period))
    return date(year, month, min(start.day, calendar.monthrange(year, month)[1]))


def _months(period: Period) -> int:
    return period.count * 12 if period.unit is Unit.YEARS else period.count


def birthday(born_on: date, age: int, *, leap_day_on: tuple[int, int] = (3, 1)) -> date:
    """Return the day on which someone turns `age`.

    Born on 29 February: `leap_day_on` (month, day) in common years, 1 March by default.
    """
    year = born_on.year + age
    if (born_on.month, born_on.day) == (2, 29) and not calendar.isleap(year):
        return date(year, *leap_day_on)
    return born_on.replace(year=year)


def age_on(born_on: date, on: date) -> int:
    """Return the age in whole years on the day `on`; negative before birth."""
    years = on.year - born_on.year
    return years if birthday(born_on, years) <= on else years - 1

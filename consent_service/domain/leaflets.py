"""Leaflets: controlled documents with a version, dates, an owner, words and sources.

Pure. Rules kept here:
  * from its archive date on, nobody is given a version and no new consent names it (rule 9);
  * what matters is the day on which the leaflet was given, not the day on which somebody types it;
  * review starts six months before the archive date.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from dateutil.relativedelta import relativedelta

DEFAULT_REVIEW_MONTHS = 6


class LeafletStatus(StrEnum):
    """Where a version is in its life on a given day."""

    FORTHCOMING = "forthcoming"
    CURRENT = "current"
    IN_REVIEW = "in_review"
    ARCHIVED = "archived"


class LeafletRoute(StrEnum):
    """How a leaflet was given."""

    PAPER = "paper"
    EMAIL = "email"
    POST = "post"
    SCREEN = "screen"


@dataclass(frozen=True)
class Source:
    """The reference behind one claim that a leaflet makes."""

    claim: str
    reference: str
    address: str


@dataclass(frozen=True)
class LeafletVersion:
    """One version of a leaflet. `texts` is empty for control data whose words are not attached."""

    code: str
    version: int
    issued_on: date
    archive_on: date
    owner: str
    title: str
    texts: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    quotes: tuple[str, ...] = ()

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the languages this version has words in, sorted."""
        return tuple(sorted(self.texts))

    @property
    def control_line(self) -> str:
        """Return the line printed at the foot: `L1111, V1, 14/09/2020 (Archive: 14/09/2023)`."""
        return control_line(self.code, self.version, self.issued_on, self.archive_on)

    def review_from(self, months: int = DEFAULT_REVIEW_MONTHS) -> date:
        """Return the day on which the review starts, `months` before the archive date."""
        return self.archive_on - relativedelta(months=months)

    def status_on(self, day: date, *, review_months: int = DEFAULT_REVIEW_MONTHS) -> LeafletStatus:
        """Return the status on a London calendar day."""
        if day >= self.archive_on:
            return LeafletStatus.ARCHIVED
        if day < self.issued_on:
            return LeafletStatus.FORTHCOMING
        if day >= self.review_from(review_months):
            return LeafletStatus.IN_REVIEW
        return LeafletStatus.CURRENT

    def may_be_given_on(self, day: date) -> bool:
        """Tell whether it may be given on that day: issued and not archived (rule 9)."""
        return self.issued_on <= day < self.archive_on


def control_line(code: str, version: int, issued_on: date, archive_on: date) -> str:
    """Return the control line of those values, days as day/month/year."""
    return f"{code}, V{version}, {issued_on:%d/%m/%Y} (Archive: {archive_on:%d/%m/%Y})"


def current_version(versions: Iterable[LeafletVersion], day: date) -> LeafletVersion | None:
    """Return the newest version that may be given on `day`, or None when there is none."""
    giveable = [version for version in versions if version.may_be_given_on(day)]
    return max(giveable, key=lambda version: version.version, default=None)

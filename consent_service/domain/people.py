"""People and who may decide for whom (glossary: Person, ParentalResponsibility, Involvement).

Pure. Rules kept here: a child is decided for by holders of parental responsibility in force on the
day; its end leaves earlier decisions standing; nobody decides for an adult (rule 14).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from consent_service.domain.calendar import age_on

ADULT_AGE = 18


class Basis(StrEnum):
    """On what ground someone holds parental responsibility."""

    BIRTH_MOTHER = "birth_mother"
    SECOND_FEMALE_PARENT = "second_female_parent"
    MARRIED = "married"
    BIRTH_CERTIFICATE = "birth_certificate"
    ADOPTER = "adopter"
    AGREEMENT = "agreement"
    COURT_ORDER = "court_order"
    PARENTAL_ORDER = "parental_order"
    TESTAMENTARY_GUARDIAN = "testamentary_guardian"
    SPECIAL_GUARDIAN = "special_guardian"
    LOCAL_AUTHORITY = "local_authority"


MAY_OVERRULE = frozenset({Basis.SPECIAL_GUARDIAN, Basis.LOCAL_AUTHORITY})
"""Bases whose holder may overrule others (a local authority: under a care order)."""


class FamilyRole(StrEnum):
    """What someone is in an involvement."""

    PARENT = "parent"
    CARER = "carer"
    BABY = "baby"
    SIBLING = "sibling"
    OTHER = "other"
    STAFF = "staff"


class MeetingKind(StrEnum):
    """Which meeting of an involvement this is."""

    FIRST_TALK = "first_talk"
    FILMING = "filming"
    SHARED_REVIEW = "shared_review"
    CLOSING = "closing"


class MeetingMode(StrEnum):
    """Where a meeting was held."""

    HOME = "home"
    CLINIC = "clinic"
    WARD = "ward"
    VIDEO_CALL = "video_call"


@dataclass(frozen=True)
class Responsibility:
    """One person's parental responsibility for one child, as recorded."""

    id: str
    child: str
    holder: str
    basis: Basis
    from_on: date
    until_on: date | None
    may_overrule: bool

    def in_force(self, on: date) -> bool:
        """Tell whether it is in force on the day `on` (the end day no longer counts)."""
        return self.from_on <= on and (self.until_on is None or on < self.until_on)


YOUNG = frozenset({FamilyRole.BABY, FamilyRole.SIBLING})
"""Whoever is one of these counts as a child until a date of birth, or somebody, says otherwise."""


class AgeSaid(StrEnum):
    """What is said of somebody whose date of birth is not known: others decide, or they do."""

    CHILD = "child"
    ADULT = "adult"


def is_child(born_on: date | None, on: date, *, young: bool) -> bool:
    """Tell whether others decide: under 18, or `young` without a known date of birth."""
    if born_on is None:
        return young
    return age_on(born_on, on) < ADULT_AGE


def holder_for(
    responsibilities: Iterable[Responsibility], child: str, holder: str, on: date
) -> Responsibility | None:
    """Return the responsibility by which `holder` may decide for `child` on that day, if any."""
    matches = [
        r for r in responsibilities if r.child == child and r.holder == holder and r.in_force(on)
    ]
    return max(matches, key=lambda r: (r.may_overrule, r.from_on, r.id), default=None)

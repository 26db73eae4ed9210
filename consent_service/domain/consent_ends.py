"""Why an organisation ends a consent, or finds that it never was one: codes for log and journal.

The reason in somebody's own words is personal; it stays in the row. These codes say as much as a
log may hold.
"""

from enum import StrEnum


class InvalidBecause(StrEnum):
    """Why an act of consent was never valid."""

    WRONG_PERSON = "wrong_person"
    NO_AUTHORITY = "no_authority"
    LACKED_CAPACITY = "lacked_capacity"
    UNDER_PRESSURE = "under_pressure"
    WRONG_WORDS = "wrong_words"


class RevokedBecause(StrEnum):
    """Why the organisation ends a consent that was given."""

    USE_ENDED = "use_ended"
    SERVICE_ENDED = "service_ended"
    PROMISE_NOT_KEPT = "promise_not_kept"
    LEGAL_DUTY = "legal_duty"

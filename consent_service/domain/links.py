"""Links that open a page for one person: which kinds there are, and when one is over. Pure.

Rules kept here:
  * a consent link is good for one act of consent and for seven days; a person's own link until it
    is revoked, or a year after the involvement's end (R29);
  * five wrong answers close a link for good;
  * a consent link ends when its person withdraws: who said stop is asked anew, by a person.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MOST_WRONG_ANSWERS = 5
TOKEN_BYTES = 32
PIN_DIGITS = 6


class LinkKind(StrEnum):
    """What a link opens: one consent to answer, or a person's own page."""

    CONSENT = "consent"
    PARENT = "parent"


class LinkEnd(StrEnum):
    """Why a link is over."""

    USED = "used"
    RAN_OUT = "ran_out"
    REVOKED = "revoked"
    LOCKED = "locked"
    WITHDRAWN = "withdrawn"
    DIED = "died"


@dataclass(frozen=True)
class LinkFacts:
    """What is known of a link. `ends_at` is the first instant at which it is out of date."""

    kind: LinkKind
    ends_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None
    wrong_answers: int = 0
    withdrawn_since: bool = False
    person_died: bool = False


def end_of(link: LinkFacts, at: datetime) -> LinkEnd | None:
    """Return why a link is over at `at`; None while it opens."""
    if link.used_at is not None:
        return LinkEnd.USED
    if link.revoked_at is not None:
        return LinkEnd.REVOKED
    if link.wrong_answers >= MOST_WRONG_ANSWERS:
        return LinkEnd.LOCKED
    if link.person_died:
        return LinkEnd.DIED
    if link.withdrawn_since and link.kind is LinkKind.CONSENT:
        return LinkEnd.WITHDRAWN
    if link.ends_at is not None and at >= link.ends_at:
        return LinkEnd.RAN_OUT
    return None

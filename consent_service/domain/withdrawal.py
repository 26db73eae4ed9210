"""Words of a withdrawal (glossary: Withdrawal; rules 5 and 6). Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class WithdrawalScope(StrEnum):
    """What a withdrawal ends."""

    EVERYTHING = "everything"
    PURPOSES = "purposes"
    ASSETS = "assets"


class Speed(StrEnum):
    """When destruction begins; access ends at once either way."""

    NOW = "now"
    SEVEN_DAYS = "seven_days"


class Route(StrEnum):
    """How an act of consent or withdrawal reached us."""

    IN_PERSON = "in_person"
    REMOTE_LINK = "remote_link"
    TELEPHONE = "telephone"
    PAPER = "paper"
    LETTER = "letter"
    JOURNAL_REPLAY = "journal_replay"


@dataclass(frozen=True)
class WithdrawalRequest:
    """What someone asks to end.

    `person` is whose consent ends (the child, when it is withdrawn for a child); `by` is who says
    so, the same person or someone who may decide for the child. `purposes` only with scope
    PURPOSES, `assets` only with scope ASSETS; `keep_purposes` names what stays although `care`
    ends (rule 6). `moment` is when it was said, an aware UTC instant.
    """

    involvement: str
    person: str
    by: str
    scope: WithdrawalScope
    speed: Speed
    route: Route
    moment: datetime
    purposes: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    keep_purposes: tuple[str, ...] = ()

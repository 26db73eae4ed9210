"""The retention schedule as a value: rules, what starts their clocks, and for how long.

This module says what a schedule *is*; working out the day on which a given thing is due belongs to
`domain/retention.py`.

Rules kept here:
  * numbers are never reused, so a rule id found in an old certificate still means what it meant;
  * a period either keeps (never ends early) or is a promise to destroy (never ends late), and says
    which (rule 19).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType

from consent_service.domain.calendar import Period


class RetentionMode(StrEnum):
    """Who decides when a thing is due."""

    AUTO = "auto"
    REVIEW = "review"
    EVENT = "event"


class RetentionAction(StrEnum):
    """What happens to a thing whose time has come and that nobody decided to keep."""

    DESTROY = "destroy"
    ANONYMISE = "anonymise"
    RESTRICT = "restrict"


class Confidence(StrEnum):
    """How sure the schedule's author is that the source says so."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class TriggerEvent(StrEnum):
    """The facts that start a retention clock."""

    SUMMARY_FILED = "summary_filed"
    INVOLVEMENT_ENDED = "involvement_ended"
    DISCHARGED = "discharged"
    DIED = "died"
    CARE_CEASED = "care_ceased"
    LAST_SEEN = "last_seen"
    LAST_RELIED_ON = "last_relied_on"
    WITHDRAWN = "withdrawn"
    WITHDRAWAL_EFFECTIVE = "withdrawal_effective"
    HANDED_OVER = "handed_over"
    HANDOVER_DECLINED = "handover_declined"
    OUTCOME_RECORDED = "outcome_recorded"
    COPY_MADE = "copy_made"
    CONSENT_GIVEN = "consent_given"
    PROTOCOL_ENDS = "protocol_ends"
    FEEDBACK_GIVEN = "feedback_given"
    QUOTE_ENDED = "quote_ended"
    USE_ENDED = "use_ended"
    ORGANISATION_ENDED = "organisation_ended"
    RECORDED = "recorded"
    REQUEST_CLOSED = "request_closed"
    APPEAL_CLOSED = "appeal_closed"
    DRAFT_LAST_EDITED = "draft_last_edited"
    UPLOAD_LAST_EDITED = "upload_last_edited"
    CONSENT_LINK_MADE = "consent_link_made"
    CONSENT_LINK_USED = "consent_link_used"
    PARENT_LINK_REVOKED = "parent_link_revoked"
    NOTICE_WRITTEN = "notice_written"
    USER_LEFT = "user_left"
    BACKUP_MADE = "backup_made"
    KEY_BACKUP_MADE = "key_backup_made"


@dataclass(frozen=True)
class After:
    """A period after an event. A promise never ends late; any other period never ends early."""

    event: TriggerEvent
    plus: Period
    promise: bool = False


@dataclass(frozen=True)
class Birthday:
    """The child's birthday of an age, or of another age if the child was 17 when it ended."""

    age: int
    age_if_17_at_end: int | None = None


@dataclass(frozen=True)
class Earliest:
    """The first of several days; those whose event has not happened do not count."""

    of: tuple["DueExpression", ...]


@dataclass(frozen=True)
class Latest:
    """The last of several days; those whose event has not happened do not count."""

    of: tuple["DueExpression", ...]


@dataclass(frozen=True)
class FirstKnown:
    """The first alternative, in the order written, whose event has happened."""

    of: tuple["DueExpression", ...]


@dataclass(frozen=True)
class LongestOfRules:
    """The latest day given by whichever of these rules apply to the same people."""

    rules: tuple[str, ...]


DueExpression = After | Birthday | Earliest | Latest | FirstKnown | LongestOfRules


@dataclass(frozen=True)
class RetentionRule:
    """One line of the schedule.

    `due` gives the day from which it may be destroyed; `gone_by`, where there is one, the last day
    on which it may still exist (rule 19: R01, R02, R09, R11 and R16 have both).
    """

    id: str
    title: str
    record_class: str
    due: DueExpression
    gone_by: DueExpression | None
    action: RetentionAction
    mode: RetentionMode
    legal_basis: str
    source: str
    confidence: Confidence
    note: str = ""


@dataclass(frozen=True)
class RetentionSchedule:
    """A versioned, dated schedule; `rules` is keyed by rule id."""

    id: str
    title: str
    version: int
    in_force_from: date
    rules: Mapping[str, RetentionRule]

    def rule(self, rule_id: str) -> RetentionRule:
        """Return the rule; KeyError when the schedule has none of that number."""
        return self.rules[rule_id]

    def rules_for(self, record_class: str) -> tuple[RetentionRule, ...]:
        """Return the rules of a record class, in the order of their numbers."""
        return tuple(rule for rule in self.rules.values() if rule.record_class == record_class)


@dataclass(frozen=True)
class AppraisalProposal:
    """A class-level proposal to destroy without asking; approving it is an act of two people."""

    id: str
    rules: tuple[str, ...]
    reason: str
    proposed_by_role: str
    proposed_on: date
    valid_until: date


def schedule_of(rules: Mapping[str, RetentionRule]) -> Mapping[str, RetentionRule]:
    """Return the rules as a read-only mapping in the order of their ids."""
    return MappingProxyType(dict(sorted(rules.items())))

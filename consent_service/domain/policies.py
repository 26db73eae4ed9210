"""Everything that the files in `policies/` say, as one frozen value.

Pure. `policy_files` reads and checks the files into this; nothing here knows of files.

Rules kept here:
  * what a form prints about keeping and destroying comes from the schedule and the organisation's
    own settings, never from a second copy of the number (rule 7);
  * footage counts as working material only with two sign-offs; without them the service says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from consent_service.domain.assets import RecordClass
from consent_service.domain.forms import ConsentFormVersion, FormFacts
from consent_service.domain.leaflets import LeafletVersion
from consent_service.domain.purposes import Purpose
from consent_service.domain.retention_rules import (
    After,
    AppraisalProposal,
    DueExpression,
    Earliest,
    FirstKnown,
    Latest,
    RetentionSchedule,
    TriggerEvent,
)
from consent_service.domain.roles import Role


class LeapDayBirthday(StrEnum):
    """When somebody born on 29 February has a birthday in a common year (rule 19)."""

    FIRST_OF_MARCH = "1 March"
    LAST_OF_FEBRUARY = "28 February"

    @property
    def month_and_day(self) -> tuple[int, int]:
        """Return (month, day), as `domain.calendar.birthday` takes it."""
        return (3, 1) if self is LeapDayBirthday.FIRST_OF_MARCH else (2, 28)


@dataclass(frozen=True)
class SignOff:
    """Who agreed, in which office, and on which day. The name is that of an office holder."""

    by: str
    on: date


@dataclass(frozen=True)
class Footage:
    """What this organisation holds its film to be, and who agreed to that."""

    record_class: RecordClass
    information_governance: SignOff | None
    caldicott_guardian: SignOff | None

    @property
    def is_signed_off(self) -> bool:
        """Tell whether both offices agreed; only working material needs it."""
        if self.record_class is RecordClass.HEALTH_RECORD:
            return True
        return self.information_governance is not None and self.caldicott_guardian is not None


@dataclass(frozen=True)
class FilmLength:
    """Minutes from which the guider is asked why, and from which film is refused (rule 15)."""

    ask_from_minutes: int
    refuse_from_minutes: int


@dataclass(frozen=True)
class Contact:
    """Where a parent turns: to withdraw, to ask, to complain."""

    team: str
    telephone: str
    email: str
    address: str
    data_protection_officer: str


@dataclass(frozen=True)
class Inactivity:
    """Months without an entry after which people are asked, and after which time counts."""

    ask_after_months: int
    counts_as_ended_after_months: int


@dataclass(frozen=True)
class Organisation:
    """The controller and what it decided."""

    name: str
    default_language: str
    leaflet_owner: str
    leaflet_review_months: int
    contact: Contact
    footage: Footage
    film_length: FilmLength
    hold_check_hours: int
    undo_days: int
    awaiting_consent_days: int
    inactivity: Inactivity
    leap_day_birthday: LeapDayBirthday
    outside_record_system: str | None
    retention_schedule: str
    supervision_required: bool
    staff_are_depicted: bool
    goal_suggestions: Mapping[str, tuple[str, ...]]
    page_languages: Mapping[str, SignOff] = field(default_factory=dict)


@dataclass(frozen=True)
class Policies:
    """All of `policies/`, read and checked. Mappings are keyed by code, id, or (id, version)."""

    organisation: Organisation
    purposes: Mapping[str, Purpose]
    roles: Mapping[str, Role]
    schedule: RetentionSchedule
    appraisals: Mapping[str, AppraisalProposal]
    forms: Mapping[tuple[str, int], ConsentFormVersion]
    leaflets: Mapping[tuple[str, int], LeafletVersion]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what is allowed but ought to be put right, one plain sentence each."""
        if self.organisation.footage.is_signed_off:
            return ()
        return (
            "Film counts as working material here, but the two sign-offs for that are not both"
            " filled in. Name who signed for information governance and the Caldicott guardian:"
            " `footage.information_governance` and `footage.caldicott_guardian` in"
            " `organisation.yaml`.",
        )

    def latest_form(self, form_id: str) -> ConsentFormVersion:
        """Return the newest version of a form; KeyError when there is none."""
        versions = [form for (name, _), form in self.forms.items() if name == form_id]
        if not versions:
            raise KeyError(form_id)
        return max(versions, key=lambda form: form.version)

    def leaflet_versions(self, code: str) -> tuple[LeafletVersion, ...]:
        """Return the versions of a leaflet, oldest first."""
        found = [leaflet for (name, _), leaflet in self.leaflets.items() if name == code]
        return tuple(sorted(found, key=lambda leaflet: leaflet.version))


RECORDING_RULE = "R01"
WITHDRAWAL_RULE = "R09"
QUOTED_PERIODS = {
    "summary_period": (RECORDING_RULE, TriggerEvent.SUMMARY_FILED),
    "end_period": (RECORDING_RULE, TriggerEvent.INVOLVEMENT_ENDED),
    "erasure_period": (WITHDRAWAL_RULE, TriggerEvent.WITHDRAWN),
}
"""Placeholder of a form -> the rule and event whose period it prints."""

FORM_VALUES = frozenset(
    {
        "organisation",
        "team",
        "telephone",
        "email",
        "address",
        "data_protection_officer",
        "undo_days",
        "hold_check_hours",
        "awaiting_consent_days",
        "leaflet",
        *QUOTED_PERIODS,
    }
)
"""Every placeholder that `form_facts` has a value for."""


def form_facts(
    organisation: Organisation, schedule: RetentionSchedule, leaflet_control_line: str
) -> FormFacts:
    """Return what forms print under these policies. KeyError when the schedule lacks a rule."""
    quoted = {
        name: _quoted_period(schedule, rule_id, event)
        for name, (rule_id, event) in QUOTED_PERIODS.items()
    }
    values = {
        "organisation": organisation.name,
        "team": organisation.contact.team,
        "telephone": organisation.contact.telephone,
        "email": organisation.contact.email,
        "address": organisation.contact.address,
        "data_protection_officer": organisation.contact.data_protection_officer,
        "undo_days": str(organisation.undo_days),
        "hold_check_hours": str(organisation.hold_check_hours),
        "awaiting_consent_days": str(organisation.awaiting_consent_days),
        "leaflet": leaflet_control_line,
    }
    return FormFacts(
        leaflet_control_line=leaflet_control_line,
        record_class=organisation.footage.record_class,
        hold_check_hours=organisation.hold_check_hours,
        supervision_required=organisation.supervision_required,
        values=values | quoted,
    )


def _quoted_period(schedule: RetentionSchedule, rule_id: str, event: TriggerEvent) -> str:
    rule = schedule.rule(rule_id)
    for expression in (rule.gone_by, rule.due):
        for term in _terms(expression):
            if term.event is event:
                return str(term.plus)
    raise KeyError(f"{rule_id} has no period after {event}")


def _terms(expression: DueExpression | None) -> tuple[After, ...]:
    if isinstance(expression, After):
        return (expression,)
    if isinstance(expression, Earliest | Latest | FirstKnown):
        return tuple(term for part in expression.of for term in _terms(part))
    return ()

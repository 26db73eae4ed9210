"""The shape of every YAML file in `policies/`: which keys there are and what each may hold.

An unknown key is a fault in every shape. Conversion to domain values is in `reading.py`.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from consent_service.domain.assets import AssetKind, RecordClass
from consent_service.domain.forms import AnswerKind, AskedOf, Condition, Layer, Named
from consent_service.domain.policies import LeapDayBirthday
from consent_service.domain.purposes import NamedUse
from consent_service.domain.retention_rules import Confidence, RetentionAction, RetentionMode
from consent_service.domain.roles import Permission, Scope
from consent_service.policy_files.values import (
    Code,
    Count,
    Day,
    Due,
    GoneBy,
    Language,
    Switch,
    Text,
    Validity,
)

RuleId = Annotated[str, Field(pattern=r"^R\d{2}(\.[a-z-]+)?$")]


class Shape(BaseModel):
    """A mapping with known keys only."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SignOffShape(Shape):
    """Who agreed, and when."""

    by: Text
    on: Day


class FootageShape(Shape):
    """What film is held to be."""

    record_class: RecordClass
    information_governance: SignOffShape | None
    caldicott_guardian: SignOffShape | None


class FilmLengthShape(Shape):
    """Minutes of film."""

    ask_from_minutes: Count
    refuse_from_minutes: Count


class ContactShape(Shape):
    """Where a parent turns."""

    team: Text
    telephone: Text
    email: Text
    address: Text
    data_protection_officer: Text


class InactivityShape(Shape):
    """Months without an entry."""

    ask_after_months: Count
    counts_as_ended_after_months: Count


class OrganisationShape(Shape):
    """`organisation.yaml`."""

    name: Text
    default_language: Language
    leaflet_owner: Text
    leaflet_review_months: Count
    contact: ContactShape
    footage: FootageShape
    film_length: FilmLengthShape
    hold_check_hours: Annotated[Count, Field(le=72)]
    undo_days: Annotated[Count, Field(ge=1, le=28)]
    awaiting_consent_days: Annotated[Count, Field(ge=1, le=28)]
    inactivity: InactivityShape
    leap_day_birthday: LeapDayBirthday
    outside_record_system: Text | None
    retention_schedule: Code
    supervision_required: Switch
    staff_are_depicted: Switch
    goal_suggestions: dict[Language, tuple[Text, ...]]
    page_languages: dict[Language, SignOffShape] = {}


class LawfulBasisShape(Shape):
    """Articles of the UK GDPR and the common law of confidence."""

    article_6: Annotated[str, Field(pattern=r"^6\(1\)\([a-f]\)$")]
    article_9: Annotated[str, Field(pattern=r"^9\(2\)\([a-j]\)$")]
    common_law: Text


class PurposeShape(Shape):
    """One purpose."""

    code: Code
    label: Text
    description: Text
    named_use: NamedUse
    sustains: tuple[AssetKind, ...]
    lawful_basis: LawfulBasisShape
    on_withdrawal: Text
    record_class: Code
    retention_rules: tuple[RuleId, ...]
    dpv: Annotated[str, Field(pattern=r"^dpv:[A-Za-z]+$")]
    fhir: Annotated[str, Field(pattern=r"^[A-Z]+$")]


class PurposesShape(Shape):
    """`purposes.yaml`."""

    purposes: tuple[PurposeShape, ...]


class RoleShape(Shape):
    """One role."""

    code: Code
    label: Text
    description: Text
    scope: Scope
    needs_second_factor: Switch
    permissions: tuple[Permission, ...]
    may_state: tuple[Code, ...]


class RolesShape(Shape):
    """`roles.yaml`."""

    roles: tuple[RoleShape, ...]


class RuleShape(Shape):
    """One line of a retention schedule."""

    id: RuleId
    title: Text
    record_class: Code
    due: Due
    gone_by: GoneBy = None
    action: RetentionAction
    mode: RetentionMode
    legal_basis: Text
    source: Text
    confidence: Confidence
    note: Text | None = None


class ScheduleShape(Shape):
    """`retention/<id>.yaml`."""

    id: Code
    title: Text
    version: Annotated[Count, Field(ge=1)]
    in_force_from: Day
    rules: tuple[RuleShape, ...]


class AppraisalShape(Shape):
    """`appraisals/<id>.yaml`."""

    id: Code
    rules: Annotated[tuple[RuleId, ...], Field(min_length=1)]
    reason: Text
    proposed_by_role: Code
    proposed_on: Day
    valid_until: Day


class StatementShape(Shape):
    """One statement of a form, words apart."""

    code: Annotated[str, Field(pattern=r"^[A-Z]+(\.[A-Z]+)+$")]
    layer: Layer
    asked_of: Annotated[tuple[AskedOf, ...], Field(min_length=1)]
    answer: AnswerKind
    purpose: Code | None = None
    only_if: Condition | None = None
    names: Named | None = None
    choices: tuple[Code, ...] = ()
    valid_for: Validity | None = None


class TranslationShape(Shape):
    """Who put the words into another language, and who approved them."""

    translator: Text
    approver: Text


class FormShape(Shape):
    """`consent-forms/<id>/v<n>/form.yaml`."""

    id: Code
    version: Annotated[Count, Field(ge=1)]
    leaflet: Code
    languages: Annotated[tuple[Language, ...], Field(min_length=1)]
    translations: dict[Language, TranslationShape] = {}
    statements: Annotated[tuple[StatementShape, ...], Field(min_length=1)]


class SourceShape(Shape):
    """The reference behind one claim."""

    claim: Text
    reference: Text
    address: Annotated[str, Field(pattern=r"^https://\S+$")]


class LeafletShape(Shape):
    """`leaflets/<code>/v<n>/leaflet.yaml`."""

    code: Code
    version: Annotated[Count, Field(ge=1)]
    title: Text
    issued_on: Day
    archive_on: Day
    owner: Text
    languages: tuple[Language, ...]
    translations: dict[Language, TranslationShape] = {}
    sources: tuple[SourceShape, ...] = ()
    quotes: tuple[Text, ...] = ()

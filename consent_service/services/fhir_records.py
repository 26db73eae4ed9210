"""What other systems may read, as frozen records: what the FHIR mappers write out."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from consent_service.domain.audit import RecordedEvent
from consent_service.domain.consent import ConsentState
from consent_service.domain.people import Basis
from consent_service.domain.purposes import Purpose
from consent_service.services.consent_views import ConsentActView


class Kind(StrEnum):
    """What can be read."""

    PATIENT = "patient"
    RELATED_PERSON = "related_person"
    CONSENT = "consent"
    PROVENANCE = "provenance"
    DOCUMENT = "document_reference"
    AUDIT = "audit_event"


@dataclass(frozen=True)
class PatientRecord:
    """A person."""

    id: str
    full_name: str
    born_on: date | None
    died_on: date | None
    nhs_number: str | None


@dataclass(frozen=True)
class RelatedRecord:
    """Who may decide for a child, and on what ground."""

    id: str
    child: str
    holder: str
    holder_name: str
    basis: Basis
    from_on: date
    until_on: date | None
    in_force: bool


@dataclass(frozen=True)
class PermissionRecord:
    """One permission: what stands now for one person, one purpose and one involvement.

    `act` is the latest act about it, `decided_by` who answered there, `use` the named use.
    """

    id: str
    person: str
    involvement: str
    purpose: Purpose
    use: str | None
    state: ConsentState
    since: datetime | None
    valid_until: date | None
    act: str
    decided_by: str
    decided_at: datetime
    form: str
    form_version: int


@dataclass(frozen=True)
class ActRecord:
    """One act of answering a form, and the ids of the permissions that it is about."""

    view: ConsentActView
    permissions: tuple[str, ...]


@dataclass(frozen=True)
class AuditRecord:
    """One entry of the log, and whose records it is about as far as the entry says."""

    recorded: RecordedEvent
    people: tuple[str, ...]


Record = PatientRecord | RelatedRecord | PermissionRecord | ActRecord | AuditRecord

"""A person as Patient (UK Core)."""

from consent_service.api.fhir.codes import NHS_NUMBER, OWN, UK_CORE, Resource
from consent_service.services.fhir_records import PatientRecord


def patient(record: PatientRecord, base: str) -> Resource:
    """Return the Patient of a person."""
    del base
    identifiers = [{"system": f"{OWN}person", "value": record.id}]
    if record.nhs_number:
        identifiers.insert(0, {"system": NHS_NUMBER, "value": record.nhs_number})
    found: Resource = {
        "resourceType": "Patient",
        "id": record.id,
        "meta": {"profile": [f"{UK_CORE}Patient"]},
        "identifier": identifiers,
        "name": [{"use": "official", "text": record.full_name}],
    }
    if record.born_on:
        found["birthDate"] = record.born_on.isoformat()
    if record.died_on:
        found["deceasedDateTime"] = record.died_on.isoformat()
    return found

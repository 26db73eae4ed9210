"""The signed words of one act of consent as DocumentReference (UK Core): where the paper is."""

from consent_service.api.fhir.codes import (
    CONSENT_DOCUMENT,
    OWN,
    UK_CORE,
    Resource,
    by_identifier,
    reference,
)
from consent_service.services.fhir_records import ActRecord


def document_reference(record: ActRecord, base: str) -> Resource:
    """Return the DocumentReference of one act; the PDF itself is behind the JSON API's door."""
    act = record.view
    return {
        "resourceType": "DocumentReference",
        "id": act.id,
        "meta": {"profile": [f"{UK_CORE}DocumentReference"]},
        "identifier": [{"system": f"{OWN}rendered-sha256", "value": act.rendered_sha256}],
        "status": "current",
        "docStatus": "final",
        "type": {"coding": [CONSENT_DOCUMENT]},
        "subject": reference("Patient", act.person),
        "date": act.recorded_at.isoformat(),
        "author": [by_identifier("user", act.recorded_by, "Practitioner")],
        "content": [
            {
                "attachment": {
                    "contentType": "application/pdf",
                    "language": act.language,
                    "url": f"{base}/api/v1/consents/{act.id}.pdf",
                    "title": f"Consent form {act.form}, version {act.form_version}",
                    "creation": act.event_at.isoformat(),
                }
            }
        ],
    }

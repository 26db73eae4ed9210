"""One act of consent as Provenance: who answered, who wrote it down, on which words."""

from consent_service.api.fhir.codes import (
    OWN,
    SIGNATURES,
    TERMINOLOGY,
    Resource,
    by_identifier,
    concept,
    reference,
)
from consent_service.services.fhir_records import ActRecord

PARTICIPANT = f"{TERMINOLOGY}provenance-participant-type"


def provenance(record: ActRecord, base: str) -> Resource:
    """Return the Provenance of one act; its targets are the document and the permissions."""
    del base
    act = record.view
    return {
        "resourceType": "Provenance",
        "id": act.id,
        "target": [
            reference("DocumentReference", act.id),
            *(reference("Consent", permission) for permission in record.permissions),
        ],
        "occurredDateTime": act.event_at.isoformat(),
        "recorded": act.recorded_at.isoformat(),
        "activity": concept(f"{TERMINOLOGY}v3-DataOperation", "CREATE"),
        "agent": [
            {
                "type": concept(PARTICIPANT, "author"),
                "who": reference("Patient", act.person),
            },
            {
                "type": concept(PARTICIPANT, "enterer"),
                "who": by_identifier("user", act.recorded_by, "Practitioner"),
            },
        ],
        "entity": [
            {"role": "source", "what": by_identifier("rendered-sha256", act.rendered_sha256)}
        ],
        "signature": [
            {
                "type": [
                    {
                        "system": SIGNATURES,
                        "code": "1.2.840.10065.1.12.1.7",
                        "display": "Consent Signature",
                    },
                    {"system": f"{OWN}signature", "code": act.signature.kind.value},
                ],
                "when": act.event_at.isoformat(),
                "who": reference("Patient", act.person),
            }
        ],
    }

"""What this server can do, as CapabilityStatement: read and search, nothing is taken in."""

from collections.abc import Mapping

from consent_service.api.fhir.codes import FHIR_VERSION, UK_CORE, Resource

CHANGED_ON = "2026-11-22"
"""When what stands here last changed."""
PROFILES: Mapping[str, str] = {
    name: f"{UK_CORE}{name}"
    for name in ("Patient", "RelatedPerson", "Consent", "DocumentReference")
}


def capability_statement(root: str, version: str, kinds: tuple[str, ...]) -> Resource:
    """Return the statement of the server at `root`."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": CHANGED_ON,
        "kind": "instance",
        "software": {"name": "consent-service", "version": version},
        "implementation": {"description": "Consent to film of parents and babies", "url": root},
        "fhirVersion": FHIR_VERSION,
        "format": ["application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "description": "Bearer tokens. Their roles decide what is there to be read."
                },
                "resource": [_resource(kind) for kind in kinds],
            }
        ],
    }


def _resource(kind: str) -> Resource:
    found: Resource = {
        "type": kind,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [
            {"name": "_id", "type": "token"},
            {"name": "patient", "type": "reference"},
        ],
    }
    if kind in PROFILES:
        found["supportedProfile"] = [PROFILES[kind]]
    return found

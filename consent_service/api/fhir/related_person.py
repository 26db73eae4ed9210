"""Who may decide for a child, as RelatedPerson of that child (UK Core)."""

from collections.abc import Mapping

from consent_service.api.fhir.codes import OWN, ROLE_CODE, UK_CORE, Resource, reference
from consent_service.domain.people import Basis
from consent_service.services.fhir_records import RelatedRecord

ROLES: Mapping[Basis, str] = {
    Basis.BIRTH_MOTHER: "NMTH",
    Basis.SECOND_FEMALE_PARENT: "PRN",
    Basis.MARRIED: "PRN",
    Basis.BIRTH_CERTIFICATE: "PRN",
    Basis.ADOPTER: "ADOPTP",
    Basis.AGREEMENT: "PRN",
    Basis.COURT_ORDER: "GUARD",
    Basis.PARENTAL_ORDER: "PRN",
    Basis.TESTAMENTARY_GUARDIAN: "GUARD",
    Basis.SPECIAL_GUARDIAN: "GUARD",
    Basis.LOCAL_AUTHORITY: "GUARD",
}
"""HL7 v3 RoleCode of each ground; the ground itself stands beside it as our own code."""


def related_person(record: RelatedRecord, base: str) -> Resource:
    """Return the RelatedPerson of one parental responsibility."""
    del base
    period = {"start": record.from_on.isoformat()}
    if record.until_on:
        period["end"] = record.until_on.isoformat()
    return {
        "resourceType": "RelatedPerson",
        "id": record.id,
        "meta": {"profile": [f"{UK_CORE}RelatedPerson"]},
        "identifier": [{"system": f"{OWN}person", "value": record.holder}],
        "active": record.in_force,
        "patient": reference("Patient", record.child),
        "relationship": [
            {
                "coding": [
                    {"system": ROLE_CODE, "code": ROLES[record.basis]},
                    {"system": f"{OWN}parental-responsibility", "code": record.basis.value},
                ]
            }
        ],
        "name": [{"text": record.holder_name}],
        "period": period,
    }

"""Names of code systems and profiles, and how our own codes are told apart from theirs.

What HL7, LOINC or W3C have a code for is given theirs; next to it always stands our own.
"""

from typing import Any

Resource = dict[str, Any]
"""A resource or part of one, as JSON has it."""

FHIR_VERSION = "4.0.1"
UK_CORE = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-"
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
LOINC = "http://loinc.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
ACT_REASON = TERMINOLOGY + "v3-ActReason"
ROLE_CODE = TERMINOLOGY + "v3-RoleCode"
DPV = "https://w3id.org/dpv#"
SIGNATURES = "urn:iso-astm:E1762-95:2013"
OWN = "urn:consent-service:"
"""Prefix of our own code systems and identifiers: consent-state, purpose, audit-kind, ..."""

CONSENT_DOCUMENT = {"system": LOINC, "code": "59284-0", "display": "Consent Document"}


def concept(system: str, code: str, text: str = "") -> Resource:
    """Return a CodeableConcept of one code."""
    found: Resource = {"coding": [{"system": system, "code": code}]}
    return {**found, "text": text} if text else found


def reference(kind: str, identifier: str) -> Resource:
    """Return a reference to a resource that this server serves."""
    return {"reference": f"{kind}/{identifier}"}


def by_identifier(system: str, value: str, kind: str = "") -> Resource:
    """Return a logical reference to somebody or something that this server does not serve."""
    found: Resource = {"identifier": {"system": OWN + system, "value": value}}
    return {**found, "type": kind} if kind else found

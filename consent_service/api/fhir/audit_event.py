"""One entry of the audit log as AuditEvent: ids and codes, as the log itself has it."""

from collections.abc import Mapping

from consent_service.api.fhir.codes import OWN, TERMINOLOGY, Resource, by_identifier, reference
from consent_service.domain.audit import ActorKind, AuditEvent
from consent_service.services.fhir_records import AuditRecord

TYPES = f"{TERMINOLOGY}audit-event-type"
ROLES = f"{TERMINOLOGY}object-role"

ACTIONS: Mapping[str, str] = (
    dict.fromkeys(
        ("created", "recorded", "captured", "stored", "issued", "made", "started", "ordered"), "C"
    )
    | dict.fromkeys(("viewed", "searched", "read", "exported", "verified", "fetched"), "R")
    | (dict.fromkeys(("erased", "key_destroyed", "destroyed"), "D"))
)
"""What HL7 calls an act, by the last word of its kind; anything else is an execution."""

FAILED = ("refused", "failed", "blocked")


def audit_event(record: AuditRecord, base: str) -> Resource:
    """Return the AuditEvent of one entry."""
    del base
    event = record.recorded.event
    last = event.kind.value.rpartition(".")[2]
    return {
        "resourceType": "AuditEvent",
        "id": record.recorded.entry_id,
        "type": {"system": TYPES, "code": "rest", "display": "RESTful Operation"}
        if event.actor.kind is ActorKind.TOKEN
        else {"system": TYPES, "code": "object", "display": "Object"},
        "subtype": [{"system": f"{OWN}audit-kind", "code": event.kind.value}],
        "action": ACTIONS.get(last, "E"),
        "recorded": record.recorded.at.isoformat(),
        "outcome": "4" if last.endswith(FAILED) else "0",
        "agent": [
            {"who": by_identifier(event.actor.kind.value, event.actor.id), "requestor": True}
        ],
        "source": {"observer": {"display": "consent-service"}},
        "entity": [*(_person(person) for person in record.people), *_thing(event)],
    }


def _person(person: str) -> Resource:
    return {
        "what": reference("Patient", person),
        "role": {"system": ROLES, "code": "1", "display": "Patient"},
    }


def _thing(event: AuditEvent) -> list[Resource]:
    found: Resource = {}
    if event.subject is not None:
        found["what"] = by_identifier("subject", event.subject)
    details = {"involvement": event.involvement, **event.details}
    found["detail"] = [
        {"type": name, "valueString": _text(value)}
        for name, value in details.items()
        if value not in (None, "", [])
    ]
    found = {name: value for name, value in found.items() if value}
    return [found] if found else []


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)

"""One permission as Consent (UK Core): what one person's film may be used for, now.

The base rule is no: only a permission that is given has a provision of type *permit*. Our own
state stands as a tag, since FHIR's six statuses cannot tell *withdrawn* from *expired*.
"""

from collections.abc import Mapping

from consent_service.api.fhir.codes import (
    ACT_REASON,
    CONSENT_DOCUMENT,
    DPV,
    OWN,
    TERMINOLOGY,
    UK_CORE,
    Resource,
    concept,
    reference,
)
from consent_service.domain.consent import ConsentState
from consent_service.domain.purposes import with_use
from consent_service.services.fhir_records import PermissionRecord

STATUSES: Mapping[ConsentState, str] = {
    ConsentState.NOT_ASKED: "proposed",
    ConsentState.NOT_ANSWERED: "proposed",
    ConsentState.GIVEN: "active",
    ConsentState.DECLINED: "rejected",
    ConsentState.WITHDRAWN: "inactive",
    ConsentState.REVOKED: "inactive",
    ConsentState.EXPIRED: "inactive",
    ConsentState.INVALIDATED: "entered-in-error",
    ConsentState.DISPUTED: "inactive",
    ConsentState.SUPERSEDED: "inactive",
}


def consent(record: PermissionRecord, base: str) -> Resource:
    """Return the Consent of one permission."""
    return {
        "resourceType": "Consent",
        "id": record.id,
        "meta": {
            "profile": [f"{UK_CORE}Consent"],
            "tag": [{"system": f"{OWN}consent-state", "code": record.state.value}],
        },
        "status": STATUSES[record.state],
        "scope": concept(f"{TERMINOLOGY}consentscope", "patient-privacy"),
        "category": [{"coding": [CONSENT_DOCUMENT]}],
        "patient": reference("Patient", record.person),
        "dateTime": record.decided_at.isoformat(),
        "performer": [reference("Patient", record.decided_by)],
        "sourceReference": reference("DocumentReference", record.act),
        "policy": [
            {"uri": f"{base}/api/v1/consent-forms/{record.form}/versions/{record.form_version}"}
        ],
        "provision": _provision(record),
    }


def _provision(record: PermissionRecord) -> Resource:
    purpose = record.purpose
    found: Resource = {
        "type": "permit" if record.state is ConsentState.GIVEN else "deny",
        "purpose": [
            {"system": ACT_REASON, "code": purpose.fhir},
            {"system": DPV, "code": purpose.dpv.removeprefix("dpv:")},
            {
                "system": f"{OWN}purpose",
                "code": with_use(purpose.code, record.use),
                "display": purpose.label,
            },
        ],
    }
    period = {}
    if record.since:
        period["start"] = record.since.isoformat()
    if record.valid_until:
        period["end"] = record.valid_until.isoformat()
    return {**found, "period": period} if period else found

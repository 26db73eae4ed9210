"""What a search answers, and what a refusal looks like."""

from collections.abc import Mapping, Sequence

from consent_service.api.fhir.codes import OWN, Resource

ISSUES: Mapping[int, str] = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    409: "conflict",
    410: "deleted",
    413: "too-long",
    429: "throttled",
    503: "transient",
}
"""HTTP status -> issue type (HL7 issue-type)."""


def searchset(found: Sequence[Resource], self_link: str, root: str) -> Resource:
    """Return the Bundle of a search; `root` is the address that the resources live under."""
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found),
        "link": [{"relation": "self", "url": self_link}],
        "entry": [
            {
                "fullUrl": f"{root}/{one['resourceType']}/{one['id']}",
                "resource": one,
                "search": {"mode": "match"},
            }
            for one in found
        ],
    }


def outcome(status: int, code: str, sentence: str) -> Resource:
    """Return the OperationOutcome of a refusal; `code` is ours and stable."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": ISSUES.get(status, "exception"),
                "details": {
                    "coding": [{"system": f"{OWN}problem", "code": code}],
                    "text": sentence,
                },
            }
        ],
    }

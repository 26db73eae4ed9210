"""Every operation against every role: one table, written out here a second time on purpose."""

from itertools import product

from consent_service.api.operations import Open
from consent_service.api.v1 import OPERATIONS
from consent_service.domain.roles import Permission
from consent_service.ids import new_id
from tests.support.api import Api

STAFF = {
    "guider": "guider",
    "supervisor": "supervisor",
    "ig": "ig_officer",
    "admin": "administrator",
}
EVERYONE, ANY_CALLER = Open.EVERYONE.value, Open.ANY_CALLER.value

TABLE = {
    ("POST", "/people"): "people.write",
    ("POST", "/people/search"): "people.read",
    ("GET", "/people/{id}"): "people.read",
    ("PATCH", "/people/{id}"): "people.write",
    ("POST", "/people/{id}/parental-responsibility"): "people.write",
    ("POST", "/parental-responsibility/{id}/end"): "people.write",
    ("GET", "/involvements"): "involvement.read",
    ("POST", "/involvements"): "involvement.write",
    ("GET", "/involvements/{id}"): "involvement.read",
    ("POST", "/involvements/{id}/end"): "involvement.write",
    ("POST", "/involvements/{id}/reopen"): "involvement.write",
    ("GET", "/involvements/{id}/assets"): "film.list",
    ("POST", "/meetings"): "involvement.write",
    ("GET", "/leaflets"): "leaflet.read",
    ("GET", "/leaflets/{code}/versions/{n}"): "leaflet.read",
    ("POST", "/leaflet-issues"): "leaflet.give",
    ("GET", "/consent-forms"): "form.read",
    ("GET", "/consent-forms/{form}/changes"): "form.read",
    ("GET", "/consent-forms/{form}/versions/{n}"): "form.read",
    ("GET", "/involvements/{id}/questions"): "consent.capture",
    ("POST", "/consents"): "consent.capture",
    ("GET", "/consents/{id}"): "consent.read",
    ("GET", "/consents/{id}.pdf"): "consent.read",
    ("POST", "/consents/{id}/check"): "consent.confirm_late",
    ("PUT", "/consents/{id}/scan"): "consent.capture",
    ("GET", "/consents/{id}/scan"): "consent.read",
    ("POST", "/consents/{id}/invalidation"): "consent.invalidate",
    ("POST", "/revocations"): "consent.revoke",
    ("GET", "/revocations/{id}/receipt.pdf"): "erasure.read",
    ("GET", "/reconsents"): "consent.read",
    ("GET", "/people/{id}/consent-state"): "consent.read",
    ("POST", "/disputes/{id}/resolution"): "dispute.resolve",
    ("POST", "/permissions/check"): "film.list",
    ("POST", "/recordings"): "film.upload",
    ("PUT", "/recordings/{id}/content"): "film.upload",
    ("HEAD", "/uploads/{id}"): "film.upload",
    ("PATCH", "/uploads/{id}"): "film.upload",
    ("DELETE", "/uploads/{id}"): "film.upload",
    ("GET", "/recordings/{id}"): "film.list",
    ("GET", "/recordings/{id}/content"): "film.watch",
    ("POST", "/recordings/{id}/depicted-people"): "depicted.write",
    ("DELETE", "/recordings/{id}/depicted-people"): "depicted.write",
    ("POST", "/recordings/{id}/depicted-people/removal"): "depicted.write",
    ("POST", "/recordings/{id}/clips"): "film.cut",
    ("POST", "/recordings/{id}/stills"): "film.cut",
    ("GET", "/clips/{id}/content"): "film.watch",
    ("GET", "/stills/{id}/content"): "film.watch",
    ("POST", "/goals"): "review.write",
    ("POST", "/goals/{id}/ratings"): "review.write",
    ("POST", "/reviews"): "review.write",
    ("POST", "/summaries"): "review.write",
    ("GET", "/summaries/{id}"): "review.read",
    ("POST", "/summaries/{id}/filing"): "review.write",
    ("GET", "/summaries/{id}.pdf"): "review.read",
    ("POST", "/handovers"): "handover.write",
    ("GET", "/handovers/{id}"): "handover.write",
    ("POST", "/handovers/{id}/decision"): "handover.write",
    ("GET", "/handovers/{id}/receipt.pdf"): "handover.write",
    ("POST", "/feedback"): "feedback.write",
    ("POST", "/quotes"): "quote.write",
    ("POST", "/quotes/{id}/withdrawal"): "quote.write",
    ("POST", "/disclosures"): "disclosure.write",
    ("POST", "/disclosures/{id}/taken-back"): "disclosure.write",
    ("POST", "/withdrawals"): "withdrawal.preview",
    ("GET", "/withdrawals/{id}"): "withdrawal.preview",
    ("GET", "/withdrawals/{id}/receipt.pdf"): "withdrawal.preview",
    ("POST", "/withdrawals/{id}/cancel"): "withdrawal.cancel",
    ("GET", "/erasure-orders"): "erasure.read",
    ("GET", "/certificates"): "certificate.read",
    ("GET", "/erasure-orders/{id}"): "erasure.read",
    ("GET", "/erasure-orders/{id}/certificate"): "certificate.read",
    ("GET", "/erasure-orders/{id}/certificate.pdf"): "certificate.read",
    ("GET", "/holds"): "hold.read",
    ("POST", "/holds"): ANY_CALLER,
    ("POST", "/holds/{id}/release"): "hold.release",
    ("POST", "/holds/{id}/release/confirm"): "hold.release",
    ("GET", "/retention/due"): "retention.read",
    ("GET", "/retention/explain/{asset}"): "retention.read",
    ("GET", "/dispositions"): "retention.read",
    ("POST", "/dispositions/{id}/decision"): "disposition.decide",
    ("POST", "/dispositions/{id}/decision/confirm"): "disposition.decide",
    ("POST", "/appraisals"): "appraisal.approve",
    ("POST", "/subject-access"): "subject_access.manage",
    ("GET", "/subject-access"): "subject_access.manage",
    ("GET", "/subject-access/{id}"): "subject_access.manage",
    ("POST", "/subject-access/{id}/file"): "subject_access.manage",
    ("POST", "/subject-access/{id}/answer"): "subject_access.manage",
    ("POST", "/subject-access/{id}/appeal"): "subject_access.manage",
    ("POST", "/subject-access/{id}/close"): "subject_access.manage",
    ("GET", "/keys/public"): EVERYONE,
    ("GET", "/audit/entries"): "audit.read",
    ("GET", "/audit/checkpoint"): ANY_CALLER,
    ("GET", "/audit/proof/{entry}"): "audit.read",
    ("GET", "/audit/export"): "audit.export",
}


def test_the_table_of_operations_is_the_one_agreed() -> None:
    """An operation that is added, or asks for another verb, must be decided on here too."""
    assert {(o.method, o.path): o.needs.value for o in OPERATIONS} == TABLE


def test_a_role_reaches_exactly_the_operations_of_its_verbs(api: Api) -> None:
    """The first door: refused with code `role` without the verb, and not for that with it."""
    for by, ((method, path), needs) in product(STAFF, TABLE.items()):
        role = api.clinic.ctx.policies.roles[STAFF[by]]
        answer = api.call(method, _filled(path), by=by)
        # The answer to a HEAD has no body that could say why.
        refused = answer.status_code == 403 and (
            method == "HEAD" or answer.get_json()["code"] == "role"
        )
        open_to_all = needs in (EVERYONE, ANY_CALLER)
        allowed = open_to_all or role.allows(Permission(needs))
        assert refused is not allowed, f"{by} {method} {path}: {answer.status_code}"


def test_nothing_but_what_is_public_answers_without_a_token(api: Api) -> None:
    """Keys must be public so that anybody can verify; everything else asks who calls."""
    for (method, path), needs in TABLE.items():
        answer = api.call(method, _filled(path), by=None)
        if needs == EVERYONE:
            assert answer.status_code == 200, path
            continue
        assert answer.status_code == 401, f"{method} {path}"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.mimetype == "application/problem+json"


def test_who_may_preview_may_not_therefore_withdraw(api: Api) -> None:
    """Both share one address; recording asks for its own verb."""
    role = api.clinic.ctx.policies.roles["supervisor"]
    assert not role.allows(Permission.WITHDRAWAL_RECORD)
    refused = api.post("/withdrawals", {}, by="supervisor")
    assert (refused.status_code, refused.get_json()["code"]) == (403, "role")


def _filled(path: str) -> str:
    return (
        path.replace("{id}", new_id())
        .replace("{asset}", new_id())
        .replace("{entry}", new_id())
        .replace("{code}", "L1111")
        .replace("{form}", "vig")
        .replace("{n}", "1")
    )

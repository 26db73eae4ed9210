"""Consent as other systems of the NHS read it: valid, in reach only, and each read written down."""

from itertools import product
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from sqlalchemy import delete

from consent_service.api.fhir import SERVED
from consent_service.db.models.accounts import TeamMember
from consent_service.domain.audit import EventKind
from consent_service.domain.people import Basis
from consent_service.domain.roles import Permission
from consent_service.ids import new_id
from consent_service.services import fhir, people
from consent_service.services.fhir_records import Kind
from tests.support.api import Api
from tests.support.clinic import Family

ROOT = "/fhir/R4"
STAFF = {
    "guider": "guider",
    "supervisor": "supervisor",
    "ig": "ig_officer",
    "admin": "administrator",
}
NEEDS = {
    "Patient": "people.read",
    "RelatedPerson": "people.read",
    "Consent": "consent.read",
    "Provenance": "consent.read",
    "DocumentReference": "consent.read",
    "AuditEvent": "audit.read",
}
BINDINGS = {
    "Consent.status": {"proposed", "active", "rejected", "inactive", "entered-in-error"},
    "Consent.provision.type": {"permit", "deny"},
    "AuditEvent.action": set("CRUDE"),
    "AuditEvent.outcome": {"0", "4", "8", "12"},
    "DocumentReference.status": {"current", "superseded", "entered-in-error"},
}
"""Codes that HL7 requires; the validator checks shapes, and leaves these to us."""


@pytest.fixture
def home(api: Api) -> Family:
    """A family in which everybody said yes, also to one poster and to a supervisor."""
    home = api.clinic.family()
    api.clinic.both_consent(home, optional=frozenset({"PUB.WEB", "SUP.SUPERVISOR"}))
    return home


def _get(api: Api, path: str, *, by: str | None = "ig", status: int = 200) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {api.token(by)}"} if by else {}
    answer = api.app.test_client().get(f"{ROOT}{path}", headers=headers)
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.mimetype == "application/fhir+json"
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = answer.get_json()
    _validate(found)
    return found


def _validate(resource: dict[str, Any]) -> None:
    """Hold a resource to HL7's own definition, R4B as published, and to its required codes."""
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    for path, allowed in BINDINGS.items():
        kind, *names = path.split(".")
        if resource["resourceType"] != kind:
            continue
        value: Any = resource
        for name in names:
            value = value[name]
        assert value in allowed, path
    for entry in resource.get("entry", ()):
        _validate(entry["resource"])


def _of(api: Api, kind: str, patient: str, **more: Any) -> list[dict[str, Any]]:
    bundle = _get(api, f"/{kind}?patient={patient}", **more)
    assert bundle["total"] == len(bundle["entry"])
    return [entry["resource"] for entry in bundle["entry"]]


def _permissions(api: Api, patient: str) -> dict[str, dict[str, Any]]:
    """Consents of a patient by our own code of their purpose."""
    return {one["provision"]["purpose"][2]["code"]: one for one in _of(api, "Consent", patient)}


def test_the_statement_says_what_is_served_to_anybody(api: Api) -> None:
    """A client that cannot read what is offered tries what is not."""
    statement = _get(api, "/metadata", by=None)

    (rest,) = statement["rest"]
    assert statement["fhirVersion"] == "4.0.1"
    assert {one["type"] for one in rest["resource"]} == set(NEEDS) == set(SERVED)


def test_every_kind_is_valid_and_read_again_under_its_own_id(api: Api, home: Family) -> None:
    """A record that no other system can parse, or find again, was not shared."""
    api.clinic.withdraws(home, home.father)
    for kind, patient in product(NEEDS, home.everyone):
        found = _of(api, kind, patient)
        assert found or (kind == "RelatedPerson" and patient != home.baby), kind
        for one in found[:3]:
            again = _get(api, f"/{kind}/{one['id']}")
            assert {**again, "meta": 0} == {**one, "meta": 0}
            (by_both,) = _get(api, f"/{kind}?_id={one['id']}&patient={patient}")["entry"]
            assert by_both["resource"]["id"] == one["id"]
            assert by_both["fullUrl"].endswith(f"{ROOT}/{kind}/{one['id']}")


def test_each_permission_is_one_consent_with_the_codes_of_policy(api: Api, home: Family) -> None:
    """One consent for everything would turn a yes to care into a yes to a poster."""
    found = _permissions(api, home.mother)

    care, poster = found["care"], found["publication:poster-2026"]
    assert set(found) == {"care", "supervision", "publication:poster-2026"}
    assert len({one["id"] for one in found.values()}) == 3
    purpose = api.clinic.ctx.policies.purposes["publication"]
    codes = [coding["code"] for coding in poster["provision"]["purpose"][:2]]
    assert codes == [purpose.fhir, purpose.dpv.removeprefix("dpv:")]
    assert (care["status"], care["provision"]["type"]) == ("active", "permit")
    assert care["patient"]["reference"] == f"Patient/{home.mother}"
    document = care["sourceReference"]["reference"]
    assert _get(api, f"/{document}")["content"][0]["attachment"]["url"].endswith(".pdf")


def test_a_withdrawal_shows_at_once_under_the_same_id(api: Api, home: Family) -> None:
    """Whoever keeps our consents by id must not go on believing a yes."""
    before = _permissions(api, home.mother)["care"]

    api.clinic.withdraws(home, home.mother)

    after = _get(api, f"/Consent/{before['id']}")
    assert (after["status"], after["provision"]["type"]) == ("inactive", "deny")
    assert after["meta"]["tag"][0]["code"] == "withdrawn"


def test_provenance_says_who_answered_for_the_child(api: Api, home: Family) -> None:
    """For a baby it is the whole question: who said yes."""
    authors = {act["agent"][0]["who"]["reference"] for act in _of(api, "Provenance", home.baby)}
    babys = {f"Consent/{one['id']}" for one in _permissions(api, home.baby).values()}
    targets = {
        target["reference"] for act in _of(api, "Provenance", home.baby) for target in act["target"]
    }

    assert authors == {f"Patient/{home.mother}", f"Patient/{home.father}"}
    assert babys <= targets


def test_who_decides_for_a_child_and_on_what_ground(api: Api, home: Family) -> None:
    """The code is HL7's; the ground in law stands beside it."""
    relations = _of(api, "RelatedPerson", home.baby)

    grounds = {one["relationship"][0]["coding"][1]["code"] for one in relations}
    assert grounds == {Basis.BIRTH_MOTHER.value, Basis.BIRTH_CERTIFICATE.value}
    assert all(one["active"] for one in relations)


def test_another_team_and_nobody_get_the_same_answer(api: Api, home: Family) -> None:
    """Whether a family is in somebody else's care is itself a secret."""
    mothers = _of(api, "Consent", home.mother)[0]["id"]
    act = _of(api, "Provenance", home.mother)[0]["id"]
    known = {"Patient": home.mother, "Consent": mothers, "Provenance": act}
    known |= {"DocumentReference": act}
    with api.clinic.ctx.begin() as uow:
        uow.session.execute(delete(TeamMember).where(TeamMember.user_id == api.clinic.guider.id))

    for kind, identifier in known.items():
        theirs = _get(api, f"/{kind}/{identifier}", by="guider", status=404)
        nobodys = _get(api, f"/{kind}/{new_id()}", by="guider", status=404)
        assert theirs == nobodys
        assert theirs["resourceType"] == "OperationOutcome"
        assert _of(api, kind, home.mother, by="guider") == []
    refused = api.clinic.written_down(EventKind.ACCESS_REFUSED)
    assert home.mother in {entry.event.subject for entry in refused}


def test_a_role_reads_exactly_the_kinds_of_its_verbs(api: Api, home: Family) -> None:
    """The same table as for the JSON API, written out here a second time on purpose."""
    assert {kind: served.needs.value for kind, served in SERVED.items()} == NEEDS
    for by, (kind, verb) in product(STAFF, NEEDS.items()):
        role = api.clinic.ctx.policies.roles[STAFF[by]]
        status = 200 if role.allows(Permission(verb)) else 403
        _get(api, f"/{kind}?patient={home.mother}", by=by, status=status)


def test_nothing_is_read_without_a_token(api: Api, home: Family) -> None:
    """Cookies of a browser count for nothing here."""
    for kind in NEEDS:
        _get(api, f"/{kind}?patient={home.mother}", by=None, status=401)


@pytest.mark.parametrize(
    "query", ["", "?name=Rosa", "?identifier=9990000018", "?_id=x", "?_id=a&_id=b", "?patient="]
)
def test_only_ids_are_searched_by(api: Api, home: Family, query: str) -> None:
    """An address stands in logs and histories: no name and no number belongs there."""
    _get(api, f"/Patient{query}", status=400)


def test_what_is_not_served_is_refused_in_kind(api: Api, home: Family) -> None:
    """A client that speaks FHIR gets FHIR, also when it is told no."""
    client = api.app.test_client()

    for method, path, status in (
        ("GET", "/Observation", 404),
        ("GET", f"/Patient/{home.mother}/_history", 404),
        ("POST", "/Patient", 405),
        ("DELETE", f"/Patient/{home.mother}", 405),
    ):
        answer = client.open(f"{ROOT}{path}", method=method)
        assert answer.status_code == status, path
        assert answer.get_json()["resourceType"] == "OperationOutcome"


def test_every_read_is_written_down(api: Api, home: Family) -> None:
    """Whoever reads a family's consents from elsewhere stands in the log like everybody."""
    _of(api, "Consent", home.mother)
    api.clinic.passes(minutes=1)
    _get(api, f"/Patient/{home.mother}")

    first, second = (e.event for e in api.clinic.written_down(EventKind.RECORDS_READ))
    assert (first.subject, first.details["records"]) == (home.mother, "consent")
    assert (second.details["records"], second.details["found"]) == ("patient", 1)
    shown = _of(api, "AuditEvent", home.mother)
    assert "records.read" in {event["subtype"][0]["code"] for event in shown}


def test_a_number_stands_in_the_record_and_never_in_an_address(api: Api, home: Family) -> None:
    """The NHS number is how others match; an address is no place for it."""
    numbered = people.create_person(
        api.clinic.ctx,
        api.clinic.guider,
        people.PersonDetails(api.clinic.team, "Nora Invented", None, nhs_number="9990000018"),
    )

    found = _get(api, f"/Patient?_id={numbered.id}")

    (entry,) = found["entry"]
    assert entry["resource"]["identifier"][0]["value"] == "9990000018"
    assert "9990000018" not in entry["fullUrl"] + found["link"][0]["url"]


def test_a_search_without_an_id_is_a_fault_of_ours(api: Api) -> None:
    """All records of everybody must not be one forgotten parameter away."""
    with pytest.raises(ValueError, match="patient"):
        fhir.search(api.clinic.ctx, api.clinic.ig, Kind.PATIENT)

"""Consent, state, film, withdrawal and certificate, all of it over HTTP."""

import hashlib

from consent_service.services import erasure
from tests.support.api import Api
from tests.support.api_story import (
    both_consent,
    consents,
    family,
    recording_body,
    withdrawal_body,
)
from tests.support.clinic import Family, sample_film


def test_a_family_consents_is_filmed_withdraws_and_gets_its_certificate(api: Api) -> None:
    """The promise of the whole service, as another program sees it."""
    home = family(api)
    both_consent(api, home)
    film = _film(api, home)

    asked = {"asset": film, "purpose": "care"}
    assert api.post("/permissions/check", asked).get_json() == {"permitted": True, "reasons": []}
    watched = api.get(f"/recordings/{film}/content?purpose=care")
    assert watched.status_code == 200

    planned = api.post("/withdrawals?dry_run=true", withdrawal_body(home, home.mother))
    assert planned.status_code == 200
    assert [line["asset"] for line in planned.get_json()["destroyed"]] == [film]
    assert api.get(f"/recordings/{film}/content?purpose=care").status_code == 200

    done = api.post("/withdrawals", withdrawal_body(home, home.mother))
    assert done.status_code == 201
    assert set(done.get_json()) == {
        "withdrawal",
        "erasure_order",
        "erasure_orders",
        "receipt",
    }
    assert done.get_json()["erasure_orders"] == [done.get_json()["erasure_order"]]
    api.clinic.passes(seconds=2)
    gone = api.get(f"/recordings/{film}/content?purpose=care")
    assert gone.status_code == 410
    assert gone.get_json()["order"] == done.get_json()["erasure_order"]["reference"]

    _carry_out(api)
    order = done.get_json()["erasure_order"]["href"]
    assert api.get(order).get_json()["state"] == "done"
    certificate = api.get(f"{order}/certificate", by="ig")
    assert certificate.status_code == 200
    assert film in str(certificate.get_json()["certificate"])
    states = api.get(f"/people/{home.mother}/consent-state").get_json()["items"]
    assert {s["purpose"]: s["state"] for s in states}["care"] == "withdrawn"


def test_papers_are_pdf_and_belong_to_what_they_name(api: Api) -> None:
    """A parent may be given each of them; none may be kept by a proxy."""
    home = family(api)
    act = consents(api, home, home.mother)
    done = api.post("/withdrawals", withdrawal_body(home, home.mother)).get_json()

    for where in (f"/consents/{act['id']}.pdf", done["receipt"]):
        paper = api.get(where)
        assert paper.status_code == 200, paper.get_json()
        assert paper.data.startswith(b"%PDF-")
        assert paper.headers["Cache-Control"] == "no-store"


def test_state_is_told_for_any_two_moments(api: Api) -> None:
    """`at` and `known_at` answer what was permitted then, as it was known then."""
    home = family(api)
    before = api.clinic.clock.now().isoformat().replace("+00:00", "Z")
    api.clinic.passes(minutes=5)
    act = consents(api, home, home.mother)

    def care(query: str) -> str:
        items = api.get(f"/people/{home.mother}/consent-state{query}").get_json()["items"]
        return str({s["purpose"]: s["state"] for s in items}["care"])

    assert care("") == "given"
    assert care(f"?at={before}") != "given"
    assert care(f"?known_at={before}") != "given"
    read = api.get(f"/consents/{act['id']}").get_json()
    digest = hashlib.sha256(read["rendered_text"].encode()).hexdigest()
    assert digest == read["rendered_sha256"]


def test_a_withdrawal_in_seven_days_can_be_cancelled_by_who_withdrew(api: Api) -> None:
    """Nobody else's change of mind counts, and after it the film plays again."""
    home = family(api)
    both_consent(api, home)
    film = _film(api, home)
    body = withdrawal_body(home, home.mother, speed="seven_days")
    withdrawal = api.post("/withdrawals", body).get_json()["withdrawal"]["id"]

    assert api.get(f"/recordings/{film}/content?purpose=care").status_code == 410
    other = api.post(f"/withdrawals/{withdrawal}/cancel", {"by": home.father})
    assert (other.status_code, other.get_json()["code"]) == (403, "not_who_withdrew")
    own = api.post(f"/withdrawals/{withdrawal}/cancel", {"by": home.mother})
    assert own.status_code == 200
    assert api.get(f"/recordings/{film}/content?purpose=care").status_code == 200


def _film(api: Api, home: Family) -> str:
    reserved = api.post("/recordings", recording_body(home, api.clinic.today))
    assert reserved.status_code == 201, reserved.get_json()
    upload = reserved.get_json()["upload"]
    assert reserved.headers["Location"].endswith(upload["resumable"])
    stored = api.call("PUT", upload["href"], data=sample_film(), content_type="video/mp4")
    assert stored.status_code == 200, stored.get_json()
    return str(stored.get_json()["id"])


def _carry_out(api: Api) -> None:
    for _ in range(30):
        api.clinic.passes(hours=2)
        erasure.work(api.clinic.ctx, "test")

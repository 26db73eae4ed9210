"""Subject access as a program does it."""

import io

import pikepdf

from consent_service.ids import new_id
from tests.support.api import Api

PASSPHRASE = "seven quiet otters 42"


def test_a_request_is_opened_found_and_answered_with_a_locked_file(api: Api) -> None:
    """A records system may run the desk; it gets the same rules as the pages."""
    home = api.clinic.family()
    body = {"person": home.mother, "asked_on": api.clinic.today.isoformat()}

    made = api.post("/subject-access", body, by="ig")
    where = made.headers["Location"]
    listed = api.get("/subject-access", by="ig").get_json()["items"]
    sent = api.post(f"{where}/file", {"passphrase": PASSPHRASE}, by="ig")
    answered = api.post(f"{where}/answer", {"given": "The file"}, by="ig").get_json()
    appealed = api.post(f"{where}/appeal", by="ig").get_json()
    closed = api.post(f"{where}/close", by="ig").get_json()

    assert (made.status_code, made.get_json()["due_on"]) == (201, "2026-12-02")
    assert [row["id"] for row in listed] == [made.get_json()["id"]]
    with pikepdf.open(io.BytesIO(sent.get_data()), password=PASSPHRASE) as pdf:
        assert "records.json" in pdf.attachments
    states = [row["state"] for row in (answered, appealed, closed)]
    assert states == ["answered", "appealed", "closed"]
    assert api.get(where, by="ig").get_json() == closed


def test_what_does_not_fit_is_named(api: Api) -> None:
    """A program that gets no reason tries again until something gives way."""
    home = api.clinic.family()
    body = {"person": home.mother, "asked_on": api.clinic.today.isoformat()}
    where = api.post("/subject-access", body, by="ig").headers["Location"]

    weak = api.post(f"{where}/file", {"passphrase": "a" * 20}, by="ig")
    early = api.post(f"{where}/appeal", by="ig")
    nobody = api.post("/subject-access", {**body, "person": new_id()}, by="ig")

    assert (weak.status_code, set(weak.get_json()["faults"])) == (400, {"passphrase"})
    assert (early.status_code, early.get_json()["code"]) == (409, "request_state")
    assert nobody.status_code == 404

"""What bad input gets: a problem document, never HTML, never half a change."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from werkzeug.test import TestResponse

from consent_service.app import create_app
from consent_service.db.engine import open_engine
from consent_service.db.models.audit import AuditEntry
from consent_service.db.models.people import Person, Team
from consent_service.ids import new_id
from tests.support.api import Api
from tests.support.api_story import (
    both_consent,
    consent_body,
    family,
    person,
    recording_body,
    withdrawal_body,
)


def _problem(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.get_json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert answer.mimetype == "application/problem+json"
    assert body["status"] == status
    assert body["type"] == f"urn:consent-service:problem:{code}"
    assert body["title"] and body["detail"].endswith(".")
    assert answer.headers["Cache-Control"] == "no-store"
    return body


def test_every_fault_is_named_by_field_and_nothing_is_written(api: Api) -> None:
    """A program that sends three faults must not need three tries."""
    body = {"team": "x", "full_name": "", "born_on": 1, "shoe_size": 4}
    problem = _problem(api.post("/people", body), 400, "invalid")

    assert set(problem["faults"]) == {"team", "full_name", "born_on", "shoe_size"}
    with api.clinic.ctx.read() as session:
        assert session.scalar(select(func.count()).select_from(Person)) == 0


DAYS_THAT_ARE_NONE = (
    1,
    True,
    "31/02/2023",
    "2023-02-31",
    "0001-01-01",
    "9999-12-31",
    "2026-11-02T00:00:00",
)
INSTANTS_THAT_ARE_NONE = (
    "2026-11-02T09:30:00",
    "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00Z",
    "1",
    "now",
)


def test_a_day_is_a_calendar_day_written_out(api: Api) -> None:
    """Lax reading would take the number 1 for 1 January 1970, and sums would overflow."""
    for day in DAYS_THAT_ARE_NONE:
        body = {"team": api.clinic.team, "full_name": "Ida Invented", "born_on": day}
        assert set(_problem(api.post("/people", body), 400, "invalid")["faults"]) == {"born_on"}


def test_an_instant_has_a_zone_and_lies_within_reason(api: Api) -> None:
    """Without a zone nobody knows when a consent was given."""
    for at in INSTANTS_THAT_ARE_NONE:
        answer = api.get(f"/people/{new_id()}/consent-state?at={at}")
        assert set(_problem(answer, 400, "invalid")["faults"]) == {"at"}


def test_a_date_of_birth_that_cannot_be_is_refused_by_field(api: Api) -> None:
    """The domain's own faults arrive in the same shape as those of the form."""
    body = {"team": api.clinic.team, "full_name": "Ida Invented", "born_on": "2199-01-01"}
    problem = _problem(api.post("/people", body), 400, "invalid")
    assert set(problem["faults"]) == {"born_on"}


def test_malformed_json_is_refused(api: Api) -> None:
    """Also JSON that is no object: it must not count as an empty one."""
    for raw in (b"{", b"[]", b"null", b'"text"', b"", b"\xff\xfe", b"{'a': 1}"):
        answer = api.call("POST", "/people/search", data=raw, content_type="application/json")
        _problem(answer, 400, "invalid")


def test_another_content_type_is_refused(api: Api) -> None:
    """A form that a browser can be made to send is no way in."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = api.call("POST", "/people/search", data=b'{"text": "a"}', content_type=kind)
        _problem(answer, 415, "unsupported_media_type")


def test_text_with_nul_is_refused_before_the_database_sees_it(api: Api) -> None:
    """PostgreSQL cannot store it, so it must be a fault of the input on both engines."""
    body = {"team": api.clinic.team, "full_name": "Ida\u0000Invented"}
    assert set(_problem(api.post("/people", body), 400, "invalid")["faults"]) == {"full_name"}


def test_too_long_a_body_is_refused_by_its_declared_length(api: Api) -> None:
    """Before a byte is read: the body here is shorter than it says."""
    answer = api.call(
        "POST",
        "/people",
        data=b"{}",
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": str(2**20 + 1)},
    )
    _problem(answer, 413, "too_large")


def test_an_address_that_does_not_exist_gets_a_problem_document(api: Api) -> None:
    """Never a page, by no method: programs read this."""
    for method in ("GET", "POST", "PROPFIND"):
        _problem(api.call(method, "/nothing/here"), 404, "not_found")
        _problem(api.call(method, "/api/v2/people"), 404, "not_found")


def test_a_method_that_does_not_exist_is_refused_naming_those_that_do(api: Api) -> None:
    """Allow is what lets a client correct itself; it must survive the problem document."""
    answer = api.call("DELETE", "/people/search")
    _problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST, OPTIONS"
    options = api.call("OPTIONS", f"/people/{new_id()}", by=None)
    assert options.headers["Allow"] == "GET, HEAD, PATCH, OPTIONS"


def test_a_wrong_or_ended_token_is_refused(api: Api) -> None:
    """And so is a cookie: only a bearer token counts."""
    for header in ("Bearer wrong", "Bearer ", "Basic YTpi", "Bearer é"):
        answer = api.call("GET", "/leaflets", by=None, headers={"Authorization": header})
        _problem(answer, 401, "not_signed_in")
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert api.get("/leaflets").status_code == 200
    api.clinic.passes(days=31)
    _problem(api.get("/leaflets"), 401, "not_signed_in")


def test_another_teams_thing_looks_like_one_that_does_not_exist_and_is_written_down(
    api: Api,
) -> None:
    """Who tries ids must learn nothing, and somebody must be able to see that they tried."""
    with api.clinic.ctx.begin() as uow:
        other = new_id()
        uow.session.add(Team(id=other, name="Harbour team", created_at=uow.at))
        uow.session.flush()
        foreign = Person(
            id=new_id(),
            team_id=other,
            full_name="Someone Else",
            name_key="someone else",
            information_needs={},
            created_at=uow.at,
        )
        uow.session.add(foreign)
        known = foreign.id

    unknown = new_id()
    theirs, nobodys = api.get(f"/people/{known}"), api.get(f"/people/{unknown}")

    assert theirs.get_json() == nobodys.get_json()
    assert theirs.status_code == nobodys.status_code == 404
    assert _lasting(theirs) == _lasting(nobodys)
    with api.clinic.ctx.read() as session:
        bodies = [json.loads(b) for b in session.scalars(select(AuditEntry.body))]
    refused = {b["subject"] for b in bodies if b["kind"] == "access.refused"}
    assert {known, unknown} <= refused


def test_an_archived_leaflet_is_refused_naming_the_current_version(api: Api) -> None:
    """L1111 V1 passed its archive date on 14/09/2023."""
    home = family(api)
    body = {
        "involvement": home.involvement,
        "person": home.mother,
        "code": "L1111",
        "version": 1,
        "given_on": api.clinic.today.isoformat(),
        "how": "paper",
    }
    problem = _problem(api.post("/leaflet-issues", body), 409, "leaflet_archived")
    assert problem["current"] == 2


def test_an_unknown_statement_and_a_missing_responsibility_are_named(api: Api) -> None:
    """Each answer's fault stands at its place in the list."""
    home = family(api)
    outsider = person(api, "Ole Invented", "1990-01-01")
    body = consent_body(api, home, home.mother)
    body["answers"] += [
        {"statement": "CARE.DANCE", "about": home.mother, "answer": "yes"},
        {"statement": "CARE.FILM.CHILD", "about": outsider, "answer": "yes"},
    ]
    faults = _problem(api.post("/consents", body), 400, "invalid")["faults"]
    count = len(body["answers"])
    assert set(faults) == {f"answers.{count - 2}", f"answers.{count - 1}"}


def test_filming_without_everyones_care_is_refused_naming_who_and_what(api: Api) -> None:
    """Ids and purposes, so that the right person can be asked; never a name."""
    home = family(api)
    refused = api.post("/recordings", recording_body(home, api.clinic.today))
    problem = _problem(refused, 403, "consent_missing")
    assert {(m["person"], m["purpose"]) for m in problem["missing"]} == {
        (who, "care") for who in home.everyone
    }
    assert "Invented" not in refused.get_data(as_text=True)


def test_a_declared_upload_of_five_gigabytes_is_refused_before_reading(api: Api) -> None:
    """At reserving by the size declared, and at sending by its length."""
    home = family(api)
    both_consent(api, home)
    body = recording_body(home, api.clinic.today) | {"declared_size": 5 * 2**30}
    _problem(api.post("/recordings", body), 413, "too_large")

    upload = api.post("/recordings", recording_body(home, api.clinic.today)).get_json()["upload"]
    sent = api.call(
        "PUT",
        upload["href"],
        data=b"x",
        content_type="video/mp4",
        environ_overrides={"CONTENT_LENGTH": str(5 * 2**30)},
    )
    _problem(sent, 413, "too_large")


def test_withdrawing_what_is_not_this_familys_is_refused(api: Api) -> None:
    """Neither half a withdrawal nor a hint of whose film it is."""
    home = family(api)
    body = withdrawal_body(home, home.mother, scope="assets", assets=[new_id()])
    faults = _problem(api.post("/withdrawals", body), 400, "invalid")["faults"]
    assert set(faults) == {"assets"}
    stranger = withdrawal_body(home, new_id())
    _problem(api.post("/withdrawals", stranger), 404, "not_found")


def test_a_person_is_changed_only_from_the_version_that_was_seen(api: Api) -> None:
    """Two people who change the same thing must not undo each other unseen."""
    who = person(api, "Rosa Invented", "1994-05-17")
    seen = api.get(f"/people/{who}").headers["ETag"]
    change = {"safe_contact": "by letter"}

    _problem(api.call("PATCH", f"/people/{who}", change), 428, "precondition_required")
    done = api.call("PATCH", f"/people/{who}", change, headers={"If-Match": seen})
    assert done.status_code == 200
    assert done.get_json()["safe_contact"] == "by letter"
    assert done.get_json()["full_name"] == "Rosa Invented"
    stale = api.call("PATCH", f"/people/{who}", change, headers={"If-Match": seen})
    _problem(stale, 412, "stale")


def test_a_database_that_is_away_says_when_to_try_again(api: Api, tmp_path: Path) -> None:
    """503 with Retry-After, and no word of where the database was looked for."""
    away = open_engine(f"sqlite:///{tmp_path}/no-such-folder/consent.sqlite3")
    broken = Api(api.clinic, create_app(replace(api.clinic.ctx, engine=away)), api.tokens)
    api.token("guider")
    answer = broken.get("/leaflets")
    problem = _problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "60"
    assert "no-such-folder" not in str(problem)


def _lasting(answer: TestResponse) -> dict[str, str]:
    """Return the headers that do not name the single request."""
    return {name: value for name, value in answer.headers.items() if name != "X-Request-Id"}

"""Bodies that a program sends to live through a family's story over the API."""

from datetime import date
from typing import Any

from tests.support.api import Api
from tests.support.clinic import Family


def person(api: Api, name: str, born: str, **more: Any) -> str:
    """Write down a person; returns the id."""
    body = {"team": api.clinic.team, "full_name": name, "born_on": born, **more}
    made = api.post("/people", body)
    assert made.status_code == 201, made.get_json()
    return str(made.get_json()["id"])


def family(api: Api) -> Family:
    """Two parents, a baby, an involvement and leaflets given: all of it over HTTP."""
    mother = person(api, "Rosa Invented", "1994-05-17")
    father = person(api, "Jonas Invented", "1992-01-09")
    baby = person(api, "Mina Invented", "2026-09-28")
    for holder, basis in ((mother, "birth_mother"), (father, "birth_certificate")):
        body = {"holder": holder, "basis": basis, "from_on": "2026-09-28"}
        assert api.post(f"/people/{baby}/parental-responsibility", body).status_code == 201
    roles = ((mother, "parent"), (father, "parent"), (baby, "baby"))
    begun = api.post(
        "/involvements",
        {
            "team": api.clinic.team,
            "guider": api.clinic.guider.id,
            "people": [{"person": who, "role": role} for who, role in roles],
            "started_on": api.clinic.today.isoformat(),
        },
    )
    assert begun.status_code == 201, begun.get_json()
    involvement = begun.get_json()["id"]
    issues = {who: give_leaflet(api, involvement, who) for who in (mother, father)}
    return Family(involvement, mother, father, baby, issues)


def give_leaflet(api: Api, involvement: str, who: str) -> str:
    """Give the current leaflet; returns the id of the issue."""
    body = {
        "involvement": involvement,
        "person": who,
        "code": "L1111",
        "given_on": api.clinic.today.isoformat(),
        "how": "paper",
    }
    given = api.post("/leaflet-issues", body)
    assert given.status_code == 201, given.get_json()
    return str(given.get_json()["id"])


def consent_body(api: Api, home: Family, who: str) -> dict[str, Any]:
    """Yes to everything that VIG needs, as the API itself asks it."""
    asked = api.get(f"/involvements/{home.involvement}/questions?person={who}")
    assert asked.status_code == 200, asked.get_json()
    questions = [q for q in asked.get_json()["questions"] if q["layer"] != "O"]
    return {
        "involvement": home.involvement,
        "person": who,
        "form": "vig",
        "leaflet_issue": home.issues[who],
        "route": "in_person",
        "capacity": "no_reason_to_doubt",
        "answers": [_answer(question) for question in questions],
        "signature": {"kind": "typed", "name": "Invented Person"},
        "event_at": api.clinic.clock.now().isoformat(),
    }


def consents(api: Api, home: Family, who: str) -> dict[str, Any]:
    """Record that somebody says yes; returns the act."""
    made = api.post("/consents", consent_body(api, home, who))
    assert made.status_code == 201, made.get_json()
    api.clinic.passes(minutes=1)
    act: dict[str, Any] = made.get_json()
    return act


def both_consent(api: Api, home: Family) -> None:
    """Mother and father say yes for themselves and for the baby."""
    for who in (home.mother, home.father):
        consents(api, home, who)


def recording_body(home: Family, day: date) -> dict[str, Any]:
    """A film of the whole family, filmed today."""
    return {
        "involvement": home.involvement,
        "depicted": list(home.everyone),
        "filmed_on": day.isoformat(),
    }


def withdrawal_body(home: Family, who: str, **more: Any) -> dict[str, Any]:
    """Somebody withdraws everything for themselves, in person, now."""
    return {
        "involvement": home.involvement,
        "person": who,
        "by": who,
        "scope": "everything",
        "route": "in_person",
        **more,
    }


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    answer = {"statement": question["statement"], "about": question["about"]}
    match question["answer"]:
        case "confirm":
            return {**answer, "answer": "confirmed"}
        case "choice":
            return {**answer, "answer": "chosen", "named": question["choices"][:1]}
        case _:
            return {**answer, "answer": "yes"}

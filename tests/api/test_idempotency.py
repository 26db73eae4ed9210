"""Sending a request twice, on purpose or because the first answer was lost."""

import pytest
from sqlalchemy import func, select

from consent_service.db.models.people import Person
from consent_service.errors import Conflict
from consent_service.services import idempotency
from tests.support.api import Api


def _body(api: Api, name: str = "Rosa Invented") -> dict[str, str]:
    return {"team": api.clinic.team, "full_name": name}


def _people(api: Api) -> int:
    with api.clinic.ctx.read() as session:
        return session.scalar(select(func.count()).select_from(Person)) or 0


def test_the_same_request_is_done_once_and_answered_alike(api: Api) -> None:
    """A lost answer must not become a second person."""
    first, second = (
        api.post("/people", _body(api), headers={"Idempotency-Key": "k-1"}) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.get_json() == second.get_json()
    assert first.headers["Location"] == second.headers["Location"]
    assert second.headers["ETag"] == first.headers["ETag"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert _people(api) == 1


def test_the_same_key_with_another_request_is_refused(api: Api) -> None:
    """Otherwise the second request would look done and not be."""
    api.post("/people", _body(api), headers={"Idempotency-Key": "k-1"})
    other = api.post("/people", _body(api, "Ida Invented"), headers={"Idempotency-Key": "k-1"})
    assert (other.status_code, other.get_json()["code"]) == (409, "idempotency_mismatch")
    assert _people(api) == 1


def test_a_second_request_while_the_first_is_at_work_is_refused(api: Api) -> None:
    """Until the first was cut off for good: then its key can be used again."""
    ctx, caller, digest = api.clinic.ctx, api.clinic.guider, "0" * 64
    assert idempotency.claim(ctx, caller, "k-1", digest) is None
    with pytest.raises(Conflict) as refused:
        idempotency.claim(ctx, caller, "k-1", digest)
    assert refused.value.code == "in_progress"
    api.clinic.passes(minutes=16)
    assert idempotency.claim(ctx, caller, "k-1", digest) is None


def test_a_refused_request_can_be_put_right_under_the_same_key(api: Api) -> None:
    """What was refused changed nothing, so the key is free."""
    key = {"Idempotency-Key": "k-1"}
    assert (
        api.post("/people", _body(api) | {"born_on": "2199-01-01"}, headers=key).status_code == 400
    )
    assert api.post("/people", _body(api), headers=key).status_code == 201


def test_keys_of_two_callers_do_not_meet_and_are_forgotten_after_a_day(api: Api) -> None:
    """One program's key must not answer another's request."""
    body = {"code": "no-such-proposal"}
    for by in ("ig", "supervisor"):
        answer = api.post("/appraisals", body, by=by, headers={"Idempotency-Key": "k-1"})
        assert answer.status_code == 404
    api.post("/people", _body(api), headers={"Idempotency-Key": "k-1"})
    api.clinic.passes(hours=25)
    again = api.post("/people", _body(api, "Ida Invented"), headers={"Idempotency-Key": "k-1"})
    assert again.status_code == 201


def test_a_key_that_is_no_key_is_refused(api: Api) -> None:
    """Spaces and endless keys are slips, not keys."""
    for key in ("a b", "x" * 201):
        answer = api.post("/people", _body(api), headers={"Idempotency-Key": key})
        assert answer.status_code == 400

"""Over HTTP, while the journal takes no line: what is recorded is answered as recorded."""

from tests.support.api import Api
from tests.support.api_story import both_consent, family, withdrawal_body
from tests.support.journal_away import journal_away


def test_a_withdrawal_is_answered_as_recorded_and_is_one_however_often_it_is_sent(
    api: Api,
) -> None:
    """A 503 says that nothing was done, and a program that reads it sends it once more."""
    home = family(api)
    both_consent(api, home)
    body = withdrawal_body(home, home.mother)

    with journal_away(api.clinic.ctx.journal):
        first = api.post("/withdrawals", body, headers={"Idempotency-Key": "one"})
        sent_again = api.post("/withdrawals", body, headers={"Idempotency-Key": "one"})
        as_new = api.post("/withdrawals", body)
        order = api.get(first.get_json()["erasure_order"]["href"])

    assert {found.status_code for found in (first, sent_again, as_new)} == {201}
    assert first.get_json() == sent_again.get_json() == as_new.get_json()
    assert order.get_json()["state"] == "ordered"
    states = api.get(f"/people/{home.mother}/consent-state").get_json()["items"]
    assert {s["purpose"]: s["state"] for s in states}["care"] == "withdrawn"

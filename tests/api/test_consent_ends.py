"""Ends by the organisation and asking again, as programs see them."""

from consent_service.services import consent
from tests.support.api import Api
from tests.support.clinic import Clinic


def test_an_ended_consent_points_to_its_order_of_erasure(api: Api, clinic: Clinic) -> None:
    """A program that ended a consent must be able to follow what becomes of the film."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(hours=1)
    body = {
        "involvement": family.involvement,
        "person": family.mother,
        "because": "use_ended",
        "reason": "The study closed early.",
    }

    done = api.post("/revocations", body, by="ig")

    assert done.status_code == 201
    order = done.get_json()["erasure_order"]
    assert done.headers["Location"].endswith(f"/erasure-orders/{order}")
    assert "study closed" not in done.get_data(as_text=True)
    again = api.post("/revocations", body, by="ig")
    assert (again.status_code, again.get_json()["code"]) == (409, "nothing_to_end")


def test_an_act_found_invalid_says_so_when_it_is_read(api: Api, clinic: Clinic) -> None:
    """Whoever reads the act later must not take it for a consent."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    acts = consent.acts(clinic.ctx, clinic.guider, family.involvement)
    act = next(act.id for act in acts if act.person == family.mother)
    body = {"because": "no_authority", "reason": "Her rights had ended in court."}

    done = api.post(f"/consents/{act}/invalidation", body, by="ig")

    assert (done.status_code, done.get_json()["kept_apart"]) == (201, [film.id])
    assert api.get(f"/consents/{act}", by="ig").get_json()["never_valid_since"] is not None
    assert api.get("/reconsents", by="ig").get_json()["items"] == []


def test_a_dry_run_says_what_an_end_would_do_and_ends_nothing(api: Api, clinic: Clinic) -> None:
    """A program shows it to a person first, as pages do."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    body = {
        "involvement": family.involvement,
        "person": family.mother,
        "because": "use_ended",
        "reason": "The study closed early.",
    }

    would = api.post("/revocations?dry_run=true", body, by="ig")

    assert would.status_code == 200
    assert [line["asset"] for line in would.get_json()["destroyed"]] == [film.id]
    assert clinic.watches(film.id)
    done = api.post("/revocations", body, by="ig").get_json()
    paper = api.get(f"/revocations/{done['erasure_order']}/receipt.pdf", by="guider")
    assert paper.data.startswith(b"%PDF")

"""What changed in a form could not be read over the API: every question was refused.

The path was held to the pattern of ids, and numbers in an address to that of numbers in JSON.
"""

from consent_service.app import create_app
from tests.support.api import Api
from tests.support.clinic import Clinic


def test_a_program_reads_what_changed_between_two_versions_of_a_form(clinic: Clinic) -> None:
    """Whoever asks again must be able to show what is different; forms have codes, not ids."""
    api = Api(clinic, create_app(clinic.ctx))

    answer = api.get("/consent-forms/vig/changes?old=1&new=1", by="guider")

    assert (answer.status_code, answer.get_json()["form"]) == (200, "vig")
    assert api.get("/consent-forms/nothing/changes?old=1&new=2", by="guider").status_code == 404

"""What a refusal looks like: the right status, plain words, never a trace, never a name."""

import json

import pytest
import structlog

from consent_service import errors
from consent_service.errors import ConsentServiceError
from consent_service.web.fault_pages import PAGES, page_for
from tests.support.pages import Pages, words


def _kinds() -> list[type[ConsentServiceError]]:
    found, seen = [ConsentServiceError], set()
    while found:
        kind = found.pop()
        seen.add(kind)
        found.extend(kind.__subclasses__())
    own = {kind for kind in seen if kind.__module__ == errors.__name__}
    return sorted(own, key=lambda kind: kind.__name__)


def _fault(kind: type[ConsentServiceError]) -> ConsentServiceError:
    if kind is errors.InvalidInput:
        return errors.InvalidInput("Put this right.", {"field": "Wrong."})
    return kind("A plain sentence.")


@pytest.mark.parametrize("kind", _kinds(), ids=lambda kind: kind.__name__)
def test_every_refusal_has_a_page_of_its_own(pages: Pages, kind: type[ConsentServiceError]) -> None:
    """A new kind of refusal must not end as "something went wrong"."""
    _raises(pages, _fault(kind))

    answer = pages.as_("guider").client.get("/raises", headers={"Accept": "text/html"})

    unnamed = page_for(_fault(kind)) is PAGES[ConsentServiceError]
    assert unnamed is (kind is ConsentServiceError)
    if kind is errors.NotSignedIn:
        assert answer.headers["Location"].startswith("/sign-in")
        return
    assert answer.status_code == page_for(_fault(kind)).status
    assert page_for(_fault(kind)).heading in words(answer)
    assert "Traceback" not in answer.get_data(as_text=True)


def test_what_nobody_foresaw_shows_and_logs_no_value(pages: Pages) -> None:
    """The values of a trace may be somebody's name: they stay in memory."""
    _raises(pages, ValueError("Rosa Invented 9991234560"))

    with structlog.testing.capture_logs() as lines:
        answer = pages.as_("guider").opens("/raises")

    assert answer.status_code == 500
    assert "Rosa" not in answer.get_data(as_text=True)
    assert "Rosa" not in json.dumps(lines)
    assert any(line["event"] == "unforeseen" and line["kind"] == "ValueError" for line in lines)


def test_a_script_of_ours_gets_the_code_and_the_sentence(pages: Pages) -> None:
    """The page that uploads a film says in words what was refused."""
    _raises(pages, errors.NotAFilm("This is not a film."))

    answer = pages.as_("guider").client.get("/raises", headers={"Accept": "application/json"})

    assert answer.status_code == 422
    assert answer.get_json()["code"] == "not_a_film"
    assert answer.get_json()["message"] == "This is not a film."


def test_who_must_prove_themselves_again_comes_back(pages: Pages) -> None:
    """A sensitive act asks for the password, then goes on where it was."""
    _raises(pages, errors.Refused("Sign in again.", code="sign_in_again"))

    answer = pages.as_("guider").opens("/raises")

    assert answer.status_code == 302
    assert answer.headers["Location"] == "/sign-in/again?next=/raises"


def test_no_line_of_the_log_names_anybody(pages: Pages) -> None:
    """Logs are read by people who must not know which families come here."""
    guider = pages.as_("guider")
    family = pages.clinic.family()

    with structlog.testing.capture_logs() as lines:
        guider.opens(f"/families/{family.involvement}")
        guider.sends("/families/find", text="Rosa")

    logged = json.dumps(lines)
    assert lines
    assert all(said not in logged for said in ("Rosa", "Invented", family.involvement))


def _raises(pages: Pages, fault: Exception) -> None:
    """Make one page of this app fail in a given way."""

    def fail() -> str:
        raise fault

    pages.app.add_url_rule("/raises", "about.privacy_", fail)
    pages.app.view_functions["about.privacy_"] = fail
    pages.app.before_request_funcs[None] = [
        act for act in pages.app.before_request_funcs[None] if act.__module__ != ROUTES_MODULE
    ]


ROUTES_MODULE = "consent_service.web.routes"

"""What a browser may keep for when there is no network, and being signed out for doing nothing."""

from datetime import timedelta
from pathlib import Path

import consent_service.web
from consent_service.web.sign_in import IDLE
from tests.support.pages import Pages, words

STATIC = Path(consent_service.web.__file__).parent / "static"


def test_the_script_that_answers_offline_may_answer_for_every_page(pages: Pages) -> None:
    """From below /static it could not: a browser lets it only answer for what stands beneath it."""
    answer = pages.stranger().opens("/service-worker.js")
    assert answer.status_code == 200
    assert answer.mimetype in ("text/javascript", "application/javascript")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "worker-src 'self'" in answer.headers["Content-Security-Policy"]


def test_the_page_that_a_browser_keeps_is_about_nobody(pages: Pages) -> None:
    """It stays on the device after signing out."""
    page = pages.stranger().opens("/offline")
    assert page.status_code == 200
    assert "There is no connection" in words(page)
    assert "data-account" not in page.get_data(as_text=True)


def test_only_what_says_its_version_is_kept_for_long(pages: Pages) -> None:
    """A script named by another script keeps its address: kept for a month, it would be the old."""
    visitor = pages.stranger()
    assert visitor.opens("/static/js/kept.js").headers["Cache-Control"] == "no-cache"
    versioned = visitor.opens("/static/js/idle.js?v=1").headers["Cache-Control"]
    assert "max-age" in versioned


def test_a_script_is_told_that_the_session_is_over(pages: Pages) -> None:
    """A film that is being sent must learn it, not be led to a page."""
    guider = pages.as_("guider")
    told = {"Accept": "application/json"}
    assert guider.opens("/account/session", headers=told).get_json()["token"]

    pages.clinic.passes(minutes=IDLE / timedelta(minutes=1) + 1)

    answer = guider.opens("/account/session", headers=told)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "not_signed_in")


def test_a_page_knows_after_which_time_it_warns(pages: Pages) -> None:
    """Page and service must mean the same minutes."""
    page = pages.as_("guider").opens("/families").get_data(as_text=True)
    assert f'data-seconds="{int(IDLE.total_seconds())}"' in page
    assert 'id="idle"' in page
    assert 'id="idle"' not in pages.stranger().opens("/privacy").get_data(as_text=True)

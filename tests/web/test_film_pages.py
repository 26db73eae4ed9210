"""Film as pages: ready or not, sending, watching in parts, marking what to keep."""

import re

from werkzeug.test import TestResponse

from consent_service.domain.assets import AssetState
from consent_service.services import assets, timeline
from consent_service.services.assets import AssetView
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.pages import Pages, Visitor, words

TOKEN = re.compile(r'data-token="([^"]+)"')


def _describes(guider: Visitor, family: Family, clinic: Clinic, **more: object) -> TestResponse:
    day = clinic.today
    fields = {
        "depicted": list(family.everyone),
        "filmed_on-day": day.day,
        "filmed_on-month": day.month,
        "filmed_on-year": day.year,
        "mode": "home",
        "title": "Bath time",
    }
    return guider.sends(f"/families/{family.involvement}/films/add", **(fields | more))


def _puts(
    guider: Visitor,
    asset: str,
    film: bytes,
    *,
    declared: int | None = None,
    kind: str = "application/octet-stream",
) -> TestResponse:
    """Send a film as our script does; `declared` is the length that the request claims."""
    page = guider.opens(f"/films/{asset}/upload").get_data(as_text=True)
    found = TOKEN.search(page)
    assert found is not None, page
    headers = {"X-CSRFToken": found[1], "Accept": "application/json", "Content-Type": kind}
    said = {} if declared is None else {"CONTENT_LENGTH": str(declared)}
    return guider.client.put(
        f"/films/{asset}/upload", data=film, headers=headers, environ_overrides=said
    )


def _reserved(guider: Visitor, family: Family, clinic: Clinic) -> str:
    answer = _describes(guider, family, clinic)
    found = re.search(r"/films/([0-9a-f]{32})/upload", answer.headers.get("Location", ""))
    assert found is not None, words(answer)
    return found[1]


def test_not_today_is_written_down_and_no_reason_is_asked(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A parent who is not ready must never have to argue for it."""
    guider = pages.as_("guider")

    answer = guider.sends(
        f"/families/{family.involvement}/films/ready", ready="not_today", mode="home"
    )

    assert answer.status_code == 302
    assert "Not today is fine" in words(guider.follows(answer))
    meetings = timeline.meetings(clinic.ctx, clinic.guider, family.involvement)
    assert [meeting.ready_today for meeting in meetings] == [False]


def test_on_a_day_that_was_not_ready_nothing_is_filmed(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Ready today means today: a no is not turned round by the next page."""
    guider = pages.as_("guider")
    guider.sends(f"/families/{family.involvement}/films/ready", ready="ready", mode="ward")

    assert guider.last is not None
    assert "where=ward" in guider.last.headers["Location"]
    page = guider.follows(guider.last)
    assert 'value="ward" checked' in page.get_data(as_text=True)


def test_a_film_comes_in_as_one_stream_and_can_be_watched(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """This is what a guider does after each filming."""
    guider = pages.as_("guider")
    asset = _reserved(guider, family, clinic)

    stored = _puts(guider, asset, sample_film())

    assert stored.status_code == 201, words(stored)
    assert stored.get_json() == {"watch": f"/films/{asset}"}
    page = guider.opens(f"/films/{asset}")
    text = words(page)
    assert "Bath time" in text
    assert "Rosa Invented" in text
    assert "You watch this for: Film, edit and watch it together" in text
    assert "media-controller" in page.get_data(as_text=True)
    assert "sha256-" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]


def test_missing_consents_are_named_with_the_way_to_put_them_right(
    pages: Pages, clinic: Clinic
) -> None:
    """Rule 11: no film without everybody's yes, and the guider sees whom to ask."""
    family = clinic.family()
    clinic.captures(family, family.mother, clinic.answers(family, family.mother))

    answer = _describes(pages.as_("guider"), family, clinic)

    assert answer.status_code == 403
    text = words(answer)
    assert "Jonas Invented" in text
    assert "Rosa Invented" not in text
    assert f"/consents/{family.involvement}/{family.father}" in answer.get_data(as_text=True)
    assert _all(clinic, family) == []


def test_a_film_form_without_people_says_so_beside_the_field(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """An error summary must lead to what to put right."""
    answer = _describes(pages.as_("guider"), family, clinic, depicted=[])

    assert answer.status_code == 400
    assert 'href="#depicted"' in answer.get_data(as_text=True)


def test_a_text_that_is_called_a_film_is_refused_and_nothing_is_kept(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Whatever a file is called, only film is kept."""
    guider = pages.as_("guider")
    asset = _reserved(guider, family, clinic)

    answer = _puts(guider, asset, b"not a film" * 500)

    assert answer.status_code == 422
    assert answer.get_json()["code"] == "not_a_film"
    assert not [name for name in clinic.objects() if name.startswith(f"{asset}.")]
    assert [a.state for a in _all(clinic, family)] == [AssetState.ERASED]


def test_a_film_larger_than_the_service_takes_is_refused_before_it_is_read(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Five gigabytes must not travel for nothing."""
    guider = pages.as_("guider")
    asset = _reserved(guider, family, clinic)

    answer = _puts(guider, asset, b"x", declared=5 * 1024**3)

    assert answer.status_code == 413
    assert [a.state for a in _all(clinic, family)] == [AssetState.RECEIVING]


def test_a_film_that_breaks_off_is_not_kept(pages: Pages, clinic: Clinic, family: Family) -> None:
    """A lost network in the middle must not leave half a film that looks like a whole one."""
    guider = pages.as_("guider")
    asset = _reserved(guider, family, clinic)
    film = sample_film()

    answer = _puts(guider, asset, film, declared=len(film) + 1)

    assert answer.status_code == 400
    assert not [name for name in clinic.objects() if name.startswith(f"{asset}.")]
    assert [a.state for a in _all(clinic, family)] == [AssetState.ERASED]


def test_a_film_sent_as_a_form_is_refused(pages: Pages, clinic: Clinic, family: Family) -> None:
    """Parts of forms are put into temporary files: film would lie there in the clear."""
    guider = pages.as_("guider")
    asset = _reserved(guider, family, clinic)

    answer = _puts(guider, asset, b"--x\r\n", kind="multipart/form-data; boundary=x")

    assert answer.status_code == 415


def test_without_the_form_token_no_film_is_taken(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Another site must not be able to put film into a family through a signed-in guider."""
    guider = pages.as_("guider")
    asset = _reserved(guider, family, clinic)

    answer = guider.client.put(
        f"/films/{asset}/upload",
        data=sample_film(),
        headers={"Content-Type": "application/octet-stream"},
    )

    assert answer.status_code == 400
    assert [a.state for a in _all(clinic, family)] == [AssetState.RECEIVING]


def _all(clinic: Clinic, family: Family) -> list[AssetView]:
    return assets.assets(clinic.ctx, clinic.guider, family.involvement)

"""Film as pages: ready or not, sending, watching in parts, marking what to keep."""

import re
from datetime import timedelta

from werkzeug.test import TestResponse

from consent_service.db.models.recordings import Asset
from consent_service.domain.assets import AssetState
from consent_service.services import assets, timeline
from consent_service.services.assets import AssetView
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.pages import Pages, Visitor, words


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


def _sends(
    guider: Visitor, asset: str, film: bytes, *, declared: int | None = None
) -> TestResponse:
    """Send a film as our script does; `declared` is the length that the request claims."""
    page = guider.opens(f"/films/{asset}/upload?how=file").get_data(as_text=True)
    assert f'data-asset="{asset}"' in page
    headers = {
        "X-CSRFToken": guider.opens("/account/session").get_json()["token"],
        "Accept": "application/json",
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "0",
        "Upload-Length": str(declared or len(film)),
        "Content-Type": "application/offset+octet-stream",
    }
    return guider.client.patch(f"/uploads/{asset}", data=film, headers=headers)


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


def test_a_film_comes_in_and_can_be_watched(pages: Pages, clinic: Clinic, family: Family) -> None:
    """This is what a guider does after each filming."""
    guider = pages.as_("guider")
    asset = _reserved(guider, family, clinic)

    stored = _sends(guider, asset, sample_film())

    assert stored.status_code == 204, words(stored)
    assert guider.opens(f"/films/{asset}/upload").location == f"/films/{asset}"
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

    answer = _sends(guider, asset, b"not a film" * 500)

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

    answer = _sends(guider, asset, b"x", declared=5 * 1024**3)

    assert answer.status_code == 413
    assert [a.state for a in _all(clinic, family)] == [AssetState.RECEIVING]


def test_what_of_today_is_filmed_now_and_what_is_older_comes_as_a_file(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """The page that is wanted comes first; the other way is one link away."""
    guider = pages.as_("guider")
    asset = _reserved(guider, family, clinic)
    today = guider.opens(f"/films/{asset}/upload").get_data(as_text=True)
    assert 'id="film-now"' in today
    assert 'data-most-seconds="595"' in today, "a long film without a reason would be lost"
    assert "?how=file" in today

    with clinic.ctx.begin() as uow:
        uow.session.get_one(Asset, asset).filmed_on -= timedelta(days=2)
    assert 'id="film-file"' in guider.opens(f"/films/{asset}/upload").get_data(as_text=True)


def test_a_film_with_a_reason_may_be_long(pages: Pages, clinic: Clinic, family: Family) -> None:
    """The camera stops before the length at which the film would be refused (rule 15)."""
    guider = pages.as_("guider")
    answer = _describes(guider, family, clinic, reason_for_length="Feeding takes long.")
    page = guider.follows(answer).get_data(as_text=True)
    assert 'data-most-seconds="3595"' in page


def test_who_may_not_be_filmed_any_more_is_named_before_the_camera_is_on(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A page that was left open over somebody's no must not lead to a film that cannot be kept."""
    guider = pages.as_("guider")
    asset = _reserved(guider, family, clinic)
    clinic.withdraws(family, family.father)

    answer = guider.opens(f"/films/{asset}/upload")

    assert answer.status_code == 410
    assert 'id="film-now"' not in answer.get_data(as_text=True)


def test_for_a_child_those_are_named_who_may_decide(pages: Pages, clinic: Clinic) -> None:
    """Asking the wrong person costs a family a visit."""
    family = clinic.family()

    page = _describes(pages.as_("guider"), family, clinic)

    assert page.status_code == 403
    assert "Somebody who may decide for" in words(page)
    for person in (family.mother, family.father):
        assert f"/consents/{family.involvement}/{person}" in page.get_data(as_text=True)


def _all(clinic: Clinic, family: Family) -> list[AssetView]:
    return assets.assets(clinic.ctx, clinic.guider, family.involvement)

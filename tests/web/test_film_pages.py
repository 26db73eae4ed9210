"""Film as pages: ready or not, sending, watching in parts, marking what to keep."""

import hashlib
import re
from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from consent_service.db.models.people import Involvement, Team
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.audit import EventKind
from consent_service.ids import new_id
from consent_service.services import assets, cutting, timeline
from consent_service.services.assets import AssetView
from consent_service.services.cutting import MakeClip
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.pages import Pages, Visitor, kinds_recorded, words

TOKEN = re.compile(r'data-token="([^"]+)"')


@pytest.fixture
def family(clinic: Clinic) -> Family:
    """A family in which everybody said yes."""
    family = clinic.family()
    clinic.both_consent(family)
    return family


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


def _all(clinic: Clinic, family: Family) -> list[AssetView]:
    return assets.assets(clinic.ctx, clinic.guider, family.involvement)


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


RANGES = {
    "bytes=0-99": slice(0, 100),
    "bytes=100-": slice(100, None),
    "bytes=-50": slice(-50, None),
    "bytes=5-999999999": slice(5, None),
}


def test_a_range_holds_exactly_the_bytes_asked_for(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Players seek by ranges; one byte off is a broken film."""
    film = clinic.stores_film(family)
    whole = clinic.watches(film.id)
    guider = pages.as_("guider")

    for header, part in RANGES.items():
        answer = guider.opens(f"/films/{film.id}/content?purpose=care", headers={"Range": header})
        assert answer.status_code == 206, header
        assert answer.data == whole[part], header
        start, stop, _ = part.indices(len(whole))
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(whole)}"
        assert answer.headers["Content-Length"] == str(stop - start)


def test_the_whole_film_is_what_was_stored_and_is_kept_by_no_browser(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """SHA-256 of what is served is the one noted when it was stored."""
    film = clinic.stores_film(family)

    answer = pages.as_("guider").opens(f"/films/{film.id}/content?purpose=care")

    assert answer.status_code == 200
    assert hashlib.sha256(answer.data).hexdigest() == film.sha256
    assert answer.headers["ETag"] == f'"{film.sha256}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_range_outside_the_film_is_refused(pages: Pages, clinic: Clinic, family: Family) -> None:
    """RFC 9110: 416, with the length that there is."""
    film = clinic.stores_film(family)

    answer = pages.as_("guider").opens(
        f"/films/{film.id}/content?purpose=care", headers={"Range": "bytes=999999999-"}
    )

    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{film.size}"


def test_film_is_not_sent_without_a_purpose(pages: Pages, clinic: Clinic, family: Family) -> None:
    """Every viewing has a stated purpose, or there is no viewing."""
    film = clinic.stores_film(family)
    guider = pages.as_("guider")

    assert guider.opens(f"/films/{film.id}/content").status_code == 400
    assert guider.opens(f"/films/{film.id}/content?purpose=supervision").status_code == 403


def test_after_a_withdrawal_neither_page_nor_film_can_be_watched(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """The promise of the service, seen from the sofa."""
    film = clinic.stores_film(family)
    guider = pages.as_("guider")
    assert guider.opens(f"/films/{film.id}/content?purpose=care").status_code == 200

    clinic.withdraws(family, family.mother)
    clinic.passes(seconds=1)

    assert guider.opens(f"/films/{film.id}/content?purpose=care").status_code in (403, 410)
    page = guider.opens(f"/films/{film.id}")
    assert page.status_code == 200
    assert "/content" not in page.get_data(as_text=True)


def test_a_clip_is_marked_by_typing_and_stands_below_the_film(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Whoever cannot use a mouse or has no JavaScript marks clips too."""
    film = clinic.stores_film(family)
    guider = pages.as_("guider")
    guider.opens(f"/films/{film.id}")

    answer = guider.posts(
        f"/films/{film.id}/clips",
        start_ms="0:00",
        end_ms="0:01.5",
        title="She looks up",
        noticed="A long look",
    )

    assert answer.status_code == 302, words(answer)
    text = words(guider.follows(answer))
    assert "She looks up" in text
    assert "A long look" in text
    clip = next(a for a in _all(clinic, family) if a.kind is AssetKind.CLIP)
    assert clip.source == film.id
    assert guider.opens(f"/films/{clip.id}").status_code == 200


WRONG_MARKS = (
    ("start_ms", "soon", "minutes and seconds"),
    ("end_ms", "59:00", "ends after the film"),
    ("title", "", "Give the clip a name"),
)


def test_a_wrong_mark_is_named_beside_its_field(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """What was typed stays, and the summary leads to what is wrong."""
    film = clinic.stores_film(family)
    guider = pages.as_("guider")
    guider.opens(f"/films/{film.id}")
    for field, value, sentence in WRONG_MARKS:
        marks = {"start_ms": "0:00", "end_ms": "0:01", "title": "Smile"} | {field: value}

        answer = guider.posts(f"/films/{film.id}/clips", **marks)

        assert answer.status_code == 400, field
        assert sentence in words(answer)
        assert f'href="#{field}"' in answer.get_data(as_text=True)


def test_a_photo_is_taken_and_shown_with_until_when_it_is_kept(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A parent asks how long a photo stays; the page answers, with the reason one click away."""
    film = clinic.stores_film(family)
    guider = pages.as_("guider")
    guider.opens(f"/films/{film.id}")

    answer = guider.posts(f"/films/{film.id}/stills", at_ms="0:01", still_title="Smile")
    still = next(a for a in _all(clinic, family) if a.kind is AssetKind.STILL)

    assert answer.status_code == 302
    listed = guider.opens(f"/families/{family.involvement}/films")
    assert "Smile" in words(listed)
    assert f"/retention/why/{still.id}" in listed.get_data(as_text=True)
    picture = guider.opens(f"/films/{still.id}/content?purpose=care")
    assert picture.mimetype == "image/jpeg"
    assert picture.data.startswith(b"\xff\xd8")


def test_somebody_else_in_the_picture_stops_the_film(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Rule 12: who was noticed later is asked before anybody watches again."""
    film = clinic.stores_film(family, depicted=(family.mother, family.baby))
    clinic.withdraws(family, family.father)
    guider = pages.as_("guider")

    answer = guider.sends(f"/films/{film.id}/people/add", person=family.father)

    assert answer.status_code == 302, words(answer)
    assert "Nobody can watch this film" in words(guider.follows(answer))
    assert guider.opens(f"/films/{film.id}/content?purpose=care").status_code == 410


def test_a_supervisor_sees_clips_that_were_permitted_and_nothing_else(
    pages: Pages, clinic: Clinic
) -> None:
    """Supervision was agreed to for clips; the film itself was not."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"SUP.SUPERVISOR"}))
    film = clinic.stores_film(family)
    clip = cutting.clip(clinic.ctx, clinic.guider, MakeClip(film.id, 0, 1500, "She looks up"))
    supervisor = pages.as_("supervisor")

    listed = supervisor.opens("/films")

    assert listed.status_code == 200
    assert film.id not in listed.get_data(as_text=True)
    assert f"/films/{clip.id}" in listed.get_data(as_text=True)
    assert supervisor.opens(f"/films/{clip.id}/content?purpose=supervision").status_code == 200
    assert supervisor.opens(f"/films/{clip.id}/content?purpose=care").status_code == 403
    assert supervisor.opens(f"/films/{film.id}/content?purpose=care").status_code == 403


FOREIGN = (
    "/films/{film}",
    "/films/{film}/content?purpose=care",
    "/films/{film}/upload",
    "/films/{film}/people/add",
    "/families/{family}/films",
    "/families/{family}/films/add",
)


def test_another_teams_film_looks_like_no_film(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """Ids travel in addresses; knowing one must not tell that a family exists."""
    film = clinic.stores_film(family)
    _moves_to_another_team(clinic, family)
    guider = pages.as_("guider")
    code = re.compile(r"[0-9a-f]{16}")

    for path in FOREIGN:
        answer = guider.opens(path.format(film=film.id, family=family.involvement))
        missing = guider.opens(path.format(film="0" * 32, family="0" * 32))
        assert answer.status_code == missing.status_code == 404, path
        assert code.sub("", words(answer)) == code.sub("", words(missing))


def _moves_to_another_team(clinic: Clinic, family: Family) -> None:
    with clinic.ctx.begin() as uow:
        other = Team(id=new_id(), name="Harbour team", created_at=uow.at)
        uow.session.add(other)
        uow.session.flush()
        uow.session.get_one(Involvement, family.involvement).team_id = other.id


def test_a_viewing_is_written_down_once(
    pages: Pages, clinic: Clinic, family: Family, counted: Callable[[EventKind], int]
) -> None:
    """Seeking a hundred times is one viewing, not a hundred."""
    film = clinic.stores_film(family)
    guider = pages.as_("guider")
    for start in (0, 100, 200):
        guider.opens(f"/films/{film.id}/content?purpose=care", headers={"Range": f"bytes={start}-"})

    assert counted(EventKind.FILM_VIEWED) == 1


@pytest.fixture
def counted(clinic: Clinic) -> Callable[[EventKind], int]:
    """How often a kind stands in the log."""
    return lambda kind: kinds_recorded(clinic).count(kind)

"""Film as pages: watched in parts and under a purpose, clips and photos marked, strangers kept out."""

import hashlib
import re
from collections.abc import Callable

import pytest

from consent_service.db.models.people import Involvement, Team
from consent_service.domain.assets import AssetKind
from consent_service.domain.audit import EventKind
from consent_service.errors import NotSignedIn
from consent_service.ids import new_id
from consent_service.services import assets, cutting, sign_in
from consent_service.services.assets import AssetView
from consent_service.services.cutting import MakeClip
from tests.support.clinic import Clinic, Family
from tests.support.films import heavy_film
from tests.support.pages import Pages, kinds_recorded, words


def _all(clinic: Clinic, family: Family) -> list[AssetView]:
    return assets.assets(clinic.ctx, clinic.guider, family.involvement)


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


def test_a_look_at_a_film_is_of_the_whole_whatever_range_it_names(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A range is asked of GET alone; a player that looks first wants to know the size."""
    film = clinic.stores_film(family)
    size = len(clinic.watches(film.id))
    where = f"/films/{film.id}/content?purpose=care"

    answer = pages.as_("guider").client.head(where, headers={"Range": "bytes=0-99"})

    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == str(size)
    assert "Content-Range" not in answer.headers


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


def test_signing_out_on_another_device_cuts_the_film_that_plays_on_this_one(
    pages: Pages, clinic: Clinic, family: Family
) -> None:
    """A screen left behind in a ward: whoever notices at home can end what it shows."""
    film = clinic.stores_film(family, heavy_film())
    answer = pages.as_("guider").opens(f"/films/{film.id}/content?purpose=care")
    playing = iter(answer.response)
    assert next(playing)

    sign_in.sign_out(clinic.ctx, clinic.guider.id)
    clinic.passes(seconds=1)

    with pytest.raises(NotSignedIn):
        list(playing)


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

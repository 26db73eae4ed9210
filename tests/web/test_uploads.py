"""Film from the browser in pieces: the same protocol, under a session and its form token."""

import base64
import hashlib
import io
import re

import pytest
from werkzeug.test import TestResponse

from consent_service.domain.assets import AssetState
from consent_service.errors import Unavailable
from consent_service.services import recordings, storing
from tests.support.clinic import Clinic, sample_film
from tests.support.pages import Pages, Visitor

PART = "application/offset+octet-stream"


@pytest.fixture
def where(clinic: Clinic) -> str:
    """Where a film of a family that said yes is to be sent."""
    family = clinic.family()
    clinic.both_consent(family)
    request = recordings.ReserveFilm(
        family.involvement, family.everyone, clinic.today, declared_size=len(sample_film())
    )
    return f"/uploads/{recordings.reserve(clinic.ctx, clinic.guider, request).id}"


def _guider(pages: Pages) -> Visitor:
    visitor = pages.as_("guider")
    visitor.opens("/sign-out")
    assert visitor.token
    return visitor


def _send(
    visitor: Visitor, where: str, offset: int, body: bytes, kind: str = PART, **more: str
) -> TestResponse:
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": str(offset),
        "X-CSRFToken": visitor.token,
        "Accept": "application/json",
        **more,
    }
    return visitor.client.patch(where, data=body, content_type=kind, headers=headers)


def test_a_browser_goes_on_where_it_was(pages: Pages, clinic: Clinic, where: str) -> None:
    """A page that was closed in the middle asks for the offset and sends the rest."""
    film = sample_film()
    visitor = _guider(pages)
    assert _send(visitor, where, 0, film[:9000]).status_code == 204

    again = _guider(pages)
    head = again.client.head(where, headers={"Tus-Resumable": "1.0.0"})
    assert (head.status_code, head.headers["Upload-Offset"]) == (200, "9000")
    assert head.headers["Cache-Control"] == "no-store"
    last = _send(again, where, 9000, film[9000:])

    assert (last.status_code, last.headers["Upload-Offset"]) == (204, str(len(film)))
    asset = where.rpartition("/")[2]
    assert recordings.asset(clinic.ctx, clinic.guider, asset).state is AssetState.STORED
    assert last.headers["Repr-Digest"] == _digest(film)


def test_only_a_stored_film_is_proven_to_be_held(
    pages: Pages, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device wipes its copy on this word: it must not come before the film can be watched."""
    film = sample_film()
    visitor = _guider(pages)
    some = _send(visitor, where, 0, film[:9000])
    with monkeypatch.context() as patched:
        patched.setattr(storing, "finish", _goes_away)
        broken = _send(visitor, where, 9000, film[9000:])
    waiting = visitor.client.head(where, headers={"Tus-Resumable": "1.0.0"})
    assert (broken.status_code, waiting.headers["Upload-Offset"]) == (503, str(len(film)))
    assert not [a for a in (some, broken, waiting) if "Repr-Digest" in a.headers]

    assert _send(visitor, where, len(film), b"").headers["Repr-Digest"] == _digest(film)
    stored = visitor.client.head(where, headers={"Tus-Resumable": "1.0.0"})
    assert stored.headers["Repr-Digest"] == _digest(film)


def _goes_away(*_: object) -> None:
    raise Unavailable("The store is away (told to by a test).")


def _digest(film: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(film).digest()).decode()}:"


def test_a_part_without_the_form_token_is_refused(pages: Pages, clinic: Clinic, where: str) -> None:
    """Another site must not be able to send into somebody's session."""
    visitor = _guider(pages)
    for refused in (
        _send(visitor, where, 0, b"x", **{"X-CSRFToken": ""}),
        visitor.client.delete(where, headers={"Tus-Resumable": "1.0.0"}),
    ):
        assert refused.status_code == 400
    assert clinic.objects() == set()


def test_what_does_not_fit_is_told_to_the_script(pages: Pages, where: str) -> None:
    """Our own scripts get the code and the sentence, and the protocol's headers."""
    visitor = _guider(pages)
    wrong = _send(visitor, where, 7, b"x")
    assert wrong.status_code == 409
    assert wrong.get_json()["code"] == "wrong_offset"
    assert wrong.headers["Tus-Resumable"] == "1.0.0"
    assert _send(visitor, where, 0, b"x", kind="multipart/form-data").status_code == 415
    assert _send(visitor, where, 0, b"x", kind="video/mp4").status_code == 415
    old = _send(visitor, where, 0, b"x", **{"Tus-Resumable": "0.1"})
    assert (old.status_code, old.headers["Tus-Version"]) == (412, "1.0.0")


def test_a_browser_can_give_an_upload_up(pages: Pages, clinic: Clinic, where: str) -> None:
    """Leaving it to the nightly job would keep half a film for a day."""
    visitor = _guider(pages)
    _send(visitor, where, 0, sample_film()[:5000])
    headers = {"Tus-Resumable": "1.0.0", "X-CSRFToken": visitor.token}

    assert visitor.client.delete(where, headers=headers).status_code == 204

    assert clinic.objects() == set()
    assert visitor.client.head(where, headers=headers).status_code == 410


def test_a_network_that_lets_only_posts_through_does_not_stop_a_film(
    pages: Pages, clinic: Clinic, where: str
) -> None:
    """Some clinics' proxies know no PATCH; the form token is asked of it as of any change."""
    film = sample_film()
    visitor = _guider(pages)
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "0",
        "X-HTTP-Method-Override": "PATCH",
        "Content-Type": PART,
    }
    assert visitor.client.post(where, data=film, headers=headers).status_code == 400

    headers["X-CSRFToken"] = visitor.token
    assert visitor.client.post(where, data=film, headers=headers).status_code == 204
    asset = where.rpartition("/")[2]
    assert recordings.asset(clinic.ctx, clinic.guider, asset).state is AssetState.STORED
    elsewhere = visitor.client.post("/families", headers={**headers, "Accept": "text/html"})
    assert elsewhere.status_code == 405


def test_options_says_what_is_spoken(pages: Pages, where: str) -> None:
    """Clients ask before they send."""
    said = _guider(pages).client.options(where)
    assert said.status_code == 200
    assert set(said.headers["Allow"].split(", ")) == {"HEAD", "PATCH", "DELETE", "OPTIONS"}
    assert re.fullmatch(r"[0-9]+", said.headers["Tus-Max-Size"])


def test_a_piece_in_chunks_is_never_taken_for_an_empty_one(pages: Pages, where: str) -> None:
    """An answer that all is well, with nothing kept, would lose a film."""
    visitor = _guider(pages)
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "0",
        "X-CSRFToken": visitor.token,
        "Transfer-Encoding": "chunked",
    }

    answer = visitor.client.patch(
        where, input_stream=io.BytesIO(sample_film()), content_type=PART, headers=headers
    )

    assert answer.status_code == 411
    head = visitor.client.head(where, headers={"Tus-Resumable": "1.0.0"})
    assert head.headers["Upload-Offset"] == "0"

"""Film over HTTP: taken in as one raw stream, given out by ranges, never spooled."""

import hashlib
from dataclasses import replace

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from consent_service.app import create_app
from consent_service.db.models.accounts import ApiToken
from consent_service.services import tokens
from consent_service.services.viewing_keys import ViewingKeys
from tests.support.api import Api
from tests.support.api_story import both_consent, family, recording_body
from tests.support.clinic import Family, sample_film


@pytest.fixture
def film(api: Api) -> str:
    """A stored recording of a family that said yes."""
    home = family(api)
    both_consent(api, home)
    upload = _reserve(api, home).get_json()["upload"]["href"]
    stored = api.call("PUT", upload, data=sample_film(), content_type="video/mp4")
    assert stored.status_code == 200, stored.get_json()
    return str(stored.get_json()["id"])


def _reserve(api: Api, home: Family) -> TestResponse:
    return api.post("/recordings", recording_body(home, api.clinic.today))


def _watch(api: Api, film: str, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.get(f"/recordings/{film}/content?purpose=care", headers=named)


def test_the_whole_film_has_the_digest_that_was_stored(api: Api, film: str) -> None:
    """What comes out is what was finalised, to the byte."""
    known = api.get(f"/recordings/{film}").get_json()
    whole = _watch(api, film)

    assert whole.status_code == 200
    assert hashlib.sha256(whole.data).hexdigest() == known["sha256"]
    assert whole.headers["ETag"] == f'"{known["sha256"]}"'
    assert int(whole.headers["Content-Length"]) == known["size"] == len(whole.data)
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["Cache-Control"] == "no-store"
    assert whole.mimetype == "video/mp4"


def test_a_range_is_the_same_bytes_and_one_outside_is_refused_with_the_size(
    api: Api, film: str
) -> None:
    """Seeking in a player asks for these; one byte off and the picture breaks."""
    whole = _watch(api, film).data
    size = len(whole)
    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=100-299", 100, 300),
        ("bytes=-50", size - 50, size),
        ("bytes=200-", 200, size),
        (f"bytes=200-{size * 9}", 200, size),
    ):
        part = _watch(api, film, Range=asked)
        assert (part.status_code, part.data) == (206, whole[start:end]), asked
        assert part.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert int(part.headers["Content-Length"]) == end - start

    for asked in (f"bytes={size}-", "bytes=5-4", "bytes=-0", "bytes=a-b", "bytes="):
        part = _watch(api, film, Range=asked)
        assert part.status_code == 416, asked
        assert part.headers["Content-Range"] == f"bytes */{size}"
        assert part.mimetype == "application/problem+json"


def test_parts_are_given_only_of_the_same_film_and_only_one_at_a_time(api: Api, film: str) -> None:
    """Parts of two films must never be put together; RFC 9110, 13.1.5 and 14.2."""
    etag = _watch(api, film).headers["ETag"]
    assert _watch(api, film, Range="bytes=0-9", If_Range=etag).status_code == 206
    for other in ('"else"', f"W/{etag}", "Mon, 02 Nov 2026 09:30:00 GMT"):
        assert _watch(api, film, Range="bytes=0-9", If_Range=other).status_code == 200
    for asked in ("chapters=1-2", "bytes=0-1,4-5"):
        assert _watch(api, film, Range=asked).status_code == 200


def test_head_tells_the_same_without_the_film(api: Api, film: str) -> None:
    """Players look before they read."""
    where = f"/recordings/{film}/content?purpose=care"
    head, whole = api.call("HEAD", where), api.get(where)
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Length", "ETag", "Content-Type", "Accept-Ranges"):
        assert head.headers[name] == whole.headers[name]


def test_a_purpose_must_be_stated_and_be_one_that_this_role_may_state(api: Api, film: str) -> None:
    """Watching without saying what for is not possible."""
    assert api.get(f"/recordings/{film}/content").status_code == 400
    assert api.get(f"/recordings/{film}/content?purpose=fun").status_code == 400
    refused = api.get(f"/recordings/{film}/content?purpose=care", by="supervisor")
    assert (refused.status_code, refused.get_json()["code"]) == (403, "role")
    assert api.get(f"/clips/{film}/content?purpose=care").status_code == 404


def test_a_clip_and_a_still_are_watched_at_their_own_address(api: Api, film: str) -> None:
    """Each is an encrypted object of its own."""
    clip = api.post(f"/recordings/{film}/clips", {"start_ms": 0, "end_ms": 800, "title": "A smile"})
    still = api.post(f"/recordings/{film}/stills", {"at_ms": 100})
    assert (clip.status_code, still.status_code) == (201, 201), (clip.data, still.data)
    assert api.get(clip.headers["Location"] + "?purpose=care").mimetype == "video/mp4"
    picture = api.get(still.headers["Location"] + "?purpose=care")
    assert picture.data.startswith(b"\xff\xd8")


def test_a_text_called_film_is_refused_and_leaves_nothing(api: Api) -> None:
    """422, and the object that was begun is gone."""
    home = family(api)
    both_consent(api, home)
    upload = _reserve(api, home).get_json()["upload"]["href"]
    sent = api.call("PUT", upload, data=b"not a film " * 500, content_type="video/mp4")
    assert (sent.status_code, sent.get_json()["code"]) == (422, "not_a_film")
    assert list(api.clinic.ctx.blobs.list()) == []
    again = api.call("PUT", upload, data=sample_film(), content_type="video/mp4")
    assert again.status_code == 410


def test_a_film_of_unknown_length_must_say_how_it_ends(api: Api, film: str) -> None:
    """Without length or chunks a body cannot be told from one that was cut off."""
    sent = api.call(
        "PUT",
        f"/recordings/{film}/content",
        content_type="video/mp4",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": False},
    )
    assert (sent.status_code, sent.get_json()["code"]) == (411, "length_required")
    form = api.call("PUT", f"/recordings/{film}/content", data={"file": "x"})
    assert form.status_code == 415


def test_a_film_is_received_once(api: Api, film: str) -> None:
    """What is stored is never written over."""
    again = api.call(
        "PUT", f"/recordings/{film}/content", data=sample_film(), content_type="video/mp4"
    )
    assert again.status_code == 409


def test_a_film_in_chunks_is_taken_in_without_a_length(api: Api) -> None:
    """A camera that is still running cannot know how long its film will be."""
    home = family(api)
    both_consent(api, home)
    upload = _reserve(api, home).get_json()["upload"]["href"]
    sent = api.call(
        "PUT",
        upload,
        data=sample_film(),
        content_type="video/mp4",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert sent.status_code == 200, sent.get_json()


def test_a_revoked_token_watches_nothing_more(api: Api, film: str) -> None:
    """Ranges come many a second, and who asks is known for one: no longer."""
    with api.clinic.ctx.read() as session:
        digest = tokens.token_digest(api.token("guider"))
        token = session.scalars(select(ApiToken.id).where(ApiToken.token_sha256 == digest)).one()
    other = create_app(replace(api.clinic.ctx, viewings=ViewingKeys())).test_client()
    asked = {
        "path": f"/api/v1/recordings/{film}/content?purpose=care",
        "headers": {"Authorization": f"Bearer {api.token('guider')}", "Range": "bytes=0-9"},
    }
    assert _watch(api, film, Range="bytes=0-9").status_code == 206
    assert other.get(**asked).status_code == 206

    with api.clinic.ctx.begin() as uow:
        tokens.revoke(uow, api.clinic.guider, uow.session.get_one(ApiToken, token))
    api.clinic.passes(seconds=1)

    assert other.get(**asked).status_code == 401
    assert _watch(api, film, Range="bytes=0-9").status_code == 401

"""Resumable upload as a tus client sees it (tus 1.0.0: core, termination, expiration, checksum)."""

import base64
import hashlib
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from werkzeug.test import TestResponse

from consent_service.domain.assets import AssetState
from consent_service.ids import new_id
from consent_service.services import recordings
from tests.support.api import Api
from tests.support.api_story import both_consent, family, recording_body
from tests.support.clinic import Family, sample_film

PART = "application/offset+octet-stream"


@pytest.fixture
def home(api: Api) -> Family:
    """A family that said yes."""
    made = family(api)
    both_consent(api, made)
    return made


def _created(api: Api, home: Family, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.post("/recordings", recording_body(home, api.clinic.today), headers=named)


def _where(api: Api, home: Family) -> str:
    made = _created(api, home, Upload_Length=str(len(sample_film())))
    assert made.status_code == 201, made.get_json()
    return str(made.headers["Location"])


def _tus(api: Api, method: str, where: str, **more: Any) -> TestResponse:
    headers = {"Tus-Resumable": "1.0.0", **more.pop("headers", {})}
    return api.call(method, where, headers=headers, **more)


def _patch(api: Api, where: str, offset: int, body: bytes, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _tus(
        api,
        "PATCH",
        where,
        data=body,
        content_type=PART,
        headers={"Upload-Offset": str(offset), **named},
    )


def test_a_film_goes_up_in_parts_as_the_protocol_has_it(api: Api, home: Family) -> None:
    """Any tus client must be able to do this, byte for byte and header for header."""
    film = sample_film()
    made = _created(api, home, Upload_Length=str(len(film)))
    where = made.headers["Location"]
    asset = made.get_json()["recording"]["id"]
    assert where == made.get_json()["upload"]["resumable"] == f"/api/v1/uploads/{asset}"
    assert made.headers["Tus-Resumable"] == "1.0.0"

    at_first = _tus(api, "HEAD", where)
    assert (at_first.status_code, at_first.headers["Upload-Offset"]) == (200, "0")
    assert at_first.headers["Upload-Length"] == str(len(film))
    assert at_first.headers["Cache-Control"] == "no-store"
    some = _patch(api, where, 0, film[:9000])
    assert (some.status_code, some.data, some.headers["Upload-Offset"]) == (204, b"", "9000")
    assert some.headers["Tus-Resumable"] == "1.0.0"
    expires = parsedate_to_datetime(some.headers["Upload-Expires"])
    assert (expires - api.clinic.clock.now()).total_seconds() == pytest.approx(86400, abs=1)
    assert _tus(api, "HEAD", where).headers["Upload-Offset"] == "9000"
    early = api.get(f"/recordings/{asset}/content?purpose=care")
    assert (early.status_code, early.get_json()["code"]) == (409, "not_ready")

    last = _patch(api, where, 9000, film[9000:])

    assert (last.status_code, last.headers["Upload-Offset"]) == (204, str(len(film)))
    assert _tus(api, "HEAD", where).headers["Upload-Offset"] == str(len(film))
    known = api.get(f"/recordings/{asset}").get_json()
    assert known["state"] == "stored"
    assert known["received_sha256"] == hashlib.sha256(film).hexdigest()
    assert api.get(f"/recordings/{asset}/content?purpose=care").status_code == 200


def test_options_says_what_is_spoken_to_everybody(api: Api) -> None:
    """Clients ask before they have a token."""
    said = api.call("OPTIONS", f"/uploads/{new_id()}", by=None)
    assert said.status_code == 204
    assert said.headers["Tus-Version"] == said.headers["Tus-Resumable"] == "1.0.0"
    assert said.headers["Tus-Max-Size"] == str(api.clinic.ctx.settings.max_upload)
    assert {"termination", "expiration", "creation"} <= set(
        said.headers["Tus-Extension"].split(",")
    )
    assert said.headers["Allow"] == "HEAD, PATCH, DELETE, OPTIONS"
    assert "Tus-Version" not in api.call("OPTIONS", "/people", by=None).headers


@pytest.mark.parametrize("spoken", ["0.2.2", "1.0.1"])
def test_another_version_is_refused_with_ours(api: Api, home: Family, spoken: str) -> None:
    """Guessing what another version means could put bytes where they do not belong."""
    where = _where(api, home)
    for method in ("HEAD", "PATCH", "DELETE"):
        unsaid = api.call(method, where, content_type=PART)
        assert unsaid.status_code == 400, method
        headers = {"Tus-Resumable": spoken}
        said = api.call(method, where, headers=headers, content_type=PART)
        assert (said.status_code, said.headers["Tus-Version"]) == (412, "1.0.0"), method


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Upload-Offset", "-1"),
        ("Upload-Offset", "١"),
        ("Upload-Offset", "9" * 16),
        ("Upload-Length", "long"),
        ("Upload-Checksum", "md5 AAAA"),
        ("Upload-Checksum", "sha256 not base64"),
    ],
)
def test_headers_that_cannot_be_read_are_named(
    api: Api, home: Family, header: str, value: str
) -> None:
    """A header that is ignored is a client that believes something else than we do."""
    where = _where(api, home)
    said = _tus(
        api,
        "PATCH",
        where,
        data=b"x",
        content_type=PART,
        headers={"Upload-Offset": "0", header: value},
    )
    assert said.status_code == 400
    assert set(said.get_json()["faults"]) == {header}


def test_what_does_not_fit_is_refused_with_its_own_status(api: Api, home: Family) -> None:
    """Each has an answer that the protocol gives it; none of them changes the upload."""
    film = sample_film()
    where = _where(api, home)
    wrong = _patch(api, where, 5, film[5:])
    assert (wrong.status_code, wrong.get_json()["code"]) == (409, "wrong_offset")
    assert wrong.get_json()["offset"] == 0
    assert wrong.headers["Tus-Resumable"] == "1.0.0"
    more = _patch(api, where, 0, film + b"x")
    assert (more.status_code, more.get_json()["code"]) == (413, "too_large")
    spoilt = base64.b64encode(bytes(32)).decode()
    sums = _patch(api, where, 0, film, Upload_Checksum=f"sha256 {spoilt}")
    assert (sums.status_code, sums.get_json()["code"]) == (460, "checksum_mismatch")
    form = _tus(api, "PATCH", where, data={"file": "x"}, headers={"Upload-Offset": "0"})
    assert form.status_code == 415
    endless = _tus(
        api,
        "PATCH",
        where,
        content_type=PART,
        headers={"Upload-Offset": "0", "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": False},
    )
    assert endless.status_code == 411
    assert _tus(api, "HEAD", where).headers["Upload-Offset"] == "0"
    assert list(api.clinic.ctx.blobs.list()) == []


def test_a_length_above_the_limit_is_refused_at_the_beginning(api: Api, home: Family) -> None:
    """Nobody should send for an hour to hear that it was too much."""
    most = api.clinic.ctx.settings.max_upload
    made = _created(api, home, Upload_Length=str(most + 1))
    assert (made.status_code, made.get_json()["code"]) == (413, "too_large")
    for headers in ({"Upload_Length": "0"}, {"Upload_Defer_Length": "2"}):
        assert _created(api, home, **headers).status_code == 400


def test_a_length_may_come_with_the_last_part(api: Api, home: Family) -> None:
    """A camera that is still running does not know it yet."""
    film = sample_film()
    where = _created(api, home, Upload_Defer_Length="1").headers["Location"]
    assert _tus(api, "HEAD", where).headers["Upload-Defer-Length"] == "1"
    assert _patch(api, where, 0, film).headers["Upload-Defer-Length"] == "1"
    said = _patch(api, where, len(film), b"", Upload_Length=str(len(film)))
    assert said.status_code == 204
    assert api.get(where.replace("uploads", "recordings")).get_json()["state"] == "stored"


def test_an_upload_can_be_ended(api: Api, home: Family) -> None:
    """What came of it is erased, and it is gone for good."""
    where = _where(api, home)
    _patch(api, where, 0, sample_film()[:5000])

    assert _tus(api, "DELETE", where).status_code == 204

    assert list(api.clinic.ctx.blobs.list()) == []
    for method in ("HEAD", "DELETE"):
        assert _tus(api, method, where).status_code == 410
    assert _patch(api, where, 5000, b"x").status_code == 410


def test_a_withdrawal_ends_the_upload(api: Api, home: Family) -> None:
    """The next part gets 410, and the parts go through the same door as films."""
    where = _where(api, home)
    _patch(api, where, 0, sample_film()[:5000])
    api.clinic.passes(minutes=1)
    api.clinic.withdraws(home, home.mother)

    refused = _patch(api, where, 5000, sample_film()[5000:])

    assert (refused.status_code, refused.get_json()["code"]) == (410, "gone")
    assert _tus(api, "HEAD", where).status_code == 410


def test_a_text_in_parts_is_refused_with_the_last(api: Api, home: Family) -> None:
    """422, and nothing of it is kept."""
    where = _where(api, home)
    size = len(sample_film())
    _patch(api, where, 0, b"x" * 5000)
    last = _patch(api, where, 5000, b"x" * (size - 5000))
    assert (last.status_code, last.get_json()["code"]) == (422, "not_a_film")
    assert list(api.clinic.ctx.blobs.list()) == []


def test_anothers_upload_and_none_look_alike(api: Api, home: Family) -> None:
    """Nobody learns that a film of another team is coming in."""
    where = _where(api, home)
    asset = where.rpartition("/")[2]
    stranger = api.clinic.guider
    assert _tus(api, "HEAD", f"/uploads/{new_id()}").status_code == 404
    refused = _tus(api, "HEAD", where, by="supervisor")
    assert refused.status_code == 403
    view = recordings.asset(api.clinic.ctx, stranger, asset)
    assert view.state is AssetState.RECEIVING

"""Ranges of a viewing that goes on, answered before the framework is asked: the same, or not at
all.

Every test of `test_film` goes through here too: what it refuses, this must leave to be refused.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from consent_service.api.going_on import GoingOn
from consent_service.app import create_app
from consent_service.domain.audit import EventKind
from consent_service.domain.roles import Permission
from consent_service.errors import ConsentServiceError, JournalBroken
from consent_service.services import pace, standing_use, viewing
from consent_service.services.access import Caller
from consent_service.vault.blobs import BlobSource, Seen
from consent_service.vault.container import CHUNK_BYTES, HEADER_BYTES
from consent_service.web import logs, standing
from consent_service.web.health import FIGURES
from consent_service.web.here import PROGRAMS
from tests.support.api import Api
from tests.support.clinic import Clinic, Family
from tests.support.films import heavy_film
from tests.support.watching_on import Framework, Lent, Says, pieces_of

SEEKS = {"Range": "bytes=70000-70999"}


@pytest.fixture
def home(clinic: Clinic) -> Family:
    """A family that said yes."""
    found = clinic.family()
    clinic.both_consent(found)
    return found


@pytest.fixture
def lent(clinic: Clinic) -> Lent:
    """The clinic's store, counted."""
    return Lent(clinic.ctx)


@pytest.fixture
def api(clinic: Clinic, lent: Lent) -> Api:
    """The API of a clinic whose store is counted."""
    return Api(clinic, create_app(replace(clinic.ctx, blobs=lent)))


@pytest.fixture
def film(clinic: Clinic, home: Family) -> str:
    """A film of some hundred kilobytes."""
    return clinic.stores_film(home, heavy_film()).id


@pytest.fixture
def framework(api: Api) -> Framework:
    """What the framework behind the API is asked."""
    return Framework(api.app)


@pytest.fixture
def begun(api: Api, film: str) -> str:
    """Where a film is that the guider has begun to watch."""
    where = f"/recordings/{film}/content?purpose=care"
    assert api.get(where, headers=SEEKS).status_code == 206
    return where


@pytest.mark.parametrize("at_once", [pace.AT_ONCE, 10_000])
def test_the_next_range_is_the_same_without_the_framework(
    api: Api, begun: str, monkeypatch: pytest.MonkeyPatch, lent: Lent, at_once: int
) -> None:
    """The same bytes under the same headers, in one piece or in many."""
    monkeypatch.setattr(pace, "AT_ONCE", at_once)
    whole = api.get(begun).data
    long_way = api.get(
        begun, headers={"Range": "bytes=70000-170999", "If-Range": _etag(api, begun)}
    )
    framework = Framework(api.app)

    short_way = api.get(begun, headers={"Range": "bytes=70000-170999"})
    last = api.get(begun, headers={"Range": f"bytes=70000-{len(whole) * 2}"})

    assert framework.asked == 0
    assert short_way.data == long_way.data == whole[70_000:171_000]
    assert _but_number(short_way) == _but_number(long_way)
    assert short_way.status == long_way.status
    assert short_way.headers["X-Request-Id"] != long_way.headers["X-Request-Id"]
    assert (last.data, last.headers["Content-Length"]) == (
        whole[70_000:],
        str(len(whole) - 70_000),
    )
    assert lent.open_now == 0


def _etag(api: Api, where: str) -> str:
    with api.call("HEAD", where) as answer:
        return answer.headers["ETag"]


def _but_number(answer: TestResponse) -> dict[str, str]:
    return {k: v for k, v in sorted(answer.headers.items()) if k != "X-Request-Id"}


def test_clips_and_stills_go_on_at_their_own_addresses(api: Api, film: str, begun: str) -> None:
    """What asks for one at the address of another is told that there is nothing."""
    body = {"start_ms": 0, "end_ms": 800, "title": "A smile"}
    clip = api.post(f"/recordings/{film}/clips", body).headers["Location"]
    still = api.post(f"/recordings/{film}/stills", {"at_ms": 100}).headers["Location"]
    head = {"Range": "bytes=0-9"}
    for where in (clip, still):
        assert api.get(f"{where}?purpose=care", headers=head).status_code == 206
    framework = Framework(api.app)

    found = [api.get(f"{where}?purpose=care", headers=head) for where in (clip, still)]

    assert ([answer.status_code for answer in found], framework.asked) == ([206, 206], 0)
    wrong = begun.replace("recordings", "clips")
    assert api.get(wrong, headers=head).status_code == 404
    assert framework.asked == 1


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"headers": {}}, 200),
        ({"headers": {"Range": "bytes=5-"}}, 206),
        ({"headers": {"Range": "bytes=-5"}}, 206),
        ({"headers": {"Range": "bytes=0-1,4-5"}}, 200),
        ({"headers": {"Range": "bytes=5-4"}}, 416),
        ({"headers": {"Range": "bytes=99999999-99999999"}}, 416),
        ({"headers": SEEKS | {"If-Range": '"else"'}}, 200),
        ({"headers": SEEKS, "by": None}, 401),
        ({"headers": SEEKS | {"Authorization": "Bearer cs_nobody"}}, 401),
        ({"headers": SEEKS, "by": "supervisor"}, 403),
        ({"headers": SEEKS, "by": "ig"}, 403),
        ({"headers": SEEKS, "method": "HEAD"}, 200),
        ({"headers": SEEKS, "method": "POST"}, 405),
        ({"headers": SEEKS, "data": b"x"}, 206),
        ({"headers": SEEKS | {"Transfer-Encoding": "chunked"}}, 206),
        ({"headers": SEEKS | {"Connection": "Upgrade", "Upgrade": "websocket"}}, 405),
        ({"headers": SEEKS, "other": "?purpose=supervision"}, 403),
        ({"headers": SEEKS, "other": "?purpose=care&purpose=care"}, 400),
        ({"headers": SEEKS, "other": "?purpose=care&more=1"}, 400),
        ({"headers": SEEKS, "other": ""}, 400),
    ],
)
def test_whatever_is_not_plain_is_the_framework_s(
    api: Api, begun: str, framework: Framework, lent: Lent, more: dict[str, Any], status: int
) -> None:
    """Nothing is refused, guessed or left open at this door."""
    where = begun.replace("?purpose=care", more.get("other", "?purpose=care"))
    sent = {name: value for name, value in more.items() if name not in ("other", "method")}

    answer = api.call(more.get("method", "GET"), where, **sent)

    assert (answer.status_code, framework.asked) == (status, 1)
    answer.close()
    assert lent.open_now == 0


@pytest.mark.parametrize("seconds", [46, 61, 15 * 60 + 1])
def test_what_was_not_asked_for_a_while_is_asked_anew(
    api: Api, begun: str, framework: Framework, seconds: int
) -> None:
    """Permission holds for a minute, and a key that nobody uses for less."""
    api.clinic.passes(seconds=seconds)
    assert api.get(begun, headers=SEEKS).status_code == 206
    assert framework.asked == 1


def test_permission_is_asked_once_a_minute_of_who_never_pauses(
    api: Api, begun: str, framework: Framework
) -> None:
    """Each range keeps the key; none keeps the permission."""
    for _ in range(13):
        api.clinic.passes(seconds=5)
        assert api.get(begun, headers=SEEKS).status_code == 206
    assert framework.asked == 1


def test_a_withdrawal_ends_it_at_once(
    api: Api, begun: str, home: Family, framework: Framework
) -> None:
    """The next range is refused, by the framework, and that is written down."""
    api.clinic.withdraws(home, home.mother)
    api.clinic.passes(seconds=1)

    answers = [api.get(begun, headers=SEEKS) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [410, 410]
    assert framework.asked == 2
    assert len(api.clinic.written_down(EventKind.FILM_VIEW_REFUSED)) == 2


def test_what_ends_while_a_range_is_read_is_refused_and_written_down_once(
    api: Api, begun: str, home: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The doors were passed; the look before the first byte is the one that counts."""
    proves = viewing.OpenFilm._proven

    def ends_meanwhile(film: viewing.OpenFilm, start: int, end: int) -> Iterator[bytes]:
        monkeypatch.undo()
        pieces = proves(film, start, end)
        api.clinic.withdraws(home, home.mother)
        api.clinic.passes(seconds=1)
        return pieces

    monkeypatch.setattr(viewing.OpenFilm, "_proven", ends_meanwhile)

    assert api.get(begun, headers=SEEKS).status_code == 410
    assert len(api.clinic.written_down(EventKind.FILM_VIEW_REFUSED)) == 1


def test_what_nobody_foresaw_is_the_framework_s_too(
    api: Api, begun: str, framework: Framework, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web server would print a trace with whatever stands in it."""

    def breaks(*_: object) -> int:
        raise RuntimeError("a name")

    api.clinic.passes(seconds=1)
    monkeypatch.setattr(standing_use, "_read_epoch", breaks)
    with capture_logs() as lines:
        answer = api.get(begun, headers=SEEKS)

    assert (answer.status_code, answer.mimetype) == (500, "application/problem+json")
    assert framework.asked == 1
    assert "a name" not in str(lines)


def test_an_object_that_was_exchanged_is_opened_by_the_framework_alone(
    api: Api, begun: str, film: str, framework: Framework
) -> None:
    """What was proven of one object says nothing of another that lies in its place."""
    name = f"{film}.1"
    stored = api.clinic.ctx.blobs.read_range(name, 0, 10**9)
    with api.clinic.ctx.blobs.put(name, replace=True) as sink:
        sink.write(stored[:-1] + bytes([stored[-1] ^ 1]))

    assert viewing.open_going_on(api.clinic.ctx, api.clinic.guider, film, "care") is None
    assert api.get(begun, headers=SEEKS).status_code == 503
    assert framework.asked == 1


@pytest.mark.parametrize("header", ["If-Range", "If-None-Match"])
def test_either_way_closes_what_nobody_began_to_read(
    api: Api, begun: str, lent: Lent, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    """A server closes an answer that it never began; a generator that never began closes nothing."""
    monkeypatch.setattr(pace, "AT_ONCE", 10_000)
    pieces = pieces_of(api, begun, **{header: _etag(api, begun)})
    assert lent.open_now == 1
    pieces.close()  # type: ignore[attr-defined]
    assert lent.open_now == 0


def test_a_log_that_cannot_be_written_leaves_nothing_open(
    api: Api, begun: str, lent: Lent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was answered then."""
    monkeypatch.setattr(pace, "AT_ONCE", 10_000)

    def broken(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(logs, "write_request", broken)
    with pytest.raises(BrokenPipeError):
        pieces_of(api, begun)
    assert lent.open_now == 0


def test_a_range_in_many_pieces_breaks_off_where_it_is_not_permitted_any_more(
    api: Api, begun: str, home: Family, monkeypatch: pytest.MonkeyPatch, lent: Lent
) -> None:
    """It never ends as if it were whole, and says in the log that it did not."""
    monkeypatch.setattr(pace, "AT_ONCE", 10_000)
    framework = Framework(api.app)
    pieces = pieces_of(api, begun)
    next(pieces)
    api.clinic.withdraws(home, home.mother)
    api.clinic.passes(seconds=1)

    with capture_logs() as lines, pytest.raises(ConsentServiceError):
        list(pieces)

    assert [line["event"] for line in lines] == ["film_broken_off"]
    assert (framework.asked, lent.open_now) == (0, 0)


def test_a_piece_that_was_altered_is_refused_with_a_sentence(
    api: Api, begun: str, lent: Lent, film: str
) -> None:
    """Not even the piece that was good before it is sent."""
    stored = api.clinic.ctx.blobs
    altered = HEADER_BYTES + 3 * CHUNK_BYTES
    reads = stored.open

    def spoilt(name: str, seen: Seen | None = None) -> BlobSource:
        source = reads(name, seen)
        read_into = source.read_into

        def bad(offset: int, buffer: Any, /) -> int:
            count = read_into(offset, buffer)
            if offset <= altered < offset + count:
                buffer[altered - offset] ^= 1
            return count

        source.read_into = bad  # type: ignore[method-assign]
        return source

    stored.open = spoilt  # type: ignore[method-assign]
    framework = Framework(api.app)

    assert api.get(begun, headers={"Range": "bytes=0-9"}).status_code == 206
    assert framework.asked == 0
    answer = api.get(begun, headers={"Range": "bytes=0-99999"})

    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert (framework.asked, lent.open_now) == (1, 0)


@pytest.mark.parametrize("at_once", [pace.AT_ONCE, 100])
def test_nothing_goes_on_beside_a_journal_that_cannot_be_trusted(
    api: Api, film: str, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """A viewing may have ended there, and nobody here would know."""
    monkeypatch.setattr(pace, "AT_ONCE", at_once)
    says = Says()
    standing.register(api.app, says)  # type: ignore[arg-type]
    framework = Framework(api.app)
    where = f"/recordings/{film}/content?purpose=care"
    for _ in range(2):
        assert len(api.get(where, headers=SEEKS).data) == 1000
    assert framework.asked == 1
    says.fault = JournalBroken("It was cut.")

    assert api.get(where, headers=SEEKS).status_code == 503
    assert framework.asked == 2


def test_a_role_that_lost_the_verb_watches_nothing_more(api: Api, begun: str, film: str) -> None:
    """A key in memory is no permission: the roles that policy has now are asked each time."""
    ctx = api.clinic.ctx
    roles = {
        code: replace(role, permissions=role.permissions - {Permission.FILM_WATCH})
        for code, role in ctx.policies.roles.items()
    }
    later = create_app(replace(ctx, policies=replace(ctx.policies, roles=roles)))
    framework = Framework(later)

    assert Api(api.clinic, later, api.tokens).get(begun, headers=SEEKS).status_code == 403
    assert framework.asked == 1


def test_only_a_member_of_staff_has_a_viewing(api: Api, film: str, begun: str) -> None:
    """A job or a link has no key in memory, whatever roles it may have."""
    nobody = Caller(api.clinic.guider.actor, None, api.clinic.guider.roles)
    assert viewing.open_going_on(api.clinic.ctx, nobody, film, "care") is None


def test_it_is_counted_and_written_like_every_answer(api: Api, begun: str) -> None:
    """Whoever watches the service sees these requests too."""
    figures = api.app.extensions[PROGRAMS].extensions[FIGURES]
    name, labels = "consent_requests_total", {"endpoint": "api.watch_recording", "status": "206"}
    before = figures.registry.get_sample_value(name, labels)
    with capture_logs() as lines:
        short_way = api.get(begun, headers=SEEKS)
        long_way = api.get(begun)

    assert figures.registry.get_sample_value(name, labels) == before + 1
    short, long = lines
    assert set(short) == set(long)
    assert (short["endpoint"], short["method"], short["status"]) == (
        "api.watch_recording",
        "GET",
        206,
    )
    assert long["endpoint"] == short["endpoint"]
    assert [short["request_id"], long["request_id"]] == [
        answer.headers["X-Request-Id"] for answer in (short_way, long_way)
    ]


def test_it_stands_before_the_framework(api: Api) -> None:
    """Or all of the above would be true of the framework alone."""
    assert isinstance(api.app.extensions[PROGRAMS].wsgi_app, GoingOn)

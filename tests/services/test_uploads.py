"""Film by parts: what was acknowledged is the film that was sent, whatever breaks off."""

import errno
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from consent_service.db.models.recordings import Asset
from consent_service.domain.assets import AssetState
from consent_service.domain.tus import Checksum, Offered
from consent_service.errors import (
    ChecksumMismatch,
    Conflict,
    TooLarge,
    Unavailable,
)
from consent_service.services import (
    recordings,
    storing,
    upload_keys,
    upload_parts,
    uploads,
)
from tests.support.clinic import Clinic, sample_film
from tests.support.films import phone_film
from tests.support.uploading import (
    begun,
    breaking,
    offset_of,
    reserved,
    rows_of,
    send,
    state_of,
)


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_film_in_parts_becomes_the_film_that_was_sent(clinic: Clinic, container: str) -> None:
    """Whatever the cuts, what is stored is made of all of it, and nothing of the parts stays."""
    film = phone_film(container)
    family, asset = begun(clinic, film)
    cuts = [0, 1, 17, len(film) // 3, len(film) - 5, len(film)]

    seen = [send(clinic, asset, a, film[a:b]) for a, b in itertools.pairwise(cuts)]

    assert [view.offset for view in seen] == cuts[1:]
    view = recordings.asset(clinic.ctx, clinic.guider, asset)
    assert view.state is AssetState.STORED
    assert view.received_sha256 == hashlib.sha256(film).hexdigest()
    assert hashlib.sha256(clinic.watches(asset)).hexdigest() == view.sha256
    assert clinic.objects() == {f"{asset}.1", f"{asset}.json"}
    assert rows_of(clinic, asset) == (0, 0)
    whole = clinic.stores_film(family, film)
    assert view.sha256 == whole.sha256


def test_nothing_can_be_watched_before_the_last_byte(clinic: Clinic) -> None:
    """Half a film is not a film; whoever asks is told to wait."""
    _, asset = begun(clinic)
    send(clinic, asset, 0, sample_film()[:5000])

    with pytest.raises(Conflict) as early:
        clinic.watches(asset)

    assert early.value.code == "not_ready"


def test_a_part_that_does_not_follow_is_refused_and_changes_nothing(clinic: Clinic) -> None:
    """A gap or an overlap would make another film of it; the right offset is told."""
    _, asset = begun(clinic)
    send(clinic, asset, 0, sample_film()[:5000])

    for wrong in (0, 4999, 5001):
        with pytest.raises(Conflict) as refused:
            send(clinic, asset, wrong, sample_film()[wrong : wrong + 100])
        assert (refused.value.code, refused.value.details["offset"]) == ("wrong_offset", 5000)

    assert offset_of(clinic, asset) == 5000
    assert len(clinic.objects()) == 1


def test_what_broke_off_is_kept_as_far_as_it_came(clinic: Clinic) -> None:
    """A telephone in a lift goes on where it was, not from the beginning."""
    film = sample_film()
    _, asset = begun(clinic)

    with pytest.raises(ConnectionResetError):
        send(clinic, asset, 0, breaking(film[:7000]))
    assert offset_of(clinic, asset) == 7000
    with pytest.raises(ConnectionResetError):
        send(clinic, asset, 7000, breaking(b""))
    send(clinic, asset, 7000, film[7000:])

    view = recordings.asset(clinic.ctx, clinic.guider, asset)
    assert view.received_sha256 == hashlib.sha256(film).hexdigest()


def test_a_long_body_is_durable_part_by_part(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients may send a film in one PATCH: a crash near its end must not cost all of it."""
    monkeypatch.setattr(upload_parts, "PART_BYTES", 4000)
    film = sample_film()
    _, asset = begun(clinic)
    known = []

    def watched() -> Iterator[bytes]:
        for start in range(0, len(film), 1000):
            known.append((start, offset_of(clinic, asset)))
            yield film[start : start + 1000]

    send(clinic, asset, 0, watched())

    assert all(start - durable <= 4000 for start, durable in known)
    assert known[-1][1] > 4000
    assert state_of(clinic, asset) is AssetState.STORED


def test_a_slow_sender_has_smaller_parts(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a crash takes from somebody on a slow line takes them as long to send again."""
    monkeypatch.setattr(upload_parts, "SLOW_PART_BYTES", 4000)
    film = sample_film()
    _, asset = begun(clinic)
    known = []

    def trickling() -> Iterator[bytes]:
        for start in range(0, len(film), 1000):
            clinic.passes(seconds=2)
            known.append((start, offset_of(clinic, asset)))
            yield film[start : start + 1000]

    send(clinic, asset, 0, trickling())

    assert all(start - durable <= 5000 for start, durable in known)
    assert known[-1][1] > 4000


def test_another_process_goes_on_with_the_same_key(clinic: Clinic) -> None:
    """No key of an upload may live in memory alone, or a restart would lose what was promised."""
    film = sample_film()
    _, asset = begun(clinic)
    send(clinic, asset, 0, film[:9000])
    with clinic.ctx.read() as session:
        place = storing.place_of(session.get_one(Asset, asset))

    assert upload_keys.key_of(clinic.ctx, place) == upload_keys.key_of(clinic.ctx, place)
    send(clinic, asset, 9000, film[9000:])
    assert state_of(clinic, asset) is AssetState.STORED


def test_two_who_send_the_same_part_at_once_add_it_once(clinic: Clinic) -> None:
    """A client that lost the answer sends again while the first request is still at work."""
    film = sample_film()
    _, asset = begun(clinic)

    def overtaken() -> Iterator[bytes]:
        yield film[:3000]
        send(clinic, asset, 0, film[:5000])

    with pytest.raises(Conflict) as late:
        send(clinic, asset, 0, overtaken())

    assert late.value.code == "wrong_offset"
    assert offset_of(clinic, asset) == 5000
    assert len(clinic.objects()) == 1
    send(clinic, asset, 5000, film[5000:])
    assert clinic.watches(asset)


def test_a_length_said_late_ends_the_film(clinic: Clinic) -> None:
    """A camera that is still running says how long the film is with the last part."""
    film = sample_film()
    family = clinic.family()
    clinic.both_consent(family)
    asset = reserved(clinic, family, None)
    assert uploads.upload(clinic.ctx, clinic.guider, asset).length is None

    send(clinic, asset, 0, film)
    assert state_of(clinic, asset) is AssetState.RECEIVING
    with pytest.raises(Conflict):
        send(clinic, asset, len(film), b"", length=len(film) - 1)
    view = send(clinic, asset, len(film), b"", length=len(film))

    assert (view.state, view.offset, view.length) == (AssetState.STORED, len(film), len(film))
    again = send(clinic, asset, len(film), b"")
    assert again.state is AssetState.STORED


def test_more_than_was_said_is_refused_before_it_is_read(clinic: Clinic) -> None:
    """Neither a declared nor a hidden excess is taken in; what came before it stays."""
    film = sample_film()
    family, asset = begun(clinic)
    late = reserved(clinic, family, None)
    small = replace(
        clinic.ctx, settings=clinic.ctx.settings.model_copy(update={"max_upload": 10_000})
    )

    def unread() -> Iterator[bytes]:
        pytest.fail("a byte of it was read")
        yield b""

    with pytest.raises(TooLarge):
        piece = uploads.Piece(Offered(0, None, None), unread(), len(film) + 1)
        uploads.append(clinic.ctx, clinic.guider, asset, piece)
    with pytest.raises(TooLarge):
        send(clinic, asset, 0, iter([film, b"x"]))
    with pytest.raises(TooLarge):
        send(clinic, late, 0, b"x", ctx=small, length=10_001)

    assert offset_of(clinic, asset) == 0
    assert clinic.objects() == set()


def test_parts_without_number_are_refused(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte a request would fill the store with objects and the ledger with rows."""
    monkeypatch.setattr(uploads, "MOST_PARTS", 3)
    _, asset = begun(clinic)
    for offset in range(3):
        send(clinic, asset, offset, sample_film()[offset : offset + 1])

    with pytest.raises(TooLarge):
        send(clinic, asset, 3, sample_film()[3:4])

    assert len(clinic.objects()) == 3


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_what_does_not_sum_up_is_not_kept(clinic: Clinic, algorithm: str) -> None:
    """A sum is there so that a body spoilt on its way is sent again, not stored."""
    film = sample_film()
    _, asset = begun(clinic)
    right = hashlib.new(algorithm, film).digest()

    with pytest.raises(ChecksumMismatch):
        send(clinic, asset, 0, b"x" + film[1:], checksum=Checksum(algorithm, right))
    with pytest.raises(ConnectionResetError):
        send(clinic, asset, 0, breaking(film[:500]), checksum=Checksum(algorithm, right))
    assert (offset_of(clinic, asset), clinic.objects()) == (0, set())

    send(clinic, asset, 0, film, checksum=Checksum(algorithm, right))
    assert state_of(clinic, asset) is AssetState.STORED


def test_a_part_whose_commit_failed_stays_until_the_film_is_whole(clinic: Clinic) -> None:
    """A disk that fails while it commits may show the commit after a restart: film with a hole."""
    film = sample_film()
    _, asset = begun(clinic, film)

    def disk_fails(_: Connection) -> None:
        raise OperationalError("COMMIT", {}, OSError(errno.EIO, "I/O error"))

    def body() -> Iterator[bytes]:
        yield film[:5000]
        event.listen(clinic.ctx.engine, "commit", disk_fails, once=True)

    with pytest.raises(Unavailable):
        send(clinic, asset, 0, body())

    assert len([name for name in clinic.objects() if name.startswith(f"{asset}.0.")]) == 1
    send(clinic, asset, offset_of(clinic, asset), film)
    assert clinic.objects() == {f"{asset}.1", f"{asset}.json"}

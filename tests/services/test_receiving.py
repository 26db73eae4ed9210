"""Receiving film: encrypted as it arrives, stored or gone, and heard when someone says stop."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from consent_service.db.models.recordings import Asset, AssetWrap
from consent_service.domain.assets import AssetState, RecordClass
from consent_service.domain.purposes import CARE
from consent_service.domain.withdrawal import Speed
from consent_service.errors import (
    Conflict,
    DiskFull,
    Gone,
    NotAFilm,
    TooLarge,
    Unavailable,
)
from consent_service.media.sample import make_sample_film
from consent_service.services import erasure, recordings, storing, viewing
from consent_service.vault.blobs import BlobSink, BlobStore
from consent_service.vault.blobs.folder import FolderStore
from consent_service.vault.container import HEADER_BYTES
from consent_service.vault.keyring import KeyKind, KeyStatus
from tests.support.clinic import Clinic, Family, sample_film
from tests.support.faulty_store import FaultyStore, HappeningStore
from tests.support.films import phone_film


def _reserve(clinic: Clinic, family: Family, **more: object) -> recordings.AssetView:
    values: dict[str, object] = {"depicted": family.everyone, "filmed_on": clinic.today}
    request = recordings.ReserveFilm(family.involvement, **(values | more))  # type: ignore[arg-type]
    return recordings.reserve(clinic.ctx, clinic.guider, request)


def _live_asset_keys(clinic: Clinic) -> set[str]:
    entries = list(clinic.ctx.keyring.list_keys(kind=KeyKind.ASSET))
    states = clinic.ctx.keyring.status([e.key_id for e in entries])
    return {key for key, state in states.items() if state is KeyStatus.LIVE}


def test_an_upload_that_grows_too_large_is_erased(clinic: Clinic) -> None:
    """Whoever lies about the size gets no further than whoever tells it."""
    family = clinic.family()
    clinic.both_consent(family)
    small = replace(
        clinic.ctx, settings=clinic.ctx.settings.model_copy(update={"max_upload": 10_000})
    )
    reserved = _reserve(clinic, family)

    with pytest.raises(TooLarge):
        recordings.receive(small, clinic.guider, reserved.id, [sample_film()])

    assert clinic.objects() == set()
    assert recordings.asset(clinic.ctx, clinic.guider, reserved.id).state is AssetState.ERASED


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_what_is_served_is_what_was_finished_and_the_upload_is_gone(
    clinic: Clinic, container: str
) -> None:
    """Digest, size and place of the stored film are promises; the telephone's traces are not."""
    family = clinic.family()
    clinic.both_consent(family)
    film = phone_film(container)

    view = recordings.store(
        clinic.ctx,
        clinic.guider,
        recordings.ReserveFilm(family.involvement, family.everyone, clinic.today),
        _in_pieces(film),
    )

    served = clinic.watches(view.id)
    assert hashlib.sha256(served).hexdigest() == view.sha256
    assert view.received_sha256 == hashlib.sha256(film).hexdigest() != view.sha256
    assert (view.state, view.size, view.purposes) == (AssetState.STORED, len(served), (CARE,))
    assert (view.width, view.height) == (180, 320)
    assert view.record_class is RecordClass.TRANSITORY
    assert clinic.objects() == {f"{view.id}.1", f"{view.id}.json"}
    assert b"Sample Cameras" in film
    assert b"Sample Cameras" not in served


def test_a_text_file_with_the_name_of_a_film_leaves_nothing(clinic: Clinic) -> None:
    """What is no film is not kept: not in the store, not in the keyring, and it is certified."""
    family = clinic.family()
    clinic.both_consent(family)
    reserved = _reserve(clinic, family, title="Bath time")

    with pytest.raises(NotAFilm):
        recordings.receive(clinic.ctx, clinic.guider, reserved.id, [b"Dear diary\n" * 1000])

    assert clinic.objects() == set()
    assert _live_asset_keys(clinic) == set()
    view = recordings.asset(clinic.ctx, clinic.guider, reserved.id)
    assert (view.state, view.title, view.size) == (AssetState.ERASED, None, None)
    assert view.order is not None
    order = erasure.order(clinic.ctx, clinic.ig, view.order)
    assert order.state.value == "done"


def test_a_film_is_received_once(clinic: Clinic) -> None:
    """A second upload must not replace what people have watched, nor write under its keys."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)

    with pytest.raises(Conflict) as refused:
        recordings.receive(clinic.ctx, clinic.guider, film.id, [sample_film()])

    assert refused.value.code == "already_received"
    assert hashlib.sha256(clinic.watches(film.id)).hexdigest() == film.sha256


def test_two_uploads_at_the_same_time_do_not_share_a_reservation(clinic: Clinic) -> None:
    """The first claims it; the second is told, and does no harm to the first."""
    family = clinic.family()
    clinic.both_consent(family)
    reserved = _reserve(clinic, family)

    def intruding() -> Iterator[bytes]:
        with pytest.raises(Conflict):
            recordings.receive(clinic.ctx, clinic.guider, reserved.id, [sample_film()])
        yield sample_film()

    view = recordings.receive(clinic.ctx, clinic.guider, reserved.id, intruding())

    assert view.state is AssetState.STORED


@pytest.mark.parametrize("speed", list(Speed))
def test_whoever_says_stop_while_a_film_comes_in_is_heard(clinic: Clinic, speed: Speed) -> None:
    """The upload must not outrun the withdrawal: nothing of it is kept."""
    family = clinic.family()
    clinic.both_consent(family)
    reserved = _reserve(clinic, family)

    def interrupted() -> Iterator[bytes]:
        yield sample_film()[:5000]
        clinic.passes(seconds=30)
        clinic.withdraws(family, family.mother, speed=speed)
        yield sample_film()[5000:]

    with pytest.raises(Gone):
        recordings.receive(clinic.ctx, clinic.guider, reserved.id, interrupted())
    erasure.work(clinic.ctx, "test")

    assert clinic.objects() == set()
    assert recordings.asset(clinic.ctx, clinic.guider, reserved.id).state is AssetState.ERASED
    assert _live_asset_keys(clinic) == set()


def test_a_yes_that_comes_while_a_film_comes_in_is_in_its_wraps(clinic: Clinic) -> None:
    """A purpose granted between reading keys and storing must not wait for the nightly job."""
    family = clinic.family()
    clinic.both_consent(family)
    reserved = _reserve(clinic, family)

    def answered_meanwhile() -> Iterator[bytes]:
        yield sample_film()[:5000]
        clinic.passes(minutes=1)
        clinic.both_consent(family, optional=frozenset({"TRAIN.LOCAL"}))
        yield sample_film()[5000:]

    view = recordings.receive(clinic.ctx, clinic.guider, reserved.id, answered_meanwhile())

    assert view.purposes == (CARE, "training-local")
    assert clinic.watches(view.id, "training-local") == clinic.watches(view.id)


@pytest.mark.parametrize("said", ["stop", "yes"])
def test_what_is_said_between_reading_keys_and_storing_counts(clinic: Clinic, said: str) -> None:
    """The wraps were prepared a moment ago; the lock is where it is decided."""
    family = clinic.family()
    clinic.both_consent(family)
    clinic.passes(minutes=1)

    def speak() -> None:
        if said == "stop":
            clinic.withdraws(family, family.father)
        else:
            clinic.both_consent(family, optional=frozenset({"TRAIN.LOCAL"}))

    store = HappeningStore(clinic.ctx.blobs, ".json", speak)
    ctx = replace(clinic.ctx, blobs=store)
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)

    if said == "stop":
        with pytest.raises(Gone):
            recordings.store(ctx, clinic.guider, request, [sample_film()])
        erasure.work(clinic.ctx, "test")
        assert clinic.objects() == set()
    else:
        view = recordings.store(ctx, clinic.guider, request, [sample_film()])
        assert clinic.watches(view.id, "training-local")


def test_giving_up_never_touches_what_is_stored(clinic: Clinic) -> None:
    """When the answer to a commit is lost, the film is there although the upload seems to fail."""
    family = clinic.family()
    clinic.both_consent(family)
    film = clinic.stores_film(family)
    with clinic.ctx.read() as session:
        place = storing.place_of(session.get_one(Asset, film.id))

    storing.give_up(clinic.ctx, clinic.guider.actor, place, "unavailable")

    assert hashlib.sha256(clinic.watches(film.id)).hexdigest() == film.sha256


def test_a_stream_that_breaks_off_leaves_nothing(clinic: Clinic) -> None:
    """A telephone that loses its network is told to begin again, and half a film is not kept."""
    family = clinic.family()
    clinic.both_consent(family)
    reserved = _reserve(clinic, family)

    def broken() -> Iterator[bytes]:
        yield sample_film()[:20_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        recordings.receive(clinic.ctx, clinic.guider, reserved.id, broken())

    assert clinic.objects() == set()
    assert list(clinic.ctx.blobs.list_unfinished()) == []
    assert recordings.asset(clinic.ctx, clinic.guider, reserved.id).state is AssetState.ERASED


def test_a_full_disk_at_any_point_leaves_nothing_half_done(clinic: Clinic) -> None:
    """Whichever write fails, in the end the store holds what the database lists, and no more."""
    family = clinic.family()
    clinic.both_consent(family)
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)
    counting = FaultyStore(clinic.ctx.blobs)
    recordings.store(replace(clinic.ctx, blobs=counting), clinic.guider, request, [sample_film()])
    standing = clinic.objects()
    points = range(1, len(counting.operations) + 1)
    assert len(points) > 8

    for point in points:
        full = FaultyStore(clinic.ctx.blobs, point, fault=DiskFull("full (told to by a test)"))
        with pytest.raises((DiskFull, Unavailable)):
            recordings.store(
                replace(clinic.ctx, blobs=full), clinic.guider, request, [sample_film()]
            )
        clinic.passes(hours=1)
        erasure.work(clinic.ctx, "test")
        assert clinic.objects() == standing, counting.operations[point - 1]

    views = recordings.assets(clinic.ctx, clinic.guider, family.involvement)
    assert [v.state for v in views].count(AssetState.STORED) == 1
    assert [v.state for v in views].count(AssetState.ERASED) == len(points)


def test_no_object_is_encrypted_under_a_key_and_nonce_used_before(clinic: Clinic) -> None:
    """One GCM nonce used twice under a key gives both films away.

    Key and base nonce come out of one derivation with the commitment in the header, so equal keys
    would show as equal headers; an object's chunks are numbered and written once, in order.
    """
    family = clinic.family()
    clinic.both_consent(family)
    watching = _HeaderStore(clinic.ctx.blobs)
    ctx = replace(clinic.ctx, blobs=watching)
    request = recordings.ReserveFilm(family.involvement, family.everyone, clinic.today)

    for _ in range(3):
        recordings.store(ctx, clinic.guider, request, [sample_film()])

    films = [header for name, header in watching.headers if not name.endswith(".json")]
    assert len(films) == 6
    assert len({header[:24] for header in films}) == len({header[24:] for header in films}) == 6
    with clinic.ctx.read() as session:
        wrapped = list(session.scalars(select(AssetWrap.wrapped)))
    assert len({one[:12] for one in wrapped}) == len(wrapped) == 3


def test_no_plaintext_of_a_film_reaches_any_file(
    clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Destroying keys is erasure only if nothing was ever written in the clear."""
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setenv("TMPDIR", str(spool))
    monkeypatch.setattr(tempfile, "tempdir", None)
    database = Path(clinic.ctx.engine.url.database or "")
    folders = [tmp_path, *([database.parent] if database.is_absolute() else [])]
    film = make_sample_film(3)
    marker = film[len(film) // 2 : len(film) // 2 + 48]
    planted = spool / "planted"
    planted.write_bytes(b"before" + film + b"after")
    assert _files_with(marker, folders) == [planted]
    planted.unlink()
    ctx = replace(clinic.ctx, blobs=FolderStore(tmp_path / "film"))
    family = clinic.family()
    clinic.both_consent(family)
    looked = []

    def slowly() -> Iterator[bytes]:
        for piece in _in_pieces(film):
            looked.append(_files_with(marker, folders))
            yield piece

    view = recordings.store(
        ctx,
        clinic.guider,
        recordings.ReserveFilm(family.involvement, family.everyone, clinic.today),
        slowly(),
    )
    with viewing.open_film(ctx, clinic.guider, view.id, CARE) as opened:
        pieces = opened.iter_range(0, opened.size)
        served = next(pieces)
        looked.append(_files_with(marker, folders))
        served += b"".join(pieces)

    assert marker in served
    assert len(list((tmp_path / "film").rglob("*.1"))) == 1
    assert len(looked) > 4
    assert not any(looked)
    assert _files_with(marker, folders) == []


def _in_pieces(film: bytes, size: int = 7001) -> Iterator[bytes]:
    for start in range(0, len(film), size):
        yield film[start : start + size]


def _files_with(marker: bytes, folders: list[Path]) -> list[Path]:
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [path for path in files if marker in path.read_bytes()]


class _HeaderStore:
    """Passes everything on, and remembers the first bytes of each object written."""

    def __init__(self, inner: BlobStore) -> None:
        self._inner = inner
        self.headers: list[tuple[str, bytes]] = []

    @contextmanager
    def put(
        self, name: str, *, expected_size: int | None = None, replace: bool = False
    ) -> Iterator[BlobSink]:
        with self._inner.put(name, expected_size=expected_size, replace=replace) as sink:
            watched = _HeaderSink(sink)
            yield watched
            self.headers.append((name, bytes(watched.begins)))

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


class _HeaderSink:
    def __init__(self, inner: BlobSink) -> None:
        self._inner = inner
        self.begins = bytearray()

    def write(self, buffer: bytes | bytearray | memoryview, /) -> int:
        missing = HEADER_BYTES - len(self.begins)
        self.begins += bytes(memoryview(buffer)[:missing]) if missing > 0 else b""
        return self._inner.write(buffer)

"""The bucket as a store of films: versions, locks, lost answers, outages, memory."""

import resource
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from consent_service.errors import DiskFull, Gone, SettingsFault, Unavailable
from consent_service.vault.blobs import open_store
from consent_service.vault.blobs.s3 import S3Store, open_bucket
from consent_service.vault.blobs.s3_bucket import Bucket
from consent_service.vault.blobs.s3_writing import PART_BYTES
from tests.support.seaweed import Seaweed, seaweed

NAME = "0123456789abcdef0123456789abcdef.1"


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Seaweed]:
    """A server that a test may stop; its data stays on the disk."""
    with seaweed(tmp_path / "server") as server:
        yield server


def put(store: S3Store, content: bytes, *, replace: bool = False) -> None:
    """Store an object in one piece."""
    with store.put(NAME, replace=replace) as sink:
        sink.write(content)


def kept_in(server: Seaweed, url: str) -> list[str]:
    """Every version and delete marker that the bucket holds below the store's prefix."""
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    page = server.client().list_object_versions(Bucket=parts.netloc, Prefix=prefix)
    return [one["Key"] for kind in ("Versions", "DeleteMarkers") for one in page.get(kind, ())]


def test_a_deletion_takes_every_version_and_every_marker(object_store: Seaweed) -> None:
    """A bucket with versions keeps what was deleted: a film would stay readable to its operator."""
    url = object_store.store_url(versions=True)
    store = open_bucket(url)
    for content in (b"first", b"second", b"third"):
        put(store, content, replace=True)
    parts = urlsplit(url)
    object_store.client().delete_object(Bucket=parts.netloc, Key=f"{parts.path.strip('/')}/{NAME}")
    assert len(kept_in(object_store, url)) == 4, "the versions were not there to be found"

    was_there = store.delete(NAME)

    assert was_there
    assert kept_in(object_store, url) == []
    assert store.delete(NAME) is False


def test_what_a_lock_keeps_is_never_called_deleted(object_store: Seaweed) -> None:
    """S3 answers 200 with the refusal inside: a certificate built on that would lie."""
    url = object_store.store_url(versions=True, locks=True)
    store, parts = open_bucket(url), urlsplit(url)
    put(store, b"kept")
    object_store.client().put_object_retention(
        Bucket=parts.netloc,
        Key=f"{parts.path.strip('/')}/{NAME}",
        Retention={
            "Mode": "COMPLIANCE",
            "RetainUntilDate": datetime.now(UTC) + timedelta(days=1),
        },
    )

    with pytest.raises(Unavailable) as refused:
        store.delete(NAME)

    assert refused.value.code == "object_locked"
    assert store.read_range(NAME, 0, 10) == b"kept"


def test_an_answer_that_was_lost_does_not_lose_the_object(
    object_store: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket finished the upload, the answer never came, and asking again meets our own."""
    store = open_bucket(object_store.store_url())
    client = store._client
    finish = client.complete_multipart_upload

    def finished_twice(**wanted: Any) -> Any:
        finish(**wanted)
        return finish(**wanted)

    monkeypatch.setattr(client, "complete_multipart_upload", finished_twice)
    put(store, b"whole")

    assert store.read_range(NAME, 0, 10) == b"whole"


def test_a_slow_answer_is_a_fault_and_leaves_nothing_half_done(
    object_store: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail closed: the caller hears of it, and no part stays behind."""
    store = open_bucket(object_store.store_url())

    def never(**_: Any) -> Any:
        raise ReadTimeoutError(endpoint_url=object_store.endpoint)

    monkeypatch.setattr(store._client, "upload_part", never)
    with pytest.raises(Unavailable):
        put(store, b"x" * 10)

    assert list(store.list()) == list(store.list_unfinished()) == []


def test_a_store_that_is_away_is_unavailable_and_comes_back_with_all_it_held(
    own_server: Seaweed,
) -> None:
    """An outage must never look like "there is no such film"."""
    store = open_bucket(own_server.store_url())
    put(store, b"film")

    own_server.stop()
    for act in (
        lambda: store.open(NAME),
        lambda: store.delete(NAME),
        lambda: list(store.list()),
        lambda: put(store, b"other", replace=True),
        store.check,
    ):
        with pytest.raises(Unavailable):
            act()
    own_server.start()

    assert store.read_range(NAME, 0, 10) == b"film"


def test_a_long_film_goes_up_in_parts_and_in_little_memory(object_store: Seaweed) -> None:
    """Films are gigabytes; the machine is not."""
    store = open_bucket(object_store.store_url())
    piece = bytes(range(256)) * 4096
    put(store, piece)
    store.delete(NAME)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with store.put(NAME, expected_size=64 * len(piece)) as sink:
        for _ in range(64):
            sink.write(piece)

    grown_by = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown_by < 8 * PART_BYTES
    with store.open(NAME) as source:
        assert source.size == 64 * len(piece)
    assert store.read_range(NAME, 7 * len(piece) + 5, 100) == piece[5:105]


def test_versions_that_keep_coming_back_are_no_deletion(
    object_store: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who writes while we delete must not be certified away."""
    store = open_bucket(object_store.store_url())
    put(store, b"film")
    monkeypatch.setattr(store, "_delete_versions", lambda *_: None)

    with pytest.raises(Unavailable, match="keeps coming back"):
        store.delete(NAME)


def test_uploads_that_keep_coming_back_are_not_discarded(
    object_store: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an upload under way would appear after its erasure."""
    store = open_bucket(object_store.store_url())
    with store.put(NAME) as sink, monkeypatch.context() as held:
        sink.write(b"film")
        held.setattr(store._client, "abort_multipart_upload", lambda **_: {})
        with pytest.raises(Unavailable, match="keep coming back"):
            store.discard_unfinished(NAME)


def test_an_upload_discarded_in_its_last_moment_does_not_appear(
    object_store: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its parts were there; only the bucket's yes was missing."""
    store = open_bucket(object_store.store_url())
    finish = store._client.complete_multipart_upload

    def too_late(**wanted: Any) -> Any:
        store.discard_unfinished(NAME)
        return finish(**wanted)

    monkeypatch.setattr(store._client, "complete_multipart_upload", too_late)
    with pytest.raises(Gone):
        put(store, b"film")

    assert list(store.list()) == []


def test_a_bucket_without_room_says_so(
    object_store: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """507: somebody has to make room, and trying again alone will not help."""
    store = open_bucket(object_store.store_url())

    def full(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "InsufficientStorage"}}, "UploadPart")

    monkeypatch.setattr(store._client, "upload_part", full)
    with pytest.raises(DiskFull):
        put(store, b"film")


def test_half_an_answer_is_never_taken_for_the_bytes_asked_for(
    object_store: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy between may cut; the rest of the buffer would be zeros."""
    store = open_bucket(object_store.store_url())
    put(store, b"x" * 10_000)

    with store.open(NAME) as source:
        cut = obstore.get(source._store, NAME, options={"range": (0, 10)})
        monkeypatch.setattr(obstore, "get", lambda *_, **__: cut)
        with pytest.raises(Unavailable, match="part of object"):
            source.read_into(5000, bytearray(100))


def test_a_file_that_holds_no_credentials_is_named(tmp_path: Path) -> None:
    """The wrong file was mounted; the first film is too late to hear of it."""
    path = tmp_path / "credentials"
    path.write_text("these are\nno credentials")

    with pytest.raises(SettingsFault, match="credentials_file"):
        Bucket.of(urlsplit(f"s3://bucket/films?credentials_file={path}")).session()


def test_a_bucket_that_refuses_is_unavailable(tmp_path: Path, object_store: Seaweed) -> None:
    """Keys that were taken away must not look like a film that is not there."""
    path = tmp_path / "credentials"
    path.write_text("[default]\naws_access_key_id=other\naws_secret_access_key=other\n")
    url = object_store.store_url().partition("&credentials_file")[0]

    with pytest.raises(Unavailable):
        list(open_bucket(f"{url}&credentials_file={path}").list())


def test_without_a_file_the_usual_places_are_searched_for_credentials() -> None:
    """A machine's own role needs no file."""
    assert Bucket.of(urlsplit("s3://bucket/films")).session().region_name == "eu-west-2"


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("s3:///prefix", "bucket"),
        ("s3://key:secret@bucket/films", "credentials"),
        ("s3://bucket/films?endpoint=http://store.example", "https"),
        ("s3://bucket/films?colour=red", "colour"),
    ],
)
def test_a_half_configured_bucket_is_refused_with_what_is_missing(url: str, fault: str) -> None:
    """The setting is named, so that the operator knows where to look."""
    with pytest.raises(SettingsFault, match=fault) as refused:
        open_store(url)

    assert "CONSENT_BLOB_URL" in str(refused.value)


def test_credentials_come_from_their_file_and_nowhere_else(tmp_path: Path) -> None:
    """The address is shown by `check`; what opens the store is not in it."""
    path = tmp_path / "credentials"
    path.write_text("[default]\naws_access_key_id=from-file\naws_secret_access_key=s\n")

    found = Bucket.of(urlsplit(f"s3://bucket/films?credentials_file={path}")).session()

    assert found.get_credentials().access_key == "from-file"

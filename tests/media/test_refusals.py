"""What is no film, or is made to do harm, is refused with a reason and leaves nothing."""

import random

import pytest

from consent_service import media
from consent_service.errors import NotAFilm
from consent_service.media.sample import Style, make_sample_film
from tests.support import films
from tests.support.films import MemoryFilm, Sink


def reason_of(content: bytes) -> str:
    """Remux and return why that was refused; nothing may have been given out."""
    sink = Sink()
    with pytest.raises(NotAFilm) as refused:
        media.remux(MemoryFilm(content), sink.write)
    assert sink.blocks == []
    return str(refused.value.details["reason"])


@pytest.mark.parametrize(
    "content",
    [
        b"Dear team, this is a letter that somebody renamed to film.mp4.\n" * 40,
        random.Random(7).randbytes(200_000),
        b"",
        b"\0",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"\x89PNG\r\n\x1a\n" + bytes(500),
    ],
    ids=["text", "random", "empty", "one-byte", "playlist", "concat-script", "picture"],
)
def test_what_is_no_film_is_refused(content: bytes) -> None:
    """Only the two containers are ever parsed: a playlist could name files of the server."""
    assert reason_of(content) == "container"


@pytest.mark.parametrize("magic", [b"\0\0\0\x20ftypisom", b"\x1a\x45\xdf\xa3"])
def test_noise_behind_a_good_beginning_is_refused(magic: bytes) -> None:
    """The first bytes are easily forged."""
    assert reason_of(magic + random.Random(8).randbytes(100_000)) == "unreadable"


def test_a_truncated_film_without_its_index_is_refused() -> None:
    """Cameras write the index last; without it nothing can be played."""
    upload = films.phone_film()
    assert films.boxes(upload)[-1] == "moov"
    assert reason_of(upload[: len(upload) // 2]) == "unreadable"


def test_sound_alone_is_refused() -> None:
    """The service is for film: an audio note has no consent statement."""
    assert reason_of(films.sound_only()) == "no_picture"


@pytest.mark.parametrize(("codec", "container"), [("mpeg4", "mp4"), ("mjpeg", "mp4")])
def test_a_codec_outside_the_list_is_refused(codec: str, container: str) -> None:
    """Every further decoder is further code that strangers' bytes reach."""
    if codec == "mjpeg":
        content = films.film_coded_as("mpeg4", container).replace(b"mp4v", b"jpeg")
    else:
        content = films.film_coded_as(codec, container)
    assert reason_of(content) == "video_codec"


def test_a_matroska_film_with_another_codec_is_refused() -> None:
    """WebM is Matroska with few codecs; a player that knows WebM knows only those."""
    assert reason_of(films.film_coded_as("libx264", "matroska")) == "video_codec"


def test_a_picture_wider_than_any_camera_makes_is_refused() -> None:
    """A small file can declare a picture that fills all memory when decoded."""
    assert reason_of(make_sample_film(1, (8208, 32), style=Style(sound=False))) == "dimensions"


def test_a_declared_gigantic_picture_is_refused() -> None:
    """The declaration alone, in a WebM's track header, costs an attacker two bytes."""
    content = films.film_coded_as("libvpx", "webm")
    width, height = b"\xb0\x82\x01\x40", b"\xba\x81\xb4"
    assert content.count(width) == content.count(height) == 1
    bomb = content.replace(width, b"\xb0\x82\xff\xff")
    assert reason_of(bomb) in ("dimensions", "unreadable")


@pytest.mark.parametrize(("codec", "container"), [("libx264", "mp4"), ("libvpx", "webm")])
def test_a_film_that_lasts_for_days_is_refused(codec: str, container: str) -> None:
    """Lengths feed calendars and limits; a few pictures can claim any."""
    content = films.film_coded_as(codec, container, every_s=3600)
    assert reason_of(content) == "duration"


def test_a_film_of_one_picture_is_refused() -> None:
    """A photo in a film's clothes would pass a check of the container."""
    assert reason_of(make_sample_film(0.04, style=Style(sound=False))) == "no_picture"


def test_the_refusal_says_what_to_do_and_quotes_nothing() -> None:
    """The person at the desk needs one sentence; the file's own words stay out of logs."""
    with pytest.raises(NotAFilm) as refused:
        media.probe(MemoryFilm(b"Words of a family " * 20))
    assert refused.value.code == "not_a_film"
    assert "choose the film file" in str(refused.value)
    assert "family" not in str(refused.value) + repr(refused.value.details)


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_film_is_refused_or_comes_through_never_anything_else(seed: int) -> None:
    """Damage is the film's fault: it must not look like a fault of the service, nor hang it."""
    chance = random.Random(seed)
    whole = (films.phone_film(), films.recorder_film(), films.recorder_film("mp4"))[seed % 3]
    content = bytearray(whole)
    for _ in range(40):
        content[chance.randrange(16, len(content))] = chance.randrange(256)
    sink = Sink()
    try:
        made = media.remux(MemoryFilm(bytes(content)), sink.write)
    except NotAFilm as refused:
        assert refused.details["reason"] != "hostile"
    else:
        assert made.size == len(sink.content)

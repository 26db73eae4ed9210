"""Clips begin where they say, stills show the moment asked for, and neither says more."""

import io

import pytest
from PIL import Image

from consent_service import media
from consent_service.errors import InvalidInput
from consent_service.media.sample import PHONE_METADATA, Style, background, make_sample_film
from tests.support import films
from tests.support.films import MemoryFilm, Sink


def test_a_still_shows_the_moment_asked_for() -> None:
    """The guider stops at one smile, not at the one a second earlier."""
    film = MemoryFilm(films.phone_film("mp4", 0))
    for second in range(3):
        jpeg = Image.open(io.BytesIO(media.still(film, second + 0.5)))
        assert films.close_to(jpeg.getpixel((4, 4)), background(second))
    assert not films.close_to(background(1), background(2))


def test_a_still_has_no_exif_and_no_other_metadata() -> None:
    """The photo leaves the service; the telephone's position must not leave with it."""
    jpeg = media.still(MemoryFilm(films.phone_film()), 1.0)
    picture = Image.open(io.BytesIO(jpeg))
    assert picture.format == "JPEG"
    assert not picture.getexif()
    assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert b"Exif" not in jpeg
    assert b"Pocket One" not in jpeg


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_still_is_upright(rotation: int) -> None:
    """The large circle is at the left of an upright picture: turning must put it back there."""
    straight = Image.open(io.BytesIO(media.still(MemoryFilm(films.phone_film("mp4", 0)), 0.0)))
    turned = Image.open(io.BytesIO(media.still(MemoryFilm(films.phone_film("mp4", rotation)), 0.0)))
    clockwise = {90: 270, 180: 180, 270: 90}[rotation]
    expected = straight.rotate(clockwise, expand=True)
    assert turned.size == expected.size
    for place in (0.2, 0.35, 0.5, 0.65, 0.8):
        point = (round(expected.width * place), round(expected.height * place))
        assert films.close_to(turned.getpixel(point), expected.getpixel(point))


def test_a_still_is_made_no_wider_than_asked() -> None:
    """Previews are small; a film smaller than the limit is not blown up."""
    film = MemoryFilm(films.phone_film("mp4", 0))
    assert Image.open(io.BytesIO(media.still(film, 1.0, max_width=100))).size == (100, 56)
    assert Image.open(io.BytesIO(media.still(film, 1.0, max_width=5000))).size == (320, 180)


@pytest.mark.parametrize("at_s", [-0.1, 3.6, float("nan"), float("inf")])
def test_a_still_outside_the_film_is_refused(at_s: float) -> None:
    """A wrong time is the caller's mistake; the film must not be blamed for it."""
    with pytest.raises(InvalidInput):
        media.still(MemoryFilm(films.phone_film()), at_s)


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_copied_clip_begins_at_the_key_frame_and_says_so(container: str) -> None:
    """The record must say truly what the clip holds: a little more than the marks."""
    sink = Sink()
    made = media.clip(MemoryFilm(films.phone_film(container)), 1.5, 2.4, sink.write)
    assert (made.how, made.starts_at_s) == ("copied", 1.0)
    seen = films.corner_colours(sink.content)
    assert films.close_to(seen[0], background(1))
    assert films.times(sink.content)["video"][0] == 0
    assert made.probe.duration_s == pytest.approx(1.4, abs=0.2)
    assert made.size == len(sink.content)


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_re_encoded_clip_holds_nothing_from_outside_its_marks(container: str) -> None:
    """What is shared shows only what was chosen: not one picture of the second before or after."""
    sink = Sink()
    source = MemoryFilm(films.phone_film(container, 0))
    made = media.clip(source, 1.0, 2.0, sink.write, exact=True)
    assert (made.how, made.starts_at_s) == ("re-encoded", 1.0)
    seen = films.corner_colours(sink.content)
    assert len(seen) == 25
    assert all(films.close_to(colour, background(1)) for colour in seen)
    assert max(films.times(sink.content)["audio"]) < 1.0
    assert media.probe(sink.film()).audio_codec == source_sound(container)


def source_sound(container: str) -> str:
    return {"mp4": "aac", "webm": "opus"}[container]


@pytest.mark.parametrize("exact", [False, True])
def test_a_clip_keeps_rotation_and_loses_metadata(exact: bool) -> None:
    """A clip is a film of its own and keeps the same promises."""
    sink = Sink()
    media.clip(MemoryFilm(films.phone_film()), 0.5, 1.8, sink.write, exact=exact)
    found = media.probe(sink.film())
    assert found.rotation == 90
    assert b"51.5007" not in sink.content
    assert b"Pocket One" not in sink.content
    order = films.boxes(sink.content)
    assert order.index("moov") < order.index("mdat")


def test_a_clip_from_a_raw_recording_works_too() -> None:
    """Recordings are remuxed first, but nothing here depends on it."""
    sink = Sink()
    made = media.clip(MemoryFilm(films.recorder_film()), 1.2, 2.0, sink.write)
    assert made.starts_at_s == 1.0
    assert films.segment_elements(sink.content)[0] == "Cues"


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("start_s", "end_s"), [(2.0, 1.0), (1.0, 1.0), (-1.0, 1.0), (1.0, 9.0), (5.0, 6.0)]
)
def test_marks_outside_the_film_are_refused(start_s: float, end_s: float, exact: bool) -> None:
    """Absurd marks get a sentence, not an empty clip."""
    with pytest.raises(InvalidInput):
        media.clip(MemoryFilm(films.phone_film()), start_s, end_s, Sink().write, exact=exact)


def test_a_re_encoded_clip_too_short_for_a_picture_is_refused() -> None:
    """Between two pictures there is nothing to cut."""
    with pytest.raises(InvalidInput) as refused:
        media.clip(MemoryFilm(films.phone_film()), 1.001, 1.03, Sink().write, exact=True)
    assert refused.value.details["reason"] == "clip_empty"


def test_a_twenty_second_film_is_cut_in_the_middle() -> None:
    """Seeking must find its way in a film with few key frames."""
    film = make_sample_film(20, (192, 108), "mp4", PHONE_METADATA, Style(key_frame_every_s=4.0))
    sink = Sink()
    made = media.clip(MemoryFilm(film), 13.2, 15.0, sink.write)
    assert made.starts_at_s == 12.0
    assert films.close_to(films.corner_colours(sink.content)[0], background(12))
    still = Image.open(io.BytesIO(media.still(MemoryFilm(film), 15.5)))
    assert films.close_to(still.getpixel((4, 4)), background(15))

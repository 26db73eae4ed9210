"""A remuxed film is the same picture and sound, without its metadata, index first."""

import io

import av
import pytest

from consent_service import media
from consent_service.errors import NotAFilm
from tests.support import films
from tests.support.films import MemoryFilm, Sink

SECRETS = (b"51.5007", b"Sample Cameras", b"Pocket One", b"2026-01-02", b"Sample title")


def remuxed(content: bytes) -> tuple[media.Remuxed, bytes]:
    sink = Sink()
    made = media.remux(MemoryFilm(content), sink.write)
    return made, sink.content


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_the_packets_are_those_of_the_upload(container: str) -> None:
    """What the parent agreed to keep is the film itself: not one bit of picture or sound moves."""
    upload = films.phone_film(container)
    made, served = remuxed(upload)
    assert made.packets_sha256 == media.packet_digest(MemoryFilm(upload))
    assert made.packets_sha256 == media.packet_digest(MemoryFilm(served))
    assert films.times(served) == films.times(upload)
    assert made.size == len(served)


def test_the_packet_digest_notices_one_changed_bit() -> None:
    """A digest that never differs would prove nothing."""
    upload = films.phone_film()
    changed = bytearray(upload)
    changed[upload.index(b"mdat") + 3000] ^= 1
    assert media.packet_digest(MemoryFilm(bytes(changed))) != media.packet_digest(
        MemoryFilm(upload)
    )


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_position_make_model_and_date_are_gone(container: str) -> None:
    """A telephone writes a family's address into its films."""
    upload = films.phone_film(container)
    assert all(secret in upload for secret in SECRETS[:3])
    made, served = remuxed(upload)
    assert {"location", "make", "model"} <= {key.lower() for key in made.probe.metadata_keys}
    assert not [secret for secret in SECRETS if secret in served]
    left = {key.lower() for key in media.probe(MemoryFilm(served)).metadata_keys}
    assert not left & {"location", "make", "model", "creation_time", "title"}


def test_chapters_and_position_tracks_are_gone() -> None:
    """Cameras hide positions and names in streams that no player shows."""
    upload = films.film_with_baggage()
    assert films.CHAPTER_TITLE in upload
    assert films.POSITION in upload
    _, served = remuxed(upload)
    assert films.CHAPTER_TITLE not in served
    assert films.POSITION not in served
    with av.open(io.BytesIO(served)) as film:
        assert [stream.type for stream in film.streams] == ["video"]
        assert film.chapters() == []


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_the_rotation_is_kept(rotation: int) -> None:
    """A film that was upright on the telephone is upright in the review."""
    made, served = remuxed(films.phone_film("mp4", rotation))
    assert made.probe.rotation == rotation
    assert media.probe(MemoryFilm(served)).rotation == rotation


def test_the_rotation_of_a_webm_is_kept() -> None:
    """WebM stores rotation in another way; it must not get lost either."""
    _, served = remuxed(films.phone_film("webm", 90))
    assert media.probe(MemoryFilm(served)).shown_size == (180, 320)


@pytest.mark.parametrize("make", [films.phone_film, lambda: films.recorder_film("mp4")])
def test_the_index_of_an_mp4_stands_first(make) -> None:  # type: ignore[no-untyped-def]
    """A player starts at once only if it need not fetch the end of the film first."""
    _, served = remuxed(make())
    order = films.boxes(served)
    assert order[0] == "ftyp"
    assert order.index("moov") < order.index("mdat")
    assert "moof" not in order


@pytest.mark.parametrize("make", [films.recorder_film, lambda: films.phone_film("webm")])
def test_the_cues_of_a_webm_stand_before_its_clusters(make) -> None:  # type: ignore[no-untyped-def]
    """Without cues at the front a browser cannot seek in the film."""
    _, served = remuxed(make())
    order = films.segment_elements(served)
    assert order[0] == "Cues"
    assert set(order[1:]) == {"Cluster"}


def test_a_raw_recording_gets_the_duration_it_lacks() -> None:
    """Browsers' recorders write none: players then show no length and cannot seek."""
    upload = films.recorder_film("webm")
    with av.open(io.BytesIO(upload)) as film:
        assert film.duration is None
    assert "Cues" not in films.segment_elements(upload)
    made, served = remuxed(upload)
    with av.open(io.BytesIO(served)) as film:
        assert film.duration == pytest.approx(3_000_000, abs=50_000)
    assert made.probe.duration_s == pytest.approx(3.0, abs=0.05)


def test_the_hidden_end_of_a_trimmed_film_is_not_kept() -> None:
    """What a parent trimmed off on the telephone was not given to us; it must not come back."""
    made, served = remuxed(films.with_edit_list_ending_at(films.phone_film(), 1))
    assert made.probe.duration_s < 1.5
    assert len(films.times(served)["video"]) < 40 < len(films.times(films.phone_film())["video"])


def test_a_film_without_sound_comes_through() -> None:
    """Some cameras have no microphone."""
    made, served = remuxed(films.heavy_film())
    assert made.probe.audio_codec is None
    assert made.packets_sha256 == media.packet_digest(MemoryFilm(served))


def test_apple_hevc_keeps_the_tag_that_safari_needs() -> None:
    """Under another tag the family's own telephone could not play the film."""
    source = films.film_coded_as("libx265", "mp4")
    _, served = remuxed(source.replace(b"hev1", b"hvc1"))
    assert b"hvc1" in served


def test_the_same_upload_gives_the_same_bytes() -> None:
    """Nothing random and no date is written, so a film can be checked by making it again."""
    upload = films.phone_film("webm")
    assert remuxed(upload)[1] == remuxed(upload)[1]


def test_blocks_stay_small_and_come_in_order() -> None:
    """The output is encrypted as it comes: the parent must never need to hold the film."""
    upload = MemoryFilm(films.heavy_film())
    assert upload.size > 4 * media.MAX_BLOCK
    sink = Sink()
    made = media.remux(upload, sink.write)
    assert max(map(len, sink.blocks)) <= media.MAX_BLOCK
    assert made.size == sum(map(len, sink.blocks))
    assert media.packet_digest(sink.film()) == made.packets_sha256


@pytest.mark.parametrize("keep", [0.35, 0.7, 0.97])
def test_a_cut_off_mp4_with_its_index_first_is_refused(keep: float) -> None:
    """Half a film that passes for a whole one would be a silent loss."""
    _, whole = remuxed(films.phone_film())
    with pytest.raises(NotAFilm) as refused:
        remuxed(whole[: int(len(whole) * keep)])
    assert refused.value.details["reason"] in ("cut_short", "unreadable")


def test_an_mp4_cut_off_between_two_pictures_is_refused() -> None:
    """Nothing in such a film looks damaged; only its index knows that more should follow."""
    _, whole = remuxed(films.phone_film())
    with av.open(io.BytesIO(whole)) as film:
        places = sorted(packet.pos for packet in film.demux() if packet.pos and packet.size)
    with pytest.raises(NotAFilm) as refused:
        remuxed(whole[: places[len(places) // 2]])
    assert refused.value.details["reason"] == "cut_short"


def test_a_webm_that_ends_before_its_declared_end_is_refused() -> None:
    """This one was whole once: its header says how long it was."""
    _, whole = remuxed(films.phone_film("webm"))
    with pytest.raises(NotAFilm) as refused:
        remuxed(whole[: len(whole) // 2])
    assert refused.value.details["reason"] == "cut_short"


def test_a_cut_off_recording_is_kept_as_far_as_it_goes() -> None:
    """When a tablet's battery dies, what was recorded until then is all there is."""
    upload = films.recorder_film("webm")
    made, served = remuxed(upload[: len(upload) * 2 // 3])
    assert 1.0 < made.probe.duration_s < 2.9
    assert made.packets_sha256 == media.packet_digest(MemoryFilm(served))

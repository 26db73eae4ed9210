"""Two minutes of 1080p, and half an hour, from the upload to the screen.

Films of some seconds fit into one piece of the container and into any buffer of a browser; these
do not, so seeking must really ask for ranges of what is encrypted.
"""

import hashlib
import io
from dataclasses import dataclass
from fractions import Fraction

import av
import pytest
from playwright.sync_api import Page

from consent_service.domain.assets import AssetState
from consent_service.media.sample import PHONE_METADATA
from consent_service.services import assets
from consent_service.services.recordings import ReserveFilm, reserve, store
from tests.journeys.conftest import SignedIn
from tests.support.browser import WIDTHS
from tests.support.clinic import Clinic, Family
from tests.support.served import Served

pytestmark = pytest.mark.browser

CODECS = {"mp4": ("libx264", "aac"), "webm": ("libvpx", "libopus")}
HASTE = {
    "libx264": {"preset": "ultrafast", "crf": "40", "g": "4"},
    "libvpx": {"deadline": "realtime", "cpu-used": "16", "g": "4", "crf": "50"},
    "aac": {"aac_coder": "fast"},
    "libopus": {"compression_level": "0"},
}


@dataclass(frozen=True)
class Shape:
    """How long a film is in seconds, how large, and how many samples of sound a second has."""

    seconds: int = 120
    size: tuple[int, int] = (1920, 1080)
    fps: int = 2
    rate: int = 48_000
    container: str = "mp4"


HALF_AN_HOUR = Shape(30 * 60, (160, 90), rate=16_000)
SECRETS = [PHONE_METADATA[key].encode() for key in ("location", "make", "model")]
PLAYS = """(film) => new Promise((done) => {
  film.muted = true;
  film.ontimeupdate = () => { if (film.currentTime > 0.3) { film.pause(); done(film.currentTime); } };
  film.play();
})"""
SEEN_AT = """([film, to]) => new Promise((done) => {
  film.onseeked = () => requestAnimationFrame(() => {
    const canvas = document.createElement("canvas");
    canvas.width = 16; canvas.height = 9;
    const drawing = canvas.getContext("2d");
    drawing.drawImage(film, 0, 0, 16, 9);
    done([...drawing.getImageData(0, 0, 1, 1).data].slice(0, 3));
  });
  film.currentTime = to;
})"""
READY = """(film) => film.readyState >= 3 ? film.duration : new Promise((done) => {
  film.oncanplay = () => done(film.duration);
})"""
HEARD = "(film) => film.webkitAudioDecodedByteCount"


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_two_minutes_in_full_size_play_and_are_what_was_sent(
    service: Served, signed_in: SignedIn, container: str
) -> None:
    """It plays, seeks forward and back, and nothing of it changed but what gave the place away."""
    sent = _made(Shape(container=container))
    assert all(secret in sent for secret in SECRETS), "the film to send must carry what shall go"
    clinic, family = _agreed(service)
    wanted = ReserveFilm(family.involvement, family.everyone, clinic.today, title="Two minutes")
    film = reserve(service.ctx, clinic.guider, wanted)
    page = signed_in("guider", WIDTHS["desktop"])
    page.goto(f"{service.url}/films/{film.id}/upload?how=file")
    page.get_by_label("Film from this device").set_input_files(
        {"name": f"film.{container}", "mimeType": f"video/{container}", "buffer": sent}
    )
    before = set(service.ctx.blobs.list())
    page.get_by_role("button", name="Send the film").click()
    page.get_by_role("button", name="Watch the film").click(timeout=60_000)
    page.get_by_role("heading", name="Two minutes", exact=True).wait_for()

    _plays_and_seeks(page, 120, (90, 10))
    kept = _bytes_of(page)
    assert _packets(kept) == _packets(sent)
    assert not any(secret in kept for secret in SECRETS)
    stored = assets.asset(service.ctx, clinic.guider, film.id)
    assert stored.state is AssetState.STORED
    assert stored.sha256 == hashlib.sha256(kept).hexdigest()
    assert stored.received_sha256 == hashlib.sha256(sent).hexdigest()
    new = [name for name in set(service.ctx.blobs.list()) - before if not name.endswith(".json")]
    assert len(new) == 1, "what was received is erased once the film to keep stands"


def test_half_an_hour_is_kept_whole_and_seeks_to_its_middle_and_end(
    service: Served, signed_in: SignedIn
) -> None:
    """The longest that is filmed in a home: nobody plays it through to find a moment."""
    clinic, family = _agreed(service)
    wanted = ReserveFilm(
        family.involvement,
        family.everyone,
        clinic.today,
        title="Half an hour",
        reason_for_length="A whole meal, as agreed.",
    )
    stored = store(service.ctx, clinic.guider, wanted, [_made(HALF_AN_HOUR)])
    assert stored.duration_ms is not None
    assert abs(stored.duration_ms - HALF_AN_HOUR.seconds * 1000) < 1000

    page = signed_in("guider", WIDTHS["desktop"])
    page.goto(f"{service.url}/films/{stored.id}")
    _plays_and_seeks(page, HALF_AN_HOUR.seconds, (901, HALF_AN_HOUR.seconds - 2))

    whole = clinic.watches(stored.id)
    middle = len(whole) // 2
    for first, last in ((0, 0), (middle, middle + 70_000), (len(whole) - 1, len(whole) - 1)):
        answer = page.request.get(_address(page), headers={"Range": f"bytes={first}-{last}"})
        assert answer.status == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"
        assert answer.body() == whole[first : last + 1]


def _agreed(service: Served) -> tuple[Clinic, Family]:
    """A clinic over the service, and a family in which everybody said yes."""
    clinic = Clinic(service.ctx, service.ctx.clock, service.team)  # type: ignore[arg-type]
    clinic.guider, clinic.ig = service.caller("guider"), service.caller("ig")
    family = clinic.family()
    for person in (family.mother, family.father):
        clinic.captures(family, person, clinic.answers(family, person))
    return clinic, family


def _plays_and_seeks(page: Page, seconds: int, moments: tuple[int, int]) -> None:
    film = page.locator("video")
    assert abs(film.evaluate(READY) - seconds) < 1
    assert film.evaluate(PLAYS) > 0.3
    assert film.evaluate(HEARD) > 0, "the film has sound"
    handle = film.element_handle()
    for second in moments:
        seen = page.evaluate(SEEN_AT, [handle, second + 0.3])
        wanted = _grey(second)
        assert all(abs(part - wanted) < 20 for part in seen), f"another moment than {second} s"


def _bytes_of(page: Page) -> bytes:
    """The film in two ranges, as a player asks for it after seeking."""
    parts = []
    for asked in ("bytes=0-99999", "bytes=100000-"):
        answer = page.request.get(_address(page), headers={"Range": asked})
        assert answer.status == 206
        parts.append(answer.body())
    return b"".join(parts)


def _address(page: Page) -> str:
    return str(page.locator("video").evaluate("(film) => new URL(film.currentSrc).href"))


def _packets(content: bytes) -> dict[str, list[tuple[Fraction, bytes]]]:
    """When each packet is shown, and a digest of its bytes, for each kind of stream."""
    found: dict[str, list[tuple[Fraction, bytes]]] = {"video": [], "audio": []}
    with av.open(io.BytesIO(content), "r") as film:
        for packet in film.demux(film.streams.video[0], film.streams.audio[0]):
            if packet.pts is not None:
                base = packet.time_base
                at = packet.pts * Fraction(base.numerator, base.denominator)
                found[packet.stream.type].append((at, hashlib.sha256(bytes(packet)).digest()))
    return found


def _grey(second: int) -> int:
    """How bright (0 to 255) the picture is in that second."""
    return 40 + (second * 37) % 180


def _made(shape: Shape) -> bytes:
    """A film whose brightness tells the second, with a bar that moves, and sound."""
    film = io.BytesIO()
    flags = {"movflags": "use_metadata_tags"} if shape.container == "mp4" else {}
    with av.open(film, "w", format=shape.container, container_options=flags) as output:
        output.metadata.update(PHONE_METADATA)
        codec, sound_codec = CODECS[shape.container]
        picture = output.add_stream(codec, rate=shape.fps, options=HASTE[codec])
        assert isinstance(picture, av.VideoStream)
        (picture.width, picture.height), picture.pix_fmt = shape.size, "yuv420p"
        sound = output.add_stream(
            sound_codec, rate=shape.rate, layout="mono", options=HASTE[sound_codec]
        )
        assert isinstance(sound, av.AudioStream)
        for second in range(shape.seconds):
            for number in range(second * shape.fps, (second + 1) * shape.fps):
                output.mux(picture.encode(_picture(shape, second, number)))
            output.mux(sound.encode(_sound(shape.rate, second)))
        output.mux(picture.encode())
        output.mux(sound.encode())
    return film.getvalue()


def _picture(shape: Shape, second: int, number: int) -> av.VideoFrame:
    width, height = shape.size
    frame = av.VideoFrame(width, height, "yuv420p")
    luma, *colours = frame.planes
    # Coded brightness goes from 16 to 235.
    row = bytes([16 + _grey(second) * 219 // 255]) * luma.line_size
    bar = b"\xeb" * (width // 10 + number % 50 * (width // 96))
    marked = row[: width // 5] + bar + row[width // 5 + len(bar) :]
    above, thick = height * 46 // 100, height // 14
    luma.update(row * above + marked * thick + row * (height - above - thick))
    for plane in colours:
        plane.update(b"\x80" * plane.buffer_size)
    frame.pts, frame.time_base = number, Fraction(1, shape.fps)
    return frame


def _sound(rate: int, second: int) -> av.AudioFrame:
    frame = av.AudioFrame(format="s16", layout="mono", samples=rate)
    period = 100 + second % 3 * 50
    wave = (b"\x00\x10" * period + b"\x00\xf0" * period) * (rate // period)
    frame.planes[0].update(wave[: 2 * rate])
    frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
    frame.pts = second * rate
    return frame

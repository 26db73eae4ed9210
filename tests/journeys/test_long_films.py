"""Two minutes of 1080p, as a telephone or a browser makes them, from the upload to the screen.

Films of some seconds fit into one piece of the container and into any buffer of a browser; these
do not, so seeking must really ask for ranges of what is encrypted.
"""

import hashlib
import io
from fractions import Fraction

import av
import pytest
from playwright.sync_api import Page

from consent_service.domain.assets import AssetState
from consent_service.media.sample import PHONE_METADATA
from consent_service.services import assets
from consent_service.services.recordings import ReserveFilm, reserve
from tests.journeys.conftest import SignedIn
from tests.support.browser import WIDTHS
from tests.support.clinic import Clinic
from tests.support.served import Served

pytestmark = pytest.mark.browser

SECONDS, FPS, SIZE = 120, 2, (1920, 1080)
CODECS = {"mp4": ("libx264", "aac"), "webm": ("libvpx", "libopus")}
HASTE = {
    "libx264": {"preset": "ultrafast", "crf": "40", "g": "4"},
    "libvpx": {"deadline": "realtime", "cpu-used": "16", "g": "4", "crf": "50"},
}
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
    sent = _two_minutes(container)
    assert all(secret in sent for secret in SECRETS), "the film to send must carry what shall go"
    clinic = Clinic(service.ctx, service.ctx.clock, service.team)  # type: ignore[arg-type]
    clinic.guider, clinic.ig = service.caller("guider"), service.caller("ig")
    family = clinic.family()
    for person in (family.mother, family.father):
        clinic.captures(family, person, clinic.answers(family, person))
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

    _plays_and_seeks(page)
    kept = _bytes_of(page)
    assert _packets(kept) == _packets(sent)
    assert not any(secret in kept for secret in SECRETS)
    stored = assets.asset(service.ctx, clinic.guider, film.id)
    assert stored.state is AssetState.STORED
    assert stored.sha256 == hashlib.sha256(kept).hexdigest()
    assert stored.received_sha256 == hashlib.sha256(sent).hexdigest()
    new = [name for name in set(service.ctx.blobs.list()) - before if not name.endswith(".json")]
    assert len(new) == 1, "what was received is erased once the film to keep stands"


def _plays_and_seeks(page: Page) -> None:
    film = page.locator("video")
    assert abs(film.evaluate(READY) - SECONDS) < 1
    assert film.evaluate(PLAYS) > 0.3
    assert film.evaluate(HEARD) > 0, "the film has sound"
    handle = film.element_handle()
    late = page.evaluate(SEEN_AT, [handle, 90.3])
    early = page.evaluate(SEEN_AT, [handle, 10.3])
    for second, seen in ((90, late), (10, early)):
        wanted = _grey(second)
        assert all(abs(part - wanted) < 20 for part in seen), f"another moment than {second} s"


def _bytes_of(page: Page) -> bytes:
    """The film in two ranges, as a player asks for it after seeking."""
    address = page.locator("video").evaluate("(film) => new URL(film.currentSrc).href")
    parts = []
    for asked in ("bytes=0-99999", "bytes=100000-"):
        answer = page.request.get(address, headers={"Range": asked})
        assert answer.status == 206
        parts.append(answer.body())
    return b"".join(parts)


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


def _two_minutes(container: str) -> bytes:
    """A film whose brightness tells the second, with a bar that moves, and sound."""
    film = io.BytesIO()
    flags = {"movflags": "use_metadata_tags"} if container == "mp4" else {}
    with av.open(film, "w", format=container, container_options=flags) as output:
        output.metadata.update(PHONE_METADATA)
        codec, sound_codec = CODECS[container]
        picture = output.add_stream(codec, rate=FPS, options=HASTE[codec])
        assert isinstance(picture, av.VideoStream)
        (picture.width, picture.height), picture.pix_fmt = SIZE, "yuv420p"
        sound = output.add_stream(sound_codec, rate=48_000, layout="mono")
        assert isinstance(sound, av.AudioStream)
        for second in range(SECONDS):
            for number in range(second * FPS, (second + 1) * FPS):
                output.mux(picture.encode(_picture(second, number)))
            output.mux(sound.encode(_sound(second)))
        output.mux(picture.encode())
        output.mux(sound.encode())
    return film.getvalue()


def _picture(second: int, number: int) -> av.VideoFrame:
    frame = av.VideoFrame(*SIZE, "yuv420p")
    luma, *colours = frame.planes
    # Coded brightness goes from 16 to 235.
    row = bytes([16 + _grey(second) * 219 // 255]) * luma.line_size
    bar = b"\xeb" * (200 + number % 50 * 20)
    marked = row[:400] + bar + row[400 + len(bar) :]
    luma.update(row * 500 + marked * 80 + row * (SIZE[1] - 580))
    for plane in colours:
        plane.update(b"\x80" * plane.buffer_size)
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


def _sound(second: int) -> av.AudioFrame:
    frame = av.AudioFrame(format="s16", layout="mono", samples=48_000)
    period = 100 + second % 3 * 50
    wave = (b"\x00\x10" * period + b"\x00\xf0" * period) * (48_000 // period)
    frame.planes[0].update(wave[: 2 * 48_000])
    frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
    frame.pts = second * 48_000
    return frame

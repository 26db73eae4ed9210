"""Makes a real film of nobody: moving picture and sound, for the demonstration and for tests.

A large and a small circle (a parent and a baby, if you like) move towards each other while the
background's colour steps once a second, so that a still tells the second it was taken in. The
film exists in memory only.
"""

import colorsys
import io
import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image, ImageDraw

_FPS = 25
_SOUND_RATE = 48_000
_SOUND_PIECE = 960
_TONES_HZ = (220, 275, 330, 275)
_CODECS = {"mp4": ("libx264", "aac"), "webm": ("libvpx-vp9", "libopus")}
_OPTIONS = {
    "libx264": {"preset": "veryfast", "crf": "26", "sc_threshold": "0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "0", "crf": "36"},
}
_RECORDER = {
    "mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof"},
    "webm": {"live": "1"},
}
PHONE_METADATA = {
    "location": "+51.5007-000.1246/",
    "make": "Sample Cameras",
    "model": "Pocket One",
    "creation_time": "2026-01-02T03:04:05.000000Z",
    "title": "Sample title",
}
"""What a telephone writes into a film, for films that shall lose it again."""


@dataclass(frozen=True)
class Style:
    """Details that only some films need.

    `rotation` turns the picture on show by so many degrees clockwise. `as_recorder` writes like
    a browser's recorder: no duration and no index.
    """

    rotation: int = 0
    as_recorder: bool = False
    sound: bool = True
    key_frame_every_s: float = 1.0


def make_sample_film(
    seconds: float = 4.0,
    size: tuple[int, int] = (320, 180),
    container: str = "mp4",
    metadata: Mapping[str, str] | None = None,
    style: Style | None = None,
) -> bytes:
    """Return a film of `seconds` and `size` (even numbers of pixels) as MP4 or WebM bytes."""
    style = style or Style()
    film = io.BytesIO()
    with av.open(
        film, "w", format=container, container_options=_muxing(container, style)
    ) as output:
        output.metadata.update(metadata or {})
        picture = _picture_stream(output, size, container, style)
        sound = _sound_stream(output, container) if style.sound else None
        for second in range(math.ceil(seconds)):
            length = min(1.0, seconds - second)
            for frame in _pictures(size, second, length):
                output.mux(picture.encode(frame))
            if sound is not None:
                for piece in _sounds(second, length):
                    output.mux(sound.encode(piece))
        output.mux(picture.encode())
        if sound is not None:
            output.mux(sound.encode())
    return film.getvalue()


def background(second: int) -> tuple[int, int, int]:
    """Return the RGB colour behind everything during that second."""
    red, green, blue = colorsys.hsv_to_rgb((second * 0.15) % 1.0, 0.55, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def _muxing(container: str, style: Style) -> dict[str, str]:
    if style.as_recorder:
        return _RECORDER[container]
    return {"movflags": "use_metadata_tags"} if container == "mp4" else {}


def _picture_stream(
    output: OutputContainer, size: tuple[int, int], container: str, style: Style
) -> VideoStream:
    codec = _CODECS[container][0]
    gop = {"g": str(max(1, round(style.key_frame_every_s * _FPS)))}
    stream = output.add_stream(codec, rate=_FPS, options=_OPTIONS[codec] | gop)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    if style.rotation:
        stream.set_display_rotation(-style.rotation)
    return stream


def _sound_stream(output: OutputContainer, container: str) -> AudioStream:
    stream = output.add_stream(_CODECS[container][1], rate=_SOUND_RATE, layout="mono")
    assert isinstance(stream, AudioStream)
    return stream


def _pictures(size: tuple[int, int], second: int, length: float) -> Iterator[VideoFrame]:
    canvas = Image.new("RGB", size, background(second))
    for number in range(round(length * _FPS)):
        picture = canvas.copy()
        _draw(ImageDraw.Draw(picture), size, (second * _FPS + number) / _FPS)
        frame: VideoFrame = VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
        frame.pts = second * _FPS + number
        frame.time_base = Fraction(1, _FPS)
        yield frame


def _draw(draw: ImageDraw.ImageDraw, size: tuple[int, int], moment: float) -> None:
    width, height = size
    nearness = (1 - math.cos(moment * 0.8)) / 2
    for radius, home, towards, colour in (
        (height * 0.24, 0.20, 0.22, (250, 238, 214)),
        (height * 0.14, 0.80, -0.16, (255, 214, 170)),
    ):
        x = width * (home + towards * nearness)
        y = height * (0.58 + 0.05 * math.sin(moment * 3 + home))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        draw.arc(
            (x - radius / 2, y - radius / 3, x + radius / 2, y + radius / 2),
            20,
            160,
            (90, 60, 50),
            2,
        )


def _sounds(second: int, length: float) -> Iterator[AudioFrame]:
    tone = _TONES_HZ[second % len(_TONES_HZ)]
    samples = array(
        "h",
        (
            round(6000 * math.sin(2 * math.pi * tone * n / _SOUND_RATE))
            for n in range(round(length * _SOUND_RATE))
        ),
    )
    for start in range(0, len(samples), _SOUND_PIECE):
        piece = samples[start : start + _SOUND_PIECE]
        frame = AudioFrame(format="s16", layout="mono", samples=len(piece))
        frame.planes[0].update(piece.tobytes())
        frame.sample_rate = _SOUND_RATE
        frame.pts = second * _SOUND_RATE + start
        frame.time_base = Fraction(1, _SOUND_RATE)
        yield frame

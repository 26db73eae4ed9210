"""Films for tests, sources to read them from, and small parsers of what came out.

The parsers know nothing of the code under test: they read boxes (ISO/IEC 14496-12) and EBML
elements (RFC 8794) as the formats define them.
"""

import functools
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from PIL import Image

from consent_service.media import MAX_BLOCK
from consent_service.media.sample import PHONE_METADATA, Style, make_sample_film

CHAPTER_TITLE = b"Secret chapter"
POSITION = b"Secret position"
_SEGMENT, _CLUSTER, _CUES = 0x18538067, 0x1F43B675, 0x1C53BB6B
_TOP_NAMES = {_CLUSTER: "Cluster", _CUES: "Cues"}


@dataclass
class MemoryFilm:
    """A film source that notes what is asked of it and keeps to the port's promises."""

    content: bytes
    reads: list[tuple[int, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.content)

    def read_at(self, offset: int, length: int) -> bytes:
        assert offset >= 0 and offset + length <= self.size and 0 < length <= MAX_BLOCK
        self.reads.append((offset, length))
        return self.content[offset : offset + length]


@dataclass
class Sink:
    """Takes output blocks in order, copying each as the port demands."""

    blocks: list[bytes] = field(default_factory=list)

    def write(self, block: memoryview) -> None:
        self.blocks.append(bytes(block))

    @property
    def content(self) -> bytes:
        return b"".join(self.blocks)

    def film(self) -> MemoryFilm:
        return MemoryFilm(self.content)


@functools.cache
def phone_film(container: str = "mp4", rotation: int = 90) -> bytes:
    """Three seconds from a telephone held upright: position, make, model and date inside."""
    return make_sample_film(3, (320, 180), container, PHONE_METADATA, Style(rotation=rotation))


@functools.cache
def recorder_film(container: str = "webm") -> bytes:
    """Three seconds as a browser's recorder writes them: no duration, no index."""
    return make_sample_film(3, container=container, style=Style(as_recorder=True))


@functools.cache
def film_with_baggage() -> bytes:
    """A film with a chapter and, like some cameras', a data stream of positions."""
    source, target = io.BytesIO(phone_film()), io.BytesIO()
    with av.open(source, "r") as film, av.open(target, "w", format="mp4") as output:
        picture = output.add_stream_from_template(film.streams.video[0])
        positions = output.add_data_stream("bin_data")
        second = Fraction(1, 1000)
        output.set_chapters(
            [
                {
                    "id": 1,
                    "start": 0,
                    "end": 900,
                    "time_base": second,
                    "metadata": {"title": CHAPTER_TITLE.decode()},
                }
            ]
        )
        for packet in film.demux(film.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                output.mux(packet)
        position: Any = av.Packet(POSITION)
        position.stream, position.pts, position.dts = positions, 0, 0
        position.time_base = second
        output.mux(position)
    return target.getvalue()


@functools.cache
def heavy_film() -> bytes:
    """A few megabytes of noise: more film than fits in a handful of blocks."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as output:
        stream = output.add_stream(
            "libx264", rate=25, options={"preset": "ultrafast", "crf": "4", "g": "25"}
        )
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number in range(50):
            noise = Image.effect_noise((640, 360), 90).convert("RGB")
            frame = av.VideoFrame.from_image(noise)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return target.getvalue()


def film_coded_as(
    codec: str, container: str, size: tuple[int, int] = (320, 180), every_s: float = 0.04
) -> bytes:
    """Twenty-five pictures in a codec, a size or a rhythm that the service need not take."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        hasty = {"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx" else {}
        stream = output.add_stream(codec, rate=25, options=hasty)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(25):
            frame = av.VideoFrame(*size, "yuv420p")
            frame.pts, frame.time_base = round(number * every_s * 25), Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return target.getvalue()


def sound_only() -> bytes:
    """The sound of a film without its picture."""
    source, target = io.BytesIO(phone_film()), io.BytesIO()
    with av.open(source, "r") as film, av.open(target, "w", format="mp4") as output:
        sound = output.add_stream_from_template(film.streams.audio[0])
        for packet in film.demux(film.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = sound
                output.mux(packet)
    return target.getvalue()


def times(content: bytes) -> dict[str, list[Fraction]]:
    """When each packet of a film is shown, in seconds, per kind of stream."""
    found: dict[str, list[Fraction]] = {"video": [], "audio": []}
    with av.open(io.BytesIO(content), "r") as film:
        for packet in film.demux(film.streams.video[0], *film.streams.audio[:1]):
            if packet.pts is not None:
                base = packet.time_base
                seconds = packet.pts * Fraction(base.numerator, base.denominator)
                found[packet.stream.type].append(seconds)
    return found


def corner_colours(content: bytes) -> list[tuple[int, ...]]:
    """The colour in the corner of every picture of a film, in order of showing."""
    with av.open(io.BytesIO(content), "r") as film:
        return [frame.to_image().getpixel((4, 4)) for frame in film.decode(video=0)]


def close_to(colour: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two colours are the same but for what coding does to them."""
    return all(abs(a - b) < 12 for a, b in zip(colour, other, strict=True))


def boxes(content: bytes) -> list[str]:
    """The names of an MP4's top-level boxes, in order."""
    return [name for name, _, _ in _boxes(content)]


def _boxes(content: bytes) -> Iterator[tuple[str, int, int]]:
    at = 0
    while at < len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, at + 8)
        assert size >= 8, "a box without an end"
        yield name.decode("ascii"), at, size
        at += size


def with_edit_list_ending_at(content: bytes, seconds: int) -> bytes:
    """A film of which a telephone shows only the beginning, the rest being hidden, not gone."""
    trimmed = bytearray(content)
    (ticks,) = struct.unpack_from(">I", content, content.index(b"mvhd") + 16)
    at = trimmed.find(b"elst")
    while at >= 0:
        struct.pack_into(">I", trimmed, at + 12, seconds * ticks)
        at = trimmed.find(b"elst", at + 4)
    return bytes(trimmed)


def segment_elements(content: bytes) -> list[str]:
    """The names of clusters and cues inside a WebM's segment, in order."""
    at = 0
    while True:
        element, at, size = _element(content, at)
        if element == _SEGMENT:
            break
        at += size
    found = []
    while at < len(content):
        element, at, size = _element(content, at)
        if element in _TOP_NAMES:
            found.append(_TOP_NAMES[element])
        at += size
    return found


def _element(content: bytes, at: int) -> tuple[int, int, int]:
    id_length = 9 - content[at].bit_length()
    element = int.from_bytes(content[at : at + id_length], "big")
    at += id_length
    size_length = 9 - content[at].bit_length()
    size = int.from_bytes(content[at : at + size_length], "big") & ((1 << 7 * size_length) - 1)
    return element, at + size_length, size

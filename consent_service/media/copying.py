"""Copies a film, or the part from a key frame on, packet by packet into a new one.

Rules kept: only the picture and one sound stream are copied, so chapters, data streams (a
camera's position track), attachments and metadata stay behind; rotation is kept; not one bit of
a copied packet changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.container import OutputContainer
from av.packet import Packet

from consent_service.media.mux import Emit, mux_twice
from consent_service.media.packets import Tally, exact, moment
from consent_service.media.reading import OpenFilm, RemoteFilm, check_complete, open_film
from consent_service.media.refusal import FilmRefused

_BYTES_PER_PACKET = 32
_BYTES_PER_KEY_FRAME = 32
_KEY_FRAMES_PER_MB = 8
_PACKETS_PER_S = 200
_APPLE_HEVC = "hvc1"
"""Safari plays HEVC under this tag only, and the muxer would choose another."""
_INTERLEAVING_S = 10


@dataclass(frozen=True)
class Span:
    """From `start` (included) to `end` (not included), in seconds of the source."""

    start: Fraction
    end: Fraction

    def holds(self, begin: Fraction, length: Fraction = Fraction(0)) -> bool:
        """Whether something that begins at `begin` and lasts `length` lies wholly inside."""
        return self.start <= begin < self.end and begin + length <= self.end

    def is_far_behind(self, now: Fraction | None) -> bool:
        """Whether reading on is useless: no film interleaves its streams that coarsely."""
        return now is not None and now > self.end + _INTERLEAVING_S


def copy_whole(film: RemoteFilm, emit: Emit) -> tuple[Tally, int]:
    """Copy every kept packet; return their tally and the new film's size in bytes."""
    tallies: list[Tally] = []

    def feed(output: OutputContainer) -> None:
        tallies.append(Tally())
        with open_film(film) as opened:
            targets = streams_like(opened, output)
            for packet in opened.packets():
                tallies[-1].note(packet)
                packet.stream = targets[packet.stream.index]
                output.mux(packet)
            check_complete(opened, film.size, tallies[-1])

    with open_film(film) as opened:
        container, room = opened.container, _index_room(opened, film.size)
    size = mux_twice(container, feed, emit, room)
    return tallies[-1], size


def copy_clip(film: RemoteFilm, wanted: Span, emit: Emit) -> tuple[Span, int]:
    """Copy from the key frame at or before `wanted` to its end; return what was taken and size.

    What was taken may end a few pictures late: those that pictures before the end are built on.
    """
    taken = Span(_key_frame_before(film, wanted.start), wanted.end)
    copied = Tally()

    def feed(output: OutputContainer) -> None:
        with open_film(film) as opened:
            targets = streams_like(opened, output)
            seek(opened, taken.start)
            for packet in _within(opened, taken):
                copied.note_time(packet)
                _shift(packet, taken.start)
                packet.stream = targets[packet.stream.index]
                output.mux(packet)

    with open_film(film) as opened:
        container = opened.container
    room = int((taken.end - taken.start) * _PACKETS_PER_S) * _BYTES_PER_PACKET
    size = mux_twice(container, feed, emit, room)
    return Span(taken.start, max(taken.start, copied.end_s)), size


def streams_like(opened: OpenFilm, output: OutputContainer) -> dict[int, Any]:
    """Add streams to `output` with the coding (and rotation) of the kept ones, by their index.

    `opaque` takes the coding as it stands, without asking whether we could encode it.
    """
    targets: dict[int, Any] = {}
    for stream in opened.kept:
        target = output.add_stream_from_template(stream, opaque=True)
        if stream.codec_context.codec_tag == _APPLE_HEVC:
            target.codec_context.codec_tag = _APPLE_HEVC
        targets[stream.index] = target
    return targets


def seek(opened: OpenFilm, start: Fraction) -> None:
    """Go to the last key frame at or before `start`."""
    ticks = int(start / exact(opened.video.time_base))
    opened.demuxer.seek(ticks, stream=opened.video, backward=True)


def _index_room(opened: OpenFilm, size: int) -> int:
    """Guess how large the new film's index will be; too small only costs another rehearsal."""
    if opened.container == "webm":
        return (size >> 20) * _KEY_FRAMES_PER_MB * _BYTES_PER_KEY_FRAME
    return sum(stream.frames for stream in opened.kept) * _BYTES_PER_PACKET


def _key_frame_before(film: RemoteFilm, start: Fraction) -> Fraction:
    with open_film(film) as opened:
        seek(opened, start)
        for packet in opened.packets():
            shown = moment(packet)
            if packet.stream.type == "video" and packet.is_keyframe and shown is not None:
                return shown
    raise FilmRefused("no_picture")


def _within(opened: OpenFilm, taken: Span) -> "Iterator[Packet[Any]]":
    """Yield the span's packets.

    A picture decoded before the end but shown after it is kept, since pictures before the end
    may be built on it; pictures shown before the first key frame are not: they cannot be built.
    """
    for packet in opened.packets():
        shown = moment(packet)
        if taken.is_far_behind(shown):
            return
        ticks = packet.pts if packet.dts is None else packet.dts
        decoded = (ticks or 0) * exact(packet.time_base)
        if shown is not None and shown >= taken.start and decoded < taken.end:
            yield packet


def _shift(packet: "Packet[Any]", start: Fraction) -> None:
    """Let the clip's time begin at zero."""
    ticks = round(start / exact(packet.time_base))
    packet.pts = None if packet.pts is None else packet.pts - ticks
    packet.dts = None if packet.dts is None else packet.dts - ticks

"""Opens a film in the child: which container, which codecs, how large, how long, which way up.

Rules kept: the container is told from its first bytes and only that one demuxer is used, so no
playlist or exotic format is ever parsed; codecs, dimensions, rates, durations and stream counts
outside the allowed are refused before anything is decoded at length.
"""

import io
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from consent_service.media import port
from consent_service.media.packets import Tally, exact
from consent_service.media.refusal import FilmRefused

_BLOCK = port.MAX_BLOCK
_CACHED_BLOCKS = 6
_AVIO_BUFFER = 128 * 1024
_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_DEMUXERS = {"mp4": "mov", "webm": "matroska"}
_DECODERS = "h264,hevc,vp8,vp9,av1,libdav1d,aac,opus,libopus,vorbis,mp3float,mp3"
_CODEC_NAMES = {"libdav1d": "av1", "libopus": "opus", "mp3float": "mp3"}
_LENIENT_TEXT: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
"""Metadata in another encoding must not spoil a film; from PyAV 19 on it never does."""
_FEWEST_PICTURES = 2
_SHORTFALL_S = Fraction(1)
_SHORTFALL_SHARE = Fraction(2, 100)


class RemoteFilm(io.RawIOBase):
    """The film as a file for the demuxer; blocks come from the parent and a few are remembered."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self.size = size
        self._fetch = fetch
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, length: int = -1) -> bytes:
        """Return up to `length` bytes, never across a block's edge: the demuxer asks again."""
        if self._at >= self.size or length == 0:
            return b""
        number, within = divmod(self._at, _BLOCK)
        block = self._block(number)
        piece = block[within:] if length < 0 else block[within : within + length]
        self._at += len(piece)
        return piece

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start = number * _BLOCK
        block = self._fetch(start, min(_BLOCK, self.size - start))
        self._blocks[number] = block
        if len(self._blocks) > _CACHED_BLOCKS:
            self._blocks.popitem(last=False)
        return block


@dataclass
class OpenFilm:
    """An open film and the one picture and one sound stream that are kept of it."""

    container: str
    demuxer: InputContainer
    video: VideoStream
    audio: AudioStream | None

    def __enter__(self) -> "OpenFilm":
        return self

    def __exit__(self, *raised: object) -> None:
        self.demuxer.close()

    @property
    def kept(self) -> "list[VideoStream | AudioStream]":
        return [self.video] if self.audio is None else [self.video, self.audio]

    def packets(self) -> "Iterator[Packet[Any]]":
        """Yield the kept streams' packets in file order, refusing one that is cut off.

        Packets that an edit list hides are yielded only if a shown one follows them: it may be
        built on them. So an end that was trimmed off on a telephone is not passed on.
        """
        hidden: dict[int, list[Packet[Any]]] = {stream.index: [] for stream in self.kept}
        for packet in self.demuxer.demux(self.kept):
            if packet.dts is None and packet.pts is None:
                continue
            if packet.is_corrupt:
                raise FilmRefused("cut_short")
            waiting = hidden[packet.stream.index]
            waiting.append(packet)
            if not packet.is_discard:
                yield from waiting
                waiting.clear()


def sniff(film: RemoteFilm) -> str:
    """Return "mp4" or "webm" from the first bytes; anything else is refused."""
    film.seek(0)
    start = film.read(16)
    film.seek(0)
    if start[4:8] == b"ftyp":
        return "mp4"
    if start[:4] == _EBML_MAGIC:
        return "webm"
    raise FilmRefused("container")


def open_film(film: RemoteFilm) -> OpenFilm:
    """Open the film and choose its streams; use it in a `with` statement."""
    container = sniff(film)
    demuxer = av.open(
        film,
        mode="r",
        format=_DEMUXERS[container],
        container_options={"codec_whitelist": _DECODERS, "max_streams": "64"},
        buffer_size=_AVIO_BUFFER,
        **_LENIENT_TEXT,
    )
    try:
        video = _picture(demuxer, container)
        return OpenFilm(container, demuxer, video, _sound(demuxer, container))
    except BaseException:
        demuxer.close()
        raise


def codec_name(stream: VideoStream | AudioStream) -> str:
    """Return the codec's name, whichever library decodes it."""
    name = stream.codec_context.name
    return _CODEC_NAMES.get(name, name)


def _picture(demuxer: InputContainer, container: str) -> VideoStream:
    if len(demuxer.streams) > port.MAX_STREAMS:
        raise FilmRefused("streams")
    moving = [s for s in demuxer.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        raise FilmRefused("no_picture")
    video = moving[0]
    if video.codec_context is None or codec_name(video) not in port.VIDEO_CODECS[container]:
        raise FilmRefused("video_codec")
    _check_size(video.codec_context.width, video.codec_context.height)
    return video


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise FilmRefused("no_picture")
    if max(width, height) > port.MAX_SIDE or width * height > port.MAX_PIXELS:
        raise FilmRefused("dimensions")


def _sound(demuxer: InputContainer, container: str) -> AudioStream | None:
    """Return the first sound stream that we take; a film with only others is refused."""
    for audio in demuxer.streams.audio:
        if audio.codec_context and codec_name(audio) in port.AUDIO_CODECS[container]:
            return audio
    if demuxer.streams.audio:
        raise FilmRefused("audio_codec")
    return None


def tally(film: RemoteFilm) -> Tally:
    """Read every packet once, without decoding."""
    counted = Tally()
    with open_film(film) as opened:
        for packet in opened.packets():
            counted.note(packet)
    return counted


def check_complete(opened: OpenFilm, size: int, seen: Tally) -> None:
    """Refuse a film that was cut off: one that says it holds more than it does.

    An MP4's index says where each packet lies; a WebM with a duration says how long it lasts. A
    raw recording says neither: what can be read of it is kept.
    """
    if seen.counts.get("video", 0) < _FEWEST_PICTURES:
        raise FilmRefused("no_picture")
    if opened.container == "mp4":
        cut = any(_ends(stream) > size for stream in opened.kept)
    else:
        declared = Fraction(opened.demuxer.duration or 0, 1_000_000)
        cut = declared - seen.end_s > max(_SHORTFALL_S, declared * _SHORTFALL_SHARE)
    if cut:
        raise FilmRefused("cut_short")
    if seen.end_s > port.MAX_DURATION_S:
        raise FilmRefused("duration")


def _ends(stream: VideoStream | AudioStream) -> int:
    return max((entry.pos + entry.size for entry in stream.index_entries), default=0)


def probe(film: RemoteFilm) -> port.Probe:
    """Describe the film, decoding one picture to see that it can be and which way up it is.

    A raw recording of a browser has no duration: then all packets are read to find it.
    """
    with open_film(film) as opened:
        keys = _metadata_keys(opened.demuxer)
        duration = (opened.demuxer.duration or 0) / 1_000_000
        fps = float(exact(opened.video.average_rate or opened.video.guessed_rate))
        rotation = _rotation(opened)
        width, height = opened.video.codec_context.width, opened.video.codec_context.height
        codecs = [codec_name(stream) for stream in opened.kept]
    if duration <= 0 or not 0 < fps <= port.MAX_FRAME_RATE:
        counted = tally(film)
        duration, fps = duration if duration > 0 else float(counted.end_s), counted.frame_rate
    _check_times(duration, fps)
    return port.Probe(
        container=opened.container,
        duration_s=round(duration, 3),
        width=width,
        height=height,
        fps=round(fps, 3),
        video_codec=codecs[0],
        audio_codec=codecs[1] if len(codecs) > 1 else None,
        rotation=rotation,
        metadata_keys=keys,
    )


def _check_times(duration: float, fps: float) -> None:
    if not 0 < duration <= port.MAX_DURATION_S:
        raise FilmRefused("duration")
    if not 0 < fps <= port.MAX_FRAME_RATE:
        raise FilmRefused("frame_rate")


def _metadata_keys(demuxer: InputContainer) -> tuple[str, ...]:
    keys = set(demuxer.metadata)
    for stream in demuxer.streams:
        keys.update(stream.metadata)
    return tuple(sorted(keys))


def _rotation(opened: OpenFilm) -> int:
    """Return clockwise degrees, a multiple of 90; the library counts anticlockwise."""
    for frame in opened.demuxer.decode(opened.video):
        _check_size(frame.width, frame.height)
        return round(-frame.rotation / 90) % 4 * 90
    raise FilmRefused("no_picture")

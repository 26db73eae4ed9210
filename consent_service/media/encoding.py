"""Cuts a clip exactly at its marks by decoding and encoding it anew.

Rules kept: nothing from outside the marks is in the clip, neither picture nor sound; rotation is
kept; the draft stays in the child's memory.
"""

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from consent_service.media.copying import Span, copy_whole, seek
from consent_service.media.mux import Emit
from consent_service.media.packets import exact, moment
from consent_service.media.port import Probe
from consent_service.media.reading import OpenFilm, RemoteFilm, open_film, probe
from consent_service.media.refusal import FilmRefused

_ENCODERS = {"mp4": ("libx264", "aac"), "webm": ("libvpx-vp9", "libopus")}
_PICTURE_OPTIONS = {
    "libx264": {"preset": "veryfast", "crf": "20"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "7", "crf": "30", "b": "0", "row-mt": "1"},
}
_CODECS = {"mp4": ("h264", "aac"), "webm": ("vp9", "opus")}
_OPUS_RATE = 48_000
_THREADS = 2
_FEWEST_PICTURES = 2


def encode_clip(film: RemoteFilm, span: Span, emit: Emit) -> int:
    """Decode the span and encode it anew; return the clip's size in bytes."""
    draft = io.BytesIO()
    _encode(film, span, draft)
    whole = draft.getbuffer()
    remembered = RemoteFilm(len(whole), lambda start, length: bytes(whole[start : start + length]))
    return copy_whole(remembered, emit)[1]


def codecs_of(source: Probe) -> tuple[str, str | None]:
    """Return the picture and sound codec that a re-encoded clip of `source` has."""
    picture, sound = _CODECS[source.container]
    return picture, sound if source.audio_codec else None


def _encode(film: RemoteFilm, span: Span, draft: io.BytesIO) -> None:
    rotation = probe(film).rotation
    with open_film(film) as opened, av.open(draft, mode="w", format=opened.container) as output:
        encoders: dict[int, Any] = {opened.video.index: _picture_encoder(opened, output, rotation)}
        if opened.audio is not None:
            encoders[opened.audio.index] = _sound_encoder(opened, opened.audio, output)
        opened.video.codec_context.thread_count = _THREADS
        seek(opened, span.start)
        pictures = 0
        for index, frame in _frames(opened, span):
            pictures += index == opened.video.index
            frame.pts = (frame.pts or 0) - round(span.start / exact(frame.time_base))
            output.mux(encoders[index].encode(frame))
        if pictures < _FEWEST_PICTURES:
            raise FilmRefused("clip_empty")
        for encoder in encoders.values():
            output.mux(encoder.encode(None))


def _frames(opened: OpenFilm, span: Span) -> Iterator[tuple[int, VideoFrame | AudioFrame]]:
    """Yield decoded pictures and pieces of sound that lie wholly inside the span."""
    for packet in opened.demuxer.demux(opened.kept):
        if span.is_far_behind(moment(packet)):
            return
        for frame in packet.decode():
            if not isinstance(frame, VideoFrame | AudioFrame):
                continue
            begin = (frame.pts or 0) * exact(frame.time_base)
            if span.holds(begin, _length(frame)):
                yield packet.stream.index, frame


def _length(frame: VideoFrame | AudioFrame) -> Fraction:
    """A picture counts as a moment; a piece of sound lasts."""
    if isinstance(frame, AudioFrame):
        return Fraction(frame.samples, frame.sample_rate)
    return Fraction(0)


def _picture_encoder(opened: OpenFilm, output: OutputContainer, rotation: int) -> VideoStream:
    source = opened.video
    name = _ENCODERS[opened.container][0]
    rate = exact(source.average_rate) or exact(source.guessed_rate) or Fraction(25)
    stream = output.add_stream(name, rate=rate, options=_PICTURE_OPTIONS[name])
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.width, context.height = source.width & ~1, source.height & ~1
    context.pix_fmt = "yuv420p"
    context.time_base = exact(source.time_base)
    context.thread_count = _THREADS
    for trait in ("color_range", "color_primaries", "color_trc", "colorspace"):
        setattr(context, trait, getattr(source.codec_context, trait))
    stream.set_display_rotation(-rotation)
    return stream


def _sound_encoder(opened: OpenFilm, source: AudioStream, output: OutputContainer) -> AudioStream:
    name = _ENCODERS[opened.container][1]
    rate = _OPUS_RATE if name == "libopus" else source.codec_context.sample_rate
    layout = "mono" if source.codec_context.channels == 1 else "stereo"
    stream = output.add_stream(name, rate=rate, layout=layout)
    assert isinstance(stream, AudioStream)
    return stream

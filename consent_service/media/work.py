"""Film work for the services: probe, remux, clip, still; each in its own confined child process.

Nothing touches the disk: film is read through a `FilmSource` and written in order to `write`,
which gets a view that is only valid during the call. All raise `NotAFilm` (the film is refused,
`details["reason"]` says why), `Unavailable` (our fault, try again) and whatever the source and
`write` raise. What was already written when something is raised is worthless: throw it away.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

from consent_service.errors import InvalidInput
from consent_service.media import wire
from consent_service.media.port import (
    AUDIO_CODECS,
    MAX_EXACT_CLIP_S,
    VIDEO_CODECS,
    ClipMade,
    Confinement,
    FilmSource,
    Limits,
    Probe,
    Remuxed,
)
from consent_service.media.process import Order, Write, run
from consent_service.media.refusal import not_a_film

_MIB = 1024 * 1024
_MEMORY = 3 * 1024 * _MIB
_COPY_RATE = 16 * _MIB
_OUTPUT_SLACK = 32 * _MIB
_ENCODING_CPU_PER_S = 40
_ENCODED_BYTES_PER_S = 8 * _MIB
_LARGEST_STILL = 128 * _MIB
_MAX_METADATA_KEYS = 500
_T = TypeVar("_T")


def probe(source: FilmSource) -> Probe:
    """Describe a film; refuses what is no MP4 or WebM with codecs, size and length we take."""
    return _read(_describe, _run("probe", source, _limits(source)))


def packet_digest(source: FilmSource) -> str:
    """SHA-256 (hex) over picture and sound packets: equal before and after a remux."""
    return _read(_digest, _run("digest", source, _limits(source)))


def remux(source: FilmSource, write: Write) -> Remuxed:
    """Copy the film without metadata, index first; picture and sound stay bit for bit.

    `write` gets the new film strictly in order. The returned probe tells what came in: its
    `metadata_keys` are what was taken out.
    """
    report = _run("remux", source, _limits(source), write=write)
    return _read(lambda r: Remuxed(_describe(r["probe"]), _digest(r), _whole(r["size"])), report)


def clip(
    source: FilmSource, start_s: float, end_s: float, write: Write, exact: bool = False
) -> ClipMade:
    """Write the part from `start_s` to `end_s` as a film of its own.

    Copied, it begins at the key frame before `start_s` (`starts_at_s` says where); `exact`
    encodes it anew so that nothing outside the marks is in it, which takes about as long as the
    clip lasts. Raises `InvalidInput` if the marks are not inside the film.
    """
    _check_marks(start_s, end_s)
    arguments = {"start_s": float(start_s), "end_s": float(end_s), "exact": exact}
    limits = _limits(source, min(end_s - start_s, MAX_EXACT_CLIP_S) if exact else 0.0)
    return _read(_clip_made, _run("clip", source, limits, arguments, write))


def still(source: FilmSource, at_s: float, max_width: int | None = None) -> bytes:
    """Return the picture on show at `at_s` as a JPEG: upright, without Exif.

    Raises `InvalidInput` if `at_s` is not inside the film or `max_width` is below 1.
    """
    if not math.isfinite(at_s) or at_s < 0:
        raise _bad_time("at_s", "The time of a still is zero or more seconds.")
    if max_width is not None and max_width < 1:
        raise _bad_time("max_width", "The width of a still is at least one pixel.")
    jpeg = bytearray()
    limits = Limits(60, _MEMORY, _LARGEST_STILL, 120.0)
    arguments = {"at_s": float(at_s), "max_width": max_width}
    _run("still", source, limits, arguments, jpeg.extend)
    return bytes(jpeg)


def confinement() -> Confinement:
    """Start a child that does nothing and report how well it is shut in on this machine."""
    limits = Limits(30, _MEMORY, 0, 60.0)
    report = run(Order("confinement", limits), _Nothing(), _refuse_output)
    return _read(_confinement, report)


class _Nothing:
    """A source without a byte."""

    size = 0

    def read_at(self, offset: int, length: int) -> bytes:
        return b""


def _run(
    operation: str,
    source: FilmSource,
    limits: Limits,
    arguments: dict[str, Any] | None = None,
    write: Write | None = None,
) -> dict[str, Any]:
    if source.size == 0:
        raise not_a_film("container")
    return run(Order(operation, limits, arguments or {}), source, write or _refuse_output)


def _refuse_output(block: memoryview) -> None:
    """A job without output that gives some is not ours any more."""
    raise wire.Violation("output where there is none")


def _limits(source: FilmSource, encoded_s: float = 0.0) -> Limits:
    """A copy runs at hundreds of MB/s: these bounds are only met by what is not a film."""
    cpu_s = 60 + source.size // _COPY_RATE + math.ceil(encoded_s * _ENCODING_CPU_PER_S)
    output = source.size + source.size // 4 + _OUTPUT_SLACK
    output += math.ceil(encoded_s) * _ENCODED_BYTES_PER_S
    return Limits(cpu_s, _MEMORY, output, 60.0 + 4.0 * cpu_s)


def _check_marks(start_s: float, end_s: float) -> None:
    if not (math.isfinite(start_s) and math.isfinite(end_s)) or start_s < 0:
        raise _bad_time("start_s", "The marks of a clip are zero or more seconds.")
    if end_s <= start_s:
        raise _bad_time("end_s", "The clip ends before it begins: set the end after the start.")


def _bad_time(field: str, sentence: str) -> InvalidInput:
    return InvalidInput(sentence, {field: sentence})


def _read(shape: Callable[[dict[str, Any]], _T], report: dict[str, Any]) -> _T:
    """Turn a child's report into one of our shapes; a child that lies about it was subverted."""
    try:
        return shape(report)
    except (KeyError, TypeError, ValueError, OverflowError) as wrong:
        raise not_a_film("hostile") from wrong


def _describe(report: dict[str, Any]) -> Probe:
    container = _one_of(report["container"], VIDEO_CODECS)
    sound = report["audio_codec"]
    return Probe(
        container=container,
        duration_s=_number(report["duration_s"]),
        width=_whole(report["width"]),
        height=_whole(report["height"]),
        fps=_number(report["fps"]),
        video_codec=_one_of(report["video_codec"], VIDEO_CODECS[container]),
        audio_codec=None if sound is None else _one_of(sound, AUDIO_CODECS[container]),
        rotation=_one_of(report["rotation"], (0, 90, 180, 270)),
        metadata_keys=tuple(map(wire.plain, report["metadata_keys"][:_MAX_METADATA_KEYS])),
    )


def _clip_made(report: dict[str, Any]) -> ClipMade:
    return ClipMade(
        probe=_describe(report["probe"]),
        starts_at_s=_number(report["starts_at_s"]),
        how=_one_of(report["how"], ("copied", "re-encoded")),
        size=_whole(report["size"]),
    )


def _confinement(report: dict[str, Any]) -> Confinement:
    names = ("network_namespace", "files_closed", "core_dumps_off")
    return Confinement(*(report[name] is True for name in names))


def _digest(report: dict[str, Any]) -> str:
    digest = report["packets_sha256"]
    if len(bytes.fromhex(digest)) != 32:
        raise ValueError("not a SHA-256")
    return str(digest)


def _one_of(value: Any, allowed: Any) -> Any:
    if value not in allowed:
        raise ValueError("not an allowed value")
    return value


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError("not a size or time")
    return number


def _whole(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError("not a count")
    return value

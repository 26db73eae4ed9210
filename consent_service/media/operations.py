"""What the child can be asked to do with a film, once it is shut in."""

import dataclasses
import importlib
import os
import resource
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from consent_service.media import copying, encoding, reading
from consent_service.media.port import MAX_BLOCK, MAX_EXACT_CLIP_S, Probe
from consent_service.media.refusal import FilmRefused

Result = dict[str, Any]
_END_TOLERANCE_S = 1.0


@dataclasses.dataclass(frozen=True)
class Job:
    """Which film, the operation's arguments, and where finished bytes go."""

    film: reading.RemoteFilm
    arguments: dict[str, Any]
    emit: Callable[[memoryview], None]


def load_the_rest(operation: str) -> None:
    """Load what PyAV and Pillow otherwise load when first needed: then no file can be opened.

    Pillow is slow to load and only stills need it.
    """
    for name in ("codeccontext", "stream", "subtitle"):
        importlib.import_module(f"av.subtitles.{name}")
    if operation == "still":
        from consent_service.media import picture

        picture.load_codecs()


def perform(operation: str, job: Job) -> Result:
    """Do one job; the result is JSON-ready."""
    return _OPERATIONS[operation](job)


def measure_confinement(in_namespace: bool) -> Result:
    """Report what really holds, by trying it."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
        closed = False
    except OSError:
        closed = True
    core_off = resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
    return {"network_namespace": in_namespace, "files_closed": closed, "core_dumps_off": core_off}


def _probe(job: Job) -> Result:
    return dataclasses.asdict(reading.probe(job.film))


def _digest(job: Job) -> Result:
    return {"packets_sha256": reading.tally(job.film).sha256()}


def _remux(job: Job) -> Result:
    found = reading.probe(job.film)
    counted, size = copying.copy_whole(job.film, job.emit)
    served = dataclasses.replace(found, duration_s=round(float(counted.end_s), 3))
    return {
        "probe": dataclasses.asdict(served),
        "packets_sha256": counted.sha256(),
        "size": size,
    }


def _clip(job: Job) -> Result:
    found = reading.probe(job.film)
    wanted = _span(found, job.arguments)
    if job.arguments["exact"]:
        taken, size = wanted, encoding.encode_clip(job.film, wanted, job.emit)
        how, codecs = "re-encoded", encoding.codecs_of(found)
    else:
        taken, size = copying.copy_clip(job.film, wanted, job.emit)
        how, codecs = "copied", (found.video_codec, found.audio_codec)
    made = dataclasses.replace(
        found,
        duration_s=round(float(taken.end - taken.start), 3),
        video_codec=codecs[0],
        audio_codec=codecs[1],
        metadata_keys=(),
    )
    starts_at = float(taken.start)
    return {"probe": dataclasses.asdict(made), "starts_at_s": starts_at, "how": how, "size": size}


def _span(found: Probe, arguments: dict[str, Any]) -> copying.Span:
    start, end = arguments["start_s"], arguments["end_s"]
    if start >= found.duration_s or end > found.duration_s + _END_TOLERANCE_S:
        raise FilmRefused("outside")
    if arguments["exact"] and end - start > MAX_EXACT_CLIP_S:
        raise FilmRefused("clip_too_long")
    return copying.Span(Fraction(start), min(Fraction(end), Fraction(found.duration_s)))


def _still(job: Job) -> Result:
    from consent_service.media import picture

    found = reading.probe(job.film)
    at_s = job.arguments["at_s"]
    if at_s > found.duration_s:
        raise FilmRefused("outside")
    jpeg = memoryview(picture.take(job.film, Fraction(at_s), job.arguments["max_width"]))
    for start in range(0, len(jpeg), MAX_BLOCK):
        job.emit(jpeg[start : start + MAX_BLOCK])
    return {"size": len(jpeg)}


_OPERATIONS: dict[str, Callable[[Job], Result]] = {
    "probe": _probe,
    "digest": _digest,
    "remux": _remux,
    "clip": _clip,
    "still": _still,
}

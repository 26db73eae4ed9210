"""What film work takes and gives: the shapes shared by callers, the parent and the child process.

Rules kept here: nothing of a film but numbers, codec names and the *names* of metadata entries
appears in these shapes; times are seconds from the film's start; sizes are bytes. This module
imports nothing heavy, because the child process imports it too.
"""

from dataclasses import dataclass
from typing import Protocol

MAX_BLOCK = 1024 * 1024
"""Largest piece of film, in bytes, that crosses between parent and child at once."""

MAX_SIDE = 8192
MAX_PIXELS = 4096 * 4096
MAX_STREAMS = 16
MAX_FRAME_RATE = 1000.0
MAX_DURATION_S = 12 * 60 * 60.0
MAX_EXACT_CLIP_S = 30 * 60.0

VIDEO_CODECS = {
    "mp4": frozenset({"h264", "hevc", "vp9", "av1"}),
    "webm": frozenset({"vp8", "vp9", "av1"}),
}
AUDIO_CODECS = {
    "mp4": frozenset({"aac", "opus", "mp3"}),
    "webm": frozenset({"opus", "vorbis"}),
}


class FilmSource(Protocol):
    """A film that can be read anywhere, usually a decrypting reader over a stored object.

    `read_at` returns exactly `length` bytes; the worker never asks beyond `size` nor for more
    than `MAX_BLOCK`. What it raises reaches the caller of the film work unchanged.
    """

    @property
    def size(self) -> int:
        """Length of the film in bytes."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`."""
        ...


@dataclass(frozen=True)
class Probe:
    """What a film says about itself.

    `width` and `height` are of the stored picture; `rotation` is how many degrees clockwise
    (0, 90, 180, 270) a player turns it. `metadata_keys` are names only, sorted, never values.
    """

    container: str
    duration_s: float
    width: int
    height: int
    fps: float
    video_codec: str
    audio_codec: str | None
    rotation: int
    metadata_keys: tuple[str, ...]

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height as a viewer sees them, after rotation."""
        turned = self.rotation in (90, 270)
        return (self.height, self.width) if turned else (self.width, self.height)


@dataclass(frozen=True)
class Remuxed:
    """A film rewritten without metadata, index first; `probe` is of the film as it came in,
    but with the length of the film as it is now (a telephone's trimmed-off ends are gone).

    `packets_sha256` covers picture and sound packets and is the same for upload and result.
    """

    probe: Probe
    packets_sha256: str
    size: int


@dataclass(frozen=True)
class ClipMade:
    """A clip. `probe` describes the clip; `starts_at_s` is where in the source it really begins.

    `how` is "copied" (begins at the key frame before the mark, so up to a few seconds early) or
    "re-encoded" (nothing outside the marks).
    """

    probe: Probe
    starts_at_s: float
    how: str
    size: int


@dataclass(frozen=True)
class Limits:
    """What one job may use: processor seconds, address space, output bytes, seconds of waiting.

    `patience_s` counts only time spent waiting for the child, not time in the caller's store.
    """

    cpu_s: int
    memory_bytes: int
    output_bytes: int
    patience_s: float


@dataclass(frozen=True)
class Confinement:
    """How well the child is shut in on this machine.

    `network_namespace` is False where the kernel refuses one; sockets cannot be made even then,
    because no new file descriptor can.
    """

    network_namespace: bool
    files_closed: bool
    core_dumps_off: bool

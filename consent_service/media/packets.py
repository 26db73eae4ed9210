"""Times and tallies of packets, the coded pieces of picture and sound that a film is made of."""

import hashlib
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from av.packet import Packet


def exact(ratio: Any) -> Fraction:
    """Return a library ratio (its type differs between versions) as a Fraction; 0 if unset."""
    return Fraction(ratio.numerator, ratio.denominator) if ratio else Fraction(0)


def moment(packet: "Packet[Any]") -> Fraction | None:
    """Return when a packet is shown, in seconds, or when it is decoded if that is all it says."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None else ticks * exact(packet.time_base)


@dataclass
class Tally:
    """Counts, digests and times packets: the digest is the same for an upload and its copy.

    `first_s` and `end_s` are when the first picture is shown and when the last stream ends.
    """

    counts: dict[str, int] = field(default_factory=dict)
    first_s: Fraction | None = None
    end_s: Fraction = Fraction(0)
    _digests: dict[str, Any] = field(default_factory=dict)

    def note(self, packet: "Packet[Any]") -> None:
        """Count, digest and time one packet."""
        kind = packet.stream.type
        digest = self._digests.setdefault(kind, hashlib.sha256())
        digest.update(packet.size.to_bytes(4, "big") + bytes([packet.is_keyframe]))
        digest.update(packet)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.note_time(packet)

    def note_time(self, packet: "Packet[Any]") -> None:
        """Note when the packet begins and ends."""
        shown = moment(packet)
        if shown is None:
            return
        if packet.stream.type == "video":
            self.first_s = shown if self.first_s is None else min(self.first_s, shown)
        self.end_s = max(self.end_s, shown + (packet.duration or 0) * exact(packet.time_base))

    @property
    def frame_rate(self) -> float:
        """Pictures a second, as counted."""
        span = self.end_s - (self.first_s or 0)
        return float(self.counts.get("video", 0) / span) if span > 0 else 0.0

    def sha256(self) -> str:
        """Digest of all packets: of the picture's digest, then the sound's."""
        whole = hashlib.sha256()
        for kind in sorted(self._digests):
            whole.update(kind.encode() + b"\0" + self._digests[kind].digest())
        return whole.hexdigest()

"""Film: probe, metadata strip with the index first, clips and stills, in a confined child.

Callers use the names below. The modules that import PyAV (`packets`, `reading`, `mux`,
`copying`, `encoding`, `picture`, `operations`) are loaded in the child only. `sample`, which
makes films of nobody, is for the demonstration and for tests: import it by its own name.
"""

from consent_service.media.port import (
    MAX_BLOCK,
    ClipMade,
    Confinement,
    FilmSource,
    Probe,
    Remuxed,
)
from consent_service.media.work import clip, confinement, packet_digest, probe, remux, still

__all__ = [
    "MAX_BLOCK",
    "ClipMade",
    "Confinement",
    "FilmSource",
    "Probe",
    "Remuxed",
    "clip",
    "confinement",
    "packet_digest",
    "probe",
    "remux",
    "still",
]

"""How much time and memory one reading may take: a few bytes must not stop a machine."""

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

SECONDS = 20.0
"""Of the processor, not of the clock on the wall: a busy machine is nobody's fault."""
MIB = 512
_RESET_PEAK = "5"  # proc(5), clear_refs: the peak begins anew at what is held now
_PEAK = re.compile(r"^VmHWM:\s+([0-9]+) kB$", re.MULTILINE)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Raise AssertionError where the block took more than any reader of ours may."""
    with contextlib.suppress(OSError):  # then only what is above the highest so far is seen
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
    began, held = time.process_time(), peak_mib()
    yield
    spent, grown = time.process_time() - began, peak_mib() - held
    assert spent <= SECONDS, f"it took {spent:.0f} s"
    assert grown <= MIB, f"it took {grown:.0f} MiB"


def peak_mib() -> float:
    """Return the most memory that this process held so far, or since that began anew."""
    found = _PEAK.search(Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else 0.0

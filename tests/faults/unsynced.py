"""What a power cut would take: written, renamed or unlinked, and not synced since.

Anybody can see this without a disk to lose: it is read from the calls that a flow makes, while
`tests.faults.power` cuts the power of real disks where it may.

Rules kept here:
  * a file must be synced after it was last written and before it gets its final name;
  * a name that came or went is safe when its folder was synced after;
  * SQLite's index of its log (`-shm`) is made anew at every start, so it need not last; nor that
    its log was cut, since all of it is in the database by then and says the same once more.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.calls import SYNCS, WRITES, recorded
from tests.faults.flows import Flow, Home
from tests.faults.processes import in_a_child
from tests.faults.sweep import promise

_LINE = re.compile(r"\d+ +(?P<call>[a-z0-9]+)\((?P<rest>.*)")
_OPEN = re.compile(r"<(/[^>]*)>")
_NAMES = re.compile(r'"([^"]*)"')
_FAILED = re.compile(r" = -1 E[A-Z]+ ")


def left_by(flow: Flow, folder: Path) -> list[str]:
    """Go through a flow's act below `folder`; return what would be lost of it, in sentences."""
    home, log = Home(folder / "installation"), folder / "calls.log"
    in_a_child(lambda: flow.prepare(home))
    ended, _ = recorded(lambda: flow.ready(home), log)
    promise(ended.code == 0, f"an undisturbed run failed: {ended.fault}")
    disk = _Disk(str(home.folder))
    for call, rest in _calls(log):
        disk.meets(call, rest)
    return disk.would_lose()


def _calls(log: Path) -> Iterator[tuple[str, str]]:
    for line in log.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is not None and not _FAILED.search(line):
            yield match["call"], match["rest"]


@dataclass
class _Disk:
    """Files with bytes, and folders with names, that are in memory only."""

    root: str
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    too_early: list[str] = field(default_factory=list)

    def meets(self, call: str, rest: str) -> None:
        """Follow one call that succeeded."""
        opened, names = _OPEN.findall(rest), _NAMES.findall(rest)
        if call == "ftruncate" and opened[0].endswith("-wal"):
            self.files.discard(opened[0])
        elif call in WRITES:
            self.files.update(opened[:1])
        elif call in SYNCS:
            self.files.difference_update(opened[:1])
            self.folders.difference_update(opened[:1])
        elif call.startswith("rename"):
            self.too_early += [name for name in names[:1] if name in self.files]
            self._named(*names)
        elif call.startswith("unlink"):
            self.files.difference_update(names)
            self._named(*names)
        else:
            self._named(*names[-1:])

    def would_lose(self) -> list[str]:
        """In sentences, each once."""
        return sorted(
            {f"{name} was renamed before it was synced" for name in self._mine(self.too_early)}
            | {f"{name} was written and not synced" for name in self._mine(self.files)}
            | {f"a name in {name} was not synced" for name in self._mine(self.folders)}
        )

    def _named(self, *names: str) -> None:
        self.folders.update(str(Path(name).parent) for name in names)

    def _mine(self, names: "set[str] | list[str]") -> list[str]:
        return [n for n in names if n.startswith(self.root) and not n.endswith("-shm")]

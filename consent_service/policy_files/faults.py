"""Faults found in policy files, gathered so that one reading names them all.

Rule kept here: a fault reads `file:line: what is wrong, what was expected`, with the file's path
inside the policy folder, so that an editor can jump to it.
"""

from dataclasses import dataclass, field

from consent_service.errors import PolicyFault


@dataclass(frozen=True, order=True)
class Fault:
    """One thing wrong in one place; `line` counts from 1."""

    file: str
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.sentence}"


@dataclass
class Faults:
    """The faults of one reading, in the order found."""

    found: list[Fault] = field(default_factory=list)

    def add(self, file: str, line: int, sentence: str) -> None:
        """Note a fault."""
        self.found.append(Fault(file, line, sentence))

    def raise_if_any(self) -> None:
        """Raise PolicyFault with every fault, one a line; `details["faults"]` lists them."""
        if self.found:
            lines = [str(fault) for fault in sorted(set(self.found))]
            raise PolicyFault("\n".join(lines), faults=lines)

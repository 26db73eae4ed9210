"""A copy of the shipped policies that a test may spoil, and what reading it then says."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from consent_service.domain.policies import Policies
from consent_service.errors import PolicyFault
from consent_service.policy_files import default_policy_dir, read_policies

Slip = tuple[str, str, str, str, str]
"""File, what stands there, what is written instead, words on the line, and the sentence."""


@dataclass(frozen=True)
class PolicyFolder:
    """The copy. `change` insists that what it replaces is there, so no test passes by accident."""

    path: Path

    def change(self, file: str, old: str, new: str) -> None:
        text = (self.path / file).read_text(encoding="utf-8")
        assert old in text, f"{file} no longer holds {old!r}"
        (self.path / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    def line_of(self, file: str, words: str) -> int:
        lines = (self.path / file).read_text(encoding="utf-8").split("\n")
        return next(number for number, line in enumerate(lines, start=1) if words in line)

    def requires_named(self, slip: Slip) -> None:
        """Make one slip, and see that its file, its line and its sentence are told."""
        file, old, new, near, sentence = slip
        self.change(file, old, new)

        faults = self.faults()

        text = (self.path / file).read_text(encoding="utf-8")
        line = text[: text.index(near)].count("\n") + 1
        assert any(fault.startswith(f"{file}:{line}: {sentence}") for fault in faults), faults

    def faults(self) -> list[str]:
        with pytest.raises(PolicyFault) as caught:
            read_policies(self.path)
        faults: list[str] = caught.value.details["faults"]
        return faults


@pytest.fixture
def folder(tmp_path: Path) -> PolicyFolder:
    copy = tmp_path / "policies"
    shutil.copytree(default_policy_dir(), copy)
    return PolicyFolder(copy)


@pytest.fixture(scope="session")
def shipped() -> Policies:
    return read_policies(default_policy_dir())


Change = Callable[[PolicyFolder], None]

"""A folder that was set up, shared by tests that only look; and an empty one."""

from pathlib import Path

import pytest

from tests.support.command_line import CommandLine


@pytest.fixture
def empty(tmp_path: Path) -> CommandLine:
    """A working folder with nothing in it."""
    return CommandLine(tmp_path)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A working folder in which `init` was run; tests of a module share it."""
    verbs = CommandLine(tmp_path_factory.mktemp("ready"))
    assert verbs("init").code == 0
    return verbs


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A working folder whose data folder is a filled demo; tests of a module share it."""
    verbs = CommandLine(tmp_path_factory.mktemp("demo"))
    filled = verbs("demo", "--data-dir", "data", "--fill-only")
    assert filled.code == 0, filled.err
    return verbs

"""Verbs as people call them: in a folder of their own, with nothing of this machine's settings."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from consent_service.cli import main

IN_A_PROCESS = "from consent_service.cli import main; main()"


@dataclass(frozen=True)
class Said:
    """How a verb ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class CommandLine:
    """A working folder in which verbs are called."""

    folder: Path

    def __call__(self, *arguments: str | Path, given: str | None = None) -> Said:
        """Call a verb within this process; standard input is `given`, and no terminal."""
        out, err = io.StringIO(), io.StringIO()
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            with (
                redirect_stdout(out),
                redirect_stderr(err),
                patch("sys.stdin", io.StringIO(given or "")),
                patch.dict(os.environ, self.environment(), clear=True),
            ):
                code = _exit_code(arguments)
        finally:
            os.chdir(before)
        return Said(code, out.getvalue(), err.getvalue())

    def in_a_process(self, *arguments: str | Path) -> Said:
        """Call a verb in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-c", IN_A_PROCESS, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=self.environment(),
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def environment(self) -> dict[str, str]:
        """The environment without any setting of ours."""
        return {k: v for k, v in os.environ.items() if not k.startswith("CONSENT_")}


def _exit_code(arguments: Sequence[str | Path]) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    raise AssertionError("a verb ends with an exit code")

"""`docs/security/recover.py` as an operator runs it, and its functions for a closer look.

Rules kept here:
  * the recipe runs in a process of its own, without any variable or setting of this machine that
    could lead it to the service;
  * what a test wants to know of a film is its digest.
"""

import hashlib
import importlib
import io
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from consent_service.services import assets
from tests.support.installation import Story, opened_anew

FOLDER = Path(__file__).parents[2] / "docs" / "security"
FILES = tuple(FOLDER / f"recover{part}.py" for part in ("", "_keys", "_openbao"))
_LEADS_ELSEWHERE = ("CONSENT_", "PYTHON", "BAO_", "VAULT_", "PG", "SSL_")


def recover(
    *arguments: str | Path, given: bytes = b"", **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the recipe; `given` comes through its pipe."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_LEADS_ELSEWHERE)}
    return subprocess.run(
        [sys.executable, "-E", "-s", FILES[0], *arguments],
        input=given,
        capture_output=True,
        check=False,
        cwd="/",
        env={**kept, **variables},
    )


def refused_here(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run the recipe within this process, which is quicker, where it is to refuse."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_LEADS_ELSEWHERE)}
    recipe()  # so that the files beside it are found
    err = io.StringIO()
    with (
        redirect_stderr(err),
        patch.object(sys, "argv", [str(FILES[0]), *map(str, arguments)]),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO())),
        patch.dict(os.environ, {**kept, **variables}, clear=True),
    ):
        try:
            runpy.run_path(str(FILES[0]), run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
            return subprocess.CompletedProcess(sys.argv, code, b"", err.getvalue().encode())
    raise AssertionError("the recipe refused nothing")


def recipe(name: str = "recover") -> ModuleType:
    """Load one of the recipe's files."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module(name)


def keys_left(keyring: str | Path, *masters: str | Path) -> dict[str, bytes]:
    """Every key that the recipe still finds with these master keys."""
    openers = [
        recipe("recover_openbao").in_key_server(str(one))
        if str(one).startswith("openbao:")
        else recipe("recover_keys").in_folder(str(one))
        for one in masters
    ]
    found: dict[str, bytes] = recipe("recover_keys").every_key(str(keyring), openers)
    return found


def digest_of(told: Story) -> str:
    """The digest of the story's film, as the service knows it."""
    with opened_anew(told.clinic) as clinic:
        return str(assets.asset(clinic.ctx, clinic.guider, told.film).sha256)


def opens(done: subprocess.CompletedProcess[bytes], digest: str) -> bool:
    """Tell whether exactly this film came out."""
    said = done.stderr.decode()
    return (done.returncode, said, hashlib.sha256(done.stdout).hexdigest()) == (0, "", digest)


def sentence(done: subprocess.CompletedProcess[bytes], code: int) -> str:
    """Return the one sentence that a recipe said which wrote nothing and ended with `code`."""
    said: Sequence[str] = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout, len(said)) == (code, b"", 1), said
    assert said[0].endswith("."), said
    return said[0]

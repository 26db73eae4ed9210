"""Jobs as a printing process gets them, and a look at that process from outside."""

import json
import subprocess
import sys
from pathlib import Path

from consent_service.documents import render
from consent_service.documents.content import Paper
from consent_service.documents.press import Press

ROOT = Path(__file__).parents[2]


def frames_of(paper: Paper) -> list[bytes]:
    """Return a paper without attachments as the job that is sent to the process."""
    job = {
        "template": paper.kind.value,
        "values": json.loads(json.dumps(render._values(paper), default=render._as_text)),
        "language": "en",
        "large_print": False,
        "identifier": "00" * 16,
        "pictures": dict(render._pictures(paper)),
        "attached": [],
    }
    return [json.dumps(job).encode()]


def process_of(press: Press) -> int:
    """Return the process id behind a press."""
    press.warm_up()
    assert press._process is not None
    return press._process.pid


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a Python that can import the project."""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )

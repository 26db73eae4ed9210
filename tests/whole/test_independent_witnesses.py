"""What a parent holds in their hand can be checked with nothing of ours."""

import subprocess
import sys
from pathlib import Path

import pikepdf

from consent_service.services import papers
from tests.support.clinic import Clinic, build_schema, open_clinic

SCRIPT = Path(__file__).parents[2] / "docs" / "security" / "verify_consent_copy.py"


def _verify(copy: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", SCRIPT, copy]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _clinic(folder: Path) -> Clinic:
    url = f"sqlite:///{folder / 'consent.sqlite3'}"
    build_schema(url)
    return open_clinic(url, folder)


def test_a_consent_copy_proves_its_own_words(tmp_path: Path) -> None:
    """The digest on the paper is of the words attached to it; other words do not pass."""
    clinic = _clinic(tmp_path)
    family = clinic.family()
    act = clinic.captures(family, family.mother, clinic.answers(family, family.mother))
    copy = tmp_path / "copy.pdf"
    copy.write_bytes(papers.consent_copy(clinic.ctx, clinic.guider, act.id))

    verified = _verify(copy)

    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.startswith(act.rendered_sha256)

    forged = tmp_path / "forged.pdf"
    with pikepdf.open(copy) as pdf:
        for name, attachment in list(pdf.attachments.items()):
            words = attachment.get_file().read_bytes()
            pdf.attachments[name] = pikepdf.AttachedFileSpec(pdf, words + b"x", filename=name)
        pdf.save(forged)
    assert _verify(forged).returncode == 1
    clinic.ctx.keyring.close()
    clinic.ctx.engine.dispose()

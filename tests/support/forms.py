"""A second version of the VIG form: one line's words changed, one added, one gone."""

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consent_service.policy_files import default_policy_dir, read_policies
from consent_service.services.policies import policy_folder
from consent_service.settings import Settings
from tests.support.clinic import Clinic, build_schema, open_clinic
from tests.support.databases import Databases

CHANGED = "I know that I can ask for the camera to be turned off at any moment"
ADDED = """## UND.RECORDS

I know that my guider writes down in the health record that we filmed, and never what was seen.

- why: So that whoever helps you next knows what we did together.
- no: We will not film yet. We will talk about it together.

"""


@contextmanager
def clinic_with_own_policies(databases: Databases, folder: Path) -> Iterator[Clinic]:
    """A clinic in `folder` with a policy folder of its own, so that a form may get a version."""
    folder.mkdir(exist_ok=True)
    own = folder / "policies"
    shutil.copytree(default_policy_dir(), own)
    with databases.ready(build_schema) as url:
        settings = Settings(
            data_dir=folder,
            database_url=url,
            keyring_url=f"sqlite:///{folder / 'keyring.sqlite3'}",
            blob_url="memory://",
            journal_url="memory://",
            key_provider="memory://",
            escrow_provider="memory://",
            signing_keys=folder / "signing",
            policy_dir=own,
        ).filled()
        clinic = open_clinic(url, folder, settings=settings)
        yield clinic
        clinic.ctx.keyring.close()
        clinic.ctx.engine.dispose()


def add_version(clinic: Clinic) -> None:
    """Write version 2 of the form into the clinic's own policy folder, as a draft, and read it."""
    folder = policy_folder(clinic.ctx)
    if folder.resolve() == default_policy_dir().resolve():
        raise AssertionError("A clinic without a policy folder of its own changes everybody's.")
    forms = folder / "consent-forms/vig"
    shutil.copytree(forms / "v1", forms / "v2")
    asked = (forms / "v2/form.yaml").read_text()
    asked = asked.replace("\nversion: 1\n", "\nversion: 2\n")
    line = "  - code: {}\n    layer: U\n    asked_of: [P]\n    answer: confirm\n\n"
    stop = line.format("UND.STOP")
    asked = asked.replace(stop, stop + line.format("UND.RECORDS"))
    asked = asked[: asked.index("  - code: FB.QUOTE")].rstrip() + "\n"
    (forms / "v2/form.yaml").write_text(asked)
    words = (forms / "v2/en.md").read_text()
    words = words.replace(CHANGED, CHANGED + ", and that it is then off right away")
    words = words.replace("## UND.SAFEGUARD\n", ADDED + "## UND.SAFEGUARD\n")
    words = words[: words.index("## FB.QUOTE")].rstrip() + "\n"
    (forms / "v2/en.md").write_text(words)
    clinic.ctx = dataclasses.replace(clinic.ctx, policies=read_policies(policy_folder(clinic.ctx)))

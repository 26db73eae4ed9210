"""A second version of the VIG form: one line's words changed, one added, one gone."""

import dataclasses
import shutil

from consent_service.policy_files import default_policy_dir, read_policies
from consent_service.services.policies import policy_folder
from tests.support.clinic import Clinic

CHANGED = "I know that I can ask for the camera to be turned off at any moment"
ADDED = """## UND.RECORDS

I know that my guider writes down in the health record that we filmed, and never what was seen.

- why: So that whoever helps you next knows what we did together.
- no: We will not film yet. We will talk about it together.

"""


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

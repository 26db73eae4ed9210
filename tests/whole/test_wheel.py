"""The wheel, installed as a clinic installs it: not from this checkout, from an empty folder."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
NOT_SOURCE = (".*", "build", "data", "*.egg-info", "__pycache__", "tests", "benchmarks")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel in it; its libraries are those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(HOUSE, source, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
    subprocess.run([*build, source], check=True, capture_output=True, cwd=folder)
    [wheel] = folder.glob("consent_service-*.whl")
    target = folder / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", target, wheel], check=True, capture_output=True)
    return target


def _say(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call a verb with the installed package only: `-P` keeps this checkout out of the path."""
    libraries = sysconfig.get_path("purelib")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CONSENT_")} | {
        "PYTHONPATH": os.pathsep.join([str(installed), libraries]),
        "PYTHONSAFEPATH": "1",
        "PYTHONNOUSERSITE": "1",
    }
    code = (
        "import consent_service, sys; "
        f"assert consent_service.__file__.startswith({str(installed)!r}), consent_service.__file__; "
        "from consent_service.cli import main; main()"
    )
    # Isolated from site-packages' own start-up files, where an editable install would stand.
    command = [sys.executable, "-S", "-c", code, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_wheel_does_its_verbs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """Policies, pages, migrations and forms must be in the wheel, not only beside it."""
    version = _say(installed, tmp_path, "version", "--json")
    assert version.returncode == 0, version.stderr
    assert json.loads(version.stdout)["version"]

    init = _say(installed, tmp_path, "init", "--json")
    assert init.returncode == 0, init.stderr
    assert json.loads(init.stdout)["admin_link"]

    check = _say(installed, tmp_path, "check", "--json")
    assert check.returncode == 0, check.stdout + check.stderr

    leaflets = _say(installed, tmp_path, "leaflets", "list", "--json")
    assert leaflets.returncode == 0, leaflets.stderr
    found = {(row["code"], row["version"]): row["status"] for row in json.loads(leaflets.stdout)}
    assert found == {("L1111", 1): "archived", ("L1111", 2): "current"}


def test_the_wheel_tells_the_whole_story(installed: Path, tmp_path: Path) -> None:
    """The shortest proof that an installation works, run where nothing of ours lies about."""
    story = _say(installed, tmp_path, "demo", "--story", "--json")

    assert story.returncode == 0, story.stdout[-2000:] + story.stderr[-2000:]
    assert json.loads(story.stdout)
    assert list(tmp_path.iterdir()) == []

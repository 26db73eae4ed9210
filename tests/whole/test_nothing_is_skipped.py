"""A run of the tests that skips anything, or runs it on one engine only, is a failed run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "body",
    [
        "@pytest.mark.skip(reason='later')\ndef test_it(): pass",
        "def test_it(): pytest.skip('later')",
        "@pytest.mark.xfail\ndef test_it(): assert False",
        "pytest.importorskip('no_such_module')\ndef test_it(): pass",
    ],
)
def test_a_skip_in_any_form_fails_the_run(tmp_path: Path, body: str) -> None:
    """A skipped test is a promise that nobody checks and that still looks kept."""
    ended, said = _run(tmp_path, f"import pytest\n\n{body}\n")

    assert (ended != 0, "Nothing may be skipped" in said) == (True, True), said


def test_a_test_on_one_engine_only_stops_the_run(tmp_path: Path) -> None:
    """Both engines are promised, so both are tested."""
    only = "@pytest.mark.parametrize('engine_name', ['sqlite'], indirect=True)"

    ended, said = _run(tmp_path, f"import pytest\n\n{only}\ndef test_it(database_url): pass\n")

    assert (ended != 0, "on one database engine only" in said) == (True, True), said


def test_a_run_with_nothing_wrong_passes(tmp_path: Path) -> None:
    """Otherwise the refusals above could be any failure at all."""
    ended, said = _run(tmp_path, "def test_it(engine_name): pass\n")

    assert (ended, "1 on sqlite, 1 on postgresql" in said) == (0, True), said


def _run(folder: Path, text: str) -> tuple[int, str]:
    (folder / "test_sample.py").write_text(text, encoding="utf-8")
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr

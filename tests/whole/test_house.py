"""The house itself: its floors, its size, its top level, and what its wheel carries."""

import ast
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
from importlinter.cli import lint_imports
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "consent_service"
LONGEST_FILE = 400
TOP_LEVEL = {
    # rooms
    "consent_service",
    "policies",
    "tests",
    "benchmarks",
    "docs",
    # what people type, and what the build machine runs
    "dev",
    ".ci",
    "wsgi.py",
    # what governs the build
    "setup.cfg",
    "pyproject.toml",
    "MANIFEST.in",
    "requirements.lock",
    "requirements-dev.lock",
    ".gitignore",
    ".gitattributes",
    ".env.example",
    # what people read
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "NOTICE",
}


def test_imports_point_downwards_only() -> None:
    """A rule that can reach a database stops being a rule that can be read."""
    broken = lint_imports(config_filename=str(ROOT / "setup.cfg"), no_cache=True, no_logo=True)

    assert broken == 0


def test_the_contract_names_every_room() -> None:
    """A new room beside the contract would be free to import anything."""
    rooms = {path.stem for path in PACKAGE.iterdir() if _is_room(path)}

    contract = (ROOT / "setup.cfg").read_text("utf-8").split("layers =")[1]
    named = {word.removeprefix("consent_service.") for word in contract.replace("|", " ").split()}

    assert rooms - named == set()


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    """Long files are where features go to hide."""
    too_long = {
        str(path.relative_to(ROOT)): lines
        for path in _tracked("*.py")
        if "versions" not in path.parts  # a migration is a list of tables, written once
        if (lines := len(path.read_text("utf-8").splitlines())) > LONGEST_FILE
    }

    assert too_long == {}


def test_the_top_level_holds_only_what_it_should() -> None:
    """The first thing a newcomer sees must be the house, not what was left on the stairs."""
    found = {path.relative_to(ROOT).parts[0] for path in _tracked()}

    assert found - TOP_LEVEL == set()


def test_every_module_says_what_it_is_for() -> None:
    """Somebody else will read this in five years."""
    silent = [
        str(path.relative_to(ROOT))
        for path in _tracked("consent_service/**/*.py")
        if (text := path.read_text("utf-8")).strip() and not ast.get_docstring(ast.parse(text))
    ]

    assert silent == []


def test_every_folder_with_code_is_a_package() -> None:
    """A folder without `__init__.py` works in the checkout and is missing from the wheel."""
    folders = {path.parent for path in _tracked("consent_service/**/*.py", "tests/**/*.py")}

    assert [str(path) for path in folders if not (path / "__init__.py").exists()] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_locked_library_has_a_hash(lock: str) -> None:
    """A library without a hash is whatever the index says it is today."""
    bare = [line for line in _pins(lock) if "--hash=sha256:" not in line]

    assert bare == []


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", ["install_requires", "build"]),
        ("requirements-dev.lock", ["install_requires", "build", "dev"]),
    ],
)
def test_the_lock_holds_every_library_that_the_project_asks_for(
    lock: str, wanted: list[str]
) -> None:
    """A forgotten `./dev lock` breaks the next newcomer's machine, not the author's."""
    locked = [Requirement(line.split(" --hash")[0]) for line in _pins(lock)]

    missing = [
        str(asked)
        for asked in _asked_for(wanted)
        if not any(_satisfies(pin, asked) for pin in locked)
    ]

    assert missing == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel built from what is tracked, as a release would be."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in _tracked():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            copy.symlink_to(path.readlink())
        else:
            copy.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", built]
    subprocess.run([*command, source], check=True, capture_output=True)
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        return set(archive.namelist())


def test_the_wheel_carries_every_policy(wheel: set[str]) -> None:
    """Without its policies an installed service would know no form, no leaflet, no rule."""
    policies = {f"consent_service/{path.relative_to(ROOT)}" for path in _tracked("policies/*")}

    assert policies
    assert policies - wheel == set()


def test_the_wheel_carries_the_whole_package(wheel: set[str]) -> None:
    """Templates, style sheets and migrations are as much the service as its code."""
    files = {str(p.relative_to(ROOT)) for p in _tracked("consent_service/*") if not p.is_symlink()}

    assert "consent_service/py.typed" in files
    assert files - wheel == set()


def test_the_wheel_carries_nothing_else(wheel: set[str]) -> None:
    """Tests, benchmarks and local data stay at home."""
    strangers = {name for name in wheel if not name.startswith("consent_service")}

    assert strangers == set()


def _pins(lock: str) -> list[str]:
    lines = (ROOT / lock).read_text("utf-8").replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line and line[0] not in "# "]


def _asked_for(wanted: list[str]) -> list[Requirement]:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    sections = {**config["options.extras_require"], **config["options"]}
    lines = "\n".join(sections[name] for name in wanted).splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def _satisfies(pin: Requirement, asked: Requirement) -> bool:
    same = canonicalize_name(pin.name) == canonicalize_name(asked.name)
    version = str(pin.specifier).removeprefix("==")
    return same and asked.specifier.contains(version)


def _is_room(path: Path) -> bool:
    if path.stem.startswith("_") or path.is_symlink():
        return False
    return path.suffix == ".py" or (path / "__init__.py").exists()


def _tracked(*patterns: str) -> list[Path]:
    command = ["git", "ls-files", "-z", *patterns]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_symlink() or path.is_file()]

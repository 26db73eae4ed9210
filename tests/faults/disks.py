"""Ext4 file systems in files: made, mounted, copied as they lie. Needs root and loop devices."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def are_possible() -> bool:
    """Tell whether a file system in a file can be mounted here."""
    with tempfile.TemporaryDirectory(prefix="consent-disk-") as folder:
        image = Path(folder, "disk.ext4")
        try:
            make(image, 4)
            with mounted(image, Path(folder, "place")):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def make(image: Path, mib: int) -> None:
    """Make an empty ext4 file system of `mib` MiB in a new file."""
    with image.open("wb") as file:
        file.truncate(mib * 1024**2)
    _run("mkfs.ext4", "-q", str(image))


@contextmanager
def mounted(image: Path, place: Path, *options: str) -> Iterator[Path]:
    """Mount the file system in a file at a place, with more options of mount(8); yield the place."""
    place.mkdir(exist_ok=True)
    _run("mount", "-o", ",".join(("loop", *options)), str(image), str(place))
    try:
        yield place
    finally:
        _run("umount", str(place))


def copied(image: Path, name: str) -> Path:
    """Copy a file system as its bytes lie at this moment, mounted or not, beside it."""
    copy = image.with_name(f"{name}.ext4")
    _run("cp", "--sparse=always", str(image), str(copy))
    return copy


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

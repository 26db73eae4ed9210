"""A real installation in a folder: SQLite, film as files, keys as files, journal as a file.

Nothing lives in memory, so a process may die at any moment and another go on; a folder may be
copied, put back in part, and looked through byte by byte.
"""

import dataclasses
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from consent_service.clock import FixedClock
from consent_service.settings import Settings
from consent_service.wiring import build_context
from tests.support.clinic import START, Clinic, Family, build_schema, open_clinic


@dataclasses.dataclass(frozen=True)
class Story:
    """A clinic in a folder, with a family who agreed to everything and a film of all three."""

    clinic: Clinic
    family: Family
    film: str
    clip: str

    @property
    def folder(self) -> Path:
        return self.clinic.ctx.settings.data_dir


def settings_for(folder: Path, **more: object) -> Settings:
    """Settings of an installation that lies wholly in `folder`."""
    return Settings(data_dir=folder, **more).filled()  # type: ignore[arg-type]


def found_installation(folder: Path, *, at: datetime = START, **more: object) -> Clinic:
    """Set up a new installation in `folder` and open it; its clock stands at `at`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = settings_for(folder, **more)
    build_schema(settings.database_url)
    return open_clinic(settings.database_url, folder, at=at, settings=settings)


def reopened(clinic: Clinic, folder: Path | None = None) -> Clinic:
    """The same clinic with the same staff, opened anew as a new process would; its clock goes on."""
    settings = clinic.ctx.settings if folder is None else settings_for(folder)
    clock = FixedClock(clinic.clock.now())
    return dataclasses.replace(clinic, ctx=build_context(settings, clock), clock=clock)


def close(clinic: Clinic) -> None:
    """Let go of databases, so that files may be moved."""
    clinic.ctx.keyring.close()
    clinic.ctx.engine.dispose()


@contextmanager
def opened_anew(clinic: Clinic, folder: Path | None = None) -> Iterator[Clinic]:
    """`reopened`, closed at the end."""
    again = reopened(clinic, folder)
    try:
        yield again
    finally:
        close(again)


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a SQLite database as its own backup does, whatever is in its log."""
    target.unlink(missing_ok=True)
    for log in (target.with_name(target.name + "-wal"), target.with_name(target.name + "-shm")):
        log.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def copy_folder(source: Path, target: Path) -> Path:
    """Copy an installation that nobody has open."""
    shutil.copytree(source, target)
    return target


def files_with(folder: Path, needles: Iterable[bytes]) -> dict[Path, int]:
    """Every file below `folder` that holds one of `needles`, and which one, by its place."""
    wanted = list(needles)
    found: dict[Path, int] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        for number, needle in enumerate(wanted):
            if needle in content:
                found[path] = number
                break
    return found

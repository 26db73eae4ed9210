"""Looking at what the service left behind, without asking the service.

Rule kept here: a search for what must not be there first finds a marker planted for it.
"""

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from consent_service.cli.demonstration import open_film
from consent_service.cli.demonstration.promises import promise
from consent_service.settings import Settings

PIECE = 48
_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)
_RECORDS = ("goal", "goal_rating", "session_summary", "shared_review", "involvement_person")


def pieces_of(film: bytes, count: int = 12) -> list[bytes]:
    """Return pieces from all over a film that could stand nowhere else by chance."""
    step = len(film) // (count + 2)
    pieces = [film[step * n : step * n + PIECE] for n in range(1, count + 1)]
    telling = [piece for piece in pieces if len(set(piece)) > PIECE // 2]
    promise(len(telling) >= count // 2, "there are too few telling pieces to search for")
    return telling


def find_any(folder: Path, wanted: Sequence[bytes]) -> list[str]:
    """Return the files below `folder` that hold any of the pieces, hidden files included."""
    found = []
    for root, _, names in os.walk(folder):
        for name in names:
            content = (Path(root) / name).read_bytes()
            if any(piece in content for piece in wanted):
                found.append(str((Path(root) / name).relative_to(folder)))
    return sorted(found)


def search_with_marker(folder: Path, wanted: Sequence[bytes]) -> list[str]:
    """Search a folder after proving, with a planted file, that the search finds such a thing."""
    marker = folder / "planted.bin"
    marker.write_bytes(os.urandom(1000) + wanted[-1] + os.urandom(1000))
    try:
        promise(find_any(folder, wanted).count(marker.name) == 1, "the search is blind")
    finally:
        marker.unlink()
    return find_any(folder, wanted)


def streams_of(pdf: bytes) -> Iterator[bytes]:
    """Yield the streams of a PDF as they are and decompressed: attached files are among them."""
    for match in _STREAM.finditer(pdf):
        yield match[1]
        unpacked = zlib.decompressobj()
        try:
            yield unpacked.decompress(match[1])
        except zlib.error:
            continue


def digests_in(pdf: bytes) -> set[str]:
    """Return the SHA-256 of every stream of a PDF."""
    return {hashlib.sha256(stream).hexdigest() for stream in streams_of(pdf)}


def steal(settings: Settings, names: Sequence[str], target: Path) -> None:
    """Copy objects, keyring and all key files, as a thief with the disk would have them."""
    target.mkdir()
    for name in names:
        (target / name).write_bytes((settings.under_data("film", name[:2]) / name).read_bytes())
    copy_database(settings.under_data("keyring", "keyring.sqlite3"), target / "keyring.sqlite3")
    for kind in ("master", "escrow"):
        (target / kind).mkdir()
        for file in settings.under_data(kind).glob("*.key"):
            (target / kind / file.name).write_bytes(file.read_bytes())


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database that may be in use."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def open_without_us(
    blob: Path, sidecar: Path, keyring: Path, key_folders: Sequence[Path], purpose: str = "care"
) -> str | None:
    """Try to open a film with the library alone, in a process of its own; return its SHA-256."""
    done = subprocess.run(  # noqa: S603  (our own script)
        [sys.executable, "-I", open_film.__file__, blob, sidecar, keyring, purpose, *key_folders],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    promise(done.returncode in (0, 1), f"the script failed: {done.stderr.strip()[-300:]}")
    return done.stdout.split()[0] if done.returncode == 0 else None


def rows_of(settings: Settings, query: str, *values: str) -> list[tuple[Any, ...]]:
    """Read the clinic's database past the service, as an inspector with the file would."""
    with closing(sqlite3.connect(settings.under_data("consent.sqlite3"))) as database:
        return database.execute(query, values).fetchall()


def records_of(settings: Settings) -> dict[str, str]:
    """Return the digest of each table that a withdrawal must not touch, read straight from it."""
    found = {}
    with closing(sqlite3.connect(settings.under_data("consent.sqlite3"))) as database:
        for table in _RECORDS:
            rows = sorted(map(repr, database.execute(f"SELECT * FROM {table}")))  # noqa: S608
            promise(bool(rows), f"there is nothing in {table} to compare")
            found[table] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
        # The epoch and the last entry of an involvement move with every act; its facts do not.
        facts = "SELECT id, team_id, guider_id, shard, started_on, ended_on FROM involvement"
        rows = sorted(map(repr, database.execute(facts)))
        found["involvement"] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return found


def run_command(arguments: Sequence[str | Path], folder: Path) -> tuple[int, str, str]:
    """Run a verb in a process of its own, in a folder without data or settings."""
    code = "from consent_service.cli import main; main()"
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CONSENT_")}
    done = subprocess.run(  # noqa: S603  (our own command)
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder,
        env=kept,
    )
    return done.returncode, done.stdout, done.stderr


def write_public_keys(settings: Settings, target: Path) -> None:
    """Write the published keys as `keys public --json` prints them, and nothing private."""
    folder = settings.under_data("signing", "public")
    records = [json.loads(file.read_bytes()) for file in sorted(folder.glob("*.json"))]
    target.write_text(json.dumps(records), encoding="utf-8")

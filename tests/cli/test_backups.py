"""Backups as an operator makes and restores them: one verb each, in a folder that was set up."""

import shutil
from pathlib import Path

import pyrage
import pytest

from tests.support.command_line import CommandLine


@pytest.fixture
def safe(ready: CommandLine) -> Path:
    """An empty folder for backups outside the data folder, and a setting that names its owner."""
    pair = pyrage.x25519.Identity.generate()
    (ready.folder / ".env").write_text(f"CONSENT_BACKUP_RECIPIENT={pair.to_public()}\n")
    (ready.folder / "backup.key").write_text(str(pair))
    safe = ready.folder / "safe"
    shutil.rmtree(safe, ignore_errors=True)
    safe.mkdir()
    return safe


def test_a_lost_database_is_restored_with_one_verb(ready: CommandLine, safe: Path) -> None:
    """Journal and keys stood elsewhere; rows and film come from the backup."""
    made = ready("backups", "create", "--to", "safe", "--json")
    assert made.code == 0, made.err
    folder = made.json["folder"]
    checked = ready("backups", "verify", folder, "--identity", "backup.key", "--json").json
    assert (checked["faulty"], checked["opens"]) == ([], True)
    for lost in (ready.folder / "data").glob("consent.sqlite3*"):
        lost.unlink()

    restored = ready("backups", "restore", folder, "--identity", "backup.key", "--json")

    assert restored.code == 0, restored.err
    assert restored.json["new_log_epoch"]
    assert ready("users", "list", "--json").json[0]["email"] == "administrator@clinic.example"
    [listed] = ready("backups", "list", "--json").json
    assert (listed["id"], listed["state"]) == (made.json["id"], "there")
    drilled = ready("backups", "drill", folder, "--identity", "backup.key")
    assert drilled.code == 0, drilled.err
    assert "The backup would do." in drilled.out


def test_giving_up_what_is_there_is_asked_first(ready: CommandLine, safe: Path) -> None:
    """--replace destroys what was written since: without a terminal it needs --yes."""
    folder = ready("backups", "create", "--to", "safe", "--json").json["folder"]
    call = ("backups", "restore", folder, "--identity", "backup.key", "--replace")

    unasked, planned = ready(*call), ready(*call, "--dry-run", "--json")

    assert unasked.code == 2 and "--yes" in unasked.err
    assert planned.code == 0 and planned.json["dry_run"]
    assert ready(*call, "--yes").code == 0


def test_what_is_wrong_with_a_backup_is_said_in_a_sentence(ready: CommandLine, safe: Path) -> None:
    """An operator at night needs to know what to do, not where the code failed."""
    folder = Path(ready("backups", "create", "--to", "safe", "--json").json["folder"])
    (folder / "database.0001.age").write_bytes(b"something else")

    checked = ready("backups", "verify", str(folder))
    restored = ready("backups", "restore", str(folder), "--identity", "backup.key")
    inside = ready("backups", "create", "--to", "data")

    assert checked.code == 1 and "database.0001.age" in checked.out
    assert restored.code == 1 and "Use another backup." in restored.err
    assert inside.code == 1 and "another disk" in inside.err


def test_a_key_backup_that_could_not_be_made_leaves_no_file(ready: CommandLine, safe: Path) -> None:
    """Half a backup that lies about is one that somebody trusts, and that nobody deletes."""
    failed = ready("keys", "backup", "safe/keys.age", "--recipient", "age1nonsense")

    assert failed.code == 1
    assert "CONSENT_BACKUP_RECIPIENT" in failed.err
    assert list(safe.iterdir()) == []
    made = ready("keys", "backup", "safe/keys.age", "--json")
    assert made.code == 0, made.err
    assert (safe / "keys.age").stat().st_size > 0
    assert ready("keys", "backup", "safe/keys.age").code == 1
    assert (safe / "keys.age").stat().st_size > 0


def test_a_key_backup_never_takes_the_place_of_another(ready: CommandLine, safe: Path) -> None:
    """Neither of one that is whole, nor of one that somebody is writing or that was cut off."""
    (safe / "whole.age").write_bytes(b"keys")
    (safe / ".begun.age~").write_bytes(b"ke")

    whole = ready("keys", "backup", "safe/whole.age")
    begun = ready("keys", "backup", "safe/begun.age")

    assert (whole.code, begun.code) == (1, 1)
    assert "exists already" in whole.err
    assert ".begun.age~" in begun.err
    assert {p.name: p.read_bytes() for p in safe.iterdir()} == {
        "whole.age": b"keys",
        ".begun.age~": b"ke",
    }

"""Backups of an installation with a film: a key that is missing, a file that is, a byte changed."""

from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest

from tests.support.clinic import Family
from tests.support.command_line import CommandLine
from tests.support.installation import found_installation
from tests.support.safe import consenting_family


@dataclass(frozen=True)
class Kept:
    """An installation with one film, its backup, and a key backup from before the film."""

    verbs: CommandLine
    backup: str
    keys: Path
    identity: Path
    family: Family

    def withdrawn(self) -> str:
        """Everything is withdrawn, and gone; returns the order's reference."""
        who = (self.family.mother, "--involvement", self.family.involvement)
        done = self.verbs("withdrawals", "record", *who, "--yes", "--json")
        assert done.code == 0, done.err
        order = done.json["erasure_order"]
        return str(self.verbs("erasure", "show", order, "--json").json["reference"])


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """All of it in a folder, as verbs made it."""
    verbs, identity = CommandLine(tmp_path), tmp_path / "backup.key"
    pair = pyrage.x25519.Identity.generate()
    identity.write_text(str(pair))
    (tmp_path / ".env").write_text(f"CONSENT_BACKUP_RECIPIENT={pair.to_public()}\n")
    clinic = found_installation(tmp_path / "data")
    early = verbs("keys", "backup", "early.age")
    assert early.code == 0, early.err
    family = consenting_family(clinic)
    clinic.stores_film(family)
    clinic.ctx.keyring.close()
    clinic.ctx.engine.dispose()
    (tmp_path / "safe").mkdir()
    made = verbs("backups", "create", "--to", "safe", "--json")
    assert made.code == 0, made.err
    return Kept(verbs, made.json["folder"], tmp_path / "early.age", identity, family)


def test_films_without_a_key_are_counted_by_check_and_by_a_restore(kept: Kept) -> None:
    """A key backup that is older than the film opens nothing of it: there may be a newer one."""
    verbs = kept.verbs
    restore = ("backups", "restore", kept.backup, "--identity", kept.identity, "--replace")
    before = verbs(*restore, "--dry-run", "--json").json["without_key"]
    newer = verbs("keys", "backup", "newer.age")
    assert newer.code == 0, newer.err
    for file in (verbs.folder / "data" / "keyring").iterdir():
        file.unlink()

    came = verbs("keys", "restore", kept.keys, "--identity", kept.identity)
    checked = verbs("check", "--json")
    planned = verbs(*restore, "--dry-run")
    restored = verbs(*restore, "--yes")

    assert came.code == 0, came.err
    assert before == 0
    told = [line["finding"] for line in checked.json if line["what"] == "keyring"]
    assert len(told) == 1 and "no key for 1 films" in told[0] and "keys restore" in told[0]
    for said in (planned, restored):
        assert said.code == 0, said.err
        assert "no key for 1 films" in said.err and "keys restore" in said.err
    again = verbs("keys", "restore", "newer.age", "--identity", kept.identity)
    assert again.code == 0, again.err
    assert "no key for" not in verbs(*restore, "--dry-run").err
    assert not [line for line in verbs("check", "--json").json if line["state"] == "fault"]


def test_a_drill_names_the_film_file_that_is_missing_and_looks_through_the_rest(kept: Kept) -> None:
    """*The backup cannot be read* sends somebody to the disk; one film of many is what is lost."""
    [film] = (path for path in Path(kept.backup, "film").rglob("*.1"))
    film.unlink()

    said = kept.verbs("backups", "drill", kept.backup, "--identity", kept.identity, "--json")
    restored = kept.verbs("backups", "restore", kept.backup, "--identity", kept.identity)

    assert said.code == 1, said.err
    assert said.json["faults"] == [f"file {film.name}", f"film {film.name}"]
    assert said.json["log_entries"] > 0
    assert restored.code == 1 and film.name in restored.err


@pytest.mark.parametrize("verb", ["verify", "drill", "restore"])
def test_a_manifest_that_was_altered_is_named(kept: Kept, verb: str) -> None:
    """*The signature is not of these bytes* leaves an operator to guess which bytes."""
    manifest = Path(kept.backup, "manifest.json")
    manifest.write_bytes(manifest.read_bytes().replace(b'"service":"', b'"service":"9', 1))

    said = kept.verbs("backups", verb, kept.backup, "--identity", kept.identity)

    assert said.code == 1
    assert "File manifest.json of the backup is not what was signed." in said.err


def test_a_folder_without_a_backup_is_named(kept: Kept) -> None:
    """The wrong disk may be mounted there."""
    said = kept.verbs("backups", "verify", "safe")

    assert said.code == 1 and "safe/manifest.json" in said.err


def test_a_revision_that_is_not_there_is_answered_with_those_there_are(kept: Kept) -> None:
    """*There is no certificate yet* would be untrue."""
    order = kept.withdrawn()

    said = kept.verbs("certificates", "show", order, "--revision", "9")
    first = kept.verbs("certificates", "show", order, "--revision", "1")

    assert said.code == 1
    assert "There is no such revision: the newest is 1, the first is 1." in said.err
    assert first.code == 0


def test_nothing_is_begun_in_the_place_of_a_lost_database(kept: Kept) -> None:
    """A new one would know of no film, and comparisons would call all that is kept unknown."""
    for file in (kept.verbs.folder / "data").glob("consent.sqlite3*"):
        file.unlink()

    for verb in (("check",), ("upgrade",), ("init",), ("backups", "create", "--to", "safe")):
        said = kept.verbs(*verb)
        assert said.code == 1 and "backups restore" in said.out + said.err, (said.out, said.err)
        assert "upgrade`" not in said.out + said.err
    started = kept.verbs.in_a_process("run")
    assert started.code == 1 and "backups restore" in started.err, started.err

    back = kept.verbs("backups", "restore", kept.backup, "--identity", str(kept.identity), "--yes")
    assert back.code == 0, back.err
    assert kept.verbs("check").code == 0


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_what_was_found_is_shown_though_not_all_can_be_compared(
    kept: Kept, as_json: tuple[str, ...]
) -> None:
    """It also destroys: whoever hears of the fault alone does not know of what else."""
    store = kept.verbs.folder / "data" / "film"
    [film] = store.rglob("*.1")
    film.unlink()
    (store / ".unfinished").rmdir()
    (store / ".unfinished").touch()

    said = kept.verbs("reconcile", *as_json)

    assert said.code == 1
    assert "object_missing" in said.out and film.name[:-2] in said.out
    assert "ENOTDIR" in said.err

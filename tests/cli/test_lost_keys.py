"""Keys, journal or film store are gone: every verb says so, and none makes new ones.

New ones in their place would look as if all were well, until somebody opens a film.
"""

import shutil
from collections.abc import Iterator

import pytest

from tests.support.command_line import CommandLine, Said

LOST = {
    "keyring": ("keyring", "The keyring is missing", "keys restore"),
    "escrow": ("escrow", "There are no master keys in", "Put the folder back"),
    "master": ("master", "There are no master keys in", "Put the folder back"),
    "journal": ("journal", "The journal is missing", "Put back the newest copy"),
    "film": ("film", "The film store is missing", "Mount its disk"),
    "signing": ("signing", "The signing keys are missing", "Put them back"),
}
"""What is lost: its folder below the data folder, what is said, and what to do."""
LINES = {
    "escrow": "master keys",
    "film": "film store",
    "master": "master keys",
    "signing": "set-up",
}
"""On which line of the check it stands, where that is called otherwise."""
VERBS = (("users", "list"), ("audit", "verify"), ("keys", "status"), ("init",), ("upgrade",))


@pytest.fixture(params=LOST)
def lost(ready: CommandLine, request: pytest.FixtureRequest) -> Iterator[str]:
    """One of them is not mounted; it is again at the end."""
    folder = ready.folder / "data" / LOST[request.param][0]
    kept = folder.rename(ready.folder / "kept")
    yield request.param
    kept.rename(folder)
    assert ready("check").code == 0


def _says(said: Said, lost: str) -> bool:
    _, what, advice = LOST[lost]
    return said.code == 1 and what in said.err and advice in said.err


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_no_verb_makes_anew_what_was_lost(
    ready: CommandLine, lost: str, verb: tuple[str, ...]
) -> None:
    """Also not the one that sets up: it was set up before."""
    said = ready(*verb)

    assert _says(said, lost), (said.out, said.err)
    assert not (ready.folder / "data" / LOST[lost][0]).exists()


def test_no_process_serves_without_what_was_lost(ready: CommandLine, lost: str) -> None:
    """It would take film in under keys that belong to nothing that is kept."""
    started = ready.in_a_process("run")

    assert _says(started, lost), (started.out, started.err)
    assert not (ready.folder / "data" / LOST[lost][0]).exists()


def test_check_names_what_was_lost_and_makes_nothing(ready: CommandLine, lost: str) -> None:
    """Whoever is told that the keyring is well does not look for its backup."""
    said = ready("check", "--json")

    [fault] = [line for line in said.json if line["state"] == "fault"]
    assert said.code == 1
    assert fault["what"] == LINES.get(lost, lost)
    assert LOST[lost][1] in fault["finding"] and LOST[lost][2] in fault["finding"]
    assert not (ready.folder / "data" / LOST[lost][0]).exists()


def test_who_has_no_key_backup_goes_on_with_an_empty_keyring(ready: CommandLine) -> None:
    """Old film is lost then, and new film must not be: but only a person may say so."""
    file = ready.folder / "data" / "keyring" / "keyring.sqlite3"
    kept = file.parent.rename(ready.folder / "kept")
    file.parent.mkdir(mode=0o700)
    file.touch(mode=0o600)

    said = ready("keys", "status", "--json")

    assert (said.code, said.json["live"]) == (0, 0)
    shutil.rmtree(file.parent)
    kept.rename(file.parent)


def test_the_file_of_the_keyring_is_named(ready: CommandLine) -> None:
    """The folder may be there, with the file of a disk that is not mounted within."""
    file = ready.folder / "data" / "keyring" / "keyring.sqlite3"
    kept = file.rename(ready.folder / "kept.sqlite3")

    said = ready("keys", "status")

    assert said.code == 1 and str(file) in said.err
    assert not file.exists()
    kept.rename(file)


def test_signing_keys_of_a_disk_that_is_not_mounted_are_not_made_anew(ready: CommandLine) -> None:
    """Its folder is there and empty. A journal of other keys is one that nobody can read."""
    folder = ready.folder / "data" / "signing"
    kept = folder.rename(ready.folder / "kept")
    folder.mkdir(mode=0o700)

    said = ready("init")

    assert said.code == 1 and "is lost. Restore the file" in said.err, (said.out, said.err)
    assert not list(folder.iterdir())
    folder.rmdir()
    kept.rename(folder)
    assert ready("init").code == 0


def test_a_journal_with_lines_is_not_gone_on_with_by_a_new_service(empty: CommandLine) -> None:
    """The disk with database and keyring was lost: what the journal says is all there is of them.

    A new service would begin below its lines, and refuse every backup that is put back later.
    """
    assert empty("init").code == 0
    assert empty("audit", "checkpoint").code == 0
    data = empty.folder / "data"
    for file in data.glob("consent.sqlite3*"):
        file.unlink()
    for folder in ("keyring", "master", "escrow"):
        shutil.rmtree(data / folder)

    said = empty("init")

    assert said.code == 1, said.out
    assert "journal holds lines" in said.err and "backups restore" in said.err
    assert not any((data / folder).exists() for folder in ("keyring", "master", "escrow"))
    (data / "journal" / "journal.jsonl").unlink()
    assert empty("init").code == 0, "one that holds nothing is begun"


def test_film_is_not_taken_in_beneath_a_disk_that_is_not_mounted(ready: CommandLine) -> None:
    """It would be hidden by the disk once that is there. Whoever lost it may say so, or restore."""
    folder = ready.folder / "data" / "film"
    kept = folder.rename(ready.folder / "kept")
    folder.mkdir(mode=0o700)

    refused = ready("users", "list")

    assert refused.code == 1 and "The film store is missing" in refused.err
    assert not list(folder.iterdir())
    (folder / ".unfinished").mkdir(mode=0o700)
    assert ready("check").code == 0
    shutil.rmtree(folder)
    kept.rename(folder)

"""Keyring, master keys or journal are gone: every verb says so, and none makes new ones.

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
}
"""What is lost: its folder below the data folder, what is said, and what to do."""
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
    assert fault["what"] == {"escrow": "master keys", "master": "master keys"}.get(lost, lost)
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

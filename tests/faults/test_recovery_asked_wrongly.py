"""At three in the morning: what is asked for wrongly is said in one sentence, and nothing else is.

Exit code 2 for what was asked for, 1 for a film that does not open.
"""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import story as stories
from tests.support.installation import close
from tests.support.processes import free_port
from tests.support.recovery import FILES, recipe, recover, refused_here, sentence

Said = Sequence[str | Path]


@dataclass(frozen=True)
class Kept:
    """A film whose parts all open, and a folder of things that are not among them."""

    folder: Path
    film: str
    clip: str
    wrong: Path

    def beside(self, name: str) -> Path:
        return self.folder / "film" / name[:2] / name

    @property
    def sidecar(self) -> Path:
        return self.beside(f"{self.film}.json")

    @property
    def blob(self) -> Path:
        return self.beside(f"{self.film}.1")

    @property
    def short(self) -> Said:
        return self.folder, self.film, "care"

    @property
    def keyring(self) -> Said:
        return "--keyring", self.folder / "keyring" / "keyring.sqlite3"

    def with_keyring(self, name: str, content: bytes) -> Said:
        """The film, with another file for its keyring."""
        (self.wrong / name).write_bytes(content)
        return *self.short, "--keyring", self.wrong / name


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Made once: nothing here changes it."""
    folder = tmp_path_factory.mktemp("asked-wrongly")
    told = stories.begin(folder / "data")
    close(told.clinic)
    (folder / "wrong").mkdir()
    return Kept(folder / "data", told.film, told.clip, folder / "wrong")


def test_what_is_asked_for_rightly_opens(kept: Kept) -> None:
    """Or every refusal below would prove nothing."""
    named = ("--sidecar", kept.sidecar, "--blob", kept.blob, *kept.keyring)
    for said in (kept.short, (*named, "--masters", kept.folder / "master", "care")):
        done = recover(*said)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout[4:8] == b"ftyp"


WRONG: dict[str, tuple[Callable[[Kept], Said], str]] = {
    "nothing": (lambda k: (), "--help"),
    "a purpose alone": (lambda k: ("care",), "DATA_FOLDER"),
    "no purpose": (lambda k: k.short[:2], "DATA_FOLDER"),
    "too much": (lambda k: (*k.short, "now"), "DATA_FOLDER"),
    "an unknown option": (lambda k: (*k.short, "--fast"), "--fast"),
    "an option without its value": (lambda k: (*k.short, "--keyring"), "--keyring"),
    "no such folder": (lambda k: (k.wrong / "none", k.film, "care"), "No such file"),
    "no such film": (lambda k: (k.folder, "0" * 32, "care"), "No such file"),
    "no such purpose": (lambda k: (k.folder, k.film, "TRAIN"), "care"),
    "no such sidecar": (lambda k: (*k.short, "--sidecar", k.wrong / "none"), "No such file"),
    "a blob for a sidecar": (lambda k: (*k.short, "--sidecar", k.blob), "no sidecar"),
    "a list for a sidecar": (lambda k: (*k.short, "--sidecar", _file(k, b"[]")), "no sidecar"),
    "an empty sidecar": (lambda k: (*k.short, "--sidecar", _file(k, b"")), "no sidecar"),
    "no such blob": (lambda k: (*k.short, "--blob", k.wrong / "none"), "No such file"),
    "a folder for a blob": (lambda k: (*k.short, "--blob", k.wrong), "Is a directory"),
    "no such keyring": (lambda k: (*k.short, "--keyring", k.wrong / "none"), "No such file"),
    "a folder for a keyring": (lambda k: (*k.short, "--keyring", k.wrong), "Is a directory"),
    "another database": (
        lambda k: (*k.short, "--keyring", k.folder / "consent.sqlite3"),
        "no such table",
    ),
    "a cut database": (lambda k: k.with_keyring("cut", b"SQLite format 3\0" + bytes(9)), "keyring"),
    "a sidecar for a keyring": (lambda k: (*k.short, "--keyring", k.sidecar), "no whole keyring"),
    "a blob for a keyring": (lambda k: (*k.short, "--keyring", k.blob), "no whole keyring"),
    "an empty keyring": (lambda k: k.with_keyring("empty", b""), "no whole keyring"),
    "an empty pipe": (lambda k: (*k.short, "--keyring", "-"), "no whole keyring"),
    "other words": (lambda k: k.with_keyring("words", b"keys, keys"), "no whole keyring"),
    "a cut dump": (lambda k: k.with_keyring("dump", _CUT_DUMP), "no whole keyring"),
    "a cut key backup": (lambda k: k.with_keyring("json", _CUT_KEYS), "no whole keyring"),
    "a shut key backup": (lambda k: k.with_keyring("age", b"age-encryption.org/v1\n"), "age -d"),
    "an armoured one": (lambda k: k.with_keyring("pem", b"-----BEGIN AGE ENC"), "age -d"),
    "a packed dump": (lambda k: k.with_keyring("fc", b"PGDMP\1"), "pg_restore"),
    "a server that is away": (
        lambda k: (*k.short, "--keyring", f"postgresql+psycopg://127.0.0.1:{free_port()}/keys"),
        "refused",
    ),
    "an address that is none": (lambda k: (*k.short, "--keyring", "postgresql://[/x"), "keyring"),
    "no master keys": (lambda k: (*k.short, "--masters", k.wrong), "no master key"),
    "no such master keys": (lambda k: (*k.short, "--masters", k.wrong / "none"), "no master key"),
    "no masters named": (
        lambda k: ("--sidecar", k.sidecar, *k.keyring, "care"),
        "--masters",
    ),
    "half a key server": (lambda k: (*k.short, "--masters", "openbao://keys"), "transit/key"),
    "no token": (lambda k: (*k.short, "--masters", _AWAY), "BAO_TOKEN"),
    "no token file": (
        lambda k: (*k.short, "--masters", f"{_AWAY}?token_file={k.wrong}/none"),
        "No such file",
    ),
}
_AWAY = "openbao://127.0.0.1:1/transit/key"
_CUT_DUMP = b"COPY public.shard_key (zone, shard) FROM stdin;\nlive\t1\n"
_CUT_KEYS = json.dumps({"format": "consent-service/key-backup/v1"}).encode() + b"\n"


@pytest.mark.parametrize("how", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(kept: Kept, how: str) -> None:
    """A traceback says where a program broke; the operator has to know what to give it."""
    said, word = WRONG[how]

    assert word in sentence(refused_here(*said(kept)), 2)


@pytest.mark.parametrize("how", ["nothing", "an empty pipe"])
def test_no_traceback_comes_out_of_a_process_either(kept: Kept, how: str) -> None:
    """What Python itself would add at the end of one is not there."""
    said, word = WRONG[how]

    assert word in sentence(recover(*said(kept)), 2)


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"BAO_TOKEN": "s.nobody"}, "reached"),
        ({"BAO_TOKEN": "s.nobody", "BAO_CACERT": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
    ],
)
def test_a_key_server_that_cannot_be_asked_is_said(
    kept: Kept, variables: dict[str, str], word: str
) -> None:
    """It is away, or its CA is: nothing is known of the film."""
    assert word in sentence(refused_here(*kept.short, "--masters", _AWAY, **variables), 2)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"errors":[]}', b'{"data":{}}'])
def test_an_answer_of_something_else_is_said(body: bytes) -> None:
    """The address of a web server, or a key that the server does not have."""
    answers, wrong = recipe("recover_openbao").answers, recipe("recover_keys").Wrong

    with pytest.raises(wrong, match="knows no such key"):
        answers(body)


def test_a_film_that_is_another_or_altered_does_not_open(kept: Kept) -> None:
    """Nothing comes out of a blob that is another's, and what was cut off is not kept quiet."""
    other = recover(*kept.short, "--blob", kept.beside(f"{kept.clip}.1"))
    assert "altered" in sentence(other, 1)

    whole = kept.blob.read_bytes()
    (kept.wrong / "cut").write_bytes(whole[:-1])
    cut = recover(*kept.short, "--blob", kept.wrong / "cut")
    assert (cut.returncode, b"altered" in cut.stderr) == (1, True)


def test_master_keys_of_another_keyring_open_nothing(kept: Kept) -> None:
    """Also where a file is shorter than a key, as a killed copy leaves it."""
    other = kept.wrong / "other"
    other.mkdir()
    (other / "master-000001.key").write_bytes(bytes(range(32)))
    (other / "master-000002.key").write_bytes(b"short")

    assert "gone" in sentence(recover(*kept.short, "--masters", other), 1)


def test_a_wrap_of_other_keys_does_not_open(kept: Kept) -> None:
    """Where a sidecar was put together from two."""
    told = json.loads(kept.sidecar.read_bytes())
    told["wraps"][0]["wrapped"] = told["wraps"][-1]["wrapped"][:-8] + "AAAAAAA="
    told["wraps"] = told["wraps"][:1]
    changed = _file(kept, json.dumps(told).encode())
    purpose = told["wraps"][0]["purpose"]

    done = recover(*(kept.folder, kept.film, purpose), "--sidecar", changed, "--blob", kept.blob)

    assert "do not open" in sentence(done, 1)


def test_a_full_disk_is_said(kept: Kept) -> None:
    """What was written is not the film, and whoever waits for it has to know."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-E", "-s", FILES[0], *kept.short],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            cwd="/",
            env=dict(os.environ),
        )

    assert (done.returncode, done.stderr) == (2, b"film: No space left on device.\n")


def test_a_keyring_of_which_a_row_was_moved_opens_the_others(kept: Kept) -> None:
    """A damaged row is a key that does not open, not the end of the recipe."""
    copy = kept.wrong / "moved.sqlite3"
    with (
        closing(sqlite3.connect(kept.folder / "keyring" / "keyring.sqlite3")) as old,
        closing(sqlite3.connect(copy)) as new,
    ):
        old.backup(new)
        asset = json.loads(kept.sidecar.read_bytes())["asset_key"]
        new.execute("UPDATE held_key SET wrapped = x'00' WHERE key_id = ?", (asset,))
        new.commit()

    assert "1 are gone" in sentence(recover(*kept.short, "--keyring", copy), 1)


def _file(kept: Kept, content: bytes) -> Path:
    path = kept.wrong / "file"
    path.write_bytes(content)
    return path

"""A journal that was cut: no verb writes on beside it, or neither copy would be accepted again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest

from consent_service.vault.journal import LineKind
from consent_service.wiring import build_context, settings_from
from tests.support.command_line import CommandLine

PERSON = "keeper@clinic.example"
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudfm5t4qw9xvk5"

WRITING: dict[str, tuple[str, ...]] = {
    "users disable": (PERSON, "--yes"),
    "tokens revoke": ("f" * 32, "--yes"),
    "holds place": ("f" * 32, "--kind", "complaint", "--reason", "A complaint"),
    "keys backup": ("keys.age", "--recipient", RECIPIENT),
    "keys backup --gone": (),
    "keys rotate": ("--yes",),
    "audit checkpoint": (),
    "backups create": ("--to", "safe"),
    "erasure run": ("--yes",),
    "retention run": ("--yes",),
}
"""Every verb whose act has a line of its own in the journal, or writes those that are owed."""


def _journal(verbs: CommandLine) -> Path:
    return verbs.folder / "data" / "journal" / "journal.jsonl"


@pytest.fixture(scope="module")
def kept(ready: CommandLine) -> bytes:
    """The whole journal, whose last line the database remembers."""
    assert ready("users", "add", PERSON, "--role", "guider").code == 0
    assert ready("users", "add", "leaver@clinic.example", "--role", "guider").code == 0
    assert ready("users", "disable", "leaver@clinic.example", "--yes").code == 0
    (ready.folder / "safe").mkdir()
    pair = pyrage.x25519.Identity.generate()
    (ready.folder / "opens").write_text(str(pair))
    (ready.folder / ".env").write_text(f"CONSENT_BACKUP_RECIPIENT={pair.to_public()}\n")
    made = ready("backups", "create", "--to", "safe")
    assert made.code == 0, made.err
    checked = ready("audit", "checkpoint")
    assert checked.code == 0, checked.err
    return _journal(ready).read_bytes()


@pytest.fixture
def put_back(ready: CommandLine, kept: bytes) -> Iterator[None]:
    """Puts the whole journal back at the end, as an operator is told to."""
    yield
    _journal(ready).parent.mkdir(exist_ok=True)
    _journal(ready).write_bytes(kept)
    healed = ready("erasure", "run", "--yes")
    assert healed.code == 0, healed.err


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize("verb", WRITING)
def test_no_verb_writes_on_where_the_journal_was_cut(
    ready: CommandLine, kept: bytes, verb: str
) -> None:
    """Another line in the place of the one that is missing would rule out the whole copy too."""
    cut = b"".join(kept.splitlines(keepends=True)[:-1])
    _journal(ready).write_bytes(cut)

    said = ready(*verb.split(), *WRITING[verb])

    assert said.code == 1
    assert "it was cut, or an old copy was put back" in said.err
    assert _journal(ready).read_bytes() == cut
    assert _is_active(ready), "nothing of the act may be done"
    assert not (ready.folder / "keys.age").exists()


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize("verb", WRITING)
def test_no_verb_acts_where_the_journal_is_not_mounted(
    ready: CommandLine, kept: bytes, verb: str
) -> None:
    """What is said to be closed would be open again after the next restore."""
    _journal(ready).unlink()
    _journal(ready).parent.rmdir()

    said = ready(*verb.split(), *WRITING[verb])

    assert said.code == 1
    assert "Put back the newest copy of the journal" in said.err
    assert not _journal(ready).parent.exists()
    _journal(ready).parent.mkdir()
    _journal(ready).write_bytes(kept)
    assert _is_active(ready), "nothing of the act may be done"


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize("how", ["cut", "emptied", "forked", "missing", "not mounted"])
def test_no_backup_is_put_back_beside_a_journal_that_lacks_what_the_database_knows(
    ready: CommandLine, kept: bytes, how: str
) -> None:
    """What ended since the backup would be allowed again, and the rows that knew it be gone."""
    _spoil(ready, kept, how)
    before = _journal(ready).read_bytes() if _journal(ready).exists() else None
    [folder] = (ready.folder / "safe").iterdir()

    said = ready("backups", "restore", folder, "--identity", "opens", "--replace", "--yes")

    assert said.code == 1
    assert "journal" in said.err
    assert (_journal(ready).read_bytes() if _journal(ready).exists() else None) == before
    assert _journal(ready).parent.exists() is (how != "not mounted")
    _journal(ready).parent.mkdir(exist_ok=True)
    _journal(ready).write_bytes(kept)
    assert _is_active(ready)


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize("how", ["cut", "emptied", "forked", "missing", "not mounted"])
def test_check_finds_the_fault_for_which_a_start_is_refused(
    ready: CommandLine, kept: bytes, how: str
) -> None:
    """An operator who is told that all is well stops looking; and nothing is made meanwhile."""
    file = _journal(ready)
    _spoil(ready, kept, how)
    before = file.read_bytes() if file.exists() else None

    said = ready("check", "--json")

    found = [line for line in said.json if line["what"] == "journal" and line["state"] == "fault"]
    assert said.code == 1
    assert len(found) == 1 and "Put back the newest copy of the journal" in found[0]["finding"]
    assert (file.read_bytes() if file.exists() else None) == before
    assert file.parent.exists() is (how != "not mounted")


def test_check_says_that_the_journal_is_whole(ready: CommandLine, kept: bytes) -> None:
    """A fault that is always there is not looked at."""
    said = ready("check", "--json")

    lines = [line for line in said.json if line["what"] == "journal" and line["state"] == "ok"]
    assert [line["finding"] for line in lines] == [f"whole, {len(kept.splitlines())} lines"]


@pytest.fixture
def copy_of_keys(ready: CommandLine, tmp_path: Path) -> Path:
    """A key backup from before the journal was lost; `identity` beside it opens it."""
    pair = pyrage.x25519.Identity.generate()
    (tmp_path / "identity").write_text(str(pair))
    made = ready("keys", "backup", tmp_path / "keys", "--recipient", str(pair.to_public()))
    assert made.code == 0, made.err
    return tmp_path / "keys"


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("cut", "it was cut, or an old copy was put back"),
        ("emptied", "Put the journal back first"),
        ("missing", "The journal is missing"),
        ("not mounted", "The journal is missing"),
    ],
)
def test_no_key_comes_back_without_the_journal_that_says_which_are_gone(
    ready: CommandLine, kept: bytes, copy_of_keys: Path, how: str, told: str
) -> None:
    """A key backup holds what was destroyed since: only the journal can refuse that."""
    _spoil(ready, kept, how)
    call = ("keys", "restore", copy_of_keys, "--identity", copy_of_keys.parent / "identity")

    said = ready(*call)

    assert said.code == 1
    assert told in said.err
    assert _journal(ready).exists() is (how in ("cut", "emptied"))
    _journal(ready).parent.mkdir(exist_ok=True)
    _journal(ready).write_bytes(kept)
    assert ready(*call).code == 0


def _spoil(verbs: CommandLine, kept: bytes, how: str) -> None:
    file = _journal(verbs)
    if how in ("missing", "not mounted"):
        file.unlink()
        if how == "not mounted":
            file.parent.rmdir()
        return
    file.write_bytes(b"" if how == "emptied" else b"".join(kept.splitlines(keepends=True)[:-1]))
    if how == "forked":
        ctx = build_context(settings_from({"CONSENT_DATA_DIR": str(verbs.folder / "data")}))
        ctx.journal.append(LineKind.RESTORED, {"line": 1, "acts": 0}, datetime.now(UTC))
        ctx.keyring.close()
        ctx.engine.dispose()


def _is_active(verbs: CommandLine) -> bool:
    rows = verbs("users", "list", "--json").json
    return next(bool(row["active"]) for row in rows if row["email"] == PERSON)

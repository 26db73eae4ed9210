"""An older database is put back, and the next thing is a verb: what ended stays ended."""

import gc
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from consent_service.cli.root import NOUNS, root
from tests.support.command_line import CommandLine
from tests.support.installation import copy_sqlite

NOBODY = "f" * 32
LEAVER = "leaver@clinic.example"
WHY = ("--reason", "A reason", "--yes")

VERBS: dict[str, tuple[str, ...]] = {
    "erasure run": ("--yes",),
    "withdrawals record": (NOBODY, "--involvement", NOBODY, "--yes"),
    "withdrawals cancel": (NOBODY, "--by", NOBODY),
    "consent invalidate": (NOBODY, "--because", "wrong_person", *WHY),
    "consent revoke": (NOBODY, "--involvement", NOBODY, "--because", "service_ended", *WHY),
    "retention run": ("--yes",),
    "dispositions decide": (NOBODY, "keep", *WHY),
    "appraisals approve": ("nothing", "--yes"),
    "holds release": (NOBODY, "--as", "nobody@clinic.example", "--confirm", "--yes"),
    "keys rotate": ("--yes",),
    "reconcile": ("--confirm-unknown", "--yes"),
    "users disable": ("nobody@clinic.example", "--yes"),
    "tokens revoke": (NOBODY, "--yes"),
}
"""Every verb that destroys, orders or ends what cannot be begun again, with what it asks for."""

WITHOUT_DRY_RUN = {"withdrawals cancel", "consent invalidate"}

OTHERS = {
    "backups restore": "it replaces the database and replays the journal itself",
}
"""Other verbs that ask before they act, and why no look has to come first."""


def _put_back(verbs: CommandLine, backup: Path) -> None:
    gc.collect()  # no connection of a verb before this may touch what is put in its place
    database = verbs.folder / "data" / "consent.sqlite3"
    for file in database.parent.glob("consent.sqlite3*"):
        file.unlink()
    copy_sqlite(backup, database)


def _is_active(verbs: CommandLine, email: str) -> bool:
    rows = verbs("users", "list", "--json").json
    return next(bool(row["active"]) for row in rows if row["email"] == email)


@pytest.fixture(scope="module")
def backup(ready: CommandLine) -> Path:
    """A copy of the database from before an account was closed."""
    assert ready("users", "add", LEAVER, "--role", "guider").code == 0
    copy = ready.folder / "before.sqlite3"
    copy_sqlite(ready.folder / "data" / "consent.sqlite3", copy)
    assert ready("users", "disable", LEAVER, "--yes").code == 0
    return copy


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_destroys_first_brings_an_older_database_up_to_date(
    ready: CommandLine, backup: Path, verb: str
) -> None:
    """A hold or a change of mind that only the journal knows comes before anything goes."""
    _put_back(ready, backup)
    assert _is_active(ready, LEAVER), "a verb that reads brings nothing back"

    said = ready(*verb.split(), *VERBS[verb])

    assert said.code in (0, 1), said.err
    assert not _is_active(ready, LEAVER)


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - WITHOUT_DRY_RUN))
def test_a_dry_run_changes_nothing_of_an_older_database(
    ready: CommandLine, backup: Path, verb: str
) -> None:
    """Whoever looks before they act may be looking for what the backup holds."""
    _put_back(ready, backup)

    said = ready(*verb.split(), *VERBS[verb], "--dry-run")

    assert said.code in (0, 1), said.err
    assert _is_active(ready, LEAVER)


def test_each_verb_that_asks_before_it_acts_is_among_these(ready: CommandLine) -> None:
    """A new verb must not be forgotten."""
    asking = {name for name, verb in _verbs() if any(o.name == "yes" for o in verb.params)}

    assert asking == {*VERBS, *OTHERS} - {"withdrawals cancel"}


def _verbs() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(root)
    for noun in NOUNS:
        command = root.get_command(context, noun)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{noun} {name}", verb) for name, verb in command.commands.items())
        else:
            yield noun, command

"""What verbs say when something is not there or cannot be read: what exists, which file, what to do.

An operator has the documents in hand and no source code.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from consent_service.domain.audit import EventKind
from consent_service.domain.withdrawal import Route
from consent_service.jobs.catalogue import CATALOGUE
from consent_service.policy_files import default_policy_dir, read_policies
from consent_service.services.accounts import NOT_FOR_STAFF
from consent_service.services.installation import FIRST_ADMINISTRATOR
from tests.support.command_line import CommandLine

ROLES = set(read_policies(default_policy_dir()).roles) - NOT_FOR_STAFF


def test_an_unknown_role_is_answered_with_those_there_are(ready: CommandLine) -> None:
    """A role's name is not to be guessed."""
    said = ready("users", "add", "ada@clinic.example", "--role", "nurse")

    assert said.code == 1
    assert {role for role in ROLES if role in said.err} == ROLES


def test_a_scope_that_the_account_lacks_is_answered_with_those_it_has(ready: CommandLine) -> None:
    """A token reaches no further than its owner."""
    said = ready("tokens", "create", FIRST_ADMINISTRATOR, "--scope", "guider")

    assert said.code == 1 and "of its account: administrator." in said.err


@pytest.mark.parametrize("verb", [("users", "add"), ("tokens", "create")], ids=" ".join)
def test_help_names_every_role_of_staff(empty: CommandLine, verb: tuple[str, str]) -> None:
    """Who adds a colleague looks at the help first."""
    told = " ".join(empty(*verb, "--help").out.split())

    assert {role for role in ROLES if role in told} == ROLES
    assert verb[0] == "tokens" or "teams list" in told


@pytest.mark.parametrize("verb", ["preview", "record"])
def test_help_names_every_route(empty: CommandLine, verb: str) -> None:
    """Somebody is on the telephone while this is typed."""
    told = " ".join(empty("withdrawals", verb, "--help").out.split())

    routes = {route.value for route in Route} - {"journal_replay"}
    assert {route for route in routes if route in told} == routes
    assert "journal_replay" not in told


@pytest.mark.parametrize("verb", ["history", "run"])
def test_an_unknown_job_is_answered_with_those_there_are(ready: CommandLine, verb: str) -> None:
    """*Nothing to show* would look as if the job had never run."""
    said = ready("jobs", verb, "nope")

    assert said.code == 1
    assert {name for name in CATALOGUE if name in said.err} == set(CATALOGUE)
    assert ready("jobs", "history", "retention").code == 0


def test_an_unknown_kind_of_entry_is_answered_with_those_there_are(ready: CommandLine) -> None:
    """There are many, and the log is where somebody looks who must be sure."""
    said = ready("audit", "show", "--kind", "nope")

    assert said.code == 1
    assert {kind for kind in EventKind if kind in said.err} == set(EventKind)


@pytest.mark.parametrize(
    "address",
    ["nonsense", "mysql://u:hush@db/x", "postgresql://u:hush@db/x", "sqlite", "postgresql+x://h:y"],
)
@pytest.mark.parametrize("verb", ["init", "check", "users list"])
def test_an_address_that_is_no_database_is_named_with_its_form(
    empty: CommandLine, address: str, verb: str
) -> None:
    """It is the operator's to correct, and not ours to have reported."""
    if verb != "init":
        assert empty("init").code == 0
    (empty.folder / ".env").write_text(f"CONSENT_DATABASE_URL={address}\n")

    said = empty(*verb.split())

    told = " ".join((said.out + said.err).split())
    assert said.code == 1
    assert "CONSENT_DATABASE_URL must be sqlite:////path" in told
    assert "hush" not in said.err and "report this line" not in told
    assert verb != "init" or not (empty.folder / "data").exists()


def test_a_database_that_cannot_be_opened_is_not_ours_to_report(empty: CommandLine) -> None:
    """A server that is away, or a folder that is not mounted, is an everyday fault."""
    (empty.folder / ".env").write_text("CONSENT_DATABASE_URL=sqlite:////nowhere/consent.sqlite3\n")

    said = empty("init")

    assert said.code == 1
    assert "Check CONSENT_DATABASE_URL" in said.err and "report this line" not in said.err


def test_the_first_administrator_is_told_as_whom_to_sign_in(empty: CommandLine) -> None:
    """The link sets a password; the address it goes with stood nowhere."""
    said = empty("init")
    again = empty("init")

    assert said.code == 0
    assert f"http://127.0.0.1:8000/sign-in as {FIRST_ADMINISTRATOR}" in said.out
    assert "nothing changed" in again.out and "users reset" in again.out


def test_the_package_is_called_as_the_command_is(empty: CommandLine) -> None:
    """A machine whose PATH lacks the command has Python all the same."""
    called = subprocess.run(
        [sys.executable, "-m", "consent_service", "version"],
        capture_output=True,
        text=True,
        check=False,
        cwd=empty.folder,
        env=empty.environment(),
    )

    assert (called.returncode, called.stdout) == (0, empty("version").out)


def test_check_names_nothing_twice(ready: CommandLine) -> None:
    """Two lines of one name, one of them *ok*, say nothing about either."""
    named = Counter(line["what"] for line in ready("check", "--json").json)

    assert [what for what, count in named.items() if count > 1] == []


def test_a_path_that_is_refused_is_named(ready: CommandLine) -> None:
    """*Check the path* needs a path."""
    said = ready("audit", "export", "--out", "nowhere/log.ndjson")

    assert said.code == 1 and "nowhere/log.ndjson" in said.err


def test_a_file_within_the_service_that_is_refused_is_named(ready: CommandLine) -> None:
    """The floors below say what failed; who may read the settings may read where."""
    journal = ready.folder / "data" / "journal" / "journal.jsonl"
    kept = journal.rename(journal.with_name("kept"))
    journal.symlink_to(journal.name)

    said = ready("audit", "checkpoint")
    checked = ready("check", "--json").json

    journal.unlink()
    kept.rename(journal)
    assert said.code == 1 and str(journal) in said.err
    assert any(str(journal) in line["finding"] for line in checked if line["state"] == "fault")


@pytest.mark.parametrize("size", ["much", "4.5 GiB", "9" * 5000])
def test_a_size_that_is_none_is_said_in_plain_words(empty: CommandLine, size: str) -> None:
    """*Input should be a valid integer* is said to programmers."""
    (empty.folder / ".env").write_text(f"CONSENT_MAX_UPLOAD={size}\n")

    said = empty("init")

    assert said.code == 1
    assert "CONSENT_MAX_UPLOAD is wrong: it must be a size, such as 4 GiB." in said.err


def _calls(folder: Path, log: Path, *inject: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CONSENT_")}
    traced = ["strace", "-f", "-o", str(log), "-e", "trace=write,pwrite64,mkdir", *inject]
    return subprocess.run(
        [*traced, sys.executable, "-m", "consent_service", "init"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.mark.parametrize(
    "fault",
    ["mkdir:when=1", "mkdir:when=3", "write:when=1", "pwrite64:when=1+", "pwrite64:when=500+"],
)
def test_a_full_disk_is_named_and_the_same_verb_goes_on(empty: CommandLine, fault: str) -> None:
    """Nothing half made may stand in the way, nor swallow the first administrator's link."""
    call, when = fault.split(":")
    full = f"inject={call}:error=ENOSPC:{when}"

    refused = _calls(empty.folder, empty.folder / "log", "-e", full)
    again = empty("init", "--json")

    assert refused.returncode == 1, refused.stderr
    assert f"no room left to set up the service in {empty.folder / 'data'}" in refused.stderr
    assert "`consent-service init` again" in refused.stderr
    assert again.code == 0, again.err
    assert again.json["admin_link"]
    assert not [line for line in empty("check", "--json").json if line["state"] == "fault"]

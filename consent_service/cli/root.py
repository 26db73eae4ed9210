"""The root command: every noun, loaded only when it is called."""

import importlib
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from consent_service.cli.late import loading_late

with loading_late():
    from consent_service.cli.terminal import sentence_of
from consent_service.errors import ConsentServiceError, with_place

NOUNS: dict[str, str] = {
    "init": "house:init",
    "run": "house:run",
    "serve": "house:serve",
    "worker": "house:worker",
    "check": "house:check",
    "upgrade": "house:upgrade",
    "version": "house:version",
    "demo": "demo:demo",
    "policies": "policies:policies",
    "leaflets": "leaflets:leaflets",
    "consent-forms": "policies:consent_forms",
    "appraisals": "retention:appraisals",
    "consent": "consent:consent",
    "withdrawals": "withdrawals:withdrawals",
    "erasure": "erasure:erasure",
    "certificates": "certificates:certificates",
    "retention": "retention:retention",
    "dispositions": "retention:dispositions",
    "holds": "holds:holds",
    "subject-access": "subject_access:subject_access",
    "audit": "audit:audit",
    "keys": "keys:keys",
    "backups": "backups:backups",
    "reconcile": "keys:reconcile",
    "jobs": "jobs:jobs",
    "users": "users:users",
    "teams": "users:teams",
    "tokens": "users:tokens",
}
"""Noun -> module and command in this package."""


class Nouns(click.Group):
    """Loads the module of a noun when it is asked for, so that `version` starts at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every noun, in the order of the table."""
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a noun, or None when there is no such noun."""
        if cmd_name not in NOUNS:
            return None
        module, _, name = NOUNS[cmd_name].partition(":")
        with loading_late():
            loaded = importlib.import_module(f"consent_service.cli.{module}")
        command: click.Command = getattr(loaded, name)
        return command


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"]})
def root() -> None:
    """Consent and data governance for film of parents and babies.

    Settings come from the environment (CONSENT_...) or a .env file; `consent-service check`
    prints them all.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    verb = partial(root.main, args=arguments, prog_name="consent-service", standalone_mode=False)
    sys.exit(exit_code(verb))


def exit_code(work: Callable[[], object]) -> int:
    """Do `work` and return the exit code; a fault becomes one sentence on stderr."""
    try:
        code = work()
    except click.UsageError as fault:
        fault.show(sys.stderr)
        return 2
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort:
        return _said("Stopped.")
    except ConsentServiceError as fault:
        return _said(f"Error: {sentence_of(fault)}")
    except KeyboardInterrupt:
        return 130
    except OSError as fault:
        sentence = f"Error: {fault.strerror or 'the system refused'}. Check the path."
        return _said(with_place(sentence, fault))
    except Exception as fault:  # noqa: BLE001  (the last resort: a sentence, never a traceback)
        return _said(f"Error: {unexpected(fault)}")
    return code if isinstance(code, int) else 0


def _said(sentence: str) -> int:
    click.echo(sentence, err=True)
    return 1


def unexpected(fault: Exception) -> str:
    """Return the sentence for a fault of ours: what kind and where, without its values.

    A database that cannot be used is none of ours.
    """
    from sqlalchemy.exc import InterfaceError, OperationalError

    if isinstance(fault, OperationalError | InterfaceError):
        return (
            f"The database cannot be used ({type(fault.orig).__name__}). Check"
            " CONSENT_DATABASE_URL, and the database's server or disk, then try again."
        )
    places = traceback.extract_tb(fault.__traceback__)
    where = f"{Path(places[-1].filename).name}:{places[-1].lineno}" if places else "unknown"
    return (
        f"The service met a fault that it did not expect ({type(fault).__name__} at {where})."
        " Nothing half-done is kept. Please report this line."
    )

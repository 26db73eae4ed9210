"""How verbs speak: tables for people, JSON for programs, one plain sentence for errors."""

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from functools import update_wrapper
from itertools import islice
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from consent_service import wiring
from consent_service.domain.audit import Actor, ActorKind
from consent_service.errors import ConsentServiceError, with_place
from consent_service.services import startup

if TYPE_CHECKING:
    from consent_service.services.access import Caller
    from consent_service.services.context import Context

F = TypeVar("F", bound=Callable[..., Any])

OPERATOR_ROLES = frozenset({"administrator", "ig_officer", "guider", "supervisor", "scheduled_job"})

ROWS_OF_A_TABLE = 1000
"""A longer table is printed in parts, each as wide as it needs."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would happen and change nothing."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask (needed without a terminal).")


class LookedAtNow:
    """A watch for a process that does one thing and ends: it looks whenever it is asked.

    It serves nobody, so that nothing has to be remembered between looks.
    """

    def __init__(self, ctx: "Context") -> None:
        self._ctx = ctx

    def require_whole(self) -> None:
        """Forbid nothing: who calls verbs may read the keys themselves."""

    def require_newest(self) -> None:
        """Do again what the database has forgotten; raises JournalBroken and Unavailable."""
        startup.require_schema(self._ctx)
        startup.replay(self._ctx)


def open_context(*, newest: bool = False, begin: "wiring.Begin | None" = None) -> "Context":
    """Return the Context of this process's settings; raises SettingsFault.

    Through it no verb destroys film before a look at the journal. A verb that destroys, ends what
    cannot be begun again, or writes into the journal, asks for the `newest` as well: then a journal
    that is missing, cut or forked is refused before anything is done, and what a restored database
    has forgotten is done again. A line beside a cut journal would rule out the whole copy too.
    A keyring, journal or film store that is missing stays missing and is refused, save that a verb
    which puts something back may `begin` that.
    """
    ctx = wiring.build_context(wiring.settings_from(), begin=begin or wiring.Begin.NOTHING)
    ctx.standing.follow(LookedAtNow(ctx))
    if newest:
        ctx.standing.require_newest()
    return ctx


def operator() -> "Caller":
    """Return who acts on the command line: whoever may read the keys may do everything."""
    from consent_service.services.access import Caller

    return Caller(Actor(ActorKind.SYSTEM, "operator"), None, OPERATOR_ROLES)


def plain(value: object) -> Any:
    """Return `value` as JSON has it: ISO dates, codes, snake_case."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value


def print_json(value: object) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))


def print_rows(rows: Iterable[object], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows as a table, or as a JSON list of objects with exactly these columns.

    Rows are printed as they come: a list as long as the service is old needs no more memory.
    """
    picked = ({column: plain(_get(row, column)) for column in columns} for row in rows)
    if as_json:
        _print_list(picked)
        return
    some = False
    while part := list(islice(picked, ROWS_OF_A_TABLE)):
        _print_table(part, columns)
        some = True
    if not some:
        click.echo("Nothing to show.")


def _print_list(picked: Iterable[Mapping[str, Any]]) -> None:
    before = "["
    for row in picked:
        click.echo(
            f"{before}\n{indent(json.dumps(row, indent=2, ensure_ascii=False), '  ')}", nl=False
        )
        before = ","
    click.echo("[]" if before == "[" else "\n]")


def _print_table(picked: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " ").capitalize(), overflow="fold")
    for row in picked:
        table.add_row(*(cell(row[column]) for column in columns))
    # Without a terminal there is no width to keep to: a file or a pipe gets whole lines.
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def print_fields(value: object, *, as_json: bool) -> None:
    """Print one thing, field by field."""
    if as_json:
        print_json(value)
        return
    fields = plain(value)
    width = max((len(name) for name in fields), default=0)
    for name, item in fields.items():
        click.echo(f"{name.replace('_', ' ').capitalize():<{width + 2}}{cell(item)}")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before destroying; without a terminal `--yes` is needed (exit code 2)."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask. Add --yes if you mean it.")
    if not click.confirm(question):
        raise click.exceptions.Exit(1)


def fail(sentence: str) -> NoReturn:
    """Print one plain sentence on stderr and end with exit code 1."""
    click.echo(f"Error: {sentence}", err=True)
    raise click.exceptions.Exit(1)


def plain_errors(verb: F) -> F:
    """Turn refusals into one sentence and exit code 1; a fault of ours too, with its kind."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return verb(*args, **kwargs)
        except ConsentServiceError as fault:
            fail(sentence_of(fault))

    return update_wrapper(wrapped, verb)  # type: ignore[return-value]


def sentence_of(fault: ConsentServiceError) -> str:
    """Return the fault's sentence, with every field's fault on a line of its own."""
    faults = getattr(fault, "faults", None)
    if isinstance(faults, dict):
        return "\n".join([fault.message, *(f"  {name}: {text}" for name, text in faults.items())])
    lines = fault.details.get("faults")
    if isinstance(lines, list | tuple) and lines:
        return "\n".join(str(line) for line in lines)
    return with_place(fault.message, fault)


def _get(row: object, column: str) -> object:
    if isinstance(row, Mapping):
        return row[column]
    return getattr(row, column)


def cell(value: object) -> str:
    """Return what `plain` returned as words for people, without brackets or quotes."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(cell(item) for item in value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name}={cell(item)}" for name, item in value.items()) or "-"
    return str(value)

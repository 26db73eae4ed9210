"""`consent-service consent`: what a person's consent is, at any two moments."""

import click

from consent_service.cli.arguments import moment_of
from consent_service.cli.terminal import (
    json_option,
    open_context,
    operator,
    plain_errors,
    print_rows,
)
from consent_service.services import consent as use_cases

COLUMNS = ("person", "purpose", "involvement", "state", "since", "valid_until")


@click.group()
def consent() -> None:
    """Consent: what was agreed to, when, and what was known when."""


@consent.command("show")
@click.argument("person")
@click.option("--at", help="The state at this moment. Default: now.")
@click.option("--known-at", help="As it was known at this moment. Default: now.")
@json_option
@plain_errors
def show(person: str, at: str | None, known_at: str | None, as_json: bool) -> None:
    """Print the state of every purpose for a person, by the person's id.

    Example: consent-service consent show 0af31c… --at 2026-11-02T09:30:00Z --known-at 2026-11-03
    """
    rows = use_cases.state(
        open_context(),
        operator(),
        person,
        moment_of(at, "at"),
        moment_of(known_at, "known-at"),
    )
    print_rows(rows, COLUMNS, as_json=as_json)

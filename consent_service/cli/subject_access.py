"""`consent-service subject-access`: open a request, list them with their due days.

The file itself is made on its page or over the API, by somebody who has just signed in.
"""

from functools import partial

import click

from consent_service.cli.arguments import day_of, staff
from consent_service.cli.terminal import (
    json_option,
    open_context,
    operator,
    plain_errors,
    print_fields,
    print_rows,
)
from consent_service.clock import london_day
from consent_service.domain.paging import every
from consent_service.services import subject_access as use_cases

COLUMNS = ("id", "person", "asked_on", "due_on", "state", "answered_on", "closed_on")


@click.group("subject-access")
def subject_access() -> None:
    """Subject access: people who ask what is held about them."""


@subject_access.command("create")
@click.argument("person")
@click.option("--asked-on", help="Day of asking, as 2026-12-31; today without it.")
@click.option("--asked-by-id", help="Id of the person who asks for them.")
@click.option("--authority", help="On what authority somebody asks for somebody else; no names.")
@click.option("--as", "email", help="E-mail of the member of staff who writes it down.")
@json_option
@plain_errors
def create(
    person: str,
    asked_on: str | None,
    asked_by_id: str | None,
    authority: str | None,
    email: str | None,
    as_json: bool,
) -> None:
    """Write down that somebody asks what is held about PERSON (an id).

    Example: consent-service subject-access create ID --asked-on 2026-11-02
    """
    ctx = open_context()
    caller = staff(ctx, email) if email else operator()
    day = day_of(asked_on, "asked-on") or london_day(ctx.clock.now())
    wanted = use_cases.OpenRequest(person, day, asked_by_id, authority=authority)
    print_fields(use_cases.open_request(ctx, caller, wanted), as_json=as_json)


@subject_access.command("list")
@click.option("--all", "everything", is_flag=True, help="Closed requests too.")
@json_option
@plain_errors
def list_(everything: bool, as_json: bool) -> None:
    """List requests, soonest due first.

    Example: consent-service subject-access list --json
    """
    open_only = not everything
    page = partial(use_cases.page_of_requests, open_context(), operator(), open_only=open_only)
    print_rows(every(page), COLUMNS, as_json=as_json)

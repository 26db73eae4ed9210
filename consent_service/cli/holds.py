"""`consent-service holds`: list, place, and release by two people."""

from functools import partial
from typing import Any

import click

from consent_service.cli.arguments import code_of, day_of, staff
from consent_service.cli.terminal import (
    confirm,
    dry_run_option,
    json_option,
    open_context,
    operator,
    plain_errors,
    print_fields,
    print_rows,
    yes_option,
)
from consent_service.domain.holds import HoldKind
from consent_service.domain.paging import every
from consent_service.services import holds as use_cases

COLUMNS = ("id", "kind", "involvement", "asset", "placed_at", "release_asked_by", "released_at")


@click.group()
def holds() -> None:
    """Holds: what must not be destroyed for now."""


@holds.command("list")
@click.option("--all", "everything", is_flag=True, help="Released holds too.")
@json_option
@plain_errors
def list_(everything: bool, as_json: bool) -> None:
    """List holds that stand: those that wait to be confirmed first, then the newest.

    Example: consent-service holds list --all
    """
    standing = not everything
    page = partial(use_cases.page_of_holds, open_context(), operator(), standing=standing)
    print_rows(every(page), COLUMNS, as_json=as_json)


@holds.command("place")
@click.argument("involvement")
@click.option("--kind", required=True, help=f"One of: {', '.join(HoldKind)}.")
@click.option("--reason", required=True, help="Why; no names.")
@click.option("--asset", help="Only this film, clip or still.")
@click.option("--review-on", help="When to look at it again, as 2026-12-31.")
@click.option("--as", "email", help="E-mail of the member of staff who places it.")
@json_option
@plain_errors
def place(involvement: str, email: str | None, as_json: bool, **asked: Any) -> None:
    """Place a hold on an involvement, or on one thing of it.

    Example: consent-service holds place ID --kind complaint --reason "Complaint received"
    """
    ctx = open_context(newest=True)
    caller = staff(ctx, email) if email else operator()
    request = use_cases.PlaceHold(
        involvement,
        code_of(HoldKind, asked["kind"], "kind"),
        asked["reason"],
        asked["asset"],
        day_of(asked["review_on"], "review-on"),
    )
    print_fields(use_cases.place(ctx, caller, request), as_json=as_json)


@holds.command("release")
@click.argument("hold")
@click.option("--as", "email", required=True, help="E-mail of the member of staff who does this.")
@click.option("--reason", help="Why: given by the first person, who asks.")
@click.option("--confirm", "confirming", is_flag=True, help="The second person confirms.")
@dry_run_option
@yes_option
@json_option
@plain_errors
def release(hold: str, reason: str | None, confirming: bool, **how: Any) -> None:
    """Release a hold: one person asks with a reason, another confirms.

    Example: consent-service holds release HOLD --as second@clinic.example --confirm --yes
    """
    if confirming == (reason is not None):
        raise click.UsageError("Give --reason to ask, or --confirm to confirm what was asked.")
    ctx = open_context(newest=not how["dry_run"])
    caller, as_json = staff(ctx, how["email"]), how["as_json"]
    if how["dry_run"]:
        print_rows([use_cases.hold(ctx, caller, hold)], COLUMNS, as_json=as_json)
    elif reason is not None:
        print_fields(use_cases.ask_release(ctx, caller, hold, reason), as_json=as_json)
    else:
        confirm("Release the hold? What a withdrawal asked to destroy then goes.", yes=how["yes"])
        print_fields(use_cases.confirm_release(ctx, caller, hold), as_json=as_json)

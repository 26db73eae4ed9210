"""`consent-service retention`, `dispositions` and `appraisals`: what is due, and who decides."""

from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import click

from consent_service.cli.terminal import (
    confirm,
    dry_run_option,
    json_option,
    open_context,
    operator,
    plain_errors,
    print_fields,
    print_json,
    print_rows,
    yes_option,
)
from consent_service.domain.paging import every
from consent_service.errors import InvalidInput
from consent_service.services import retention as use_cases

if TYPE_CHECKING:
    from consent_service.services.retention import Decide, Explanation, RunView

LINE_COLUMNS = ("kind", "subject", "rule", "due_on", "gone_by", "fate", "reason")
QUEUE_COLUMNS = ("id", "kind", "subject", "rule", "why", "due_on", "decision", "needs_second")
DECISIONS = ("keep", "extend", "destroy", "confirm")
APPRAISAL_COLUMNS = ("code", "state", "rules", "valid_until")


@click.group()
def retention() -> None:
    """Retention: what is due, why, and what a run would do."""


@retention.command("plan")
@click.option("--on", "on", help="Look ahead to a day, as 2026-12-31.")
@json_option
@plain_errors
def plan(on: str | None, as_json: bool) -> None:
    """List what is due and what would become of it; changes nothing.

    Example: consent-service retention plan --on 2026-12-31
    """
    day = None if on is None else _day(on)
    found = use_cases.plan(open_context(), operator(), day)
    print_rows(found.lines, LINE_COLUMNS, as_json=as_json)
    if found.refusal and not as_json:
        click.echo(f"A run would stop and ask: {found.refusal}.")


@retention.command("run")
@click.option("--confirm-clock", is_flag=True, help="Date and time are right: go on after a jump.")
@click.option("--accept-large", is_flag=True, help="Accept a plan above the limit of one run.")
@dry_run_option
@yes_option
@json_option
@plain_errors
def run(confirm_clock: bool, accept_large: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Order destroyed what an appraisal covers; queue the rest. The worker carries it out.

    Example: consent-service retention run --dry-run
    """
    ctx, caller = open_context(newest=not dry_run), operator()
    if confirm_clock and not dry_run:
        confirm(f"Is it now {ctx.clock.now():%d %B %Y, %H:%M} UTC?", yes=yes)
        use_cases.confirm_clock(ctx, caller)
    planned = use_cases.plan(ctx, caller)
    if planned.destroyed and not dry_run:
        confirm(f"Order {len(planned.destroyed)} destroyed?", yes=yes)
    done = use_cases.run(ctx, caller, dry_run, accept_large=accept_large)
    _print_run(done, as_json)
    if done.refused:
        raise click.exceptions.Exit(1)


@retention.command("explain")
@click.argument("asset")
@json_option
@plain_errors
def explain(asset: str, as_json: bool) -> None:
    """Say why a recording, clip or still is still here: rule, facts, source.

    Example: consent-service retention explain 4f1f0c0e6a2b4d0f9c1a7e5b3d2c1a00
    """
    found = use_cases.explain(open_context(), operator(), asset)
    if as_json:
        print_json(found)
        return
    _print_explanation(found)


@click.group()
def dispositions() -> None:
    """The queue of what is due and no appraisal covers."""


@dispositions.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what was decided.")
@json_option
@plain_errors
def list_dispositions(everything: bool, as_json: bool) -> None:
    """List what waits for a decision, soonest due first.

    Example: consent-service dispositions list --json
    """
    open_only = not everything
    page = partial(use_cases.page_of_dispositions, open_context(), operator(), open_only=open_only)
    print_rows(every(page), QUEUE_COLUMNS, as_json=as_json)


@dispositions.command("decide")
@click.argument("disposition")
@click.argument("decision", type=click.Choice(DECISIONS))
@click.option("--reason", default="", help="Why (not needed to confirm).")
@click.option("--look-again", help="Day on which it comes up again, as 2027-12-31.")
@dry_run_option
@yes_option
@json_option
@plain_errors
def decide(  # noqa: PLR0913, PLR0917  (click hands over each option)
    disposition: str,
    decision: str,
    reason: str,
    look_again: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Decide about one line of the queue; destroying needs a second person to `confirm`.

    Example: consent-service dispositions decide ID keep --reason "Still used in training"
    """
    wanted = None if decision == "confirm" else _wanted(decision, reason, look_again)
    if dry_run:
        click.echo(f"Would record: {decision} for {disposition}. Nothing was changed.")
        return
    if decision in ("destroy", "confirm"):
        confirm("Is this to be destroyed?", yes=yes)
    ctx, caller = open_context(newest=True), operator()
    if wanted is None:
        done = use_cases.confirm(ctx, caller, disposition)
    else:
        done = use_cases.decide(ctx, caller, disposition, wanted)
    print_fields(done, as_json=as_json)


@click.group()
def appraisals() -> None:
    """Appraisals: the decisions that let a job destroy a class without asking."""


@appraisals.command("list")
@json_option
@plain_errors
def list_appraisals(as_json: bool) -> None:
    """List proposals and appraisals, and whether each is in force.

    Example: consent-service appraisals list
    """
    rows = use_cases.appraisals(open_context(), operator())
    print_rows(rows, APPRAISAL_COLUMNS, as_json=as_json)


@appraisals.command("approve")
@click.argument("code")
@dry_run_option
@yes_option
@json_option
@plain_errors
def approve(code: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Approve a proposal as the operator: one of the two people who are needed.

    The other approves on the page or through the API. Example: consent-service appraisals approve
    recordings
    """
    ctx, caller = open_context(newest=not dry_run), operator()
    if dry_run:
        found = [a for a in use_cases.appraisals(ctx, caller) if a.code == code]
        print_rows(found, APPRAISAL_COLUMNS, as_json=as_json)
        return
    confirm(f"May a job destroy what {code} covers, without asking?", yes=yes)
    print_fields(use_cases.approve_appraisal(ctx, caller, code), as_json=as_json)


@appraisals.command("revoke")
@click.argument("code")
@click.option("--reason", required=True, help="Why.")
@json_option
@plain_errors
def revoke(code: str, reason: str, as_json: bool) -> None:
    """Take an appraisal back at once.

    Example: consent-service appraisals revoke recordings --reason "The schedule changed"
    """
    done = use_cases.revoke_appraisal(open_context(), operator(), code, reason)
    print_fields(done, as_json=as_json)


def _wanted(decision: str, reason: str, look_again: str | None) -> "Decide":
    day = None if look_again is None else _day(look_again)
    return use_cases.Decide(use_cases.Decision(decision), reason, day)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        sentence = "Give the day as year-month-day, such as 2026-12-31."
        raise InvalidInput(sentence, {"day": sentence}) from None


def _print_run(done: "RunView", as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "on": done.plan.on,
                "refused": done.refused,
                "dry_run": done.dry_run,
                "destroyed": done.destroyed,
                "queued": done.queued,
                "kept": done.kept,
                "orders": done.orders,
                "lines": done.plan.lines,
            }
        )
        return
    if done.dry_run:
        print_rows(done.plan.lines, LINE_COLUMNS, as_json=False)
    click.echo(done.says)


def _print_explanation(found: "Explanation") -> None:
    until = "its clock has not started" if found.due_on is None else f"kept until {found.due_on}"
    click.echo(f"{found.kind.value} {found.asset}: {until} by {found.by.rule}, {found.by.title}.")
    for one in (found.by, *found.others):
        click.echo(f"{one.rule}  {one.title}  ({one.mode.value}, {one.action.value})")
        for term in one.terms:
            start = term.counted_from or "not happened yet"
            click.echo(f"    {term.what}: {start} + {term.period} = {term.gives or '-'}")
        click.echo(f"    Source: {one.source} (confidence {one.confidence.value})")
        click.echo(f"    Legal basis: {one.legal_basis}")
    if found.held:
        click.echo(f"Held: {', '.join(found.held)}. Nothing is destroyed while a hold stands.")
    if found.disposition:
        click.echo(f"In the queue as {found.disposition}.")

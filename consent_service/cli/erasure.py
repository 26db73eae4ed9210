"""`consent-service erasure`: what was ordered destroyed, how far it is, and doing it now."""

from functools import partial
from typing import TYPE_CHECKING

import click

from consent_service.cli.terminal import (
    confirm,
    dry_run_option,
    fail,
    json_option,
    open_context,
    operator,
    plain_errors,
    print_fields,
    print_json,
    print_rows,
    yes_option,
)
from consent_service.domain.erasure import STEP_ORDER, OrderState, StepState
from consent_service.domain.paging import every
from consent_service.services import erasure as use_cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consent_service.services.context import Context
    from consent_service.services.erasure import OrderView

COLUMNS = ("reference", "id", "cause", "state", "ordered_at", "not_before", "completed_at")
STEP_COLUMNS = ("kind", "state", "attempts", "done_at", "fault", "figures")
WORKER = "command-line"


@click.group()
def erasure() -> None:
    """Erasure orders: the one way in which anything is destroyed."""


@erasure.command("list")
@click.option("--open", "only_open", is_flag=True, help="Only orders that are not finished.")
@json_option
@plain_errors
def list_(only_open: bool, as_json: bool) -> None:
    """List erasure orders: what is not finished first, then the newest.

    Example: consent-service erasure list --open
    """
    print_rows(_orders(open_context(), only_open=only_open), COLUMNS, as_json=as_json)


@erasure.command("show")
@click.argument("order")
@json_option
@plain_errors
def show(order: str, as_json: bool) -> None:
    """Print one order, by id or reference, with its steps.

    Example: consent-service erasure show E-0AF31C22D4
    """
    found = use_cases.order(open_context(), operator(), order)
    if as_json:
        print_json(found)
        return
    print_fields({name: getattr(found, name) for name in COLUMNS}, as_json=False)
    print_rows(found.steps, STEP_COLUMNS, as_json=False)


@erasure.command("run")
@click.argument("order", required=False)
@dry_run_option
@yes_option
@json_option
@plain_errors
def run(order: str | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Carry out what is due now, or one order; the worker does the same by itself.

    Example: consent-service erasure run E-0AF31C22D4 --yes
    """
    ctx = open_context(newest=not dry_run)
    now = ctx.clock.now()
    who = operator()
    found = [use_cases.order(ctx, who, order)] if order else _orders(ctx, only_open=True)
    due = [o for o in found if o.state in use_cases.OPEN and o.not_before <= now]
    if dry_run or not due:
        print_rows(due, COLUMNS, as_json=as_json)
        return
    confirm(f"Carry out {len(due)} erasure order(s) now? This cannot be undone.", yes=yes)
    use_cases.work(ctx, WORKER, limit=0)
    for one in due:
        carry_out(ctx, one.id, quiet=as_json)
    done = [use_cases.order(ctx, who, one.id) for one in due]
    print_rows(done, COLUMNS, as_json=as_json)
    if any(one.state is not OrderState.DONE for one in done):
        fail("Not everything is gone yet. The worker tries again; see `erasure show`.")


def _orders(ctx: "Context", *, only_open: bool) -> "Iterator[OrderView]":
    return every(partial(use_cases.page_of_orders, ctx, operator(), open_only=only_open))


def carry_out(ctx: "Context", order: str, *, quiet: bool) -> bool:
    """Carry out an order step by step, with a bar on stderr; returns whether it is done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=quiet,
        transient=True,
    )
    with progress:
        bar = progress.add_task("Erasing", total=len(STEP_ORDER))
        for kind in STEP_ORDER:
            progress.update(bar, description=kind.value.replace("_", " ").capitalize())
            if use_cases.carry_out(ctx, order, WORKER, until=kind):
                progress.update(bar, completed=len(STEP_ORDER))
                return True
            steps = use_cases.order(ctx, operator(), order).steps
            progress.update(bar, completed=sum(s.state is StepState.DONE for s in steps))
    return False

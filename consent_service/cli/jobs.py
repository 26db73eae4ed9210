"""`consent-service jobs`: list, run, history."""

import click

from consent_service.cli.terminal import (
    json_option,
    open_context,
    operator,
    plain_errors,
    print_fields,
    print_rows,
)
from consent_service.errors import NotFound
from consent_service.jobs import catalogue
from consent_service.services import jobs as use_cases

COLUMNS = ("name", "trigger", "next_fire_at", "last_fire_at", "last_finished_at", "last_fault")
RUN_COLUMNS = ("name", "fire_at", "attempts", "finished_at", "fault", "figures")


@click.group()
def jobs() -> None:
    """Jobs: what the calendar asks of the service."""


@jobs.command("list")
@json_option
@plain_errors
def list_(as_json: bool) -> None:
    """List every job, when it is next due and how it went.

    Example: consent-service jobs list
    """
    ctx = open_context()
    use_cases.register(ctx, [job.timed for job in catalogue.CATALOGUE.values()])
    print_rows(use_cases.jobs(ctx, operator()), COLUMNS, as_json=as_json)


@jobs.command("run")
@click.argument("name")
@json_option
@plain_errors
def run(name: str, as_json: bool) -> None:
    """Ask for a run of one job; the worker takes it up within seconds.

    Example: consent-service jobs run leaflet-dates
    """
    ctx = open_context()
    _require_known(name)
    use_cases.register(ctx, [job.timed for job in catalogue.CATALOGUE.values()])
    done = use_cases.run_now(ctx, operator(), name)
    if as_json:
        print_fields(done, as_json=True)
        return
    click.echo(
        f"Asked for {done.name}. `consent-service jobs history {done.name}` shows how it went."
    )


@jobs.command("history")
@click.argument("name", required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@json_option
@plain_errors
def history(name: str | None, limit: int, as_json: bool) -> None:
    """List runs, newest first.

    Example: consent-service jobs history retention
    """
    rows = use_cases.history(open_context(), operator(), name, limit)
    if name is not None and not rows:
        _require_known(name)
    print_rows(rows, RUN_COLUMNS, as_json=as_json)


def _require_known(name: str) -> None:
    if name not in catalogue.CATALOGUE:
        names = ", ".join(sorted(catalogue.CATALOGUE))
        raise NotFound(f"There is no job of that name. There are: {names}.", kind="job")

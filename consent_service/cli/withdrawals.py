"""`consent-service withdrawals`: preview, record, cancel."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from consent_service.cli.arguments import code_of, moment_of, operator_everywhere
from consent_service.cli.erasure import carry_out
from consent_service.cli.terminal import (
    confirm,
    dry_run_option,
    fail,
    json_option,
    open_context,
    operator,
    plain,
    plain_errors,
    print_fields,
    print_json,
    print_rows,
    yes_option,
)
from consent_service.domain.withdrawal import Route, Speed, WithdrawalRequest, WithdrawalScope
from consent_service.services import erasure
from consent_service.services import withdrawal as use_cases

if TYPE_CHECKING:
    from consent_service.services.context import Context
    from consent_service.services.withdrawal import PreviewView, WithdrawalView

ROUTES = [route.value for route in Route if route is not Route.JOURNAL_REPLAY]
LINE_COLUMNS = ("asset", "kind", "outcome", "ground")


def _asked(verb: Callable[..., None]) -> Callable[..., None]:
    """Add what a withdrawal names: person, involvement, who says so, what, when."""
    for option in reversed(
        (
            click.argument("person"),
            click.option("--involvement", required=True, help="Id of the involvement."),
            click.option("--by", help="Id of who says so. Default: the person themselves."),
            click.option(
                "--purpose", "purposes", multiple=True, help="Only this purpose; may be repeated."
            ),
            click.option("--asset", "assets", multiple=True, help="Only this film, clip or still."),
            click.option(
                "--keep", "keep_purposes", multiple=True, help="A purpose to keep by name."
            ),
            click.option(
                "--seven-days", is_flag=True, help="Destroy after the undo window, not now."
            ),
            click.option(
                "--route",
                default=Route.IN_PERSON.value,
                show_default=True,
                help=f"How it was said: {', '.join(ROUTES)}.",
            ),
            click.option("--said-at", help="When it was said. Default: now."),
        )
    ):
        verb = option(verb)
    return verb


@click.group()
def withdrawals() -> None:
    """Withdrawals: consent ended by who gave it."""


@withdrawals.command("preview")
@_asked
@json_option
@plain_errors
def preview(as_json: bool, **asked: Any) -> None:
    """Say what a withdrawal would end, destroy and keep; change nothing.

    Example: consent-service withdrawals preview PERSON --involvement ID
    """
    ctx = open_context()
    _print_preview(use_cases.preview(ctx, operator(), _request(ctx, asked)), as_json=as_json)


@withdrawals.command("record")
@_asked
@dry_run_option
@yes_option
@json_option
@plain_errors
def record(dry_run: bool, yes: bool, as_json: bool, **asked: Any) -> None:
    """Record a withdrawal and carry it out: access ends at once, then everything goes.

    With --seven-days the keys are sealed now and destroyed when the window is over.

    Example: consent-service withdrawals record PERSON --involvement ID --purpose care --yes
    """
    ctx = open_context(newest=not dry_run)
    request = _request(ctx, asked)
    would = use_cases.preview(ctx, operator(), request)
    if dry_run:
        _print_preview(would, as_json=as_json)
        return
    if not as_json:
        _print_preview(would, as_json=False)
    things = len(would.destroyed) + sum(len(other.destroyed) for other in would.others)
    confirm(f"Withdraw, and destroy {things} thing(s)?", yes=yes)
    done = use_cases.withdraw(ctx, operator(), request)
    finished = _finish(ctx, done, as_json=as_json)
    _print_done(ctx, done, finished, as_json=as_json)


@withdrawals.command("cancel")
@click.argument("withdrawal")
@click.option("--by", required=True, help="Id of the person who withdrew.")
@json_option
@plain_errors
def cancel(withdrawal: str, by: str, as_json: bool) -> None:
    """Cancel a withdrawal within its seven days, by the person who withdrew.

    Example: consent-service withdrawals cancel WITHDRAWAL --by PERSON
    """
    ctx = open_context(newest=True)
    done = use_cases.cancel(ctx, operator_everywhere(ctx), withdrawal, by)
    print_fields(done, as_json=as_json)


def _request(ctx: "Context", asked: dict[str, Any]) -> WithdrawalRequest:
    purposes, assets = tuple(asked["purposes"]), tuple(asked["assets"])
    if purposes and assets:
        raise click.UsageError("Name purposes or assets, not both.")
    scope = WithdrawalScope.EVERYTHING
    if purposes or assets:
        scope = WithdrawalScope.ASSETS if assets else WithdrawalScope.PURPOSES
    return WithdrawalRequest(
        involvement=asked["involvement"],
        person=asked["person"],
        by=asked["by"] or asked["person"],
        scope=scope,
        speed=Speed.SEVEN_DAYS if asked["seven_days"] else Speed.NOW,
        route=code_of(Route, asked["route"], "route"),
        moment=moment_of(asked["said_at"], "said-at") or ctx.clock.now(),
        purposes=purposes,
        assets=assets,
        keep_purposes=tuple(asked["keep_purposes"]),
    )


def _finish(ctx: "Context", done: "WithdrawalView", *, as_json: bool) -> bool | None:
    """Carry out what the withdrawal ordered; None where nothing is to be done now."""
    if not done.erasure_orders or done.undo_until is not None:
        return None
    orders = [erasure.order(ctx, operator(), order.id) for order in done.erasure_orders]
    if any(order.not_before > ctx.clock.now() for order in orders):
        return None
    finished = [carry_out(ctx, order.id, quiet=as_json) for order in orders]
    return all(finished)


def _print_preview(view: "PreviewView", *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    click.echo(f"Ends: {', '.join(view.purposes) or 'no purpose as a whole'}.")
    if view.disputed:
        click.echo(f"Parents disagree about {', '.join(view.disputed)}: frozen, nothing erased.")
    print_rows(view.lines, LINE_COLUMNS, as_json=False)
    for other in view.others:
        where = f"involvement {other.involvement}" if other.involvement else "another team"
        click.echo(f"Ends in {where} as well: {', '.join(other.purposes) or 'not shown here'}.")
        if other.disputed:
            click.echo(f"Parents disagree there about {', '.join(other.disputed)}.")
        print_rows(other.lines, LINE_COLUMNS, as_json=False)
    if view.cannot_recall:
        click.echo(f"Left the service before and cannot be called back: {len(view.cannot_recall)}.")


def _print_done(
    ctx: "Context", done: "WithdrawalView", finished: bool | None, *, as_json: bool
) -> None:
    orders = [erasure.order(ctx, operator(), order.id) for order in done.erasure_orders]
    named = next((order for order in orders if order.id == done.erasure_order), None)
    references = ", ".join(order.reference for order in orders)
    if as_json:
        state = named.state.value if named else None
        print_json({**plain(done), "order_state": state, "finished": bool(finished)})
    elif not orders:
        click.echo(f"Recorded {done.id}. Frozen for the IG officer to settle; nothing is erased.")
    elif finished:
        click.echo(f"Recorded {done.id}. Gone; the certificate is {references}.")
    elif done.undo_until:
        click.echo(f"Recorded {done.id}. Access is over; destroyed after {done.undo_until}.")
    else:
        click.echo(f"Recorded {done.id}. Access is over; the worker carries out {references}.")
    if finished is False:
        fail("Not everything is gone yet. The worker tries again; see `erasure show`.")

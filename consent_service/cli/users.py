"""`consent-service users`, `tokens` and `teams`: who works here, and programs' tokens."""

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
from consent_service.errors import NotFound
from consent_service.services import accounts, involvements
from consent_service.services import tokens as token_cases

if TYPE_CHECKING:
    from consent_service.services.context import Context

USER_COLUMNS = (
    "id",
    "email",
    "active",
    "roles",
    "teams",
    "has_password",
    "has_second_factor",
    "last_seen_at",
)
ROLES = "administrator, guider, ig_officer, supervisor"
"""Those of the packaged `roles.yaml`; a clinic's own may have others, which a refusal lists."""
_AGAIN = "May be given several times."
TOKEN_COLUMNS = ("id", "user", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")


@click.group()
def users() -> None:
    """Members of staff: accounts, roles and teams."""


@users.command("add")
@click.argument("email")
@click.option("--role", "roles", multiple=True, required=True, help=f"One of {ROLES}. {_AGAIN}")
@click.option("--team", "teams", multiple=True, help=f"Id, as `teams list` shows it. {_AGAIN}")
@click.option("--display-name", default="", help="As colleagues see it; default: the e-mail.")
@json_option
@plain_errors
def add(
    email: str, roles: tuple[str, ...], teams: tuple[str, ...], display_name: str, as_json: bool
) -> None:
    """Make an account and print its one-time link.

    Example: consent-service users add ada@trust.example --role guider --team ID
    """
    ctx = open_context()
    details = accounts.UserDetails(email, display_name or email, roles, teams)
    identifier, token = accounts.create_user(ctx, operator(), details)
    _print_link(identifier, f"{ctx.settings.public_url}/set-up/{token}", as_json)


@users.command("list")
@json_option
@plain_errors
def list_(as_json: bool) -> None:
    """List every account.

    Example: consent-service users list --json
    """
    print_rows(accounts.list_users(open_context(), operator()), USER_COLUMNS, as_json=as_json)


@users.command("disable")
@click.argument("email")
@dry_run_option
@yes_option
@json_option
@plain_errors
def disable(email: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Close an account: its sessions and tokens end at once, here and after any restore.

    Example: consent-service users disable ada@trust.example --yes
    """
    ctx = open_context(newest=not dry_run)
    user = _account(ctx, email)
    if not dry_run:
        confirm(f"Close the account {email}?", yes=yes)
        accounts.disable_user(ctx, operator(), user)
    print_fields({"id": user, "closed": not dry_run, "dry_run": dry_run}, as_json=as_json)


@users.command("reset")
@click.argument("email")
@json_option
@plain_errors
def reset(email: str, as_json: bool) -> None:
    """Take password and second factor away and print a new one-time link.

    Example: consent-service users reset ada@trust.example
    """
    ctx = open_context()
    user = _account(ctx, email)
    token = accounts.reset_user(ctx, operator(), user)
    _print_link(user, f"{ctx.settings.public_url}/set-up/{token}", as_json)


@click.group()
def teams() -> None:
    """Clinical teams."""


@teams.command("add")
@click.argument("name")
@json_option
@plain_errors
def add_team(name: str, as_json: bool) -> None:
    """Make a team and print its id.

    Example: consent-service teams add "Perinatal team, north"
    """
    identifier = involvements.create_team(open_context(), operator(), name)
    print_json({"id": identifier}) if as_json else click.echo(identifier)


@teams.command("list")
@json_option
@plain_errors
def list_teams(as_json: bool) -> None:
    """List every team.

    Example: consent-service teams list
    """
    rows = [
        {"id": team, "name": name} for team, name in involvements.teams(open_context(), operator())
    ]
    print_rows(rows, ("id", "name"), as_json=as_json)


@click.group()
def tokens() -> None:
    """Programs' bearer tokens for the API."""


@tokens.command("create")
@click.argument("email")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    help=f"A role that the account has (`users list` shows them), of {ROLES}. {_AGAIN}",
)
@click.option("--days", type=int, default=90, show_default=True, help="How long it is good for.")
@json_option
@plain_errors
def create(email: str, scopes: tuple[str, ...], days: int, as_json: bool) -> None:
    """Make a token for an account; its secret is shown this once.

    Example: consent-service tokens create ada@trust.example --scope guider --days 30
    """
    ctx = open_context()
    identifier, secret = token_cases.create_token(
        ctx, operator(), _account(ctx, email), scopes, days
    )
    if as_json:
        print_json({"id": identifier, "token": secret})
        return
    click.echo(f"Token {identifier}. Its secret, shown only now:")
    click.echo(secret)


@tokens.command("list")
@json_option
@plain_errors
def list_made(as_json: bool) -> None:
    """List tokens; secrets are not kept.

    Example: consent-service tokens list
    """
    rows = token_cases.list_tokens(open_context(), operator())
    print_rows(rows, TOKEN_COLUMNS, as_json=as_json)


@tokens.command("revoke")
@click.argument("token")
@dry_run_option
@yes_option
@json_option
@plain_errors
def revoke(token: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """End a token, here and after any restore.

    Example: consent-service tokens revoke ID --yes
    """
    ctx = open_context(newest=not dry_run)
    if token not in {made.id for made in token_cases.list_tokens(ctx, operator())}:
        raise NotFound("There is no token with this id. See `consent-service tokens list`.")
    if not dry_run:
        confirm(f"End token {token}?", yes=yes)
        token_cases.revoke_token(ctx, operator(), token)
    print_fields({"id": token, "ended": not dry_run, "dry_run": dry_run}, as_json=as_json)


def _account(ctx: "Context", email: str) -> str:
    found = accounts.find_account(ctx, email=email)
    if found is None:
        raise NotFound("There is no account with this address. See `consent-service users list`.")
    return found.id


def _print_link(identifier: str, link: str, as_json: bool) -> None:
    if as_json:
        print_json({"id": identifier, "link": link})
        return
    click.echo("They set password and second factor here. It works once, within seven days:")
    click.echo(link)

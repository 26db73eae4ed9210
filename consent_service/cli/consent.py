"""`consent-service consent`: what it is at any two moments, whom to ask again, and its ends."""

from typing import Any

import click

from consent_service.cli.arguments import moment_of
from consent_service.cli.erasure import carry_out
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
from consent_service.domain.consent_ends import InvalidBecause, RevokedBecause
from consent_service.services import consent as use_cases
from consent_service.services import form_library, invalidation, reconsents, revocation

LINE_COLUMNS = ("asset", "kind", "outcome", "ground")
AGAIN_COLUMNS = (
    "involvement",
    "person",
    "guider",
    "form",
    "answered_version",
    "current_version",
    "since",
)
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


@consent.command("ask-again")
@click.option("--involvement", help="Of this family only. Default: of all.")
@json_option
@plain_errors
def ask_again(involvement: str | None, as_json: bool) -> None:
    """Print whom to ask again, since a material change of their form was published.

    Example: consent-service consent ask-again
    """
    rows = reconsents.waiting(open_context(), operator(), involvement)
    print_rows(rows, AGAIN_COLUMNS, as_json=as_json)


@consent.command("changes")
@click.argument("form")
@click.argument("old", type=click.IntRange(1, 9999))
@click.argument("new", type=click.IntRange(1, 9999))
@click.option("--language", default="en", show_default=True)
@json_option
@plain_errors
def changes(form: str, old: int, new: int, language: str, as_json: bool) -> None:
    """Print what differs between two published versions of a form, line by line.

    Example: consent-service consent changes vig 1 2
    """
    found = form_library.changes(open_context(), form, old, new, language)
    if as_json:
        print_json(found)
        return
    for line in found.lines:
        click.echo(f"{line.code}: {line.kind.value}{_also(line.rules)}")
        for sign, paragraphs in (("-", line.before), ("+", line.after)):
            for paragraph in paragraphs:
                click.echo(f"  {sign} {' '.join(paragraph.split())}")


def _also(rules: tuple[str, ...]) -> str:
    return f" (also: {', '.join(rules)})" if rules else ""


@consent.command("invalidate")
@click.argument("act")
@click.option(
    "--because", required=True, type=click.Choice([code.value for code in InvalidBecause])
)
@click.option("--reason", required=True, help="In words; kept with the consent, in no log.")
@yes_option
@json_option
@plain_errors
def invalidate(act: str, because: str, reason: str, yes: bool, as_json: bool) -> None:
    """Mark an act of consent as never valid: keys are sealed, nothing is destroyed.

    Example: consent-service consent invalidate ACT --because wrong_person --reason "..." --yes
    """
    ctx = open_context(newest=True)
    confirm("Mark this consent as never valid? This cannot be taken back.", yes=yes)
    done = invalidation.invalidate(ctx, operator(), act, InvalidBecause(because), reason)
    print_fields(done, as_json=as_json)


@consent.command("revoke")
@click.argument("person")
@click.option("--involvement", required=True, help="Id of the involvement.")
@click.option("--purpose", "purposes", multiple=True, help="Only this purpose; may be repeated.")
@click.option(
    "--because", required=True, type=click.Choice([code.value for code in RevokedBecause])
)
@click.option("--reason", required=True, help="In words; kept with the consent, in no log.")
@dry_run_option
@yes_option
@json_option
@plain_errors
def revoke(*, dry_run: bool, yes: bool, as_json: bool, **asked: Any) -> None:
    """End a consent as the organisation and carry it out: access ends, then everything goes.

    Example: consent-service consent revoke PERSON --involvement ID --purpose research
    --because use_ended --reason "The study closed" --yes
    """
    ctx = open_context(newest=not dry_run)
    request = revocation.RevokeConsent(
        asked["involvement"],
        asked["person"],
        RevokedBecause(asked["because"]),
        asked["reason"],
        tuple(asked["purposes"]),
    )
    would = revocation.preview(ctx, operator(), request)
    if dry_run or not as_json:
        print_rows(would.lines, LINE_COLUMNS, as_json=as_json)
    if dry_run:
        return
    confirm(f"End it, and destroy {len(would.destroyed)} thing(s)?", yes=yes)
    done = revocation.revoke(ctx, operator(), request)
    carry_out(ctx, done.erasure_order, quiet=as_json)
    print_fields(done, as_json=as_json)

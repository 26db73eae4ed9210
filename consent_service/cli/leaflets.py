"""`consent-service leaflets`: import, list, show, review, override."""

from datetime import date
from pathlib import Path

import click

from consent_service.cli.terminal import (
    json_option,
    open_context,
    operator,
    plain_errors,
    print_fields,
    print_json,
    print_rows,
)
from consent_service.errors import InvalidInput
from consent_service.services import leaflet_import
from consent_service.services import leaflets as use_cases

COLUMNS = ("code", "version", "issued_on", "archive_on", "status")


@click.group()
def leaflets() -> None:
    """Leaflets: controlled documents with versions and archive dates."""


@leaflets.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
@plain_errors
def import_(file: Path, as_json: bool) -> None:
    """Register a leaflet from the team's own text file, byte for byte.

    Example: consent-service leaflets import leaflet-L2042.txt
    """
    done = leaflet_import.import_leaflet(open_context(), operator(), file.read_bytes(), file.name)
    if as_json:
        print_json(done)
        return
    what = "Registered" if done.changed else "Already registered, nothing changed"
    click.echo(
        f"{what}: {done.code} version {done.version}, issued {done.issued_on:%d/%m/%Y},"
        f" archive {done.archive_on:%d/%m/%Y}, {done.status.value}."
    )
    for note in done.notes:
        click.echo(f"Note: {note}")


@leaflets.command("list")
@json_option
@plain_errors
def list_(as_json: bool) -> None:
    """List every leaflet version and where it stands today.

    Example: consent-service leaflets list --json
    """
    print_rows(use_cases.list_leaflets(open_context()), COLUMNS, as_json=as_json)


@leaflets.command("show")
@click.argument("code")
@click.option("--version", type=int, help="Default: the version that is current today.")
@click.option("--language", default="en", show_default=True)
@json_option
@plain_errors
def show(code: str, version: int | None, language: str, as_json: bool) -> None:
    """Print the words of a leaflet version.

    Example: consent-service leaflets show L1111 --version 2
    """
    found = use_cases.leaflet_text(open_context(), code, version, language)
    if as_json:
        print_json(found)
        return
    click.echo(found.text)


@leaflets.command("review")
@click.argument("code")
@click.argument("version", type=int)
@json_option
@plain_errors
def review(code: str, version: int, as_json: bool) -> None:
    """Record that a version was reviewed; its reminders stop.

    Example: consent-service leaflets review L1111 2
    """
    use_cases.record_review(open_context(), operator(), code, version)
    print_fields({"code": code, "version": version, "reviewed": True}, as_json=as_json)


@leaflets.command("override")
@click.argument("code")
@click.argument("version", type=int)
@click.option("--until", required=True, help="Last day excluded, as 2026-12-31.")
@click.option("--reason", required=True, help="Why an archived version may be given.")
@json_option
@plain_errors
def override(code: str, version: int, until: str, reason: str, as_json: bool) -> None:
    """Let an archived version be given until a day.

    Example: consent-service leaflets override L1111 1 --until 2026-12-31 --reason "Reprint late"
    """
    try:
        day = date.fromisoformat(until)
    except ValueError:
        sentence = "Give the day as year-month-day, such as 2026-12-31."
        raise InvalidInput(sentence, {"until": sentence}) from None
    use_cases.grant_override(open_context(), operator(), code, version, day, reason)
    print_fields({"code": code, "version": version, "until": day}, as_json=as_json)

"""`consent-service certificates`: list, show, and verify with nothing but public keys."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from consent_service import wiring
from consent_service.cli.arguments import read_keys
from consent_service.cli.terminal import (
    fail,
    json_option,
    open_context,
    operator,
    plain_errors,
    print_fields,
    print_json,
    print_rows,
)
from consent_service.domain.paging import every
from consent_service.services import certificates as use_cases
from consent_service.vault.signing import PublicKey

if TYPE_CHECKING:
    from consent_service.services.certificates import Verified

COLUMNS = ("order", "revision", "issued_at", "digest", "key_id")


@click.group()
def certificates() -> None:
    """Certificates: signed proof of what was destroyed."""


@certificates.command("list")
@json_option
@plain_errors
def list_(as_json: bool) -> None:
    """List certificates, newest first.

    Example: consent-service certificates list
    """
    page = partial(use_cases.page_of_certificates, open_context(), operator())
    print_rows(every(page), COLUMNS, as_json=as_json)


@certificates.command("show")
@click.argument("order")
@click.option("--revision", type=int, help="Default: the newest.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it here.")
@json_option
@plain_errors
def show(order: str, revision: int | None, out: Path | None, as_json: bool) -> None:
    """Print the certificate of an order, by id or reference; --json is the signed document.

    Example: consent-service certificates show E-0AF31C22D4 --out certificate.json
    """
    found = use_cases.certificate(open_context(), operator(), order, revision)
    if out is not None:
        out.write_bytes(found.bundle())
        click.echo(f"Wrote revision {found.revision} to {out}.", err=as_json)
    if as_json:
        click.echo(found.bundle().decode())
        return
    body = json.loads(found.body)
    for name in ("reference", "order", "revision", "cause", "access_ended_at", "key_destroyed_at"):
        click.echo(f"{name.replace('_', ' ').capitalize():<20}{body[name]}")
    click.echo(f"{'Irrecoverable at':<20}{body['irrecoverable_at'] or 'after the next rotation'}")
    print_rows(body["destroyed"], ("asset", "kind", "deleted_at", "read_back_at"), as_json=False)
    print_rows(body["kept"], ("asset", "kind", "ground"), as_json=False)


@certificates.command("verify")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path, exists=True),
    help="Public keys, as `keys public --json` prints them. Default: those of the data folder.",
)
@json_option
@plain_errors
def verify(file: Path, keys_file: Path | None, as_json: bool) -> None:
    """Verify a certificate offline: public keys only, no database, no private key.

    Example: consent-service certificates verify certificate.json --keys keys.json
    """
    report = use_cases.verify_bundle(file.read_bytes(), _keys(keys_file))
    _print_report(report, as_json=as_json)
    if not report.ok:
        fail(report.fault or "This certificate does not verify.")


def _keys(keys_file: Path | None) -> list[PublicKey]:
    if keys_file is not None:
        return read_keys(keys_file)
    settings = wiring.settings_from()
    folder = (settings.signing_keys or settings.under_data("signing")) / "public"
    if not folder.is_dir():
        fail("There are no public keys here. Name a file with --keys.")
    return read_keys(folder)


def _print_report(report: "Verified", *, as_json: bool) -> None:
    if as_json:
        print_json(report)
    elif report.ok:
        click.echo("This certificate is as it was signed.")
        print_fields({"order": report.order, "revision": report.revision}, as_json=False)

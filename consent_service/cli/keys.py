"""`consent-service keys` and `reconcile`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from consent_service import wiring
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
from consent_service.services import key_rotation
from consent_service.services import reconcile as comparison
from consent_service.vault import durable

if TYPE_CHECKING:
    from consent_service.vault.keyring_values import RotationAhead

FINDING_COLUMNS = ("fault", "subject", "repaired")


@click.group()
def keys() -> None:
    """Keys: how they stand, rotation, backups, public keys."""


@keys.command("status")
@json_option
@plain_errors
def status(as_json: bool) -> None:
    """Show how many keys there are, what waits for rotation, and key backups.

    Example: consent-service keys status
    """
    print_fields(key_rotation.status(open_context(), operator()), as_json=as_json)


@keys.command("rotate")
@click.option("--force", is_flag=True, help="Also when nothing was destroyed since the last.")
@dry_run_option
@yes_option
@json_option
@plain_errors
def rotate(force: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Replace master keys, so that what was destroyed is beyond recovery, and certify it.

    Example: consent-service keys rotate --yes
    """
    ctx, caller = open_context(newest=not dry_run), operator()
    if dry_run:
        _announce(key_rotation.rotation_ahead(ctx, caller), force=force, as_json=as_json)
        return
    confirm("Destroy the present master keys and make new ones?", yes=yes)
    done = key_rotation.rotate(ctx, caller, force)
    if as_json:
        print_json(done)
    elif done.report.idle:
        click.echo("Nothing was destroyed since the last rotation; nothing was done.")
    else:
        click.echo(
            f"Rotated {done.report.shards_rotated} shards;"
            f" {len(done.supplemented)} certificates got another revision."
        )


def _announce(ahead: "RotationAhead", *, force: bool, as_json: bool) -> None:
    idle = ahead.idle and not force
    if as_json:
        print_json({**plain(ahead), "idle": idle, "dry_run": True})
        return
    if idle:
        click.echo("Nothing was destroyed since the last rotation; nothing would be done.")
        return
    if ahead.unfinished:
        click.echo("A rotation was interrupted; it would be ended first.")
    click.echo(
        f"{ahead.shards} shards would get new keys, and the master keys be replaced;"
        f" {ahead.tombstones} destroyed keys would then be beyond recovery from the keyring."
        " Nothing was changed."
    )


@keys.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--recipient", help="age recipient (age1...); default: CONSENT_BACKUP_RECIPIENT.")
@click.option("--gone", is_flag=True, help="Record that every backup past its day was deleted.")
@json_option
@plain_errors
def backup(file: Path | None, recipient: str | None, gone: bool, as_json: bool) -> None:
    """Write a key backup, encrypted to an age recipient. Delete it after seven days.

    Example: consent-service keys backup /media/safe/keys.age --recipient age1...
    """
    ctx, caller = open_context(newest=True), operator()
    if gone:
        rows = key_rotation.backups_gone(ctx, caller)
        print_rows(rows, ("backup_id", "made_at", "expires_at", "expired_at"), as_json=as_json)
        return
    to = recipient or ctx.settings.backup_recipient
    if file is None or not to:
        raise click.UsageError("Name a FILE, and a recipient: --recipient age1...")
    with _appearing(file) as stream:
        made = key_rotation.backup(ctx, caller, stream, to)
    print_fields(made, as_json=as_json)


@contextmanager
def _appearing(file: Path) -> Iterator[BinaryIO]:
    """Write a new file that has its name only when it is whole and on the disk.

    Whoever found half a backup would take it for one. The unfinished file is also what keeps a
    second writer from the name, so that none replaces another.
    """
    unfinished = file.with_name(f".{file.name}~")
    try:
        out = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, durable.FILE_MODE)
    except FileExistsError:
        fail(f"A backup to that file is being made, or was cut off: then delete {unfinished}.")
    try:
        if file.exists() or file.is_symlink():
            fail("That file exists already. A backup never replaces another.")
        with os.fdopen(out, "wb", closefd=False) as stream:
            yield stream
        os.fsync(out)
        unfinished.rename(file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    finally:
        os.close(out)
    durable.sync_folder(file.absolute().parent)


@keys.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--identity",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    required=True,
    help="File of age-keygen that belongs to the recipient of the backup.",
)
@json_option
@plain_errors
def restore(file: Path, identity: Path, as_json: bool) -> None:
    """Put the keys of a key backup back into a lost keyring; destroyed ones stay destroyed.

    Example: consent-service keys restore /media/safe/keys.age --identity backup.key
    """
    from consent_service.vault.age import read_secret

    ctx = open_context(begin=wiring.Begin.KEYS | wiring.Begin.STORE)
    with file.open("rb") as stream:
        came = key_rotation.restore(ctx, operator(), stream, read_secret(identity))
    print_fields(came, as_json=as_json)


@keys.command("public")
@json_option
@plain_errors
def public(as_json: bool) -> None:
    """Print every public key with which log, journal and certificates can be verified.

    Example: consent-service keys public > public-keys.pem
    """
    published = open_context().signers.published
    if as_json:
        print_json([key.as_json() for key in published])
        return
    for key in published:
        click.echo(key.as_json()["pem"] or "", nl=False)


KEPT = (
    "{count} things stay that this database does not know: it was put back, or a hold may cover"
    " them. Restore the newer backup that knows them. If there is none, run `consent-service"
    " reconcile --confirm-unknown`."
)


@click.command()
@click.option(
    "--confirm-unknown",
    is_flag=True,
    help="No newer backup will be restored: destroy what this one does not know, a day after it"
    " was first reported. What a hold may cover stays.",
)
@dry_run_option
@yes_option
@json_option
@plain_errors
def reconcile(confirm_unknown: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Compare store, database, ledger and keyring; mend leftovers, report what is missing.

    Exit code 1 when something needs a person. Example: consent-service reconcile --dry-run
    """
    if confirm_unknown and not dry_run:
        confirm("Destroy for ever film and keys that no row of this database knows?", yes=yes)
    report = comparison.reconcile(
        open_context(),
        operator(),
        repair=not dry_run,
        confirm_unknown=confirm_unknown,
        # Also where it ends with a fault: what was destroyed until then is not to be guessed at.
        tell=partial(_print_report, as_json=as_json),
    )
    if report.open:
        raise click.exceptions.Exit(1)
    if not report.findings and not as_json:
        click.echo(f"All fits: {report.objects} objects, {report.assets} rows, {report.keys} keys.")


def _print_report(report: "comparison.Report", *, as_json: bool) -> None:
    if as_json:
        print_json(report)
    elif report.findings:
        print_rows(report.findings, FINDING_COLUMNS, as_json=False)
    if report.kept and not as_json:
        click.echo(KEPT.format(count=report.kept), err=True)

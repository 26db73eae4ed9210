"""`consent-service backups`: make, list, verify, restore, drill."""

from pathlib import Path

import click

from consent_service import wiring
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
from consent_service.services import backup_register as register
from consent_service.services import backups as service
from consent_service.services import restore_drill, restores

COLUMNS = ("id", "made_at", "expires_at", "state", "size", "objects", "place")

NO_KEY = (
    "There is no key for {count} films of this backup, so nobody can watch them: run"
    " `consent-service keys restore` with the newest key backup."
)

_folder = click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
_identity = click.option(
    "--identity",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    required=True,
    help="File of age-keygen that belongs to CONSENT_BACKUP_RECIPIENT.",
)


@click.group()
def backups() -> None:
    """Backups of database, policies and film, encrypted, without any key."""


@backups.command("create")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="Folder, on another disk, in which the backup gets a folder of its own.",
)
@json_option
@plain_errors
def create(to: Path, as_json: bool) -> None:
    """Make a backup, encrypted to CONSENT_BACKUP_RECIPIENT, and print its figures.

    Exit code 1 when the store lacks film that the database names.

    Example: consent-service backups create --to /mnt/backups
    """
    made = service.create(open_context(newest=True), operator(), to)
    print_fields(made, as_json=as_json)
    if made.missing:
        click.echo(
            f"{made.missing} objects are not in the store. Run `consent-service reconcile`.",
            err=True,
        )
        raise click.exceptions.Exit(1)


@backups.command("list")
@click.option("--gone", metavar="ID", help="Record that this one was deleted by hand elsewhere.")
@json_option
@plain_errors
def list_(gone: str | None, as_json: bool) -> None:
    """List every backup that was made, and whether it is there, due or gone.

    Example: consent-service backups list
    """
    ctx, caller = open_context(), operator()
    if gone is not None:
        register.mark_gone(ctx, caller, gone)
    print_rows(register.backups(ctx, caller), COLUMNS, as_json=as_json)


@backups.command("verify")
@_folder
@click.option(
    "--identity",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Also decrypt everything that is encrypted, with this file of age-keygen.",
)
@json_option
@plain_errors
def verify(folder: Path, identity: Path | None, as_json: bool) -> None:
    """Check the signature, and the size and digest of every file. Exit code 1 when one is wrong.

    Example: consent-service backups verify /mnt/backups/consent-backup-... --identity backup.key
    """
    found = restores.verify(open_context(begin=wiring.Begin.STORE), operator(), folder, identity)
    print_fields(found, as_json=as_json)
    if not found.ok:
        raise click.exceptions.Exit(1)


@backups.command("restore")
@_folder
@_identity
@click.option("--replace", is_flag=True, help="Give up the rows and film that are there now.")
@dry_run_option
@yes_option
@json_option
@plain_errors
def restore(
    folder: Path, identity: Path, replace: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Put a backup in the place of database and film, and replay the journal. Stop the service.

    Example: consent-service backups restore /mnt/backups/consent-backup-... --identity backup.key
    """
    if replace and not dry_run:
        confirm("Give up everything that was written since this backup?", yes=yes)
    wanted = restores.RestoreBackup(folder, identity, replace, dry_run)
    report = restores.restore(open_context(begin=wiring.Begin.STORE), operator(), wanted)
    print_fields(report, as_json=as_json)
    if not report.same_policies and not as_json:
        click.echo("The policy files here are not those of the backup. Compare them.", err=True)
    if report.without_key and not as_json:
        click.echo(NO_KEY.format(count=report.without_key), err=True)


@backups.command("drill")
@_folder
@_identity
@json_option
@plain_errors
def drill(folder: Path, identity: Path, as_json: bool) -> None:
    """Restore a backup beside the service, look through it, and throw it away.

    Exit code 1 when anything is wrong with it; the service goes on meanwhile.

    Example: consent-service backups drill /mnt/backups/consent-backup-... --identity backup.key
    """
    found = restore_drill.drill(open_context(), operator(), folder, identity)
    if as_json:
        print_json(found)
    else:
        print_fields(found, as_json=False)
        click.echo("The backup would do." if found.ok else "The backup would not do.")
    if not found.ok:
        raise click.exceptions.Exit(1)

"""`consent-service audit`: verify, export, show, checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consent_service.cli.arguments import code_of, moment_of, read_keys
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
from consent_service.domain.audit import EventKind, sentence
from consent_service.domain.audit_check import VerifyReport
from consent_service.services import audit as use_cases
from consent_service.vault.signing import SigningUse

if TYPE_CHECKING:
    from consent_service.db.audit_log import LoggedEntry
    from consent_service.services.context import Context

SHOWN = ("at", "sentence", "entry")


@click.group()
def audit() -> None:
    """The audit log: everything that happened, in an order that nobody can change unseen."""


@audit.command("verify")
@click.option(
    "--export",
    "export_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Verify this exported file, offline, instead of the database.",
)
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path, exists=True),
    help="With --export: public keys, as `keys public --json` prints them.",
)
@click.option(
    "--checkpoint",
    "heads",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="With --export: a signed checkpoint kept elsewhere; may be repeated.",
)
@json_option
@plain_errors
def verify(
    export_file: Path | None, keys_file: Path | None, heads: tuple[Path, ...], as_json: bool
) -> None:
    """Verify every byte of the log; name the first bad entry and exit with 1.

    Example: consent-service audit verify --export log.ndjson --keys keys.json
    """
    if export_file is not None:
        if keys_file is None:
            raise click.UsageError("Name the public keys with --keys.")
        kept = [path.read_text(encoding="utf-8", errors="replace") for path in heads]
        report = use_cases.verify_file(export_file, _log_keys(keys_file), kept)
    elif keys_file is not None or heads:
        raise click.UsageError("--keys and --checkpoint go with --export.")
    else:
        report = use_cases.verify(open_context(), operator())
    _print_report(report, as_json=as_json)


@audit.command("export")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@json_option
@plain_errors
def export(out: Path, as_json: bool) -> None:
    """Write the sealed log to a file that anybody can verify with the public keys.

    Example: consent-service audit export --out log.ndjson
    """
    ctx = open_context()
    _seal_all(ctx)
    with out.open("xb") as file:
        entries = use_cases.export(ctx, operator(), file)
    if as_json:
        print_json({"file": out, "entries": entries})
    else:
        click.echo(f"Wrote {entries} entries to {out}.")


@audit.command("show")
@click.option("--kind", "kinds", multiple=True, help="Only this kind; may be repeated.")
@click.option("--subject", help="Only about this id.")
@click.option("--involvement", help="Only in this involvement.")
@click.option("--since", help="From this moment on.")
@click.option("--until", help="Before this moment.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--cursor", help="Where the page before ended.")
@json_option
@plain_errors
def show(limit: int, cursor: str | None, as_json: bool, **asked: Any) -> None:
    """Print entries as sentences, newest first.

    Example: consent-service audit show --kind consent.captured --since 2026-11-01
    """
    from consent_service.db.audit_log import EntryFilter

    wanted = EntryFilter(
        kinds=tuple(code_of(EventKind, text, "kind") for text in asked["kinds"]),
        subject=asked["subject"],
        involvement=asked["involvement"],
        since=moment_of(asked["since"], "since"),
        until=moment_of(asked["until"], "until"),
    )
    page = use_cases.search(open_context(), operator(), wanted, cursor, limit)
    rows = [_row(entry) for entry in page.entries]
    if as_json:
        print_json({"entries": rows, "next_cursor": page.next_cursor})
        return
    print_rows(rows, SHOWN, as_json=False)
    if page.next_cursor:
        click.echo(f"More: --cursor '{page.next_cursor}'")


@audit.command("checkpoint")
@json_option
@plain_errors
def checkpoint(as_json: bool) -> None:
    """Seal what waits and print the newest signed checkpoint (C2SP signed note).

    Example: consent-service audit checkpoint > checkpoint.txt
    """
    ctx = open_context(newest=True)
    _seal_all(ctx)
    use_cases.publish_checkpoint(ctx)
    newest = use_cases.latest_checkpoint(ctx)
    if newest is None:
        fail("Nothing is in the log yet.")
    if as_json:
        print_json({"checkpoint": newest.checkpoint, "note": newest.note})
    else:
        click.echo(newest.note, nl=False)


def _seal_all(ctx: "Context") -> None:
    while use_cases.seal(ctx) is not None:
        pass


def _log_keys(path: Path) -> bytes:
    """Return the log's public keys as PEM; each once, in whatever form the file has them."""
    keys = {key.key_id: key.key for key in read_keys(path) if key.use is SigningUse.LOG}
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = (k.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for k in keys.values())
    return b"".join(pem)


def _row(entry: "LoggedEntry") -> dict[str, object]:
    recorded = entry.recorded
    event = recorded.event
    return {
        "at": recorded.at,
        "kind": event.kind.value,
        "sentence": sentence(event),
        "actor": f"{event.actor.kind}/{event.actor.id}",
        "subject": event.subject,
        "involvement": event.involvement,
        "details": dict(event.details),
        "entry": recorded.entry_id,
        "epoch": entry.epoch,
        "index": entry.index,
    }


def _print_report(report: VerifyReport, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
    else:
        counted = {
            "entries": report.entries,
            "epochs": report.epochs,
            "checkpoints": report.checkpoints,
            "not_sealed_yet": report.unsealed,
        }
        print_fields(counted, as_json=False)
        for lost in report.lost:
            click.echo(f"A restore lost entries up to {lost.ended_epoch}/{lost.ended_size}.")
    if not report.ok:
        fail(str(report.first_bad or "The log does not verify."))
    if not as_json:
        click.echo("The log is whole: nothing was changed, cut or added.")

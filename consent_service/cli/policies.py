"""`consent-service policies` (check, publish, show, diff) and `consent-forms` (list, show)."""

import difflib
from pathlib import Path

import click

from consent_service import policy_files, wiring
from consent_service.cli.terminal import (
    fail,
    json_option,
    open_context,
    operator,
    plain_errors,
    print_json,
    print_rows,
)
from consent_service.errors import PolicyFault
from consent_service.services import form_library
from consent_service.services import policies as use_cases

VERSION_COLUMNS = ("path", "published_at", "material", "digest")
FORM_COLUMNS = ("id", "version", "title", "leaflet", "languages", "statements", "published_at")


@click.group()
def policies() -> None:
    """Policies: the text files that govern forms, leaflets, purposes, roles and retention."""


@policies.command("check")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Default: the folder in use.",
)
@json_option
@plain_errors
def check(folder: Path | None, as_json: bool) -> None:
    """Check every policy file; print each fault as `file:line: what is wrong, what was expected`.

    Exit code 1 when there is one. Example: consent-service policies check --dir ./policies
    """
    folder = folder or wiring.settings_from().policy_dir or policy_files.default_policy_dir()
    faults, warnings = _faults_in(folder)
    if as_json:
        print_json({"ok": not faults, "folder": folder, "faults": faults, "warnings": warnings})
    else:
        for line in (*faults, *(f"warning: {warning}" for warning in warnings)):
            click.echo(line)
    if faults:
        fail(f"{len(faults)} fault(s) in the policies. Correct them and check again.")
    if not as_json:
        click.echo(f"The policies in {folder} are sound.")


def _faults_in(folder: Path) -> tuple[list[str], list[str]]:
    """Return the faults, and the warnings where there are none."""
    try:
        found = policy_files.read_policies(folder)
        policy_files.check_published(folder, {})
    except PolicyFault as fault:
        return list(fault.details.get("faults", [fault.message])), []
    return [], list(found.warnings)


@policies.command("publish")
@click.argument("path")
@click.option("--material", is_flag=True, help="Families are asked again before more is filmed.")
@json_option
@plain_errors
def publish(path: str, material: bool, as_json: bool) -> None:
    """Publish one version of a form or leaflet by its path in the policy folder.

    Example: consent-service policies publish consent-forms/vig/v2 --material
    """
    digest = use_cases.publish(open_context(), operator(), path.strip("/"), material=material)
    if as_json:
        print_json({"path": path.strip("/"), "digest": digest, "material": material})
    else:
        click.echo(f"Published {path.strip('/')} with digest {digest}.")


@policies.command("show")
@click.argument("path", required=False)
@json_option
@plain_errors
def show(path: str | None, as_json: bool) -> None:
    """List every version, or print the files of one as they were published.

    Example: consent-service policies show consent-forms/vig/v1
    """
    ctx = open_context()
    if path is None:
        print_rows(form_library.policy_versions(ctx), VERSION_COLUMNS, as_json=as_json)
        return
    files = form_library.published_files(ctx, path.strip("/"))
    if as_json:
        print_json({"path": path.strip("/"), "files": files})
        return
    for name, text in sorted(files.items()):
        click.echo(f"--- {path.strip('/')}/{name}")
        click.echo(text)


@policies.command("diff")
@click.argument("published")
@click.argument("draft", required=False)
@json_option
@plain_errors
def diff(published: str, draft: str | None, as_json: bool) -> None:
    """Compare a published version with another version in the folder, or with its own files.

    Exit code 1 when they differ. Example: consent-service policies diff consent-forms/vig/v1
    consent-forms/vig/v2
    """
    ctx = open_context()
    old = published.strip("/")
    new = (draft or published).strip("/")
    before = form_library.published_files(ctx, old)
    read = policy_files.files_of(use_cases.policy_folder(ctx), new)
    after = {name: raw.decode("utf-8", "replace") for name, raw in read.items()}
    if not after:
        fail(f"There is no {new} in the policy folder.")
    lines = [
        line
        for name in sorted({*before, *after})
        for line in difflib.unified_diff(
            before.get(name, "").splitlines(),
            after.get(name, "").splitlines(),
            f"published/{old}/{name}",
            f"folder/{new}/{name}",
            lineterm="",
        )
    ]
    if as_json:
        print_json({"published": old, "compared_with": new, "same": not lines, "lines": lines})
    else:
        click.echo("\n".join(lines) if lines else "They are the same.")
    if lines:
        raise click.exceptions.Exit(1)


@click.group("consent-forms")
def consent_forms() -> None:
    """Consent forms as published."""


@consent_forms.command("list")
@json_option
@plain_errors
def list_(as_json: bool) -> None:
    """List every published form version.

    Example: consent-service consent-forms list --json
    """
    print_rows(form_library.forms(open_context()), FORM_COLUMNS, as_json=as_json)


@consent_forms.command("show")
@click.argument("form")
@click.option("--version", type=int, help="Default: the newest.")
@click.option("--language", default="en", show_default=True)
@json_option
@plain_errors
def show_form(form: str, version: int | None, language: str, as_json: bool) -> None:
    """Print every word of a published form, with its digest in the JSON.

    Example: consent-service consent-forms show vig --version 1
    """
    found = form_library.form_text(open_context(), form, version, language)
    if as_json:
        print_json(found)
    else:
        click.echo(found.text)

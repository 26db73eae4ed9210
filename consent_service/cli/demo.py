"""`consent-service demo`: invented families to look at, or the whole story told by itself.

What fills and tells is loaded only when it is needed, so that a second start is quick.
"""

import os
from pathlib import Path

import click

from consent_service import wiring
from consent_service.cli.demonstration.promises import Step
from consent_service.cli.house import bring_up, run_embedded
from consent_service.cli.terminal import cell, fail, json_option, plain, plain_errors, print_json
from consent_service.settings import Settings

DEFAULT_FOLDER = Path("data/demo")
PLACES = (
    "database_url",
    "keyring_url",
    "blob_url",
    "journal_url",
    "key_provider",
    "escrow_provider",
    "signing_keys",
)


@click.command()
@click.option("--story", is_flag=True, help="Tell the whole story in a temporary folder and end.")
@click.option("--codes", is_flag=True, help="Print the logins with fresh one-time codes and end.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Where the demo lives. Default: CONSENT_DATA_DIR, or ./{DEFAULT_FOLDER}.",
)
@click.option("--listen", help="Address and port. Default: CONSENT_LISTEN, or 127.0.0.1:8000.")
@click.option("--fill-only", is_flag=True, help="Fill the folder, print the logins, do not serve.")
@json_option
@plain_errors
def demo(story: bool, codes: bool, fill_only: bool, as_json: bool, **where: object) -> None:
    """Fill a folder with invented families, a film and logins for every role, and serve it.

    With --story: tell the whole story, each step with its time and what was seen; exit code 1 on
    the first broken promise.

    Example: consent-service demo --story --json
    """
    if story:
        _tell(as_json=as_json)
        return
    settings = _settings(where["data_dir"], where["listen"])
    filled = settings.is_demo
    if codes and not filled:
        fail("There is no demo in this folder yet. Start it with `consent-service demo`.")
    if filled:
        _bring_up(settings)
    else:
        from consent_service.cli.demonstration.filling import fill

        fill(settings, lambda text: click.echo(text, err=True))
    _print_logins(settings, as_json=as_json)
    if not codes and not fill_only:
        run_embedded(settings)


def _bring_up(settings: Settings) -> None:
    """Bring a demo that an older version filled to this one; everyone in it is invented."""
    ctx = wiring.build_context(settings)
    try:
        if bring_up(ctx):
            click.echo("The demo's database was brought to this version.", err=True)
    finally:
        ctx.keyring.close()
        ctx.engine.dispose()


def _settings(folder: object, listen: object) -> Settings:
    """Return this process's settings; what the options say wins, then the environment."""
    chosen = dict(os.environ)
    if folder is not None:
        chosen["CONSENT_DATA_DIR"] = str(folder)
    if listen is not None:
        chosen["CONSENT_LISTEN"] = str(listen)
    chosen.setdefault("CONSENT_DATA_DIR", str(DEFAULT_FOLDER))
    settings = wiring.settings_from(chosen)
    _require_own_places(settings)
    return settings


def _require_own_places(settings: Settings) -> None:
    """Refuse to fill or serve anything outside the demo's folder, whatever the settings say."""
    own = Settings(data_dir=settings.data_dir).filled()
    for name in PLACES:
        if getattr(settings, name) != getattr(own, name):
            fail(
                f"CONSENT_{name.upper()} leads out of the demo's folder, and a demo never goes"
                " beside real families. Run it where this is not set."
            )


def _tell(*, as_json: bool) -> None:
    from consent_service.cli.demonstration.story import tell_story

    told = tell_story(lambda step: None if as_json else _print_step(step))
    if as_json:
        print_json({"ok": told.ok, "steps": told.steps})
    if not told.ok:
        fail(f"A promise is broken: {told.steps[-1].name}.")
    if not as_json:
        total = sum(step.seconds for step in told.steps)
        click.echo(f"{len(told.steps)} steps in {total:.1f} s: every promise held.")


def _print_step(step: Step) -> None:
    mark = "ok    " if step.ok else "BROKEN"
    click.echo(f"{mark} {step.seconds:7.2f} s  {step.name}")
    for name, seen in plain(step.evidence).items():
        click.echo(f"                   {name.replace('_', ' ')}: {_short(seen)}")


def _short(seen: object) -> str:
    text = "; ".join(map(cell, seen)) or "-" if isinstance(seen, list) else cell(seen)
    return text if len(text) <= 140 else f"{text[:137]}..."


def _print_logins(settings: Settings, *, as_json: bool) -> None:
    from consent_service.cli.demonstration.logins import logins

    found = logins(settings)
    if as_json:
        print_json({"address": settings.public_url, "logins": found})
        return
    click.echo(f"The demo is at {settings.public_url}. Everyone in it is invented.")
    click.echo(f"{'Role':<16}{'E-mail':<40}{'Password':<28}Code now")
    for login in found:
        click.echo(f"{login.role:<16}{login.email:<40}{login.password:<28}{login.code}")
    click.echo("A code changes every 30 seconds and works once: `consent-service demo --codes`.")

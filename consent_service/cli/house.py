"""Verbs of the house itself: init, run, serve, worker, check, upgrade, version."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from consent_service import __version__, wiring
from consent_service.cli.terminal import (
    fail,
    json_option,
    open_context,
    operator,
    plain_errors,
    print_json,
    print_rows,
    sentence_of,
)
from consent_service.clock import SystemClock
from consent_service.db import engine as engines
from consent_service.db import schema
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.errors import ConsentServiceError, DiskFull, JournalBroken, SettingsFault
from consent_service.services import checks, installation, startup
from consent_service.settings import Settings

if TYPE_CHECKING:
    from consent_service.services.context import Context


_FOUND_AT_OPENING = {
    "keyring_missing": "keyring",
    "keyring_stale": "keyring",
    "master_missing": "master keys",
    "store_missing": "film store",
}
"""Which line of the check a refusal to open belongs to."""


@click.command()
@json_option
@plain_errors
def init(as_json: bool) -> None:
    """Set up the data folder: database, keys, policies, and the first administrator.

    Asks nothing; run again, it changes nothing.

    Example: consent-service init
    """
    settings = wiring.settings_from()
    with _room_for(settings):
        _, link = initialise(settings)
    email = installation.FIRST_ADMINISTRATOR if link else None
    if as_json:
        print_json({"data_dir": settings.data_dir, "admin_link": link, "admin_email": email})
        return
    click.echo(f"Ready in {settings.data_dir}.")
    if link is None:
        click.echo(
            "It was set up before; nothing changed. For a link that was lost there is"
            " `consent-service users reset`."
        )
        return
    click.echo("Set up the first administrator with this link. It works once, within seven days:")
    click.echo(link)
    click.echo(f"They then sign in at {settings.public_url}/sign-in as {email}.")


@contextmanager
def _room_for(settings: Settings) -> Iterator[None]:
    """Say on which disk there is no room to set up, and that the same verb goes on from there."""
    try:
        yield
    except Exception as fault:
        if not _is_full(fault):
            raise
        raise DiskFull(
            f"There is no room left to set up the service in {settings.data_dir}, or where"
            " `consent-service check` says that its parts lie. Make room, then run"
            " `consent-service init` again: it goes on from where it stopped."
        ) from fault


def _is_full(fault: BaseException | None) -> bool:
    from sqlalchemy.exc import DBAPIError

    if fault is None:
        return False
    full = isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT)
    of_sqlite = isinstance(fault, DBAPIError) and "disk is full" in str(fault.orig)
    return full or of_sqlite or isinstance(fault, DiskFull) or _is_full(fault.__cause__)


def initialise(settings: Settings) -> "tuple[Context, str | None]":
    """Make what is missing; return the Context and, the first time, the administrator's link."""
    clock = SystemClock()
    engine = engines.open_engine(settings.database_url)
    wiring.make_data_folder(settings)
    is_new = schema.is_empty(engine)
    if not is_new:
        schema.upgrade(engine)
    # Where it was set up before, what is missing was lost: nothing is begun.
    known = not is_new and installation.is_set_up(engine)
    engine.dispose()
    wiring.make_folders(settings, clock, begin=not known)
    begin = wiring.Begin.NOTHING if known else wiring.Begin.ALL
    if is_new:
        installation.require_no_lines(wiring.journal_of(settings, begin))
    ctx = wiring.build_context(settings, clock, begin=begin)
    if is_new:
        installation.require_no_keys(ctx)
        schema.upgrade(ctx.engine)
    return ctx, installation.initialise(ctx, operator())


@click.command()
@click.option("--workers", type=int, default=1, show_default=True, help="Web processes.")
@plain_errors
def run(workers: int) -> None:
    """Serve pages and run jobs, on this machine, until stopped.

    Example: consent-service run
    """
    settings = wiring.settings_from()
    refuse_demo(settings)
    run_embedded(settings, workers)


def run_embedded(settings: Settings, workers: int = 1) -> None:
    """Supervise one web server and one worker process; stop all on SIGTERM."""
    from consent_service.cli.processes import supervise

    _refuse_public_demo(settings)
    raise click.exceptions.Exit(supervise(settings, workers))


@click.command()
@click.option("--workers", type=int, default=2, show_default=True, help="Web processes.")
@plain_errors
def serve(workers: int) -> None:
    """Serve pages and the API only; run `worker` beside it.

    Example: consent-service serve --workers 4
    """
    from consent_service.cli.processes import serve_here

    settings = wiring.settings_from()
    _refuse_public_demo(settings)
    raise click.exceptions.Exit(serve_here(settings, workers))


@click.command()
@plain_errors
def worker() -> None:
    """Run jobs: erasure, retention, leaflet dates, keys, the audit log.

    Example: consent-service worker
    """
    from consent_service.cli.processes import work_here

    work_here(wiring.settings_from())


@click.command()
@json_option
@plain_errors
def check(as_json: bool) -> None:
    """Check settings, keys, stores, journal, policies and clock: one line each. Makes nothing.

    Exit code 1 when something is at fault. Example: consent-service check
    """
    settings = wiring.settings_from()
    lines = checks.check_settings(settings)
    try:
        lines += checks.check(wiring.build_context(settings))
    except ConsentServiceError as fault:
        what = _FOUND_AT_OPENING.get(fault.code, "set-up")
        what = "journal" if isinstance(fault, JournalBroken) else what
        lines.append(checks.CheckLine(what, checks.FAULT, sentence_of(fault)))
    if as_json:
        print_json(lines)
    else:
        print_rows(lines, ("what", "state", "finding"), as_json=False)
    if any(line.state == checks.FAULT for line in lines):
        raise click.exceptions.Exit(1)


@click.command()
@json_option
@plain_errors
def upgrade(as_json: bool) -> None:
    """Bring the database to this version of the service. Make a backup first.

    Example: consent-service upgrade
    """
    upgraded = bring_up(open_context())
    if as_json:
        print_json({"upgraded": upgraded})
    else:
        click.echo(f"The database is at this version {'now' if upgraded else 'already'}.")


def bring_up(ctx: "Context") -> bool:
    """Bring the database to this version and write it down; tell whether that was needed."""
    if schema.is_current(ctx.engine):
        return False
    startup.require_tables(ctx)
    schema.upgrade(ctx.engine)
    with ctx.begin() as uow:
        uow.record(AuditEvent(EventKind.DATABASE_UPGRADED, operator().actor, "database"))
    return True


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the version.

    Example: consent-service version
    """
    if as_json:
        print_json({"version": __version__})
    else:
        click.echo(f"consent-service {__version__}")


def refuse_demo(settings: Settings) -> None:
    """Refuse a folder of invented people: its logins are printed for everyone to see."""
    if settings.is_demo:
        raise SettingsFault(
            "This folder holds the demo, with logins that everyone can read. Serve it with"
            " `consent-service demo`, or choose another CONSENT_DATA_DIR."
        )


def _refuse_public_demo(settings: Settings) -> None:
    if settings.is_demo and settings.base_url:
        fail("The demo is for this machine only.")

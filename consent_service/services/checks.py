"""Is everything in order? One line for each thing, for operators and for the dashboard.

Rules kept here: a check reads or writes the real thing; nothing is assumed to work.
"""

import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from consent_service.clock import LONDON, london_day
from consent_service.db import schema
from consent_service.db.models.jobs import ClockPause
from consent_service.db.models.policies import LeafletVersion
from consent_service.db.models.recordings import Asset
from consent_service.errors import ConsentServiceError, Refused, SettingsFault, with_place
from consent_service.services import backup_register, erasure_journal, startup
from consent_service.services.compared_objects import HELD_STATES
from consent_service.services.context import Context
from consent_service.services.journal_whole import require_what_is_known
from consent_service.services.policies import require_unedited
from consent_service.settings import Settings
from consent_service.vault.age import recipient_of
from consent_service.vault.keyring_values import KeyStatus

BACKUP_DAYS = 2
"""From this age on the newest backup is too old."""
OWED_FOR = timedelta(minutes=1)
"""A worker writes a line that is owed within seconds; after this long it cannot."""

_OTHERS_MAY = stat.S_IRWXG | stat.S_IRWXO

_BUCKET_OF_JOURNAL = "bucket of the journal"

OK = "ok"
WARNING = "warning"
FAULT = "fault"


@dataclass(frozen=True)
class CheckLine:
    """One thing that was checked: `state` is ok, warning or fault."""

    what: str
    state: str
    finding: str


def check_settings(settings: Settings) -> list[CheckLine]:
    """Return every setting, secrets masked, and warnings about what lies too close together."""
    lines = [CheckLine(name, OK, value) for name, value in settings.masked().items()]
    for what, url in (
        ("place of the master keys", settings.key_provider),
        ("place of the escrow keys", settings.escrow_provider),
        ("place of the journal", settings.journal_url),
    ):
        if _inside(settings.data_dir, url):
            lines.append(
                CheckLine(
                    what,
                    WARNING,
                    "In the data folder: whoever takes or restores the folder has this too. Move it"
                    " elsewhere before real families.",
                )
            )
    lines += _recipient(settings)
    lines += _open_to_others(settings)
    lines += _in_one_bucket(settings)
    lines += _on_this_machine_only(settings)
    lines.append(
        CheckLine(
            "disk encryption",
            WARNING,
            "Names, goals and notes are in the database as they are: keep it on an encrypted disk.",
        )
    )
    return lines


def _recipient(settings: Settings) -> list[CheckLine]:
    """Say so where backups could be encrypted to nobody."""
    try:
        if settings.backup_recipient:
            recipient_of(settings.backup_recipient)
    except SettingsFault as fault:
        return [CheckLine("backup recipient", FAULT, fault.message)]
    return []


def _open_to_others(settings: Settings) -> list[CheckLine]:
    """Warn of a data folder or a database file that other accounts of this machine may enter."""
    kind, _, path = settings.database_url.partition(":///")
    places = [("data folder", settings.data_dir, "700")]
    if kind.startswith("sqlite") and path:
        places.append(("database file", Path(path.partition("?")[0]), "600"))
    return [
        CheckLine(
            what,
            WARNING,
            f"Other accounts of this machine may read it. Run `chmod {mode}` on it.",
        )
        for what, path, mode in places
        if _open(path)
    ]


def _open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & _OTHERS_MAY)
    except OSError:
        return False  # that it is not there, or out of reach, is said by what is tried on it


def _in_one_bucket(settings: Settings) -> list[CheckLine]:
    """Warn of a journal beside the film, where it can be deleted like film."""
    where = _bucket(settings.journal_url)
    if not where or where != _bucket(settings.blob_url):
        return []
    return [
        CheckLine(
            "place of the journal",
            WARNING,
            "In the bucket of the film: whoever may delete film may delete this too. Give it a"
            " bucket and credentials of its own.",
        )
    ]


def _on_this_machine_only(settings: Settings) -> list[CheckLine]:
    """Return what another node of the same database would not find, a line each."""
    if settings.database_url.startswith("sqlite:"):
        return []
    places = (
        ("keyring", "CONSENT_KEYRING_URL", settings.keyring_url.startswith("sqlite:")),
        ("film store", "CONSENT_BLOB_URL", _inside(settings.data_dir, settings.blob_url)),
        ("journal", "CONSENT_JOURNAL_URL", _inside(settings.data_dir, settings.journal_url)),
        ("signing keys", "CONSENT_SIGNING_KEYS", _below(settings.data_dir, settings.signing_keys)),
        ("page secret", "CONSENT_SECRET_KEY", settings.secret_key is None),
    )
    return [
        CheckLine(
            f"{what} for all nodes",
            WARNING,
            f"On this machine only. With several nodes, set {name} so that all have the same.",
        )
        for what, name, here in places
        if here
    ]


def check(ctx: Context) -> list[CheckLine]:
    """Try database, keys, store, journal, policies and clock, one line each."""
    lines = [_try(what, probe, ctx) for what, probe in _PROBES]
    lines += [CheckLine("policy files", WARNING, warning) for warning in ctx.policies.warnings]
    lines += _write_once(ctx)
    lines += _owed(ctx)
    lines += _backups(ctx)
    if ctx.settings.escrow_provider.startswith("file:"):
        lines.append(
            CheckLine(
                "escrow",
                WARNING,
                "Escrow is in files of the same user: order, not a barrier. A key server makes it"
                " one.",
            )
        )
    return lines


def _write_once(ctx: Context) -> list[CheckLine]:
    """Warn of a journal in a bucket that would let somebody replace or delete its lines."""
    if not _bucket(ctx.settings.journal_url):
        return []
    try:
        kept = ctx.journal.is_write_once()
    except Refused as fault:
        return [CheckLine(_BUCKET_OF_JOURNAL, WARNING, fault.message)]
    except ConsentServiceError:
        return []  # that it cannot be reached is said already
    if kept:
        return [CheckLine(_BUCKET_OF_JOURNAL, OK, "it lets nobody replace or delete a line")]
    return [
        CheckLine(
            _BUCKET_OF_JOURNAL,
            WARNING,
            "It lets lines be replaced and deleted, which would stop the service. Turn on"
            " object lock with a default retention.",
        )
    ]


def _owed(ctx: Context) -> list[CheckLine]:
    """Warn of acts that stand without their line: nothing of them is destroyed before it."""
    try:
        since = erasure_journal.owed_since(ctx)
    except (ConsentServiceError, SQLAlchemyError):
        return []  # that the database cannot be asked is said already
    if since is None or ctx.clock.now() - since < OWED_FOR:
        return []
    return [
        CheckLine(
            "journal",
            WARNING,
            f"It lacks acts since {since:%Y-%m-%d %H:%M} UTC, which wait in the database: nothing"
            " that they end is destroyed before. Let the service write to it, and see that the"
            " worker runs.",
        )
    ]


def _backups(ctx: Context) -> list[CheckLine]:
    """Say when the newest backup is of; nothing where the database cannot be asked."""
    try:
        made_at = backup_register.newest(ctx)
    except (ConsentServiceError, SQLAlchemyError):
        return []
    if made_at is None:
        advice = "Set CONSENT_BACKUP_RECIPIENT and run `consent-service backups create`."
        return [CheckLine("backups", WARNING, f"There is none. {advice}")]
    days = (ctx.clock.now() - made_at).days
    state = OK if days < BACKUP_DAYS else WARNING
    return [CheckLine("backups", state, f"the newest is {days} days old")]


def _try(what: str, probe: Callable[[Context], str], ctx: Context) -> CheckLine:
    try:
        return CheckLine(what, OK, probe(ctx))
    except ConsentServiceError as fault:
        return CheckLine(what, FAULT, with_place(fault.message, fault))
    except (SQLAlchemyError, OSError) as fault:
        # The text of either could quote an address with its password, or a row.
        finding = f"It cannot be used at the moment ({type(fault).__name__})."
        return CheckLine(what, FAULT, with_place(finding, fault))


def _database(ctx: Context) -> str:
    startup.require_schema(ctx)
    return "reached, at this version"


def _keyring(ctx: Context) -> str:
    dirty = len(ctx.keyring.dirty_shards())
    # It may be a new one, or an old copy: only the database knows which keys there should be.
    if lacking := _films_without_key(ctx):
        raise ConsentServiceError(
            f"There is no key for {lacking} films, so nobody can watch them. Run `consent-service"
            " keys restore` with the newest key backup."
        )
    return f"reached; {dirty} shards wait for rotation"


def _films_without_key(ctx: Context) -> int:
    """Return how many films have no key; none where the database cannot be asked."""
    held = select(Asset.asset_key_id).where(Asset.state.in_(HELD_STATES))
    try:
        if not schema.is_current(ctx.engine):
            return 0
        with ctx.read() as session:
            wanted = session.scalars(held).all()
    except (ConsentServiceError, SQLAlchemyError):
        return 0  # that it cannot be reached is said already
    return list(ctx.keyring.status(wanted).values()).count(KeyStatus.ABSENT)


def _master_keys(ctx: Context) -> str:
    ctx.keyring.check()
    return "in reach: live keys open, escrow takes keys in"


def _store(ctx: Context) -> str:
    ctx.blobs.check()
    return "wrote, read back and deleted a small object"


def _journal(ctx: Context) -> str:
    head = ctx.journal.verify()
    # It may have been cut at the end of a line, or be a new one: only the database knows of more.
    require_what_is_known(ctx)
    return f"whole, {head.number} lines"


def _policies(ctx: Context) -> str:
    require_unedited(ctx)
    return "what is published is as it was published"


def _leaflets(ctx: Context) -> str:
    today = london_day(ctx.clock.now())
    with ctx.read() as session:
        rows = session.scalars(select(LeafletVersion)).all()
    current = [r for r in rows if r.issued_on <= today < r.archive_on]
    if not current:
        raise ConsentServiceError("No leaflet version can be given today. Publish a new one.")
    return ", ".join(sorted(f"{r.code} version {r.version}" for r in current)) + " can be given"


def _clock(ctx: Context) -> str:
    with ctx.read() as session:
        paused = session.scalar(select(ClockPause.id).where(ClockPause.confirmed_at.is_(None)))
    if paused is not None:
        raise ConsentServiceError(
            "The clock jumped; automatic destruction waits for"
            " `consent-service retention run --confirm-clock`."
        )
    local = ctx.clock.now().astimezone(LONDON)
    hour = f"{local:%I:%M}".lstrip("0") + f"{local:%p}".lower()
    return f"{local.day} {local:%B %Y}, {hour} {local.tzname()}"


_PROBES: tuple[tuple[str, Callable[[Context], str]], ...] = (
    ("database", _database),
    ("keyring", _keyring),
    ("master keys", _master_keys),
    ("film store", _store),
    ("journal", _journal),
    ("policies", _policies),
    ("leaflets", _leaflets),
    ("clock", _clock),
)


def _inside(folder: Path, url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "file" and _below(folder, Path(parts.path))


def _bucket(url: str) -> str:
    """Return which bucket of which server an address names; nothing for any other address."""
    parts = urlsplit(url)
    endpoint = dict(parse_qsl(parts.query)).get("endpoint", "")
    return f"{endpoint} {parts.netloc}" if parts.scheme == "s3" else ""


def _below(folder: Path, path: Path | None) -> bool:
    return path is not None and path.absolute().is_relative_to(folder.absolute())

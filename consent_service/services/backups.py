"""Backups: one moment of database, policies and film, encrypted to somebody else, and their end.

Rules kept here:
  * keys, master keys, signing keys and the journal are never part of a backup: what is erased after
    it stays erased, and the journal says so to whatever is restored from it;
  * every object that the rows of that moment name is copied as it lies in the store, as ciphertext;
    film erased while it was copied is left out and counted;
  * every backup is written down and goes when rule R31 says so: its folder is deleted where it can
    be reached, and otherwise the administrator is told until somebody says that it is gone.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from consent_service import __version__
from consent_service.clock import london_day, start_of_london_day
from consent_service.db import audit_log, schema, snapshots
from consent_service.db.models.backups import Backup
from consent_service.db.models.jobs import Notice
from consent_service.db.models.recordings import Asset, UploadPart
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.assets import ARRIVING, AssetState
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.retention import Facts, due
from consent_service.domain.retention_rules import TriggerEvent
from consent_service.domain.roles import ADMINISTRATOR, Permission
from consent_service.errors import (
    ConsentServiceError,
    InvalidInput,
    NotFound,
    SettingsFault,
    Unavailable,
)
from consent_service.ids import new_id
from consent_service.policy_files import default_policy_dir
from consent_service.services import audit, erasure_journal, keys
from consent_service.services.access import Caller, require, require_fresh
from consent_service.services.context import Context
from consent_service.services.notices import notify
from consent_service.services.retention_due import is_paused
from consent_service.vault import backup_folder
from consent_service.vault.age import recipient_of
from consent_service.vault.backup_manifest import (
    BackedUpObject,
    BackupFile,
    Manifest,
    digest_of,
    write_manifest,
)
from consent_service.vault.journal import Head

RULE = "R31"
LIFETIME = timedelta(days=60)
"""How long a backup is kept where the schedule has no rule R31."""

_HELD = (AssetState.STORED, AssetState.AWAITING_CONSENT, AssetState.RESTRICTED)
_DUE = "backup_due"


class BackupState(StrEnum):
    """What became of a backup, as far as can be seen from here."""

    THERE = "there"
    OUT_OF_REACH = "out_of_reach"
    DUE = "due"
    GONE = "gone"


@dataclass(frozen=True)
class MadeBackup:
    """A backup that was made; sizes in bytes as they lie there.

    `missing` counts objects that the rows name and the store does not have, `erased_meanwhile`
    those that went while film was copied. `unprotected_seconds` is what a loss just before this
    backup would have cost: the time since the one before (None: there was none).
    """

    id: str
    folder: Path
    made_at: datetime
    expires_at: datetime
    database_bytes: int
    object_bytes: int
    objects: int
    erased_meanwhile: int
    missing: int
    journal_line: int
    log_size: int
    seconds: int
    unprotected_seconds: int | None


@dataclass(frozen=True)
class BackupView:
    """A backup as it is registered."""

    id: str
    made_at: datetime
    expires_at: datetime
    state: BackupState
    size: int
    objects: int
    place: str


@dataclass(frozen=True)
class Expired:
    """What a look at the calendar did: folders deleted, and backups due that are out of reach."""

    deleted: tuple[str, ...]
    due: tuple[str, ...]


@dataclass(frozen=True)
class _Moment:
    """What the rows of one moment name, and where log and journal stood."""

    at: datetime
    named: tuple["_Named", ...]
    note: str | None
    log_size: int
    journal: Head
    database: tuple[BackupFile, ...]


@dataclass(frozen=True)
class _Named:
    """An object that rows name; a sidecar may not have been written yet."""

    name: str
    key: str
    needed: bool


def create(ctx: Context, caller: Caller, to: Path) -> MadeBackup:
    """Make a backup in a new folder inside `to`, which must be there and outside the data folder.

    Raises Refused, SettingsFault (recipient, keys in the same database), InvalidInput, NotFound,
    DiskFull, Unavailable; then nothing of it is left.
    """
    require(ctx, caller, Permission.BACKUPS_MANAGE)
    require_fresh(caller)
    reader = recipient_of(_recipient(ctx))
    _require_place(ctx, to)
    _require_sound(ctx)
    audit.seal(ctx)
    audit.publish_checkpoint(ctx)
    identifier, began = new_id(), ctx.clock.now()
    with backup_folder.writing(to, backup_folder.folder_name(identifier, began)) as out:
        with snapshots.taken(ctx.engine) as taken:
            database = out.encrypt("database", taken.pieces(), reader)
            moment = _moment(ctx, taken.session, began, database)
        policies = out.encrypt("policies", [policy_archive(ctx)], reader)
        copied, absent = _copy(ctx, out, moment.named)
        manifest = _manifest(ctx, identifier, moment, policies, copied, absent)
        raw = write_manifest(manifest, ctx.signers.certificates)
        out.finish(raw)
    folder = to.absolute() / backup_folder.folder_name(identifier, began)
    before = _register(ctx, caller, manifest, digest_of(raw), folder)
    return _made(ctx, manifest, moment, folder, before)


def backups(ctx: Context, caller: Caller) -> list[BackupView]:
    """Return every registered backup, newest first, and whether its folder can be reached."""
    require(ctx, caller, Permission.BACKUPS_MANAGE)
    now = ctx.clock.now()
    with ctx.read() as session:
        rows = session.scalars(select(Backup).order_by(Backup.made_at.desc(), Backup.id)).all()
    return [
        BackupView(r.id, r.made_at, r.expires_at, _state(r, now), r.size, r.objects, r.place)
        for r in rows
    ]


def mark_gone(ctx: Context, caller: Caller, backup: str) -> None:
    """Write down that somebody deleted a backup that this machine cannot reach.

    Raises NotFound, and InvalidInput while its folder is still there.
    """
    require(ctx, caller, Permission.BACKUPS_MANAGE)
    require_fresh(caller)
    with ctx.begin() as uow:
        row = uow.session.get(Backup, backup)
        if row is None:
            raise NotFound("There is no such backup. See `backups list`.", kind="backup")
        if _manifest_of(ctx, Path(row.place)) is not None:
            raise InvalidInput(
                "This backup is not gone.",
                {"--gone": "Its folder is still there. Delete it first."},
            )
        _record_gone(uow, caller, row)


def expire(ctx: Context, caller: Caller) -> Expired:
    """Delete backups whose time is over (a job runs this daily); report those out of reach.

    Also those that a restored database does not know of, where they lie beside known ones. Nothing
    goes while the clock is in doubt.
    """
    require(ctx, caller, Permission.BACKUPS_MANAGE)
    now = ctx.clock.now()
    with ctx.read() as session:
        if is_paused(session):
            return Expired((), ())
        rows = session.scalars(select(Backup)).all()
    deleted = [
        manifest.id
        for folder, manifest in _reachable(ctx, {Path(r.place) for r in rows})
        if manifest.expires_at <= now and _removed(folder)
    ]
    standing = {r.id for r in rows if r.gone_at is None and r.expires_at <= now}
    due_still = tuple(sorted(standing - set(deleted)))
    with ctx.begin() as uow:
        for identifier in deleted:
            row = uow.session.get(Backup, identifier)
            if row is not None and row.gone_at is None:
                _record_gone(uow, caller, row)
        _remind(uow, due_still)
    return Expired(tuple(deleted), due_still)


def add_row(uow: UnitOfWork, manifest: Manifest, digest: str, folder: Path) -> None:
    """Enter a backup among those that are known, where it is not yet."""
    uow.session.merge(
        Backup(
            id=manifest.id,
            made_at=manifest.made_at,
            expires_at=manifest.expires_at,
            place=str(folder.absolute()),
            digest=digest,
            size=manifest.size,
            objects=len(manifest.objects),
        )
    )


def _register(
    ctx: Context, caller: Caller, manifest: Manifest, digest: str, folder: Path
) -> datetime | None:
    """Write a new backup down; return when the one before it was made."""
    with ctx.begin() as uow:
        before = uow.session.scalar(
            select(func.max(Backup.made_at)).where(Backup.id != manifest.id)
        )
        add_row(uow, manifest, digest, folder)
        details = {"digest": digest}
        uow.record(AuditEvent(EventKind.BACKUP_MADE, caller.actor, manifest.id, details=details))
    # Published, so that a restore of this very backup is seen to be one.
    audit.seal(ctx)
    audit.publish_checkpoint(ctx)
    return before


def policy_archive(ctx: Context) -> bytes:
    """Return the policy files as a tar archive; the same files give the same bytes."""
    root = ctx.settings.policy_dir or default_policy_dir()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            entry = tarfile.TarInfo(path.relative_to(root).as_posix())
            content = path.read_bytes()
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _recipient(ctx: Context) -> str:
    if not ctx.settings.backup_recipient:
        raise SettingsFault(
            "CONSENT_BACKUP_RECIPIENT is not set. Make a pair with `age-keygen -o backup.key`, set"
            " the line that begins with age1, and keep the file away from this machine."
        )
    return ctx.settings.backup_recipient


def _require_place(ctx: Context, to: Path) -> None:
    if to.resolve().is_relative_to(ctx.settings.data_dir.resolve()):
        raise InvalidInput(
            "A backup in the data folder is lost with it.",
            {"--to": "Name a folder on another disk, outside CONSENT_DATA_DIR."},
        )


def _require_sound(ctx: Context) -> None:
    if not schema.is_current(ctx.engine):
        raise Unavailable(
            "The database is not at this version. Run `consent-service upgrade`.",
            code="upgrade_needed",
        )
    snapshots.require_own_tables(ctx.engine)
    erasure_journal.write_missing_lines(ctx)


def _moment(
    ctx: Context, session: Session, at: datetime, database: tuple[BackupFile, ...]
) -> _Moment:
    head = audit_log.latest_checkpoint(session)
    return _Moment(
        at,
        tuple(_named(session)),
        audit_log.latest_note(session),
        head.size if head else 0,
        ctx.journal.head(),
        database,
    )


def _named(session: Session) -> Iterator[_Named]:
    """Yield every object that the rows name: film, its sidecar, parts of film still coming in."""
    held = select(Asset.id, Asset.blob, Asset.asset_key_id).where(
        Asset.blob.is_not(None), Asset.state.in_(_HELD)
    )
    for asset, blob, key in session.execute(held.order_by(Asset.id)):
        yield _Named(str(blob), key, needed=True)
        yield _Named(keys.sidecar_name(asset), key, needed=False)
    parts = (
        select(UploadPart.blob, Asset.asset_key_id)
        .join(Asset, Asset.id == UploadPart.asset_id)
        .where(Asset.state.in_(ARRIVING))
    )
    for blob, key in session.execute(parts.order_by(UploadPart.blob)):
        yield _Named(blob, key, needed=True)


def _copy(
    ctx: Context, out: backup_folder.BackupWriter, named: Iterable[_Named]
) -> tuple[tuple[BackedUpObject, ...], tuple[str, ...]]:
    copied: list[BackedUpObject] = []
    absent: list[str] = []
    for one in named:
        try:
            with ctx.blobs.open(one.name) as source:
                copied.append(out.copy(one.name, source, one.key))
        except NotFound:
            if one.needed:
                absent.append(one.name)
    return tuple(copied), tuple(absent)


def _manifest(
    ctx: Context,
    identifier: str,
    moment: _Moment,
    policies: tuple[BackupFile, ...],
    copied: tuple[BackedUpObject, ...],
    absent: tuple[str, ...],
) -> Manifest:
    return Manifest(
        id=identifier,
        made_at=moment.at,
        expires_at=_expiry(ctx, moment.at),
        service=__version__,
        engine=ctx.engine.dialect.name,
        schema=schema.newest_version(),
        checkpoint=moment.note,
        journal_line=moment.journal.number,
        journal_hash=moment.journal.hash,
        database=moment.database,
        policies=policies,
        objects=copied,
        absent=absent,
    )


def _expiry(ctx: Context, at: datetime) -> datetime:
    if RULE not in ctx.policies.schedule.rules:
        return at + LIFETIME
    facts = Facts({TriggerEvent.BACKUP_MADE: london_day(at)})
    day = due(ctx.policies.schedule, RULE, facts).due_on
    return at + LIFETIME if day is None else start_of_london_day(day)


def _made(
    ctx: Context, manifest: Manifest, moment: _Moment, folder: Path, before: datetime | None
) -> MadeBackup:
    with ctx.read() as session:
        still_named = {one.name for one in _named(session)}
    missing = len(still_named & set(manifest.absent))
    return MadeBackup(
        manifest.id,
        folder,
        manifest.made_at,
        manifest.expires_at,
        sum(one.size for one in manifest.database),
        sum(one.size for one in manifest.objects),
        len(manifest.objects),
        len(manifest.absent) - missing,
        missing,
        manifest.journal_line,
        moment.log_size,
        int((ctx.clock.now() - manifest.made_at).total_seconds()),
        None if before is None else int((manifest.made_at - before).total_seconds()),
    )


def _state(row: Backup, now: datetime) -> BackupState:
    if row.gone_at is not None:
        return BackupState.GONE
    if row.expires_at <= now:
        return BackupState.DUE
    there = Path(row.place, backup_folder.MANIFEST).is_file()
    return BackupState.THERE if there else BackupState.OUT_OF_REACH


def _reachable(ctx: Context, places: set[Path]) -> Iterator[tuple[Path, Manifest]]:
    """Yield every backup that this installation signed, beside those that it knows of."""
    for parent in sorted({place.parent for place in places}):
        for folder in backup_folder.backups_in(parent):
            manifest = _manifest_of(ctx, folder)
            if manifest is not None:
                yield folder, manifest


def _manifest_of(ctx: Context, folder: Path) -> Manifest | None:
    """Return the manifest of a folder, or None where there is none that we signed."""
    try:
        return backup_folder.open_manifest(folder, ctx.signers.published)[0]
    except ConsentServiceError:
        return None


def _removed(folder: Path) -> bool:
    """Delete a folder; False when it cannot be now, and the next run tries again."""
    try:
        backup_folder.remove(folder)
    except Unavailable:
        return False
    return True


def _record_gone(uow: UnitOfWork, caller: Caller, row: Backup) -> None:
    if row.gone_at is not None:
        return
    row.gone_at = uow.at
    details = {"rule": RULE}
    uow.record(AuditEvent(EventKind.BACKUP_EXPIRED, caller.actor, row.id, details=details))


def _remind(uow: UnitOfWork, due_still: Sequence[str]) -> None:
    told = set(uow.session.scalars(select(Notice.subject).where(Notice.kind == _DUE)))
    for identifier in due_still:
        if identifier not in told:
            notify(uow, _DUE, role=ADMINISTRATOR, subject=identifier)

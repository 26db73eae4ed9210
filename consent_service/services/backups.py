"""Backups made: one moment of database, policies and film, encrypted to somebody else.

Rules kept here:
  * keys, master keys, signing keys and the journal are never part of a backup: what is erased after
    it stays erased, and the journal says so to whatever is restored from it;
  * every object that the rows of that moment name is copied as it lies in the store, as ciphertext;
    film erased while it was copied is left out and counted;
  * a backup is written down once it is whole, and the log's head published after that.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from consent_service import __version__
from consent_service.db import audit_log, schema, snapshots
from consent_service.db.models.backups import Backup
from consent_service.db.models.recordings import Asset, UploadPart
from consent_service.domain.assets import ARRIVING, AssetState
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.roles import Permission
from consent_service.errors import Gone, InvalidInput, NotFound, SettingsFault
from consent_service.ids import new_id
from consent_service.policy_files import default_policy_dir
from consent_service.services import audit, erasure_journal, keys, startup
from consent_service.services.access import Caller, require, require_fresh
from consent_service.services.backup_register import add_row, expiry
from consent_service.services.context import Context
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

_TRIES = 3
_HELD = (AssetState.STORED, AssetState.AWAITING_CONSENT, AssetState.RESTRICTED)


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
    startup.require_schema(ctx)
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
        found = _copied(ctx, out, one)
        if found is not None:
            copied.append(found)
        elif one.needed:
            absent.append(one.name)
    return tuple(copied), tuple(absent)


def _copied(ctx: Context, out: backup_folder.BackupWriter, one: _Named) -> BackedUpObject | None:
    """Copy one object; None where it is not there any more."""
    for _ in range(_TRIES):
        try:
            with ctx.blobs.open(one.name) as source:
                return out.copy(one.name, source, one.key)
        except NotFound:
            return None
        except Gone:
            continue  # deleted or replaced while it was read: look again
    return None


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
        expires_at=expiry(ctx, moment.at),
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

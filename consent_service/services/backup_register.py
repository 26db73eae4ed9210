"""Which backups there are, and their end: listed, deleted by the calendar, asked for.

Rules kept here:
  * every backup goes when rule R31 says so, also one that a restored database does not know of;
  * a folder is deleted only where its manifest is one that this installation signed;
  * one that is out of reach is asked for until somebody says that it is gone;
  * while the clock is in doubt nothing is deleted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import func, select

from consent_service.clock import london_day, start_of_london_day
from consent_service.db.models.backups import Backup
from consent_service.db.models.jobs import Notice
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.retention import Facts, due
from consent_service.domain.retention_rules import TriggerEvent
from consent_service.domain.roles import ADMINISTRATOR, Permission
from consent_service.errors import ConsentServiceError, InvalidInput, NotFound, Unavailable
from consent_service.services.access import Caller, require, require_fresh
from consent_service.services.context import Context
from consent_service.services.notices import notify
from consent_service.services.retention_due import is_paused
from consent_service.vault import backup_folder
from consent_service.vault.backup_manifest import Manifest

RULE = "R31"
LIFETIME = timedelta(days=60)
"""How long a backup is kept where the schedule has no rule R31."""

_DUE = "backup_due"


class BackupState(StrEnum):
    """What became of a backup, as far as can be seen from here."""

    THERE = "there"
    OUT_OF_REACH = "out_of_reach"
    DUE = "due"
    GONE = "gone"


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


def newest(ctx: Context) -> datetime | None:
    """Return the moment that the newest backup is of; None when there is none."""
    with ctx.read() as session:
        return session.scalar(select(func.max(Backup.made_at)).where(Backup.gone_at.is_(None)))


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


def expiry(ctx: Context, at: datetime) -> datetime:
    """Return when a backup made at `at` may not be kept any longer."""
    if RULE not in ctx.policies.schedule.rules:
        return at + LIFETIME
    facts = Facts({TriggerEvent.BACKUP_MADE: london_day(at)})
    day = due(ctx.policies.schedule, RULE, facts).due_on
    return at + LIFETIME if day is None else start_of_london_day(day)


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

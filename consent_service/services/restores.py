"""A backup verified and put back: first everything is checked, then store, then database, then
the journal is replayed, so that nothing that ended since is served for a moment.

Rules kept here:
  * nothing is touched before every file is what was signed, the identity opens it, and the journal
    holds what the backup and the database in its place, if it can be asked, remember of it;
  * a place that is in use is not written over: not while a worker lives, and not without being told
    to where there are rows or film;
  * film whose key was destroyed since is left out, whatever the backup holds of it;
  * a sidecar that is in the store stays, since it is newer than the backup's;
  * what only the old database knows to be ended is ended before it goes: lines that it owes the
    journal are written, and keys of which it noted that they are to go, go;
  * a restore that was killed is simply run again.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.exc import DatabaseError, OperationalError

from consent_service.db import schema, snapshots
from consent_service.db.models.jobs import Heartbeat
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.checkpoint import parse_checkpoint
from consent_service.domain.roles import Permission
from consent_service.domain.signed_note import parse_note
from consent_service.errors import Conflict, Unavailable
from consent_service.services import (
    audit,
    backup_register,
    backups,
    clock_guard,
    erasure_journal,
    journal_whole,
    keys,
    replaced_keys,
    startup,
)
from consent_service.services.access import Caller, require, require_fresh
from consent_service.services.context import Context
from consent_service.services.journal_replay import ReplayReport
from consent_service.vault import backup_folder
from consent_service.vault.age import read_identity
from consent_service.vault.backup_manifest import BackedUpObject, Manifest, digest_of
from consent_service.vault.blobs import BlobSource
from consent_service.vault.journal import LineKind
from consent_service.vault.keyring_values import KeyStatus
from consent_service.vault.side_by_side import side_by_side

SIGN_OF_LIFE = 2 * clock_guard.EVERY + timedelta(seconds=10)
_BUFFER_BYTES = 2**20


@dataclass(frozen=True)
class Verified:
    """What a look through a backup found; `faulty` names files that are not what was written.

    `opens` is None where no identity was given.
    """

    id: str
    made_at: datetime
    expires_at: datetime
    files: int
    size: int
    faulty: tuple[str, ...]
    opens: bool | None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faulty and self.opens is not False


@dataclass(frozen=True)
class RestoreBackup:
    """What to restore, with what; `replace` writes over rows and film that are there."""

    folder: Path
    identity: Path
    replace: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Restored:
    """The restore report. `lost_from` is when what is not in the backup began to be lost.

    `objects` were put into the store, `there` lay in it already, `erased_since` were left out; for
    `without_key` films the keyring has no key, so that nothing opens them until keys are put back.
    `brought_back` says what the journal knew and the backup did not, kind by kind.
    """

    id: str
    lost_from: datetime
    database_bytes: int
    objects: int
    there: int
    erased_since: int
    absent: int
    without_key: int
    same_policies: bool
    dry_run: bool
    journal_lines: int = 0
    brought_back: dict[str, int] = field(default_factory=dict)
    new_log_epoch: bool = False


def verify(ctx: Context, caller: Caller, folder: Path, identity: Path | None = None) -> Verified:
    """Check signature, size and digest of every file and, with an identity, that it opens.

    Raises NotFound, IntegrityFault for the manifest itself, and what is wrong with the identity.
    """
    require(ctx, caller, Permission.BACKUPS_MANAGE)
    manifest, _ = backup_folder.open_manifest(folder, ctx.signers.published)
    faulty = tuple(backup_folder.faulty_files(folder, manifest))
    opens = None if identity is None or faulty else _opens(folder, manifest, identity)
    pieces = (*manifest.database, *manifest.policies)
    found = Verified(
        manifest.id,
        manifest.made_at,
        manifest.expires_at,
        len(pieces) + len(manifest.objects),
        manifest.size,
        faulty,
        opens,
    )
    with suppress(Unavailable):  # whoever lost a server asks just then which backup is sound
        _write_down_verified(ctx, caller, found)
    return found


def _write_down_verified(ctx: Context, caller: Caller, found: Verified) -> None:
    if not schema.can_be_asked(ctx.engine):
        return
    details = {"outcome": "sound" if found.ok else "broken"}
    with ctx.begin() as uow:
        uow.record(AuditEvent(EventKind.BACKUP_VERIFIED, caller.actor, found.id, details=details))


def restore(ctx: Context, caller: Caller, wanted: RestoreBackup) -> Restored:
    """Put a backup in the place of database and store, and replay the journal.

    Raises Conflict `not_empty`, `running`, `other_engine`, `newer_schema`; IntegrityFault,
    JournalBroken, Unavailable. Until the database is replaced, in one transaction, the old stands.
    """
    require(ctx, caller, Permission.BACKUPS_MANAGE)
    require_fresh(caller)
    folder = wanted.folder
    manifest, raw = open_fitting(ctx, folder)
    identity = read_identity(wanted.identity)
    for name in backup_folder.faulty_files(folder, manifest):
        raise backup_folder.broken_file(name)
    policies = b"".join(backup_folder.decrypted(folder, manifest.policies, identity))
    ctx.journal.require_contains(manifest.journal_line, manifest.journal_hash)
    with _old_life_told(ctx) as has_old_life:
        if has_old_life:
            journal_whole.require_whole_journal(ctx)
        _require_free(ctx, manifest, wanted.replace)
        if has_old_life and not wanted.dry_run:
            _close_old_life(ctx)
    gone = destroyed_keys(ctx, manifest)
    report = _planned(ctx, manifest, gone, policies == backups.policy_archive(ctx), wanted.dry_run)
    if wanted.dry_run:
        return report
    _put_objects(ctx, folder, manifest, gone)
    pieces = backup_folder.decrypted(folder, manifest.database, identity)
    snapshots.put_back(ctx.engine, pieces)
    schema.upgrade(ctx.engine)
    _write_down(ctx, caller, manifest, digest_of(raw), folder)
    return _after(report, startup.replay(ctx))


def open_fitting(ctx: Context, folder: Path) -> tuple[Manifest, bytes]:
    """Return a backup's manifest if this installation and version can take it; raises Conflict."""
    manifest, raw = backup_folder.open_manifest(folder, ctx.signers.published)
    if manifest.engine != ctx.engine.dialect.name:
        raise Conflict(
            f"This backup is of a {manifest.engine} database. Set CONSENT_DATABASE_URL to one of"
            " the same kind.",
            code="other_engine",
        )
    if manifest.schema > schema.newest_version():
        raise Conflict(
            f"This backup is of version {manifest.service} of the service, which is newer. Install"
            " that version and restore with it.",
            code="newer_schema",
        )
    return manifest, raw


def destroyed_keys(ctx: Context, manifest: Manifest) -> frozenset[str]:
    """Return the asset keys of the backup that journal or keyring say were destroyed since."""
    held = {one.key for one in manifest.objects}
    states = ctx.keyring.status(sorted(held))
    gone = {key for key, state in states.items() if state is KeyStatus.DESTROYED}
    for line in ctx.journal.lines(manifest.journal_line):
        if line.kind is LineKind.KEY_DESTROYED:
            gone |= held.intersection(line.body["keys"])
    return frozenset(gone)


def _opens(folder: Path, manifest: Manifest, identity: Path) -> bool:
    """Decrypt every piece; a wrong identity raises, since the backup itself may be sound."""
    owner = read_identity(identity)
    pieces = (*manifest.database, *manifest.policies)
    return all(len(piece) for piece in backup_folder.decrypted(folder, pieces, owner))


def _require_free(ctx: Context, manifest: Manifest, replace: bool) -> None:
    """Refuse a place that is in use, or that holds something and was not said to be replaced."""
    if _worker_lives(ctx):
        raise Conflict(
            "The service is running, or was a moment ago. Stop every web and worker process, wait"
            " three minutes, and restore again.",
            code="running",
        )
    if replace:
        return
    mine = {one.name for one in manifest.objects}
    if not _is_empty(ctx) or any(name not in mine for name in ctx.blobs.list()):
        raise Conflict(
            "Database or store are not empty. Restore into empty ones, or add --replace to give up"
            " what they hold.",
            code="not_empty",
        )


@contextmanager
def _old_life_told(ctx: Context) -> Iterator[bool]:
    """Yield whether the database in place can be asked; raises Unavailable where nobody knows.

    So also while it is away, and where it is damaged: to say that what it knows is given up, as for
    one that is lost, is for a person.
    """
    asked = schema.can_be_asked(ctx.engine)
    try:
        yield asked
    except OperationalError:
        raise  # it went away meanwhile
    except DatabaseError as fault:
        raise Unavailable(
            "The database is damaged, and what it knows is needed first. Where it cannot be mended,"
            " give that up: move its file away with the -wal and -shm beside it, or make an empty"
            " database in its place; then do the same again.",
            code="database_damaged",
        ) from fault


def _is_empty(ctx: Context) -> bool:
    try:
        return snapshots.is_empty(ctx.engine)
    except OperationalError:
        raise
    except DatabaseError:
        return False  # there is something, and it cannot be read


def _worker_lives(ctx: Context) -> bool:
    try:
        with ctx.engine.connect() as connection:
            if not inspect(connection).has_table(Heartbeat.__tablename__):
                return False
        with ctx.read() as session:
            beat = session.get(Heartbeat, clock_guard.CLOCK)
    except DatabaseError:
        return False
    return beat is not None and ctx.clock.now() - beat.beat_at < SIGN_OF_LIFE


def _planned(
    ctx: Context, manifest: Manifest, gone: frozenset[str], same_policies: bool, dry_run: bool
) -> Restored:
    names = set(ctx.blobs.list())
    wanted = [one for one in manifest.objects if one.key not in gone]
    states = ctx.keyring.status(sorted({one.key for one in wanted}))
    there = sum(one.name in names for one in wanted)
    return Restored(
        id=manifest.id,
        lost_from=manifest.made_at,
        database_bytes=sum(one.size for one in manifest.database),
        objects=len(wanted) - there,
        there=there,
        erased_since=len(manifest.objects) - len(wanted),
        absent=len(manifest.absent),
        without_key=list(states.values()).count(KeyStatus.ABSENT),
        same_policies=same_policies,
        dry_run=dry_run,
    )


def _close_old_life(ctx: Context) -> None:
    """Have journal and keyring know everything that the database to be replaced knows and owes.

    An order needs no more than its line: replay brings it back. That a key is to go, since another
    is in its place, stands in no line before the key is gone, and no other database knows of it.
    Raises what forbids destroying, and Unavailable while the database is away: it may come back.
    """
    replaced_keys.destroy(ctx)
    erasure_journal.write_missing_lines(ctx)
    audit.seal(ctx)
    audit.publish_checkpoint(ctx)


def _put_objects(ctx: Context, folder: Path, manifest: Manifest, gone: frozenset[str]) -> None:
    """Copy what is wanted and not there yet, some at once; the first fault ends it.

    A sidecar that is there stays: it is of the same key and newer, and may be the only copy of a
    wrap that no backup has. Reconciliation compares it with the database.
    """
    names = set(ctx.blobs.list())

    def put(one: BackedUpObject) -> None:
        if one.name not in names or not (_is_sidecar(one.name) or _is_same(ctx, one)):
            _put(ctx, folder, one)

    for _ in side_by_side(put, (one for one in manifest.objects if one.key not in gone)):
        continue


def _is_sidecar(name: str) -> bool:
    return name == keys.sidecar_name(name.partition(".")[0])


def _is_same(ctx: Context, one: BackedUpObject) -> bool:
    with ctx.blobs.open(one.name) as source:
        return source.size == one.size and _digest(source) == one.sha256


def _digest(source: BlobSource) -> str:
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    digest, offset = hashlib.sha256(), 0
    while count := source.read_into(offset, buffer):
        digest.update(buffer[:count])
        offset += count
    return digest.hexdigest()


def _put(ctx: Context, folder: Path, one: BackedUpObject) -> None:
    """Copy one object into the store; it appears there only if it is still what was signed."""
    digest = hashlib.sha256()
    with (
        backup_folder.open_object(folder, one) as source,
        ctx.blobs.put(one.name, expected_size=one.size, replace=True) as sink,
    ):
        while block := source.read(_BUFFER_BYTES):
            digest.update(block)
            sink.write(block)
        if digest.hexdigest() != one.sha256:
            raise backup_folder.broken_file(one.name)


def _write_down(
    ctx: Context, caller: Caller, manifest: Manifest, digest: str, folder: Path
) -> None:
    note = manifest.checkpoint
    size = parse_checkpoint(parse_note(note).text).size if note else 0
    details = {"journal": manifest.journal_line, "size": size}
    with ctx.begin() as uow:
        backup_register.add_row(uow, manifest, digest, folder)
        kind = EventKind.RESTORE_FOUND
        uow.record(AuditEvent(kind, caller.actor, manifest.id, details=details))


def _after(planned: Restored, replay: ReplayReport) -> Restored:
    return Restored(
        **{
            **vars(planned),
            "journal_lines": replay.lines,
            "brought_back": dict(replay.restored),
            "new_log_epoch": replay.log_ended is not None,
        }
    )

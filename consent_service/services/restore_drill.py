"""The restore drill: a backup is restored beside the service, looked through, and thrown away.

Everything is done as a restore does it, with a database of its own, a keyring that has nothing but
tombstones, and a journal whose new lines stay in memory; the service goes on meanwhile.

Rules kept here:
  * nothing of the installation is changed but one entry in its log: that the drill was held;
  * film is read where the backup lies, since it is ciphertext and copying it proves nothing more;
  * a drill that finds anything wrong says so and ends as a failure.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from consent_service.db import schema, snapshots
from consent_service.db.models.accounts import ApiToken, UserAccount
from consent_service.db.models.recordings import Asset
from consent_service.db.models.retention import Hold
from consent_service.domain.assets import AssetState
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.roles import Permission
from consent_service.services import audit, permission, restores, startup
from consent_service.services.access import Caller, require, require_fresh
from consent_service.services.compared_objects import HELD_STATES
from consent_service.services.context import Context
from consent_service.services.journal_replay import ReplayReport
from consent_service.services.key_ends import tombstones
from consent_service.services.viewing_keys import ViewingKeys
from consent_service.vault import backup_folder
from consent_service.vault.age import read_identity
from consent_service.vault.backup_manifest import BackedUpObject, Manifest
from consent_service.vault.blobs.memory import MemoryStore
from consent_service.vault.journal_scratch import ScratchJournal
from consent_service.vault.key_providers import MemoryKeyProvider
from consent_service.vault.keyring import Keyring, KeyStatus

CLOSED = (AssetState.ERASED, AssetState.RESTRICTED)


@dataclass(frozen=True)
class Drill:
    """What a drill found. `faults` is empty when the backup would do; `returned` counts what the
    service ended since and the restored copy would still allow: films, accounts, tokens, holds.
    """

    id: str
    made_at: datetime
    seconds: int
    files: int
    database_bytes: int
    log_entries: int
    films: int
    journal_lines: int
    brought_back: dict[str, int]
    returned: int
    faults: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the backup would do."""
        return not self.faults


@dataclass(frozen=True)
class _Looked:
    """What was seen of the restored copy."""

    replay: ReplayReport
    log_entries: int
    films: int
    returned: int
    faults: tuple[str, ...]


def drill(ctx: Context, caller: Caller, folder: Path, identity: Path) -> Drill:
    """Restore a backup into a place of its own, look through it, and leave nothing behind.

    Raises what `restore` raises for a backup that cannot be opened or belongs elsewhere.
    """
    require(ctx, caller, Permission.BACKUPS_MANAGE)
    require_fresh(caller)
    began = ctx.clock.now()
    manifest, _ = restores.open_fitting(ctx, folder)
    owner = read_identity(identity)
    ctx.journal.require_contains(manifest.journal_line, manifest.journal_hash)
    broken = backup_folder.faulty_files(folder, manifest)
    whole = _without(manifest, broken)
    pieces = backup_folder.decrypted(folder, manifest.database, owner)
    with snapshots.opened_copy(ctx.engine, pieces) as engine, _beside(ctx, engine) as copy:
        looked = _look(ctx, copy, folder, whole)
    found = _figures(ctx, manifest, looked, (*(f"file {name}" for name in broken), *looked.faults))
    found = replace(found, seconds=int((ctx.clock.now() - began).total_seconds()))
    if schema.is_current(ctx.engine):
        details = {"outcome": "sound" if found.ok else "broken"}
        with ctx.begin() as uow:
            kind = EventKind.BACKUP_DRILLED
            uow.record(AuditEvent(kind, caller.actor, manifest.id, details=details))
    return found


@contextmanager
def _beside(ctx: Context, engine: Engine) -> Iterator[Context]:
    """Yield a Context for the copy: nothing that it does reaches the installation."""
    with tempfile.TemporaryDirectory(prefix="consent-drill-") as place:
        keyring = Keyring(
            f"sqlite:///{place}/keyring.sqlite3", MemoryKeyProvider(), MemoryKeyProvider()
        )
        keyring.purge_tombstoned(ctx.clock.now(), list(tombstones(ctx.journal.lines())))
        signers = ctx.signers
        try:
            yield replace(
                ctx,
                engine=engine,
                keyring=keyring,
                blobs=MemoryStore(clock=ctx.clock),
                journal=ScratchJournal(ctx.journal, signers.journal, lambda: signers.published),
                viewings=ViewingKeys(),
            )
        finally:
            keyring.close()


def _look(ctx: Context, copy: Context, folder: Path, manifest: Manifest) -> _Looked:
    schema.upgrade(copy.engine)
    faults = [f"database: {fault}" for fault in snapshots.faults_in(copy.engine)]
    replay = startup.replay(copy)
    audit.seal(copy)
    log = audit.read_through(copy)
    faults += [] if log.ok else ["audit log"]
    films = _films(copy, folder, manifest)
    faults += [f"film {name}" for name, fits in films.items() if not fits]
    returned = _returned(ctx, copy)
    faults += sorted(returned)
    return _Looked(replay, log.entries, len(films), len(returned), tuple(faults))


def _films(copy: Context, folder: Path, manifest: Manifest) -> dict[str, bool]:
    """Hold every film that the rows have whole to its object: same length, same key commitment.

    Of what was on its way in, or out, when the backup was made, no backup holds a whole film.
    """
    objects = {one.name: one for one in manifest.objects}
    with copy.read() as session:
        rows = session.execute(
            select(Asset.blob, Asset.header, Asset.stored_size).where(
                Asset.blob.is_not(None), Asset.state.in_(HELD_STATES)
            )
        ).all()
    return {
        str(blob): _fits(folder, objects.get(str(blob)), header, size)
        for blob, header, size in rows
        if blob not in manifest.absent
    }


def _without(manifest: Manifest, broken: list[str]) -> Manifest:
    """Return the manifest without objects whose file is missing or broken: none holds a film."""
    whole = tuple(one for one in manifest.objects if one.name not in broken)
    return replace(manifest, objects=whole)


def _fits(folder: Path, one: BackedUpObject | None, header: bytes | None, size: int | None) -> bool:
    if one is None or header is None or one.size != size:
        return False
    with backup_folder.open_object(folder, one) as stream:
        return stream.read(len(header)) == header


def _returned(ctx: Context, copy: Context) -> set[str]:
    """Return what the service has ended and the copy, after its replay, would still allow."""
    if not schema.is_current(ctx.engine):
        return set()
    with ctx.read() as here, copy.read() as there:
        closed = [
            asset.id
            for asset in here.scalars(select(Asset))
            if asset.state in CLOSED or permission.is_fenced(here, asset)
        ]
        films = [there.get(Asset, asset) for asset in closed]
        open_again = {
            film.asset_key_id: film.id
            for film in films
            if film and film.state not in CLOSED and not permission.is_fenced(there, film)
        }
        found = {f"access {identifier}" for identifier in _accesses(here, there)}
        found |= {f"hold {identifier}" for identifier in _holds(here, there)}
    states = ctx.keyring.status(sorted(open_again))
    return found | {
        f"returned {film}"
        for key, film in open_again.items()
        if states[key] is not KeyStatus.DESTROYED
    }


def _accesses(here: Session, there: Session) -> set[str]:
    """Return accounts and tokens that are shut here and open in the copy."""
    shut = set(here.scalars(select(UserAccount.id).where(UserAccount.active.is_(False))))
    shut |= set(here.scalars(select(ApiToken.id).where(ApiToken.revoked_at.is_not(None))))
    opened = set(there.scalars(select(UserAccount.id).where(UserAccount.active.is_(True))))
    opened |= set(there.scalars(select(ApiToken.id).where(ApiToken.revoked_at.is_(None))))
    return shut & opened


def _holds(here: Session, there: Session) -> set[str]:
    """Return holds that stand here on families that the copy knows, and are not in the copy."""
    standing = here.execute(
        select(Hold.id, Hold.involvement_id).where(Hold.released_at.is_(None))
    ).all()
    known = set(there.scalars(select(Asset.involvement_id).distinct()))
    kept = set(there.scalars(select(Hold.id).where(Hold.released_at.is_(None))))
    return {hold for hold, involvement in standing if involvement in known and hold not in kept}


def _figures(ctx: Context, manifest: Manifest, looked: _Looked, faults: tuple[str, ...]) -> Drill:
    return Drill(
        id=manifest.id,
        made_at=manifest.made_at,
        seconds=0,
        files=len(manifest.database) + len(manifest.policies) + len(manifest.objects),
        database_bytes=sum(one.size for one in manifest.database),
        log_entries=looked.log_entries,
        films=looked.films,
        journal_lines=looked.replay.lines,
        brought_back=dict(looked.replay.restored),
        returned=looked.returned,
        faults=faults,
    )

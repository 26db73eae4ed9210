"""Key rotation and key backups as acts: journalled, written down, and certified.

Rules kept here: what was destroyed before a rotation is beyond recovery after it, and its
certificate then gets its second revision; master keys that went, and backups that were made or are
gone, stand in the journal, also when the process that rotated died before it could say so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO

from sqlalchemy import select

from consent_service.db import schema
from consent_service.db.models.audit import AuditEntry
from consent_service.domain.audit import AuditEvent, EventKind, parse_body
from consent_service.domain.roles import ADMINISTRATOR, Permission
from consent_service.errors import JournalBroken
from consent_service.services import certificates, erasure_keys, key_ends
from consent_service.services.access import Caller, require, require_fresh
from consent_service.services.context import Context
from consent_service.services.journal_whole import require_what_is_known
from consent_service.services.notices import notify
from consent_service.vault.journal import BEFORE_FIRST, JournalLine, LineKind
from consent_service.vault.key_backups import RestoredKeys
from consent_service.vault.keyring_values import KeyBackup, RotationAhead, RotationReport


@dataclass(frozen=True)
class Rotated:
    """What a rotation did, and the orders whose certificates got another revision."""

    report: RotationReport
    supplemented: tuple[str, ...]


@dataclass(frozen=True)
class KeyState:
    """How the keys stand: how many of each zone, shards that wait for rotation, key backups."""

    live: int
    sealed: int
    dirty_shards: int
    backups: tuple[KeyBackup, ...]


def rotate(ctx: Context, caller: Caller, force: bool = False) -> Rotated:
    """Rotate if anything was destroyed or sealed since, or if `force`; then supplement.

    Raises Refused (`role`, `sign_in_again`), Unavailable while another rotation runs.
    """
    require(ctx, caller, Permission.KEYS_ROTATE)
    require_fresh(caller)
    if force or ctx.keyring.awaits_rotation():
        details = {"dirty": len(ctx.keyring.dirty_shards())}
        with ctx.begin() as uow:
            uow.record(AuditEvent(EventKind.KEYS_ROTATION_STARTED, caller.actor, details=details))
    report = ctx.keyring.rotate(ctx.clock.now(), force=force, now=ctx.clock.now)
    for one in _not_written_down(ctx, report):
        _write_down(ctx, caller, one)
    return Rotated(report, tuple(certificates.supplement(ctx)))


def rotation_ahead(ctx: Context, caller: Caller) -> RotationAhead:
    """Return what a rotation would do now, so that it can be looked at before."""
    require(ctx, caller, Permission.KEYS_READ)
    return ctx.keyring.rotation_ahead()


def backup(ctx: Context, caller: Caller, out: BinaryIO, recipient: str) -> KeyBackup:
    """Write a key backup, encrypted to an age recipient; it must be gone after seven days.

    The journal's line comes first, and while it cannot be written nothing leaves. Where this raises
    afterwards the caller removes what it was written to: a line without a file does no harm, it
    only delays *irrecoverable* until its end.
    """
    require(ctx, caller, Permission.BACKUPS_MANAGE)
    require_fresh(caller)

    def tell(backup: KeyBackup) -> None:
        body = {"backup": backup.backup_id, "until": backup.expires_at.isoformat()}
        ctx.journal.append(LineKind.KEY_BACKUP_MADE, body, backup.made_at)

    made = ctx.keyring.backups.make(out, recipient, ctx.clock.now(), tell)
    with ctx.begin() as uow:
        uow.record(
            AuditEvent(
                EventKind.KEYS_BACKED_UP,
                caller.actor,
                made.backup_id,
                details={"until": made.expires_at.date().isoformat()},
            )
        )
    return made


def restore(ctx: Context, caller: Caller, source: BinaryIO, identity: str) -> RestoredKeys:
    """Put the keys of a key backup back, save every one that the journal says was destroyed since.

    Those that an order has sealed since are sealed again; where the database is lost too, the next
    start sees to it. `identity` is an age identity. Raises IntegrityFault for a file that it does
    not open, Unavailable while the key server is away: the same again then does the rest. Before
    any key comes: JournalBroken where nobody can say which were destroyed, Unavailable while the
    database is away, Conflict `key_made_anew` where the service went on without its keyring.
    """
    require(ctx, caller, Permission.BACKUPS_MANAGE)
    require_fresh(caller)
    has_database = schema.can_be_asked(ctx.engine)
    _require_journal(ctx)
    now = ctx.clock.now()
    # Before the keys come: who goes on from here if we are killed knows what can open them.
    ctx.keyring.backups.remember(known_backups(ctx.journal.lines()))
    # Buried first: then a key is refused, and never stands for a moment before it goes again.
    ctx.keyring.purge_tombstoned(now, list(key_ends.tombstones(ctx.journal.lines())))
    restored = ctx.keyring.backups.restore(source, identity, now)
    if has_database:
        details = {"restored": restored.restored, "refused": restored.refused}
        with ctx.begin() as uow:
            uow.record(AuditEvent(EventKind.KEYS_RESTORED, caller.actor, details=details))
        erasure_keys.seal_again(ctx)
    return restored


def _require_journal(ctx: Context) -> None:
    """Refuse a journal without lines, since a key backup leaves one, or without known ones."""
    if ctx.journal.head() == BEFORE_FIRST:
        raise JournalBroken(
            "The journal is missing or empty, so nobody can say which keys were destroyed. Put the"
            " journal back first (docs/operations/backup-and-restore.md).",
            code="missing",
        )
    require_what_is_known(ctx)


def known_backups(lines: Iterable[JournalLine]) -> list[KeyBackup]:
    """Return every key backup the journal knows: nothing is irrecoverable while one holds it."""
    known: dict[str, KeyBackup] = {}
    for line in lines:
        if line.kind is LineKind.KEY_BACKUP_MADE:
            until = datetime.fromisoformat(line.body["until"])
            identifier = line.body["backup"]
            known[identifier] = KeyBackup(identifier, line.at, until, None)
        elif line.kind is LineKind.KEY_BACKUP_EXPIRED and line.body["backup"] in known:
            gone = replace(known[line.body["backup"]], expired_at=line.at)
            known[gone.backup_id] = gone
    return list(known.values())


def backups_gone(ctx: Context, caller: Caller) -> list[KeyBackup]:
    """Write down that the files of every key backup that is due have been deleted.

    The keyring is told last: then it is due no more, and nobody would write the rest down.
    """
    require(ctx, caller, Permission.BACKUPS_MANAGE)
    now = ctx.clock.now()
    due = ctx.keyring.backups.due(now)
    if not due:
        return []
    for one in due:
        ctx.journal.append(LineKind.KEY_BACKUP_EXPIRED, {"backup": one.backup_id}, now)
    with ctx.begin() as uow:
        for one in due:
            uow.record(AuditEvent(EventKind.KEYS_BACKUP_EXPIRED, caller.actor, one.backup_id))
    gone = ctx.keyring.backups.expire(now)
    certificates.supplement(ctx)
    return gone


def remind_of_backups(ctx: Context) -> int:
    """Tell the administrator of key backups whose seven days are over (a job runs this daily)."""
    due = ctx.keyring.backups.due(ctx.clock.now())
    if due:
        with ctx.begin() as uow:
            for one in due:
                notify(uow, "key_backup_due", role=ADMINISTRATOR, subject=one.backup_id)
    return len(due)


def status(ctx: Context, caller: Caller) -> KeyState:
    """Return how the keys stand."""
    require(ctx, caller, Permission.KEYS_READ)
    zones = [entry.zone.value for entry in ctx.keyring.list_keys()]
    return KeyState(
        zones.count("live"),
        zones.count("escrow"),
        len(ctx.keyring.dirty_shards()),
        tuple(ctx.keyring.backups.registered()),
    )


def _not_written_down(ctx: Context, report: RotationReport) -> list[RotationReport]:
    """Return this rotation, and before it those whose process died before it wrote them down."""
    last = (
        select(AuditEntry.body)
        .where(AuditEntry.kind == EventKind.KEYS_ROTATED.value)
        .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        .limit(1)
    )
    with ctx.read() as session:
        body = session.scalar(last)
    known = int(str(parse_body(body).event.details["version"])) if body is not None else 0
    found = ctx.keyring.rotations_since(known)
    # A keyring that was lost and made anew counts its versions from the beginning.
    return found if report.idle or report in found else [*found, report]


def _write_down(ctx: Context, caller: Caller, report: RotationReport) -> None:
    assurance = report.assurance.value if report.assurance else "none"
    for zone, versions in sorted(report.old_master_versions_destroyed.items()):
        if versions:
            ctx.journal.append(
                LineKind.MASTER_DESTROYED,
                {"zone": zone, "versions": versions, "assurance": assurance},
                ctx.clock.now(),
            )
    with ctx.begin() as uow:
        uow.record(
            AuditEvent(
                EventKind.KEYS_ROTATED,
                caller.actor,
                details={"shards": report.shards_rotated, "version": report.live_master},
            )
        )
        for zone, versions in sorted(report.old_master_versions_destroyed.items()):
            for version in versions:
                uow.record(
                    AuditEvent(
                        EventKind.MASTER_DESTROYED,
                        caller.actor,
                        details={"version": version, "assurance": assurance, "zone": zone},
                    )
                )

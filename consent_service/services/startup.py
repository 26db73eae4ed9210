"""Before the service serves: set up once, and bring back what a restored backup has forgotten.

Rules kept here:
  * replay comes before serving, at every start and every minute: endings, undos, holds, revocations
    and destroyed keys that the journal knows are done again where database or keyring lack them;
  * of all processes on one database one replays at a time, and whoever starts waits for it;
  * a journal that is missing, cut or forked is refused, and so is an edited published policy: it
    must hold every line that this database remembers, by number and where it can by hash;
  * keys that an order had sealed are sealed again where an older keyring was put in place;
  * what is replayed for people or film that a restored backup does not know is counted, not lost;
  * a key backup that the journal knows is registered, so that nothing is called irrecoverable while
    it can open it;
  * everything replayed is idempotent: reading the same line twice changes nothing.
"""

from collections.abc import Mapping

from sqlalchemy import delete

from consent_service.db import audit_log, schema
from consent_service.db.models.jobs import JournalMark
from consent_service.db.one_at_a_time import one_at_a_time
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.roles import ADMINISTRATOR, IG_OFFICER
from consent_service.errors import Unavailable
from consent_service.services import erasure_keys, key_ends, keys
from consent_service.services.at_once import at_once
from consent_service.services.audit import LOG_NAME
from consent_service.services.context import Context
from consent_service.services.journal_people import REPLAYER
from consent_service.services.journal_replay import (
    RESTORING,
    ReplayReport,
    note_restore,
    replay_line,
    set_mark,
)
from consent_service.services.journal_whole import require_whole_journal
from consent_service.services.key_rotation import known_backups
from consent_service.services.notices import notify
from consent_service.services.policies import require_unedited
from consent_service.vault.journal import JournalLine, LineKind
from consent_service.vault.keyring_values import KeyStatus

MARK = "replayed"
KEYS_MARK = "key-destroyed"
BACKUPS_MARK = "key-backup-made"
_REPLAY_LOCK = 0x7265706C6179  # any fixed number: "replay"


def require_ready(ctx: Context) -> ReplayReport:
    """Do everything that must be done before serving; raises what forbids it.

    Raises Unavailable `upgrade_needed` or `database_empty`, PolicyFault, JournalBroken.
    """
    require_schema(ctx)
    require_unedited(ctx)
    report = replay(ctx)
    at_once(ctx, erasure_keys.seal_again)
    return report


def require_schema(ctx: Context) -> None:
    """Raise Unavailable unless the database is at this version: `upgrade_needed`, or as below."""
    require_tables(ctx)
    if not schema.is_current(ctx.engine):
        raise Unavailable(
            "The database is not at this version. Run `consent-service upgrade`.",
            code="upgrade_needed",
        )


def require_tables(ctx: Context) -> None:
    """Raise Unavailable `database_empty` where there is nothing to upgrade: it may be lost."""
    if schema.is_empty(ctx.engine):
        raise Unavailable(
            "The database is empty: it was lost, or it is another. Put back the newest backup with"
            " `consent-service backups restore`. If there never was a service here, run"
            " `consent-service init`.",
            code="database_empty",
        )


def replayed_to(ctx: Context) -> int:
    """Return the number of the newest journal line that this database has seen replayed.

    It only grows, unless an older database is put in its place.
    """
    with ctx.read() as session:
        mark = session.get(JournalMark, MARK)
    return mark.number if mark else 0


def replay(ctx: Context) -> ReplayReport:
    """Do again what the journal knows and this database or keyring has forgotten."""
    with one_at_a_time(ctx.engine, "replay", _REPLAY_LOCK):
        report = _replay(ctx)
    # After the others were let in: keys that go for good have the journal looked at again.
    for involvement in sorted(report.involvements):
        # What the key server forbids to a web process must not stop it halfway: the worker may.
        at_once(ctx, keys.settle, involvement)
    # After what was cancelled is cancelled again. No journal line tells what had been sealed.
    if report.found_restore:
        at_once(ctx, erasure_keys.seal_again)
    return report


def _replay(ctx: Context) -> ReplayReport:
    marks = require_whole_journal(ctx)
    after = marks[MARK].number if MARK in marks else 0
    report = ReplayReport(resumed=RESTORING in marks)
    last: JournalLine | None = None
    for line in ctx.journal.lines(after):
        replay_line(ctx, line, report)
        report.lines += 1
        last = line
    _remember_backups(ctx, marks, report)
    _destroy_keys_again(ctx, marks, report)
    if report.found_restore:
        _report_restore(ctx, report)
    # Last, so that a crash before it leads to another replay and never to a half-told restore.
    if last is not None:
        _move_marks(ctx, last, report)
    return report


def _remember_backups(ctx: Context, marks: Mapping[str, JournalMark], report: ReplayReport) -> None:
    """Register the key backups that a keyring which was put back, or made anew, does not know.

    Only when it lacks the newest is the journal read: a keyring from before some moment lacks every
    one since. What was destroyed is beyond recovery only once each that may hold it is gone.
    """
    newest = report.backups_line or _marked(ctx, marks, BACKUPS_MARK)
    backups = ctx.keyring.backups
    if newest is None or newest.body["backup"] in {one.backup_id for one in backups.registered()}:
        return
    backups.remember(known_backups(ctx.journal.lines()))


def _marked(ctx: Context, marks: Mapping[str, JournalMark], name: str) -> JournalLine | None:
    return next(ctx.journal.lines(marks[name].number - 1)) if name in marks else None


def _destroy_keys_again(
    ctx: Context, marks: Mapping[str, JournalMark], report: ReplayReport
) -> None:
    """Destroy again what a restored keyring brought back.

    A keyring from before some moment lacks every tombstone since, the newest too, or where more
    keys ended before anybody looked, that of the newest line of the replay before this. So only
    when one of the two is not honoured are others read, and where the latter is, only those that
    follow it: whoever starts meanwhile waits, and a journal is long. Where no other line is amiss
    nothing was restored: somebody was killed between the line and the key, or is at it. The same
    is done then, since a keyring from just before that line looks no different; what it costs is
    the shard that the line names.
    """
    marked = _marked(ctx, marks, KEYS_MARK)
    newest = report.keys_line or marked
    stands = marked is None or _honoured(ctx, marked)
    if newest is None or (stands and (newest is marked or _honoured(ctx, newest))):
        return
    since = marked.number if marked is not None and stands else 0
    destroyed = [ln for ln in ctx.journal.lines(since) if ln.kind is LineKind.KEY_DESTROYED]
    restored = any(not _honoured(ctx, line) for line in destroyed if line.head != newest.head)
    if restored:
        with ctx.begin() as uow:
            note_restore(uow, newest)
    stones = key_ends.tombstones(destroyed)
    back = ctx.keyring.purge_tombstoned(ctx.clock.now(), list(stones))
    if restored:
        report.restored["key_destroyed"] = len(back)


def _honoured(ctx: Context, line: JournalLine) -> bool:
    states = ctx.keyring.status(line.body["keys"])
    return all(state is KeyStatus.DESTROYED for state in states.values())


def _move_marks(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    newest = {MARK: line, KEYS_MARK: report.keys_line, BACKUPS_MARK: report.backups_line}
    with ctx.begin() as uow:
        for name, reached in newest.items():
            if reached is not None:
                set_mark(uow, name, reached)


def _report_restore(ctx: Context, report: ReplayReport) -> None:
    """Write down that a backup was restored, tell people, begin a new log epoch."""
    total = sum(report.restored.values())
    with ctx.begin() as uow:
        uow.record(
            AuditEvent(
                EventKind.JOURNAL_REPLAYED,
                REPLAYER,
                "journal",
                details={
                    "lines": report.lines,
                    "acts": total,
                    **report.restored,
                    # What the replay that was killed brought back is not among these figures.
                    **({"resumed": True} if report.resumed else {}),
                },
            )
        )
        uow.session.execute(delete(JournalMark).where(JournalMark.name == RESTORING))
        notify(uow, "restore_found", role=IG_OFFICER, subject="journal")
        notify(uow, "restore_found", role=ADMINISTRATOR, subject="journal")
        if report.log_ended is not None:
            audit_log.start_epoch(uow.session, ctx.signers.log, LOG_NAME, uow.at, report.log_ended)
    head = ctx.journal.head()
    ctx.journal.append(LineKind.RESTORED, {"line": head.number, "acts": total}, ctx.clock.now())

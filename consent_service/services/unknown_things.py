"""Keys and objects that no row knows: which may go, and which a person is asked about first.

A database that was put back does not know what came after its backup, and the newer one may still
be put in its place. Rules kept here:
  * where a database was put back, a key from before that, and any object, since a store does not
    say when it was made, goes only when a person confirms it;
  * what a standing hold may cover never goes, confirmed or not: a hold on a whole involvement, or
    on one or on film that this database does not know, covers every object that no row knows and
    every key of the involvement's shard; holds are read from the journal too, which forgets none,
    where its replay left lines out that are about nothing this database knows;
  * an older keyring that is put in place changes nothing: its keys know when they were made. Those
    of a key backup do not, so they wait, whether or not its restore came to be written down.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.audit import AuditEntry
from consent_service.db.models.recordings import Asset
from consent_service.db.models.retention import Hold
from consent_service.domain.audit import AuditEvent, EventKind, RecordedEvent, parse_body
from consent_service.services.context import Context
from consent_service.vault.journal import LineKind
from consent_service.vault.keyring import shard_of
from consent_service.vault.keyring_values import KeyEntry, home_shard

_PUT_BACK = (EventKind.RESTORE_FOUND, EventKind.LOG_EPOCH_STARTED, EventKind.JOURNAL_REPLAYED)


class UnknownThings:
    """Tells of what no row knows whether it may go; made anew for each comparison.

    `confirmed`: a person said that what a database which was put back does not know may go. Asking
    raises JournalBroken and Unavailable where it is the journal that has to answer.
    """

    def __init__(self, ctx: Context, *, confirmed: bool) -> None:
        self._ctx = ctx
        self._confirmed = confirmed
        with ctx.read() as session:
            self._in_doubt_until = _in_doubt_until(session)

    @property
    def in_doubt(self) -> bool:
        """Whether a newer database than this one may still be put in its place."""
        return self._in_doubt_until is not None

    def may_know_more(self, begun: datetime) -> bool:
        """Tell whether a newer database may know how something went on that was begun then."""
        return self._in_doubt_until is not None and begun <= self._in_doubt_until

    def object_may_go(self) -> bool:
        """Tell it of any object: whose it was, and since when it is there, nobody knows."""
        if self._in_doubt_until is None:
            return True
        return self._confirmed and not self._held_shards

    def keys_that_may_go(self, entries: Iterable[KeyEntry]) -> frozenset[str]:
        """Return the ids of those that may go."""
        unknown = list(entries)
        if (doubt := self._in_doubt_until) is None:
            return frozenset(entry.key_id for entry in unknown)
        since = self._ctx.keyring.held_since([entry.key_id for entry in unknown])
        return frozenset(
            entry.key_id
            for entry in unknown
            # A key that went meanwhile has no moment any more: nothing is to be done about it.
            if (self._confirmed or since.get(entry.key_id, doubt) > doubt)
            and home_shard(entry.shard) not in self._held_shards
        )

    @cached_property
    def _held_shards(self) -> frozenset[int]:
        """Return the shards of involvements of which a hold may cover what no row knows.

        Read when it is first asked for: a journal is long, and most nights nothing depends on it. A
        replay places every hold again, on more rather than less, but those on families that came
        after the backup; the log tells of such lines before any mark says that they were read.
        """
        with self._ctx.read() as session:
            left_out = _lines_left_out(session)
        held = _held_by_journal(self._ctx) if left_out else {}
        with self._ctx.read() as session:
            standing = session.execute(
                select(Hold.id, Hold.involvement_id, Hold.asset_id).where(
                    Hold.released_at.is_(None)
                )
            )
            held |= {row.id: (row.involvement_id, row.asset_id) for row in standing}
            wanted = {asset for _, asset in held.values() if asset is not None}
            known = set(session.scalars(select(Asset.id).where(Asset.id.in_(sorted(wanted)))))
        return frozenset(
            shard_of(involvement) for involvement, asset in held.values() if asset not in known
        )


def _in_doubt_until(session: Session) -> datetime | None:
    """Return when a database, or after one a key backup, was put back last; None for never."""
    told = list(_told(session, *_PUT_BACK))
    if not any(_is_of_database(one.event) for one in told):
        return None
    # What came back by an earlier version says of itself that it was made then.
    told += _told(session, EventKind.KEYS_RESTORED)
    return max(one.at for one in told)


def _told(session: Session, *kinds: EventKind) -> Iterator[RecordedEvent]:
    """Yield what the log holds of `kinds`: few entries, one for each restore."""
    query = select(AuditEntry.body).where(AuditEntry.kind.in_([kind.value for kind in kinds]))
    yield from map(parse_body, session.scalars(query))


def _is_of_database(event: AuditEvent) -> bool:
    """Tell whether a restore was one of the database, and not of the keyring alone."""
    told: Mapping[str, object] = event.details
    keys_alone = "key_destroyed" in told and told["key_destroyed"] == told["acts"]
    return event.kind is not EventKind.JOURNAL_REPLAYED or "resumed" in told or not keys_alone


def _lines_left_out(session: Session) -> bool:
    """Tell whether some replay came upon lines that are about nothing which a database knew."""
    told = _told(session, EventKind.JOURNAL_REPLAYED)
    return any("unknown_here" in one.event.details for one in told)


def _held_by_journal(ctx: Context) -> dict[str, tuple[str, str | None]]:
    """Return involvement and film of every hold that the journal does not say was released."""
    held: dict[str, tuple[str, str | None]] = {}
    for line in ctx.journal.lines():
        if line.kind is LineKind.HOLD_PLACED:
            held[line.body["hold"]] = (line.body["involvement"], line.body["asset"])
        elif line.kind is LineKind.HOLD_RELEASED:
            held.pop(line.body["hold"], None)
    return held

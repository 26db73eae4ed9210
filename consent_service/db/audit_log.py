"""The audit log in the database: append, seal, prove, search.

Rules kept here:
  * an entry is written in the transaction of the act it tells of: no entry, no act;
  * the sealer gives waiting entries their places, tiles and a signed checkpoint in one
    transaction under one lock; two sealers at once can never make two heads of one size;
  * what is sealed is never touched again; what was written since the last seal (about a second)
    is protected by triggers only, not yet by a signature.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, text
from sqlalchemy.orm import Session

from consent_service.db.audit_tree import StoredTree
from consent_service.db.base import Base
from consent_service.db.models.audit import (
    AuditCheckpoint,
    AuditEntry,
    AuditEpoch,
    AuditLeaf,
    AuditPending,
)
from consent_service.db.queries.pages import Order, rows_of_page
from consent_service.domain import merkle
from consent_service.domain.audit import (
    Actor,
    ActorKind,
    AuditEvent,
    EventKind,
    RecordedEvent,
    body,
    instant_text,
    parse_body,
)
from consent_service.domain.checkpoint import (
    Checkpoint,
    epoch_origin,
    origin_epoch,
    parse_checkpoint,
    sign_checkpoint,
)
from consent_service.domain.signed_note import NoteSigner, parse_note
from consent_service.errors import Conflict, NotFound
from consent_service.ids import new_id

SEAL_LIMIT = 10_000
PAGE_LIMIT = 500
_ADVISORY_LOCK = 0x61756469745F6C67  # "audit_lg"
_NEWEST_FIRST = Order((AuditEntry.at, AuditEntry.id))
_SERVICE = Actor(ActorKind.SYSTEM, "audit-log")


# Made once: every act pays for it.
_INSERT_ENTRY = insert(Base.metadata.tables[AuditEntry.__tablename__])


@dataclass(frozen=True, slots=True)
class AppendedEntry:
    """An entry as written: its id and its leaf hash (32 bytes), for the journal to point at."""

    id: str
    hash: bytes


def append(session: Session, event: AuditEvent, at: datetime) -> AppendedEntry:
    """Write `event` in the caller's transaction; what goes wrong here undoes the act.

    A trigger puts it on the sealer's list.
    """
    row = _row(event, at)
    session.connection().execute(_INSERT_ENTRY, row)
    return AppendedEntry(row["id"], merkle.leaf_hash(row["body"]))


def append_all(session: Session, events: Iterable[AuditEvent], at: datetime) -> None:
    """Write many events at once, as `append` writes one."""
    if rows := [_row(event, at) for event in events]:
        session.connection().execute(_INSERT_ENTRY, rows)


def _row(event: AuditEvent, at: datetime) -> dict[str, Any]:
    entry_id = new_id()
    return {
        "id": entry_id,
        "at": instant_text(at),
        "kind": event.kind.value,
        "actor": str(event.actor),
        "subject": event.subject,
        "involvement": event.involvement,
        "body": body(event, entry_id, at),
    }


def seal(
    session: Session, signer: NoteSigner, log_name: str, at: datetime, limit: int = SEAL_LIMIT
) -> Checkpoint | None:
    """Give up to `limit` waiting entries their leaves and sign the new head.

    Returns nothing when no entry waits. The first seal of a database opens epoch 1 of `log_name`.
    """
    _lock(session)
    waiting = session.execute(
        select(AuditEntry.id, AuditEntry.body)
        .join(AuditPending, AuditPending.entry_id == AuditEntry.id)
        .order_by(AuditEntry.at, AuditEntry.id)
        .limit(limit)
    ).all()
    if not waiting:
        return None
    epoch = _current_epoch(session) or _open_epoch(session, log_name, 1)
    leaves = [(entry_id, merkle.leaf_hash(raw)) for entry_id, raw in waiting]
    return _add_leaves(session, signer, epoch, leaves, at)


def start_epoch(
    session: Session, signer: NoteSigner, log_name: str, at: datetime, ended: Checkpoint
) -> Checkpoint:
    """Begin a new life of the log after a restore; return its first checkpoint.

    `ended` is the last head known outside the database (from the journal). The first entry
    commits to it and says up to where this database still holds the old log, so that the lost
    range can be read off.
    """
    _lock(session)
    kept = latest_checkpoint(session)
    previous = origin_epoch(ended.origin)
    number = max(previous, origin_epoch(kept.origin) if kept else 0) + 1
    event = AuditEvent(
        EventKind.LOG_EPOCH_STARTED,
        _SERVICE,
        details={
            "epoch": number,
            "previous_epoch": previous,
            "previous_size": ended.size,
            "previous_root": ended.root.hex(),
            "kept_epoch": origin_epoch(kept.origin) if kept else 0,
            "kept_size": kept.size if kept else 0,
        },
    )
    entry = append(session, event, at)
    epoch = _open_epoch(session, log_name, number)
    return _add_leaves(session, signer, epoch, [(entry.id, entry.hash)], at)


def is_behind(session: Session, published: Checkpoint) -> bool:
    """Tell whether this log ends before a head that was published: a backup was restored."""
    standing = latest_checkpoint(session)
    return (place_of(standing) if standing else (0, 0)) < place_of(published)


def place_of(head: Checkpoint) -> tuple[int, int]:
    """Return how far a head reaches: its epoch, and its size in it."""
    return origin_epoch(head.origin), head.size


def latest_checkpoint(session: Session, epoch: int | None = None) -> Checkpoint | None:
    """Return the last head, of `epoch` or of the newest epoch; nothing before the first seal."""
    note = latest_note(session, epoch)
    return None if note is None else parse_checkpoint(parse_note(note).text)


def latest_note(session: Session, epoch: int | None = None) -> str | None:
    """Return the last head as the signed note to publish."""
    wanted = select(AuditCheckpoint.note)
    if epoch is not None:
        wanted = wanted.where(AuditCheckpoint.epoch == epoch)
    newest = wanted.order_by(AuditCheckpoint.epoch.desc(), AuditCheckpoint.size.desc())
    return session.scalar(newest.limit(1))


def bodies_since(
    session: Session, head: Checkpoint, before: Checkpoint | None, kinds: Iterable[EventKind]
) -> Sequence[bytes]:
    """Return the bodies of the entries of these kinds under `head` that were not under `before`."""
    epoch = origin_epoch(head.origin)
    first = before.size if before is not None and before.origin == head.origin else 0
    return session.scalars(
        select(AuditEntry.body)
        .join(AuditLeaf, AuditLeaf.entry_id == AuditEntry.id)
        .where(
            AuditLeaf.epoch == epoch,
            AuditLeaf.index >= first,
            AuditLeaf.index < head.size,
            AuditEntry.kind.in_([kind.value for kind in kinds]),
        )
    ).all()


def waiting(session: Session) -> int:
    """Return how many entries have no leaf yet."""
    return session.scalar(select(func.count()).select_from(AuditPending)) or 0


def root_at(session: Session, epoch: int, size: int) -> bytes:
    """Return the root over the first `size` leaves of an epoch."""
    _require_size(session, epoch, size)
    return merkle.root_at(StoredTree(session, epoch).node, size)


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """Proof that an entry stands in the log: anybody can check it with the public key.

    `body` hashed as a leaf and joined with `path` gives the root that `note` signs.
    """

    entry_id: str
    body: bytes
    epoch: int
    index: int
    size: int
    path: list[bytes]
    note: str


def inclusion_proof(session: Session, entry_id: str) -> InclusionProof:
    """Return the proof of one entry against the latest head of its epoch.

    Raises NotFound, and Conflict `not_sealed` in the second before the sealer came by.
    """
    found = session.execute(
        select(AuditEntry.body, AuditLeaf.epoch, AuditLeaf.index.label("place"))
        .outerjoin(AuditLeaf, AuditLeaf.entry_id == AuditEntry.id)
        .where(AuditEntry.id == entry_id)
    ).one_or_none()
    if found is None:
        raise _no_entry()
    note = latest_note(session, found.epoch) if found.epoch is not None else None
    if note is None:
        raise Conflict(
            f"Audit entry {entry_id} is not sealed yet. Ask again in a few seconds.",
            code="not_sealed",
        )
    size = parse_checkpoint(parse_note(note).text).size
    path = merkle.inclusion_path(StoredTree(session, found.epoch).node, found.place, size)
    return InclusionProof(entry_id, found.body, found.epoch, found.place, size, path, note)


def consistency_proof(session: Session, epoch: int, old: int, new: int) -> list[bytes]:
    """Return the proof that the head of size `new` only added to the one of size `old`."""
    _require_size(session, epoch, new)
    if not 0 < old <= new:
        raise NotFound("The older size must lie between 1 and the newer one.")
    return merkle.consistency_path(StoredTree(session, epoch).node, old, new)


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """What to look for; everything named must hold. `since` is included, `until` is not."""

    kinds: tuple[EventKind, ...] = ()
    actor: Actor | None = None
    subject: str | None = None
    involvement: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """An entry as found: what happened, and its place if it is sealed."""

    recorded: RecordedEvent
    epoch: int | None
    index: int | None


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Entries, newest first, and the cursors of the pages beside (nothing: there is none)."""

    entries: list[LoggedEntry]
    next_cursor: str | None
    previous_cursor: str | None = None


def entries(
    session: Session, wanted: EntryFilter, cursor: str | None = None, limit: int = 50
) -> EntryPage:
    """Return one page of the log; raises InvalidInput for a cursor that is not ours."""
    limit = max(1, min(limit, PAGE_LIMIT))
    query = (
        select(
            AuditEntry.id,
            AuditEntry.at,
            AuditEntry.body,
            AuditLeaf.epoch,
            AuditLeaf.index.label("place"),
        )
        .outerjoin(AuditLeaf, AuditLeaf.entry_id == AuditEntry.id)
        .where(*_conditions(wanted))
    )
    page = rows_of_page(session, query, _NEWEST_FIRST, cursor, limit)
    found = [LoggedEntry(parse_body(row.body), row.epoch, row.place) for row in page.items]
    return EntryPage(found, page.next, page.previous)


def entry(session: Session, entry_id: str) -> LoggedEntry:
    """Return one entry; raises NotFound."""
    row = session.execute(
        select(AuditEntry.body, AuditLeaf.epoch, AuditLeaf.index.label("place"))
        .outerjoin(AuditLeaf, AuditLeaf.entry_id == AuditEntry.id)
        .where(AuditEntry.id == entry_id)
    ).one_or_none()
    if row is None:
        raise _no_entry()
    return LoggedEntry(parse_body(row.body), row.epoch, row.place)


def _no_entry() -> NotFound:
    return NotFound("There is no such audit entry. Check its id.")


def _conditions(wanted: EntryFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.kinds:
        found.append(AuditEntry.kind.in_([kind.value for kind in wanted.kinds]))
    if wanted.actor:
        found.append(AuditEntry.actor == str(wanted.actor))
    if wanted.subject:
        found.append(AuditEntry.subject == wanted.subject)
    if wanted.involvement:
        found.append(AuditEntry.involvement == wanted.involvement)
    if wanted.since:
        found.append(AuditEntry.at >= instant_text(wanted.since))
    if wanted.until:
        found.append(AuditEntry.at < instant_text(wanted.until))
    return found


def _lock(session: Session) -> None:
    """Let one sealer in at a time; SQLite's writing transactions are already one at a time."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})


def _current_epoch(session: Session) -> AuditEpoch | None:
    return session.scalar(select(AuditEpoch).order_by(AuditEpoch.epoch.desc()).limit(1))


def _open_epoch(session: Session, log_name: str, number: int) -> AuditEpoch:
    epoch = AuditEpoch(epoch=number, origin=epoch_origin(log_name, number))
    session.add(epoch)
    session.flush()
    return epoch


def _add_leaves(
    session: Session,
    signer: NoteSigner,
    epoch: AuditEpoch,
    leaves: Sequence[tuple[str, bytes]],
    at: datetime,
) -> Checkpoint:
    """Store leaves, tiles and the signed head; take the entries off the waiting list."""
    last = latest_checkpoint(session, epoch.epoch)
    size = last.size if last else 0
    hashes = [found for _, found in leaves]
    tree = StoredTree(session, epoch.epoch)
    frontier = merkle.Frontier.of(tree.node, size)
    frontier.extend(hashes)
    tree.write_tiles(size, hashes)
    rows = [
        {"epoch": epoch.epoch, "index": size + place, "entry_id": entry_id, "hash": found}
        for place, (entry_id, found) in enumerate(leaves)
    ]
    session.execute(insert(AuditLeaf.__table__), rows)  # type: ignore[arg-type]
    _take_off_waiting_list(session, epoch.epoch, size)
    checkpoint = Checkpoint(epoch.origin, frontier.size, frontier.root(), at, size)
    _store_checkpoint(session, epoch.epoch, checkpoint, sign_checkpoint(checkpoint, signer))
    return checkpoint


def _take_off_waiting_list(session: Session, epoch: int, size: int) -> None:
    sealed = select(AuditLeaf.entry_id).where(AuditLeaf.epoch == epoch, AuditLeaf.index >= size)
    session.execute(delete(AuditPending).where(AuditPending.entry_id.in_(sealed)))


def _store_checkpoint(session: Session, epoch: int, checkpoint: Checkpoint, note: str) -> None:
    row = {
        "epoch": epoch,
        "size": checkpoint.size,
        "root": checkpoint.root,
        "at": instant_text(checkpoint.at),
        "note": note,
    }
    session.execute(insert(AuditCheckpoint.__table__), row)  # type: ignore[arg-type]


def _require_size(session: Session, epoch: int, size: int) -> None:
    last = latest_checkpoint(session, epoch)
    if last is None or not 0 < size <= last.size:
        raise NotFound(f"Epoch {epoch} of the audit log has no {size} sealed entries.")

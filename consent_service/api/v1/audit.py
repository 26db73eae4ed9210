"""The audit log: searched, proved and exported."""

import base64
import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Annotated, Any

from flask import Response
from pydantic import Field

from consent_service.api import paging
from consent_service.api.operations import Answer, Ask, Open, Room
from consent_service.api.shapes import Id, Instant, Page, PageQuery, Reply
from consent_service.db.audit_log import EntryFilter, LoggedEntry
from consent_service.domain.audit import Actor, ActorKind
from consent_service.domain.audit_kinds import EventKind
from consent_service.domain.roles import Permission as P
from consent_service.errors import Conflict
from consent_service.services import audit as use

room = Room("audit")

NDJSON = "application/x-ndjson"
IN_MEMORY = 8 * 2**20
PIECE = 256 * 1024
ACTOR_PATTERN = f"^({'|'.join(ActorKind)}):([0-9a-f]{{32}}|[a-z][a-z-]{{0,63}})$"


class EntriesQuery(PageQuery):
    """Which entries; `actor` is an id, with its kind before a colon: `user:3f…`."""

    kind: Annotated[EventKind, Field(strict=False)] | None = None
    actor: Annotated[str, Field(pattern=ACTOR_PATTERN)] | None = None
    subject: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/+-]{1,120}$")] | None = None
    involvement: Id | None = None
    since: Instant | None = None
    until: Instant | None = None


class ActorReply(Reply):
    """Who did it."""

    kind: ActorKind
    id: str


class EntryReply(Reply):
    """One entry; `index` is its leaf in the epoch once it is sealed."""

    id: Id
    at: datetime
    kind: EventKind
    actor: ActorReply
    subject: str | None
    involvement: str | None
    details: dict[str, Any]
    epoch: int | None
    index: int | None

    @classmethod
    def of(cls, entry: LoggedEntry) -> "EntryReply":
        """Return the reply for an entry."""
        event = entry.recorded.event
        return cls(
            id=entry.recorded.entry_id,
            at=entry.recorded.at,
            kind=event.kind,
            actor=ActorReply.model_validate(event.actor),
            subject=event.subject,
            involvement=event.involvement,
            details=dict(event.details),
            epoch=entry.epoch,
            index=entry.index,
        )


class CheckpointReply(Reply):
    """The newest signed head: how many entries, under which root (base64), and the note."""

    origin: str
    size: int
    root: str
    at: datetime
    note: str


class ProofReply(Reply):
    """That an entry is in the log: its bytes, the hashes on its way up (base64), the head."""

    entry: Id
    body: str
    epoch: int
    index: int
    size: int
    path: tuple[str, ...]
    note: str


@room.get("/audit/entries", P.AUDIT_READ, Page[EntryReply], query=EntriesQuery)
def list_entries(ask: Ask, query: EntriesQuery) -> Answer:
    """Search the audit log, newest first; the search itself is written down."""
    wanted = EntryFilter(
        kinds=(query.kind,) if query.kind else (),
        actor=_actor(query.actor),
        subject=query.subject,
        involvement=query.involvement,
        since=query.since,
        until=query.until,
    )
    with paging.none_of_ours():
        found = use.search(ask.ctx, ask.caller, wanted, query.cursor, query.limit)
    items = [EntryReply.of(entry) for entry in found.entries]
    return Answer(Page[EntryReply](items=items, next=found.next_cursor))


@room.get("/audit/checkpoint", Open.ANY_CALLER, CheckpointReply, refusals={409})
def read_checkpoint(ask: Ask) -> Answer:
    """Read the newest signed head of the log: hashes only."""
    head = use.latest_checkpoint(ask.ctx)
    if head is None:
        raise Conflict("Nothing has been sealed yet. Try again in a moment.", code="not_ready")
    checkpoint = head.checkpoint
    return Answer(
        CheckpointReply(
            origin=checkpoint.origin,
            size=checkpoint.size,
            root=_base64(checkpoint.root),
            at=checkpoint.at,
            note=head.note,
        )
    )


@room.get("/audit/proof/{entry}", P.AUDIT_READ, ProofReply, refusals={409})
def read_proof(ask: Ask, entry: str) -> Answer:
    """Read the proof that an entry is in the log."""
    found = use.proof(ask.ctx, ask.caller, entry)
    return Answer(
        ProofReply(
            entry=found.entry_id,
            body=_base64(found.body),
            epoch=found.epoch,
            index=found.index,
            size=found.size,
            path=tuple(_base64(hash_) for hash_ in found.path),
            note=found.note,
        )
    )


@room.get("/audit/export", P.AUDIT_EXPORT, media=(NDJSON,))
def export_log(ask: Ask) -> Response:
    """Export the log with its signed heads; it verifies offline with the public keys."""
    # Ids and codes only: the one thing here that may lie in a temporary file while it is sent.
    out = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  (closed when sent)
    try:
        use.export(ask.ctx, ask.caller, out)  # type: ignore[arg-type]
        length = out.tell()
        out.seek(0)
    except BaseException:
        out.close()
        raise
    response = Response(_pieces(out), mimetype=NDJSON, headers={"Content-Length": str(length)})
    response.headers["Content-Disposition"] = 'attachment; filename="audit.ndjson"'
    response.call_on_close(out.close)
    return response


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    while piece := source.read(PIECE):
        yield piece


def _actor(text: str | None) -> Actor | None:
    if text is None:
        return None
    kind, _, identifier = text.partition(":")
    return Actor(ActorKind(kind), identifier)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")

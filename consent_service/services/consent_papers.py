"""The scan of a signed paper, kept with the act of consent that was written down from it.

Rules kept here:
  * it is looked at in a process apart, made anew, and encrypted before anything of it is kept; its
    key is in the keyring, its cipher text beside the act, so that both are backed up and restored
    together;
  * a wrong scan can be changed until a second person has checked the act; the key of the one
    before it is destroyed then, or where nothing may be destroyed now by the daily comparison,
    which finds a key that no row knows;
  * nobody can find paper right that is not there: without its scan an act on paper is not checked;
  * whoever opens a scan is written down before they see it.
"""

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentAct, ConsentActCheck, ConsentPaper
from consent_service.documents.scan import LARGEST_SCAN, CleanScan, clean_scan
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.consent import Capacity
from consent_service.domain.roles import Permission
from consent_service.domain.withdrawal import Route
from consent_service.errors import Conflict, JournalBroken, NotFound, Unavailable
from consent_service.ids import new_id
from consent_service.services import key_ends
from consent_service.services.access import Caller, thing_for
from consent_service.services.context import Context
from consent_service.vault.container import (
    BytesSource,
    ContainerReader,
    ObjectKind,
    encrypt_stream,
    film_context,
)
from consent_service.vault.keyring import KeyKind, shard_of

__all__ = [
    "LARGEST_SCAN",
    "CleanScan",
    "PaperView",
    "attach",
    "clean_scan",
    "keep",
    "key_of",
    "paper",
    "require_scan",
    "scan",
]

FIRST = 1


@dataclass(frozen=True)
class PaperView:
    """That a scan is kept with an act: of which kind, and how long it is in bytes."""

    act: str
    media_type: str
    size: int
    attached_by: str
    attached_at: datetime


def attach(ctx: Context, caller: Caller, act: str, files: Sequence[bytes]) -> PaperView:
    """Keep the scan of a paper with the act written down from it, in place of one before.

    Raises InvalidInput or TooLarge for a file that is no scan, Conflict `not_on_paper` for an act
    that was not given on paper and `already_checked` once somebody checked it.
    """
    with ctx.read() as session:
        involvement = _open_act(ctx, session, caller, act).involvement_id
    return keep(ctx, caller, act, involvement, clean_scan(files))


def keep(ctx: Context, caller: Caller, act: str, involvement: str, scan: CleanScan) -> PaperView:
    """Keep a scan that was made harmless already; as `attach`."""
    fresh = new_id()
    key_id = key_of(fresh)
    ctx.keyring.create(key_id, KeyKind.ASSET, shard_of(involvement), ctx.clock.now())
    sealed = io.BytesIO()
    written = encrypt_stream(
        io.BytesIO(scan.content), sealed, ctx.keyring.read([key_id])[key_id], _context(fresh)
    )
    with ctx.begin() as uow:
        # A paper cannot change while somebody confirms what they have read of it.
        uow.lock_involvement(involvement)
        _open_act(ctx, uow.session, caller, act)
        before = uow.session.get(ConsentPaper, act, with_for_update=True)
        replaced = before.paper_id if before else None
        row = before or ConsentPaper(act_id=act)
        row.paper_id = fresh
        row.media_type = scan.media_type
        row.plain_size = written.plain_size
        row.sealed = sealed.getvalue()
        row.attached_by = caller.id
        row.attached_at = uow.at
        uow.session.add(row)
        details = {"size": written.plain_size}
        kind = EventKind.CONSENT_PAPER_KEPT
        uow.record(AuditEvent(kind, caller.actor, act, involvement, details))
        view = _view(row)
    if replaced is not None:
        with suppress(JournalBroken, Unavailable):
            ctx.standing.require_newest()
            # By the journal, so that no restored key backup brings the replaced scan back.
            key_ends.destroy(ctx, act, [key_of(replaced)], shard_of(involvement))
    return view


def paper(ctx: Context, caller: Caller, act: str) -> PaperView | None:
    """Return what is kept of the paper of an act, if anything."""
    with ctx.read() as session:
        _act(ctx, session, caller, Permission.CONSENT_READ, act)
        row = session.get(ConsentPaper, act)
        return None if row is None else _view(row)


def scan(ctx: Context, caller: Caller, act: str) -> CleanScan:
    """Return the scan itself. Raises NotFound, and Unavailable while its key cannot be had."""
    with ctx.read() as session:
        involvement = _act(ctx, session, caller, Permission.CONSENT_READ, act).involvement_id
        row = session.get(ConsentPaper, act)
        if row is None:
            raise NotFound("No scan is kept with this consent.", kind="scan")
        paper_id, media_type, sealed = row.paper_id, row.media_type, row.sealed
    key_id = key_of(paper_id)
    key = ctx.keyring.read([key_id]).get(key_id)
    if key is None:
        raise Unavailable("The key of this scan cannot be had just now. Try again later.")
    reader = ContainerReader(BytesSource(sealed), key, _context(paper_id))
    content = reader.read(0, reader.size)
    with ctx.begin() as uow:
        kind = EventKind.CONSENT_PAPER_VIEWED
        uow.record(AuditEvent(kind, caller.actor, act, involvement))
    return CleanScan(media_type, content)


def require_scan(session: Session, row: ConsentAct) -> None:
    """Raise Conflict `scan_missing` for an act on paper that has no scan to compare it with.

    Somebody who lacked capacity signed nothing: there is no paper of it.
    """
    on_paper = row.route is Route.PAPER and row.capacity is not Capacity.LACKS_NOW
    if on_paper and session.get(ConsentPaper, row.id) is None:
        raise Conflict(
            "No scan of the paper is kept with this consent. Attach the scan, or a photo of each"
            " page, then compare the answers with it.",
            code="scan_missing",
            act=row.id,
        )


def _open_act(ctx: Context, session: Session, caller: Caller, act: str) -> ConsentAct:
    """Return an act on paper that nobody has checked yet."""
    row = _act(ctx, session, caller, Permission.CONSENT_CAPTURE, act)
    if row.route is not Route.PAPER:
        raise Conflict("This consent was not given on paper.", code="not_on_paper")
    if session.get(ConsentActCheck, act) is not None:
        raise Conflict(
            "Somebody has checked this consent already. Its scan stays.", code="already_checked"
        )
    return row


def _act(
    ctx: Context, session: Session, caller: Caller, permission: Permission, act: str
) -> ConsentAct:
    return thing_for(ctx, caller, permission, session.get(ConsentAct, act), "consent")


def _view(row: ConsentPaper) -> PaperView:
    return PaperView(row.act_id, row.media_type, row.plain_size, row.attached_by, row.attached_at)


def key_of(paper_id: str) -> str:
    """Return the id of the key that opens a scan."""
    return f"paper:{paper_id}"


def _context(paper_id: str) -> bytes:
    return film_context(ObjectKind.SCAN, paper_id, FIRST)

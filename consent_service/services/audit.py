"""The audit log in use: sealed each second, published by the minute, verified, searched, exported.

Rules kept here:
  * who looks at the log, verifies or exports it stands in the log as well;
  * the log spans all teams, so only a role that reaches the whole organisation may look;
  * a signed head leaves the database for the journal once a minute, and at once where the log tells
    that keys were destroyed: verification holds the log to the heads that were published, so a cut
    end is found too;
  * a log that does not verify is reported to the IG officer at once.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from consent_service.db import audit_export, audit_log, audit_verify
from consent_service.db.audit_log import EntryFilter, EntryPage, InclusionProof, LoggedEntry
from consent_service.db.models.jobs import JournalMark
from consent_service.domain.audit import AuditEvent, EventKind, parse_body
from consent_service.domain.audit_check import Trust, VerifyReport
from consent_service.domain.checkpoint import Checkpoint, parse_checkpoint
from consent_service.domain.erasure import StepKind
from consent_service.domain.roles import IG_OFFICER, Permission
from consent_service.domain.signed_note import parse_note
from consent_service.errors import IntegrityFault, Refused
from consent_service.services.access import Caller, reaches, require, require_fresh
from consent_service.services.context import Context
from consent_service.services.notices import notify
from consent_service.vault.journal import JournalLine, LineKind
from consent_service.vault.journal_line import BodyValue
from consent_service.vault.signing import SigningUse

LOG_NAME = "consent-service/audit"
"""First part of every origin line; the epoch follows."""

_ENDS = (
    EventKind.CONSENT_CAPTURED,
    EventKind.CONSENT_DECLINED,
    EventKind.CONSENT_INVALIDATED,
    EventKind.CONSENT_KEY_DESTROYED,
    EventKind.CONSENT_REVOKED,
    EventKind.DISPUTE_RESOLVED,
    EventKind.ERASURE_STEP_DONE,
    EventKind.HOLD_PLACED,
    EventKind.HOLD_RELEASED,
    EventKind.LINK_REVOKED,
    EventKind.QUOTE_WITHDRAWN,
    EventKind.TOKEN_REVOKED,
    EventKind.USER_DISABLED,
    EventKind.WITHDRAWAL_CANCELLED,
    EventKind.WITHDRAWAL_RECORDED,
)
"""Acts that leave a line in the journal: of answers those with a no, of the steps of an erasure
those that destroy keys."""
_KEY_STEPS = frozenset({StepKind.DESTROY_CONSENT_KEY.value, StepKind.DESTROY_ASSET_KEYS.value})
_PUBLISHED = "published-head"
_LOG = "log"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """The newest head, and the note that anybody can verify."""

    checkpoint: Checkpoint
    note: str


def seal(ctx: Context) -> Checkpoint | None:
    """Seal what waits, up to 10,000 entries; returns nothing when nothing waits.

    Safe to run anywhere at any time, also by several at once.
    """
    with ctx.read() as session:
        if not audit_log.waiting(session):
            return None
    with ctx.begin() as uow:
        return audit_log.seal(uow.session, ctx.signers.log, LOG_NAME, uow.at)


def seal_and_publish_ends(ctx: Context) -> Checkpoint | None:
    """Seal as `seal` does; where what it sealed tells of an end, publish the head at once.

    Of keys, of consent, of a hold or of access, on whichever node: nobody can take it out of the
    log unnoticed for long.
    """
    with ctx.read() as session:
        if not audit_log.waiting(session):
            return None
        before = audit_log.latest_checkpoint(session)
    sealed = seal(ctx)
    if sealed is None:
        return None  # another was quicker, and does the rest
    with ctx.read() as session:
        newly = audit_log.bodies_since(session, sealed, before, _ENDS)
    if any(_tells_of_an_end(body) for body in newly):
        publish_checkpoint(ctx)
    return sealed


def _tells_of_an_end(body: bytes) -> bool:
    event = parse_body(body).event
    if event.kind is EventKind.ERASURE_STEP_DONE:
        return event.details.get("step") in _KEY_STEPS
    return event.kind is not EventKind.CONSENT_CAPTURED or bool(event.details.get("declined"))


def latest_checkpoint(ctx: Context) -> SignedCheckpoint | None:
    """Return the newest head; nothing before the first seal. It is public: it holds hashes."""
    with ctx.read() as session:
        note = audit_log.latest_note(session)
    return None if note is None else SignedCheckpoint(_checkpoint_in(note), note)


def publish_checkpoint(ctx: Context) -> Checkpoint | None:
    """Write the newest head into the journal, unless it is there; return it when it was written.

    Run once a minute, and as `seal_and_publish_ends` says.
    """
    newest = latest_checkpoint(ctx)
    if newest is None or newest.checkpoint == _last_published(ctx):
        return None
    checkpoint = newest.checkpoint
    body: dict[str, BodyValue] = {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "note": base64.b64encode(newest.note.encode()).decode(),
    }
    line = ctx.journal.append(LineKind.CHECKPOINT, body, ctx.clock.now())
    with ctx.begin() as uow:
        uow.session.merge(
            JournalMark(name=_PUBLISHED, number=line.number, hash=line.hash, marked_at=uow.at)
        )
    return checkpoint


def note_of_line(line: JournalLine) -> str:
    """Return the signed note that a checkpoint line of the journal carries."""
    try:
        return base64.b64decode(line.body["note"], validate=True).decode()
    except (KeyError, TypeError, ValueError) as fault:
        raise IntegrityFault(f"Journal line {line.number} carries no checkpoint.") from fault


def checkpoint_of_line(line: JournalLine) -> Checkpoint:
    """Return the head in a checkpoint line; the line's own signature has been checked."""
    return _checkpoint_in(note_of_line(line))


def published_heads(lines: Iterable[JournalLine]) -> list[str]:
    """Return the published note that reaches furthest in each epoch, oldest epoch first.

    It is enough: shorter heads are covered by its root. It need not stand last: of two who publish
    at once, the one who read the shorter head may write it after the other.
    """
    furthest: dict[int, tuple[int, str]] = {}
    for line in lines:
        if line.kind is LineKind.CHECKPOINT:
            note = note_of_line(line)
            epoch, size = audit_log.place_of(_checkpoint_in(note))
            if epoch not in furthest or furthest[epoch][0] <= size:
                furthest[epoch] = size, note
    return [furthest[epoch][1] for epoch in sorted(furthest)]


def verify(ctx: Context, caller: Caller) -> VerifyReport:
    """Verify every byte of the log, held to the heads in the journal; record the outcome.

    A fault is in the report and goes to the IG officer. Takes about five seconds a million
    entries. Raises Refused (`role`), JournalBroken.
    """
    require(ctx, caller, Permission.AUDIT_VERIFY)
    report = read_through(ctx)
    with ctx.begin() as uow:
        uow.record(_verified(caller, report))
        if not report.ok:
            notify(uow, "audit_broken", role=IG_OFFICER, subject=_LOG)
    return report


def read_through(ctx: Context) -> VerifyReport:
    """Verify every byte of the log, held to the heads in the journal; nothing is written down."""
    trust = Trust(
        [key.key for key in ctx.signers.published if key.use is SigningUse.LOG],
        published_heads(ctx.journal.lines()),
    )
    with ctx.read() as session:
        return audit_verify.verify(session, trust, ctx.clock.now())


def export(ctx: Context, caller: Caller, out: BinaryIO) -> int:
    """Write the log up to its newest head to `out` (NDJSON); return the number of entries.

    Recorded before the first byte leaves. Raises Refused (`role`, `sign_in_again`).
    """
    _require_whole_log(ctx, caller, Permission.AUDIT_EXPORT)
    require_fresh(caller)
    with ctx.begin() as uow:
        uow.record(AuditEvent(EventKind.AUDIT_EXPORTED, caller.actor, _LOG))
    with ctx.read() as session:
        return audit_export.export(session, out)


def verify_file(path: Path, public_keys_pem: bytes, published: Iterable[str] = ()) -> VerifyReport:
    """Verify an exported file offline: no database, no settings, only the public keys.

    `published` are signed heads kept elsewhere. Raises InvalidInput when the keys are none.
    """
    trust = Trust(audit_export.read_public_keys(public_keys_pem), tuple(published))
    return audit_export.verify_export(path, trust)


def search(
    ctx: Context,
    caller: Caller,
    wanted: EntryFilter,
    cursor: str | None = None,
    limit: int = 50,
) -> EntryPage:
    """Return one page of the log, newest first; the first page of a search is recorded.

    Raises Refused (`role`), InvalidInput (`cursor`).
    """
    _require_whole_log(ctx, caller, Permission.AUDIT_READ)
    with ctx.read() as session:
        page = audit_log.entries(session, wanted, cursor, limit)
    if cursor is None:
        with ctx.begin() as uow:
            uow.record(_searched(caller, wanted))
    return page


def entry(ctx: Context, caller: Caller, entry_id: str) -> LoggedEntry:
    """Return one entry; raises Refused (`role`), NotFound."""
    _require_whole_log(ctx, caller, Permission.AUDIT_READ)
    with ctx.read() as session:
        return audit_log.entry(session, entry_id)


def proof(ctx: Context, caller: Caller, entry_id: str) -> InclusionProof:
    """Return the proof that an entry is in the log; raises Refused, NotFound, Conflict."""
    _require_whole_log(ctx, caller, Permission.AUDIT_READ)
    with ctx.read() as session:
        return audit_log.inclusion_proof(session, entry_id)


def _require_whole_log(ctx: Context, caller: Caller, permission: Permission) -> None:
    """The log knows all families; a role that reaches one team only may not look into it."""
    require(ctx, caller, permission)
    if not reaches(ctx, caller, permission, team=""):
        raise Refused(
            "The audit log spans all teams. Ask your information governance officer.",
            code="role",
            permission=permission.value,
        )


def _last_published(ctx: Context) -> Checkpoint | None:
    """Return the head that this database last wrote into the journal."""
    with ctx.read() as session:
        mark = session.get(JournalMark, _PUBLISHED)
    if mark is None:
        return None
    ctx.journal.require_contains(mark.number, mark.hash)
    line = next(iter(ctx.journal.lines(mark.number - 1)))
    return checkpoint_of_line(line)


def _checkpoint_in(note: str) -> Checkpoint:
    return parse_checkpoint(parse_note(note).text)


def _verified(caller: Caller, report: VerifyReport) -> AuditEvent:
    details: dict[str, str | int | bool | list[str]] = {
        "entries": report.entries,
        "checkpoints": report.checkpoints,
        "outcome": "sound" if report.ok else "broken",
    }
    if report.first_bad is not None:
        details |= {"epoch": report.first_bad.epoch, "first_bad": report.first_bad.index}
    return AuditEvent(EventKind.AUDIT_VERIFIED, caller.actor, _LOG, details=details)


def _searched(caller: Caller, wanted: EntryFilter) -> AuditEvent:
    asked = {
        "kind": bool(wanted.kinds),
        "actor": wanted.actor is not None,
        "subject": wanted.subject is not None,
        "involvement": wanted.involvement is not None,
        "time": wanted.since is not None or wanted.until is not None,
    }
    fields = [name for name, used in asked.items() if used]
    return AuditEvent(
        EventKind.AUDIT_SEARCHED, caller.actor, _LOG, details={"fields": fields or ["all"]}
    )

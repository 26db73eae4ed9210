"""Journal lines done again, one kind at a time, where a database has forgotten them.

Rules kept here:
  * reading the same line twice changes nothing, and each line is one transaction;
  * what is about people or film that this database does not know is counted, never half done;
  * whoever spoke need not be known, nor where: what ended for somebody in an involvement that are
    known ends all the same;
  * a hold on film that this database does not know holds all of the family, which is more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from consent_service.db import audit_log
from consent_service.db.models.accounts import ApiToken, UserAccount
from consent_service.db.models.consent import ConsentAct, ConsentEnding
from consent_service.db.models.erasure import ErasureOrder, Withdrawal
from consent_service.db.models.handovers import Quote
from consent_service.db.models.jobs import JournalMark
from consent_service.db.models.links import OwnLink
from consent_service.db.models.people import Involvement
from consent_service.db.models.recordings import Asset
from consent_service.db.models.retention import Hold
from consent_service.db.queries.erasure import OrderScope
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.checkpoint import Checkpoint
from consent_service.domain.erasure import OrderCause
from consent_service.domain.holds import HoldKind
from consent_service.services import (
    disputes,
    erasure,
    invalidation,
    journal_endings,
    journal_people,
    withdrawal_undo,
)
from consent_service.services.audit import checkpoint_of_line
from consent_service.services.context import Context
from consent_service.services.journal_endings import FROM_JOURNAL
from consent_service.services.journal_people import REPLAYER
from consent_service.vault.journal import JournalLine, LineKind

RESTORING = "restoring"


@dataclass
class ReplayReport:
    """What a replay read and what it brought back. Empty `restored` means nothing was missing."""

    lines: int = 0
    resumed: bool = False
    restored: dict[str, int] = field(default_factory=dict)
    log_ended: Checkpoint | None = None
    involvements: set[str] = field(default_factory=set)
    keys_line: JournalLine | None = None
    backups_line: JournalLine | None = None

    def count(self, kind: str) -> None:
        """Note one thing brought back."""
        self.restored[kind] = self.restored.get(kind, 0) + 1

    @property
    def found_restore(self) -> bool:
        """Whether something that the journal knows was missing, be it the end of the log.

        Also when a replay before this one found it and was killed before it could say so.
        """
        return bool(self.restored) or self.log_ended is not None or self.resumed


def replay_line(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    """Do one line again if it asks anything of this database."""
    act = _LINES.get(line.kind)
    if act is not None:
        act(ctx, line, report)


def _consent_ended(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    body = line.body
    with ctx.begin() as uow:
        if _is_known(uow, body):
            return
        ended = _known_among(uow, _ended_in(body))
        refused = journal_people.places_of_refused(uow, body)
        place = _place(uow, body, [*ended, *sorted(refused.values())])
        if place is None or _is_about_nothing_here(uow, body):
            report.count("unknown_here")
            return
        reached = disputes.lock_reached(uow, place, *ended, *refused.values())
        journal_people.stand_in_for_speakers(uow, body, place)
        if body.get("withdrawal") is not None:
            journal_endings.append_withdrawal(uow, body, ended, place)
        if body.get("refusal") is not None:
            journal_endings.append_refusal(uow, body["refusal"], refused)
        uow.session.flush()
        if _is_here(uow, body["involvement"]):
            _done_there(ctx, uow, line)
        disputes.open_where_parents_disagree(ctx, uow, reached)
        # Keys follow once every line is read: a later one may end what this one leaves given.
        uow.effects.clear()
        note_restore(uow, line)
        report.involvements.update(reached)
        report.count("consent_ended")


def _done_there(ctx: Context, uow: UnitOfWork, line: JournalLine) -> None:
    """Do again what an act did in the involvement that its line is about, and in no other."""
    body = line.body
    if body.get("quote") is not None:
        journal_endings.append_quote_end(uow, line)
    if body.get("dispute") is not None:
        journal_endings.append_settlement(uow, body["involvement"], body["dispute"])
    if body.get("invalidated") is not None:
        invalidation.void_again(ctx, uow, REPLAYER, body["invalidated"])
    uow.session.flush()
    if body["order"] is not None:
        _order_again(uow, line)
    if body.get("revoked") is not None:
        journal_endings.append_revocation(uow, body)


def _place(uow: UnitOfWork, body: Mapping[str, Any], reached: Sequence[str]) -> str | None:
    """Return in which known involvement an act is written down as said; None where in none.

    The one that it was said in, or that its line is about, may have come after the backup, and
    another that it reached not: what it ended there ends all the same.
    """
    here: str = body["involvement"]
    said_in: str = (body.get("withdrawal") or {}).get("involvement", here)
    known = [*reached, here] if _is_here(uow, here) else reached
    return next((one for one in (said_in, here, *reached) if one in known), None)


def _is_known(uow: UnitOfWork, body: Mapping[str, Any]) -> bool:
    """Tell whether this database has the act already."""
    withdrawn = body.get("withdrawal") is not None
    # Of a withdrawal in an involvement that came after the backup, its order is never written here.
    if body["order"] is not None and (not withdrawn or _is_here(uow, body["involvement"])):
        return uow.session.get(ErasureOrder, body["order"]) is not None
    if withdrawn:
        return uow.session.get(Withdrawal, body["withdrawal"]["id"]) is not None
    if body.get("invalidated") is not None:
        return invalidation.is_void(uow, body["invalidated"]["id"])
    if body.get("quote") is not None:
        quote = uow.session.get(Quote, body["quote"]["id"])
        return quote is not None and quote.withdrawn_at is not None
    act = body["refusal"]["act"] if body.get("refusal") else None
    if act is not None and uow.session.get(ConsentAct, act) is not None:
        return True
    ending = select(ConsentEnding.id).where(ConsentEnding.ref == (act or body["dispute"]["id"]))
    return uow.session.scalar(ending.limit(1)) is not None


def _ended_in(body: Mapping[str, Any]) -> Mapping[str, list[str]]:
    """Return the purposes that a withdrawal ended, by involvement."""
    given = body.get("withdrawal")
    if not given:
        return {}
    if not given.get("ended"):
        # A line from before withdrawals reached several involvements is about its own alone.
        return {body["involvement"]: given["purposes"]}
    return {part["involvement"]: part["purposes"] for part in given["ended"]}


def _known_among(uow: UnitOfWork, ended: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return what is about involvements that did not come after the backup."""
    known = uow.session.scalars(select(Involvement.id).where(Involvement.id.in_(sorted(ended))))
    return {involvement: ended[involvement] for involvement in sorted(known)}


def _is_about_nothing_here(uow: UnitOfWork, body: Mapping[str, Any]) -> bool:
    """Tell whether an act is about people, film, words or an act that came after the backup."""
    quote = body.get("quote")
    if quote is not None:
        return uow.session.get(Quote, quote["id"]) is None
    return _is_void_of_nothing(uow, body) or not journal_people.is_about_somebody_here(uow, body)


def _is_here(uow: UnitOfWork, involvement: str) -> bool:
    """Tell whether this database knows an involvement."""
    return uow.session.get(Involvement, involvement) is not None


def _is_void_of_nothing(uow: UnitOfWork, body: Mapping[str, Any]) -> bool:
    """Tell whether an act was found invalid that this database never had."""
    voided = body.get("invalidated")
    return voided is not None and uow.session.get(ConsentAct, voided["id"]) is None


def _order_again(uow: UnitOfWork, line: JournalLine) -> None:
    body = line.body
    given = body.get("withdrawal")
    order = erasure.order_erasure(
        uow,
        REPLAYER,
        erasure.OrderErasure(
            involvement=body["involvement"],
            cause=OrderCause(body["cause"]),
            scope=OrderScope.from_json(body["scope"]),
            not_before=datetime.fromisoformat(body["not_before"]),
            withdrawal=given["id"] if given else None,
            rule=body["rule"],
        ),
        identifier=body["order"],
    )
    order.ordered_at = datetime.fromisoformat(body["ordered_at"])
    order.access_ended_at = order.ordered_at
    order.journal_line = line.number


def _undo(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    with ctx.begin() as uow:
        row = uow.session.get(Withdrawal, line.body["withdrawal"])
        if row is None or row.cancelled_at is not None:
            return
        reached = disputes.lock_reached(uow, *withdrawal_undo.ended_by(uow.session, row))
        withdrawal_undo.undo(uow, row, at=line.at, by_user=row.recorded_by)
        uow.session.flush()
        disputes.open_where_parents_disagree(ctx, uow, reached)
        # Keys follow once every line is read: a later one may end what this one leaves given.
        uow.effects.clear()
        uow.record(AuditEvent(EventKind.WITHDRAWAL_CANCELLED, REPLAYER, row.id, row.involvement_id))
        report.involvements.update(reached)
        note_restore(uow, line)
        report.count("undo")


def _hold_placed(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    body = line.body
    with ctx.begin() as uow:
        if uow.session.get(Hold, body["hold"]) is not None:
            return
        if not _is_here(uow, body["involvement"]):
            report.count("unknown_here")
            return
        uow.lock_involvement(body["involvement"]).consent_epoch += 1
        # On film that came after the backup: then it holds all of the family, which is more.
        asset = body["asset"] and uow.session.get(Asset, body["asset"])
        uow.session.add(
            Hold(
                id=body["hold"],
                kind=HoldKind(body["kind"]),
                involvement_id=body["involvement"],
                asset_id=asset.id if asset else None,
                reason=FROM_JOURNAL,
                placed_by=body["placed_by"],
                placed_at=datetime.fromisoformat(body["placed_at"]),
                journal_line=line.number,
            )
        )
        uow.record(
            AuditEvent(
                EventKind.HOLD_PLACED,
                REPLAYER,
                body["hold"],
                body["involvement"],
                {"hold": body["kind"]},
            )
        )
        note_restore(uow, line)
        report.count("hold_placed")


def _hold_released(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    with ctx.begin() as uow:
        row = uow.session.get(Hold, line.body["hold"])
        if row is None or row.released_at is not None:
            return
        row.released_at = line.at
        row.released_by = line.body["released_by"]
        row.release_journal_line = line.number
        uow.record(AuditEvent(EventKind.HOLD_RELEASED, REPLAYER, row.id, row.involvement_id))
        note_restore(uow, line)
        report.count("hold_released")


def _access_revoked(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    kind, identifier = line.body["kind"], line.body["id"]
    with ctx.begin() as uow:
        if kind == "user":
            user = uow.session.get(UserAccount, identifier)
            if user is None or not user.active:
                return
            user.active = False
            user.disabled_at = line.at
            uow.record(AuditEvent(EventKind.USER_DISABLED, REPLAYER, user.id))
        elif kind == "link":
            link = uow.session.get(OwnLink, identifier)
            if link is None or link.revoked_at is not None:
                return
            link.revoked_at = line.at
            link.session_mark = link.draft = link.drafted_at = None
            uow.record(AuditEvent(EventKind.LINK_REVOKED, REPLAYER, link.id, link.involvement_id))
        else:
            token = uow.session.get(ApiToken, identifier)
            if token is None or token.revoked_at is not None:
                return
            token.revoked_at = line.at
            uow.record(AuditEvent(EventKind.TOKEN_REVOKED, REPLAYER, token.id))
        note_restore(uow, line)
        report.count("access_revoked")


def _checkpoint_published(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    published, known = checkpoint_of_line(line), report.log_ended
    if known is not None and audit_log.place_of(known) > audit_log.place_of(published):
        return  # two who published at once, the shorter head last
    with ctx.read() as session:
        if audit_log.is_behind(session, published):
            report.log_ended = published


def _key_destroyed(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    report.keys_line = line


def _key_backup_made(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    report.backups_line = line


_Replay = Callable[[Context, JournalLine, ReplayReport], None]

_LINES: Mapping[LineKind, _Replay] = {
    LineKind.CONSENT_ENDED: _consent_ended,
    LineKind.UNDO: _undo,
    LineKind.HOLD_PLACED: _hold_placed,
    LineKind.HOLD_RELEASED: _hold_released,
    LineKind.ACCESS_REVOKED: _access_revoked,
    LineKind.CHECKPOINT: _checkpoint_published,
    LineKind.KEY_DESTROYED: _key_destroyed,
    LineKind.KEY_BACKUP_MADE: _key_backup_made,
}


def note_restore(uow: UnitOfWork, line: JournalLine) -> None:
    """Remember, with the first thing brought back, that a restore is still to be told of."""
    if uow.session.get(JournalMark, RESTORING) is None:
        set_mark(uow, RESTORING, line)


def set_mark(uow: UnitOfWork, name: str, line: JournalLine) -> None:
    mark = uow.session.get(JournalMark, name)
    if mark is None:
        mark = JournalMark(name=name)
        uow.session.add(mark)
    mark.number, mark.hash, mark.marked_at = line.number, line.hash, uow.at

"""Journal lines done again, one kind at a time, where a database has forgotten them.

Rules kept here:
  * reading the same line twice changes nothing, and each line is one transaction;
  * what is about people or film that this database does not know is counted, never half done;
  * a hold on film that this database does not know holds all of the family, which is more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from consent_service.db import audit_log
from consent_service.db.models.accounts import ApiToken, UserAccount
from consent_service.db.models.consent import ConsentEnding
from consent_service.db.models.erasure import ErasureOrder, Fence, Withdrawal
from consent_service.db.models.jobs import JournalMark
from consent_service.db.models.people import Involvement, Person
from consent_service.db.models.recordings import Asset
from consent_service.db.models.retention import Hold
from consent_service.db.queries.erasure import OrderScope
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.checkpoint import Checkpoint
from consent_service.domain.consent import EndingKind
from consent_service.domain.erasure import OrderCause, OrderState
from consent_service.domain.holds import HoldKind
from consent_service.domain.withdrawal import Route, Speed, WithdrawalScope
from consent_service.ids import new_id
from consent_service.services import disputes, erasure
from consent_service.services.audit import checkpoint_of_line
from consent_service.services.context import Context
from consent_service.vault.journal import JournalLine, LineKind

REPLAYER = Actor(ActorKind.SYSTEM, "journal-replay")
RESTORING = "restoring"
FROM_JOURNAL = "Placed again from the journal after a restore."


@dataclass
class ReplayReport:
    """What a replay read and what it brought back. Empty `restored` means nothing was missing."""

    lines: int = 0
    resumed: bool = False
    restored: dict[str, int] = field(default_factory=dict)
    log_ended: Checkpoint | None = None
    involvements: set[str] = field(default_factory=set)
    keys_line: JournalLine | None = None

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
    given, settled = body.get("withdrawal"), body.get("dispute")
    with ctx.begin() as uow:
        if _is_known(uow, body):
            return
        people = [given["person"], given["by"]] if given else []
        people += [settled["person"]] if settled else []
        if _is_unknown(uow, body["involvement"], people):
            report.count("unknown_here")
            return
        involvement = uow.lock_involvement(body["involvement"])
        if given is not None:
            _append_withdrawal(uow, involvement.id, given)
        if settled is not None:
            _append_settlement(uow, involvement.id, settled)
        uow.session.flush()
        disputes.open_where_parents_disagree(ctx, uow, involvement.id)
        if body["order"] is not None:
            _order_again(uow, line)
        involvement.consent_epoch += 1
        note_restore(uow, line)
        report.involvements.add(involvement.id)
        report.count("consent_ended")


def _is_known(uow: UnitOfWork, body: Mapping[str, Any]) -> bool:
    """Tell whether this database has the act already."""
    if body["order"] is not None:
        return uow.session.get(ErasureOrder, body["order"]) is not None
    if body.get("withdrawal") is not None:
        return uow.session.get(Withdrawal, body["withdrawal"]["id"]) is not None
    ending = select(ConsentEnding.id).where(ConsentEnding.ref == body["dispute"]["id"])
    return uow.session.scalar(ending.limit(1)) is not None


def _is_unknown(uow: UnitOfWork, involvement: str, people: Sequence[str]) -> bool:
    """Tell whether the act is about a family, or someone in it, that came after the backup."""
    if uow.session.get(Involvement, involvement) is None:
        return True
    return any(uow.session.get(Person, person) is None for person in people)


def _append_withdrawal(uow: UnitOfWork, involvement: str, given: Mapping[str, Any]) -> None:
    row = uow.session.get(Withdrawal, given["id"])
    if row is not None:
        return
    row = Withdrawal(
        id=given["id"],
        involvement_id=involvement,
        person_id=given["person"],
        by_person_id=given["by"],
        scope=WithdrawalScope(given["scope"]),
        purposes=list(given["purposes"]),
        asset_ids=list(given["assets"]),
        keep_purposes=list(given["keep_purposes"]),
        speed=Speed(given["speed"]),
        route=Route.JOURNAL_REPLAY,
        undo_until=_moment(given["undo_until"]),
        recorded_by=given["recorded_by"],
        event_at=datetime.fromisoformat(given["event_at"]),
        recorded_at=uow.at,
    )
    uow.session.add(row)
    uow.session.flush()
    for purpose in row.purposes:
        ending = _append_ending(uow, row, purpose, EndingKind.WITHDRAWN, row.event_at)
        ending.may_overrule = given["overrules"]
    uow.record(
        AuditEvent(
            EventKind.WITHDRAWAL_RECORDED,
            REPLAYER,
            row.id,
            involvement,
            {"person": row.person_id, "scope": row.scope.value, "when": row.speed.value},
        )
    )


def _append_settlement(uow: UnitOfWork, involvement: str, settled: Mapping[str, Any]) -> None:
    uow.session.add(
        ConsentEnding(
            id=new_id(),
            kind=EndingKind(settled["kind"]),
            involvement_id=involvement,
            person_id=settled["person"],
            purpose=settled["purpose"],
            by_user_id=settled["by"],
            ref=settled["id"],
            reason=FROM_JOURNAL,
            event_at=datetime.fromisoformat(settled["event_at"]),
            recorded_at=uow.at,
        )
    )
    uow.record(
        AuditEvent(
            EventKind.DISPUTE_RESOLVED,
            REPLAYER,
            settled["id"],
            involvement,
            {"decision": settled["kind"]},
        )
    )


def _append_ending(
    uow: UnitOfWork, row: Withdrawal, purpose: str, kind: EndingKind, at: datetime
) -> ConsentEnding:
    ending = ConsentEnding(
        id=new_id(),
        kind=kind,
        involvement_id=row.involvement_id,
        person_id=row.person_id,
        purpose=purpose,
        by_person_id=row.by_person_id,
        by_user_id=row.recorded_by,
        ref=row.id,
        event_at=at,
        recorded_at=uow.at,
    )
    uow.session.add(ending)
    return ending


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
        involvement = uow.lock_involvement(row.involvement_id)
        row.cancelled_at = line.at
        for purpose in row.purposes:
            _append_ending(uow, row, purpose, EndingKind.UNDONE, line.at)
        for order in uow.session.scalars(
            select(ErasureOrder).where(ErasureOrder.withdrawal_id == row.id)
        ):
            order.state = OrderState.CANCELLED
            for fence in uow.session.scalars(select(Fence).where(Fence.order_id == order.id)):
                fence.lifted_at = uow.at
        involvement.consent_epoch += 1
        uow.record(AuditEvent(EventKind.WITHDRAWAL_CANCELLED, REPLAYER, row.id, row.involvement_id))
        report.involvements.add(row.involvement_id)
        note_restore(uow, line)
        report.count("undo")


def _hold_placed(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    body = line.body
    with ctx.begin() as uow:
        if uow.session.get(Hold, body["hold"]) is not None:
            return
        if _is_unknown(uow, body["involvement"], []):
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
        else:
            token = uow.session.get(ApiToken, identifier)
            if token is None or token.revoked_at is not None:
                return
            token.revoked_at = line.at
            uow.record(AuditEvent(EventKind.TOKEN_REVOKED, REPLAYER, token.id))
        note_restore(uow, line)
        report.count("access_revoked")


def _checkpoint_published(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    published = checkpoint_of_line(line)
    with ctx.read() as session:
        if audit_log.is_behind(session, published):
            report.log_ended = published


def _key_destroyed(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    report.keys_line = line


_Replay = Callable[[Context, JournalLine, ReplayReport], None]

_LINES: Mapping[LineKind, _Replay] = {
    LineKind.CONSENT_ENDED: _consent_ended,
    LineKind.UNDO: _undo,
    LineKind.HOLD_PLACED: _hold_placed,
    LineKind.HOLD_RELEASED: _hold_released,
    LineKind.ACCESS_REVOKED: _access_revoked,
    LineKind.CHECKPOINT: _checkpoint_published,
    LineKind.KEY_DESTROYED: _key_destroyed,
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


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

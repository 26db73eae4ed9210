"""Before the service serves: set up once, and bring back what a restored backup has forgotten.

Rules kept here:
  * replay comes before serving, at every start and every minute: endings, undos, holds, revocations
    and destroyed keys that the journal knows are done again where database or keyring lack them;
  * a journal that is missing, cut or forked is refused, and so is an edited published policy;
  * everything replayed is idempotent: reading the same line twice changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from consent_service.db import audit_log, schema
from consent_service.db.models.accounts import ApiToken, UserAccount
from consent_service.db.models.consent import ConsentEnding
from consent_service.db.models.erasure import ErasureOrder, Fence, Withdrawal
from consent_service.db.models.jobs import JournalMark
from consent_service.db.models.people import Involvement
from consent_service.db.models.retention import Hold
from consent_service.db.queries.erasure import OrderScope
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, EventKind
from consent_service.domain.checkpoint import Checkpoint
from consent_service.domain.consent import EndingKind
from consent_service.domain.erasure import OrderCause, OrderState
from consent_service.domain.holds import HoldKind
from consent_service.domain.roles import ADMINISTRATOR, IG_OFFICER
from consent_service.domain.withdrawal import Route, Speed, WithdrawalScope
from consent_service.errors import Unavailable
from consent_service.ids import new_id
from consent_service.services import erasure, keys
from consent_service.services.audit import LOG_NAME, checkpoint_of_line
from consent_service.services.context import Context
from consent_service.services.notices import notify
from consent_service.services.policies import require_unedited
from consent_service.vault.journal import JournalLine, LineKind
from consent_service.vault.keyring_values import KeyStatus, Tombstone

REPLAYER = Actor(ActorKind.SYSTEM, "journal-replay")
MARK = "replayed"
FROM_JOURNAL = "Placed again from the journal after a restore."


@dataclass
class ReplayReport:
    """What a replay read and what it brought back. Empty `restored` means nothing was missing."""

    lines: int = 0
    restored: dict[str, int] = field(default_factory=dict)
    log_ended: Checkpoint | None = None
    involvements: set[str] = field(default_factory=set)

    def count(self, kind: str) -> None:
        """Note one thing brought back."""
        self.restored[kind] = self.restored.get(kind, 0) + 1

    @property
    def found_restore(self) -> bool:
        """Whether something that the journal knows was missing, be it the end of the log."""
        return bool(self.restored) or self.log_ended is not None


def require_ready(ctx: Context) -> ReplayReport:
    """Do everything that must be done before serving; raises what forbids it.

    Raises Unavailable `upgrade_needed`, PolicyFault, JournalBroken.
    """
    if not schema.is_current(ctx.engine):
        raise Unavailable(
            "The database is not at this version. Run `consent-service upgrade`.",
            code="upgrade_needed",
        )
    require_unedited(ctx)
    return replay(ctx)


def replay(ctx: Context) -> ReplayReport:
    """Do again what the journal knows and this database or keyring has forgotten."""
    with ctx.read() as session:
        mark = session.get(JournalMark, MARK)
        after = mark.number if mark else 0
    if mark is not None:
        ctx.journal.require_contains(mark.number, mark.hash)
    report = ReplayReport()
    last: JournalLine | None = None
    for line in ctx.journal.lines(after):
        _LINES.get(line.kind, _nothing)(ctx, line, report)
        report.lines += 1
        last = line
    _destroy_keys_again(ctx, report)
    if report.found_restore:
        _report_restore(ctx, report)
    # Last, so that a crash before it leads to another replay and never to a half-told restore.
    if last is not None:
        _move_mark(ctx, last)
    return report


def _nothing(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    """Lines that ask nothing of the database."""


def _consent_ended(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    body = line.body
    with ctx.begin() as uow:
        if uow.session.get(ErasureOrder, body["order"]) is not None:
            return
        if uow.session.get(Involvement, body["involvement"]) is None:
            return
        involvement = uow.lock_involvement(body["involvement"])
        given = body.get("withdrawal")
        if given is not None:
            _append_withdrawal(uow, involvement.id, given)
        _order_again(uow, line)
        involvement.consent_epoch += 1
        report.involvements.add(involvement.id)
        report.count("consent_ended")


def _append_withdrawal(uow: UnitOfWork, involvement: str, given: Mapping[str, Any]) -> None:
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
        _append_ending(uow, row, purpose, EndingKind.WITHDRAWN, row.event_at)
    uow.record(
        AuditEvent(
            EventKind.WITHDRAWAL_RECORDED,
            REPLAYER,
            row.id,
            involvement,
            {"person": row.person_id, "scope": row.scope.value, "when": row.speed.value},
        )
    )


def _append_ending(
    uow: UnitOfWork, row: Withdrawal, purpose: str, kind: EndingKind, at: datetime
) -> None:
    uow.session.add(
        ConsentEnding(
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
    )


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
        report.count("undo")


def _hold_placed(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    body = line.body
    with ctx.begin() as uow:
        if uow.session.get(Hold, body["hold"]) is not None:
            return
        if uow.session.get(Involvement, body["involvement"]) is None:
            return
        uow.lock_involvement(body["involvement"]).consent_epoch += 1
        uow.session.add(
            Hold(
                id=body["hold"],
                kind=HoldKind(body["kind"]),
                involvement_id=body["involvement"],
                asset_id=body["asset"],
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
        report.count("access_revoked")


def _checkpoint_published(ctx: Context, line: JournalLine, report: ReplayReport) -> None:
    published = checkpoint_of_line(line)
    with ctx.read() as session:
        if audit_log.is_behind(session, published):
            report.log_ended = published


_Replay = Callable[[Context, JournalLine, ReplayReport], None]

_LINES: Mapping[LineKind, _Replay] = {
    LineKind.CONSENT_ENDED: _consent_ended,
    LineKind.UNDO: _undo,
    LineKind.HOLD_PLACED: _hold_placed,
    LineKind.HOLD_RELEASED: _hold_released,
    LineKind.ACCESS_REVOKED: _access_revoked,
    LineKind.CHECKPOINT: _checkpoint_published,
}


def _destroy_keys_again(ctx: Context, report: ReplayReport) -> None:
    """Destroy again what a restored keyring brought back.

    A keyring from before some moment lacks every tombstone since, the newest too: so only when
    the newest key-destroyed line is not honoured are all of them read.
    """
    newest: JournalLine | None = None
    destroyed: list[Tombstone] = []
    for line in ctx.journal.lines():
        if line.kind is LineKind.KEY_DESTROYED:
            newest = line
            destroyed += [
                Tombstone(key, None, line.at, line.body["order"]) for key in line.body["keys"]
            ]
    if newest is None:
        return
    states = ctx.keyring.status(newest.body["keys"])
    if all(state is KeyStatus.DESTROYED for state in states.values()):
        return
    back = ctx.keyring.purge_tombstoned(ctx.clock.now(), destroyed)
    report.restored["key_destroyed"] = len(back)


def _move_mark(ctx: Context, line: JournalLine) -> None:
    with ctx.begin() as uow:
        mark = uow.session.get(JournalMark, MARK)
        if mark is None:
            mark = JournalMark(name=MARK)
            uow.session.add(mark)
        mark.number, mark.hash, mark.marked_at = line.number, line.hash, uow.at


def _report_restore(ctx: Context, report: ReplayReport) -> None:
    """Write down that a backup was restored, tell people, begin a new log epoch, seal keys."""
    total = sum(report.restored.values())
    with ctx.begin() as uow:
        uow.record(
            AuditEvent(
                EventKind.JOURNAL_REPLAYED,
                REPLAYER,
                "journal",
                details={"lines": report.lines, "acts": total, **report.restored},
            )
        )
        notify(uow, "restore_found", role=IG_OFFICER, subject="journal")
        notify(uow, "restore_found", role=ADMINISTRATOR, subject="journal")
        if report.log_ended is not None:
            audit_log.start_epoch(uow.session, ctx.signers.log, LOG_NAME, uow.at, report.log_ended)
    head = ctx.journal.head()
    ctx.journal.append(LineKind.RESTORED, {"line": head.number, "acts": total}, ctx.clock.now())
    for involvement in sorted(report.involvements):
        keys.settle(ctx, involvement)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

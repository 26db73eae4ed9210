"""Messages to staff: a row in the same transaction, shown in their inbox, sent on if a setting
says where. Ids and codes only; the words come from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from consent_service.db.models.accounts import Role, UserAccount, UserRole
from consent_service.db.models.jobs import Notice
from consent_service.db.queries.pages import Order, page_of
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import AuditEvent, EventKind
from consent_service.domain.paging import Page, PageAsk
from consent_service.errors import NotFound, Unavailable
from consent_service.ids import new_id
from consent_service.notices import Message, Sender, SmtpSender
from consent_service.services.access import Caller
from consent_service.services.context import Context

SENTENCES: Mapping[str, str] = {
    "dispute_opened": "Parents disagree about a child. Film is frozen until you settle it.",
    "withdrawn_elsewhere": "Consent ended with another team reaches a family of yours. See it.",
    "withdrawn_by_link": "Somebody stopped film by their own link. See what goes.",
    "kept_by_link": "Somebody changed their mind by their own link: film stays after all.",
    "consent_by_link": "Somebody answered by a link. It counts once you have talked and confirmed.",
    "link_locked": "A link closed after five wrong dates of birth. Ask before you make a new one.",
    "hold_placed": "A hold was placed. Nothing it names is destroyed until it is released.",
    "erasure_blocked": "A step of an erasure fails again and again. Somebody must look at it.",
    "restore_found": "A restored backup was found and put right from the journal.",
    "journal_broken": "The journal of endings is missing, cut or changed. Find out why.",
    "backup_due": "A backup is older than it may be and cannot be reached from here. Delete it.",
    "audit_broken": "The audit log does not verify. Look at it before anything else.",
    "parental_responsibility_ended": "Parental responsibility ended; earlier decisions stand.",
    "consent_revoked": "The organisation ended a consent. Tell the family, and why.",
    "consent_invalid": "A consent was never valid. Film it stood on is kept apart.",
    "reconsent_needed": "A consent form changed. Ask those who answered before again.",
    "child_is_16": "A child turned 16. Look at what was agreed to for them.",
    "child_is_18": "A child turned 18. Look at what was agreed to for them.",
    "leaflet_review_due": "A leaflet is due for review.",
    "leaflet_escalated": "A leaflet reaches its archive date within a month and was not reviewed.",
    "leaflet_archived": "A leaflet passed its archive date and cannot be given any more.",
    "leaflet_reissue_needed": "A leaflet prints words whose permission has ended. Issue it anew.",
    "retention_refused": "Retention stopped: more was due than it may destroy without asking.",
    "disposition_waiting": "Something is due and waits for your decision.",
    "reconcile_finding": "Film, records and keys do not fit together. See what is missing.",
    "reconcile_unknown_object": "Something that nobody knows of goes tomorrow. Look at it.",
    "reconcile_unknown_kept": "A database that was put back lacks what is kept. See what to do.",
    "clock_paused": "The clock jumped. Automatic destruction waits until you confirm the time.",
}
UNKNOWN = "Something needs your attention."
BATCH = 100
_NEWEST_FIRST = Order((Notice.created_at, Notice.id))


@dataclass(frozen=True)
class NoticeView:
    """A message as a member of staff sees it; `subject` is the id or code it is about."""

    id: str
    kind: str
    sentence: str
    subject: str | None
    created_at: datetime
    seen_at: datetime | None


def notify(
    uow: UnitOfWork,
    kind: str,
    *,
    role: str | None = None,
    user: str | None = None,
    subject: str | None = None,
) -> None:
    """Leave a message for a role or one member of staff; it is sent after the commit."""
    uow.session.add(
        Notice(
            id=new_id(),
            kind=kind,
            to_role=role,
            to_user_id=user,
            subject=subject,
            created_at=uow.at,
        )
    )


def page_of_inbox(ctx: Context, caller: Caller, ask: PageAsk) -> Page[NoticeView]:
    """Return the caller's messages, by role or by person, newest first."""
    with ctx.read() as session:
        found = page_of(session, select(Notice).where(_for(caller)), _NEWEST_FIRST, ask)
        return found.of([_view(row) for row in found.items])


def unread(ctx: Context, caller: Caller) -> int:
    """Return how many messages nobody has read yet whom they are for, the caller one of them."""
    with ctx.read() as session:
        mine = select(func.count(Notice.id)).where(_for(caller), Notice.seen_at.is_(None))
        return session.scalar(mine) or 0


def _for(caller: Caller) -> ColumnElement[bool]:
    return or_(Notice.to_role.in_(sorted(caller.roles)), Notice.to_user_id == caller.user)


def mark_seen(ctx: Context, caller: Caller, notice: str) -> None:
    """Note that a message was seen by somebody it was for."""
    with ctx.begin() as uow:
        row = uow.session.get(Notice, notice)
        if row is None or not (row.to_role in caller.roles or row.to_user_id == caller.user):
            raise NotFound("There is no such message for you.", kind="notice")
        row.seen_at = row.seen_at or uow.at


def sender_of(ctx: Context) -> Sender | None:
    """Return where messages are sent on to, or None: the inbox alone."""
    url = ctx.settings.smtp_url
    return SmtpSender(url.get_secret_value()) if url is not None else None


def deliver(ctx: Context, caller: Caller, sender: Sender | None = None) -> dict[str, int]:
    """Send on what waits (a job runs this); a message that cannot be sent stays and is retried."""
    chosen = sender or sender_of(ctx)
    if chosen is None:
        return {"sent": 0, "waiting": 0}
    with ctx.read() as session:
        waiting = [(row, _addresses(session, row)) for row in _unsent(session)]
    sent = 0
    for row, addresses in waiting:
        try:
            for address in addresses:
                chosen.send(_message(ctx, row, address))
        except Unavailable:
            _record(ctx, caller, row.id, EventKind.NOTICE_FAILED, {"reason": "unavailable"})
            break
        _mark_sent(ctx, caller, row.id, chosen.name)
        sent += 1
    return {"sent": sent, "waiting": len(waiting) - sent}


def _unsent(session: Session) -> list[Notice]:
    rows = session.scalars(
        select(Notice)
        .where(Notice.sent_at.is_(None))
        .order_by(Notice.created_at, Notice.id)
        .limit(BATCH)
    )
    return list(rows)


def _addresses(session: Session, row: Notice) -> list[str]:
    query = select(UserAccount.email).where(UserAccount.active.is_(True))
    if row.to_user_id is not None:
        query = query.where(UserAccount.id == row.to_user_id)
    else:
        query = (
            query.join(UserRole, UserRole.user_id == UserAccount.id)
            .join(Role, Role.id == UserRole.role_id)
            .where(Role.name == row.to_role)
        )
    return list(session.scalars(query.order_by(UserAccount.email)))


def _message(ctx: Context, row: Notice, address: str) -> Message:
    sentence = SENTENCES.get(row.kind, UNKNOWN)
    text = f"{sentence}\n\nSign in to see more: {ctx.settings.public_url}\n"
    return Message(row.id, address, sentence, text)


def _mark_sent(ctx: Context, caller: Caller, notice: str, sender: str) -> None:
    with ctx.begin() as uow:
        row = uow.session.get_one(Notice, notice)
        row.sent_at = uow.at
        uow.record(
            AuditEvent(EventKind.NOTICE_SENT, caller.actor, notice, details={"sender": sender})
        )


def _record(
    ctx: Context, caller: Caller, notice: str, kind: EventKind, details: dict[str, str]
) -> None:
    with ctx.begin() as uow:
        uow.record(AuditEvent(kind, caller.actor, notice, details=dict(details)))


def _view(row: Notice) -> NoticeView:
    return NoticeView(
        row.id,
        row.kind,
        SENTENCES.get(row.kind, UNKNOWN),
        row.subject,
        row.created_at,
        row.seen_at,
    )

"""Opening a link with a date of birth, and who holds it from then on.

Rules kept here:
  * what does not open fails alike and costs the same, whatever the reason; it is counted, and not
    written down one by one: wrong dates at their link, whose fifth is an entry, and all of them
    together by the hour;
  * one browser at a time: opening a link anew ends what another browser had open, and forgets what
    was answered there;
  * a consent link is used up in the transaction that records its act, and the guider is told;
  * who acts by link still holds it, by all that would end it, in the transaction of the act.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from consent_service.db.models.consent import ConsentAct
from consent_service.db.models.links import OwnLink
from consent_service.db.models.people import Involvement
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, ActorKind, AuditEvent, Detail, EventKind
from consent_service.domain.consent import Capacity
from consent_service.domain.links import MOST_WRONG_ANSWERS, TOKEN_BYTES, LinkEnd
from consent_service.domain.roles import PARENT
from consent_service.domain.withdrawal import Route
from consent_service.errors import LinkClosed, Refused
from consent_service.services import erasure_journal
from consent_service.services.access import Caller, Own, require_own
from consent_service.services.context import Context
from consent_service.services.link_facts import (
    LINKS,
    Found,
    end_now,
    ends_at,
    last_withdrawal,
    owe_line,
)
from consent_service.services.notices import notify
from consent_service.services.tokens import token_digest

DOOR = Actor(ActorKind.SYSTEM, "links")
NOBODY = "0" * 32


@dataclass(frozen=True)
class Opened:
    """A link that was opened: its id, and the mark of the browser that opened it."""

    link: str
    mark: str


@dataclass(frozen=True)
class LinkSession:
    """Who holds an open link. `act` is what was recorded with a consent link, which is then over.

    `ends_at` is when the link runs out; `form`, `language` and `capacity` are a consent link's.
    """

    caller: Caller
    own: Own
    name: str
    ends_at: datetime | None
    form: str = ""
    language: str = "en"
    capacity: Capacity | None = None
    act: str | None = None


def open_link(ctx: Context, secret: str, born_on: date) -> Opened:
    """Open a link with its person's date of birth; raises LinkClosed, always the same.

    Used, out of date, revoked, locked, unknown, or another date: each takes the same statements.
    """
    mark = secrets.token_hex(TOKEN_BYTES)
    with ctx.begin() as uow:
        found = _by_secret(uow.session, secret)
        row, person, involvement = found or (None, None, None)
        link, owner, place = (one.id if one else NOBODY for one in (row, person, involvement))
        withdrew_at = last_withdrawal(uow.session, owner, place)
        end = end_now(ctx, found, withdrew_at, uow.at) if found else None
        named = person.born_on.isoformat() if person and person.born_on else ""
        right = hmac.compare_digest(named, born_on.isoformat())
        opens = found is not None and end is None and right
        guessed = found is not None and end is None and not right
        wrong = row.wrong_answers if row else 0
        changed: dict[str, object] = {"wrong_answers": OwnLink.wrong_answers + int(guessed)}
        if opens:
            changed = {"wrong_answers": 0, "session_mark": mark, "opened_at": uow.at}
            changed |= {"draft": None, "drafted_at": None}
        uow.session.execute(update(OwnLink).where(OwnLink.id == link).values(**changed))
        _write_down(ctx, uow, found, wrong, opens=opens)
        _lock_after_too_many(uow, link, guessed=guessed)
        uow.after_commit(lambda: erasure_journal.acknowledge(ctx))
    if not opens:
        raise LinkClosed("This link and this date of birth do not open anything.")
    return Opened(link, mark)


def session_of(ctx: Context, link: str, mark: str) -> LinkSession:
    """Return who holds an open link in this browser; raises LinkClosed when it is over."""
    with ctx.read() as session:
        found = session.execute(LINKS.where(OwnLink.id == link)).one_or_none()
        if found is None:
            raise _closed()
        row, person, involvement = found
        if not hmac.compare_digest(row.session_mark or "", mark) or not mark:
            raise _closed()
        withdrew_at = last_withdrawal(session, person.id, involvement.id)
        end = end_now(ctx, found, withdrew_at, ctx.clock.now())
        if end is not None and not (end is LinkEnd.USED and row.act_id):
            raise _closed()
        own = Own(row.id, row.kind, person.id, involvement.id, mark)
        return LinkSession(
            Caller(Actor(ActorKind.PERSON, person.id), roles=frozenset({PARENT}), own=own),
            own,
            person.full_name,
            ends_at(ctx, row, involvement),
            row.form_id or "",
            row.language or "en",
            row.capacity,
            row.act_id,
        )


def close_session(ctx: Context, link: str, mark: str) -> None:
    """Leave: this browser has no way back without the link, and what it answered is forgotten."""
    with ctx.begin() as uow:
        uow.session.execute(
            update(OwnLink)
            .where(OwnLink.id == link, OwnLink.session_mark == mark)
            .values(session_mark=None, draft=None, drafted_at=None)
        )


def use(ctx: Context, uow: UnitOfWork, caller: Caller, act: ConsentAct) -> None:
    """Use up a consent link in the transaction that records its act, and tell the guider.

    Nothing happens for members of staff. Raises LinkClosed when it was used, or has ended, or was
    opened in another browser meanwhile; Refused `not_asked` when it asks something else.
    """
    if caller.own is None:
        return
    row = require_held(ctx, uow, caller)
    if (act.person_id, act.form_id, act.language, act.route, act.capacity) != (
        row.person_id,
        row.form_id,
        row.language,
        Route.REMOTE_LINK,
        row.capacity,
    ):
        raise Refused("Your link asks for other answers than these.", code="not_asked")
    row.used_at, row.act_id, row.draft, row.drafted_at = uow.at, act.id, None, None
    guider = uow.session.get_one(Involvement, row.involvement_id).guider_id
    notify(uow, "consent_by_link", user=guider, subject=act.id)


def require_held(ctx: Context, uow: UnitOfWork, caller: Caller) -> OwnLink:
    """Return the caller's link, locked, if nothing has ended it and this browser still holds it.

    For whatever a link writes, in the transaction that writes it; raises LinkClosed, NotFound for
    whoever came without a link.
    """
    own = require_own(caller)
    query = LINKS.where(OwnLink.id == own.link).with_for_update(of=OwnLink)
    found = uow.session.execute(query.execution_options(populate_existing=True)).one_or_none()
    if found is None or not hmac.compare_digest(found[0].session_mark or "", own.mark):
        raise _closed()
    withdrew_at = last_withdrawal(uow.session, own.person, own.involvement)
    if end_now(ctx, found, withdrew_at, uow.at) is not None:
        raise _closed()
    return found[0]


def _by_secret(session: Session, secret: str) -> Found | None:
    query = LINKS.where(OwnLink.token_sha256 == token_digest(secret))
    return session.execute(query.with_for_update(of=OwnLink)).one_or_none()


def _write_down(
    ctx: Context, uow: UnitOfWork, found: Found | None, wrong: int, *, opens: bool
) -> None:
    """Write down an opening, with the wrong dates before it; of refusals only that they mount."""
    if found is not None and opens:
        row, person, involvement = found
        details: dict[str, Detail] = {"person": person.id}
        details |= {"wrong_dates": wrong} if wrong else {}
        actor = Actor(ActorKind.PERSON, person.id)
        uow.record(AuditEvent(EventKind.LINK_USED, actor, row.id, involvement.id, details))
        return
    counted = ctx.refused_openings.count(uow.at)
    if counted is not None:
        uow.record(AuditEvent(EventKind.LINK_REFUSED, DOOR, details={"counted": counted}))


def _lock_after_too_many(uow: UnitOfWork, link: str, *, guessed: bool) -> None:
    wrong = uow.session.scalar(select(OwnLink.wrong_answers).where(OwnLink.id == link)) or 0
    if not guessed or wrong < MOST_WRONG_ANSWERS:
        return
    row = uow.session.get_one(OwnLink, link)
    owe_line(uow, row)
    details = {"link": row.id, "reason": LinkEnd.LOCKED.value}
    uow.record(AuditEvent(EventKind.LINK_REFUSED, DOOR, row.id, row.involvement_id, details))
    guider = uow.session.get_one(Involvement, row.involvement_id).guider_id
    notify(uow, "link_locked", user=guider, subject=row.involvement_id)


def _closed() -> LinkClosed:
    return LinkClosed("This page has closed. Open your link again.")

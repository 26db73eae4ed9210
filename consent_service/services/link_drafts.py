"""What somebody has answered so far by a consent link: kept with the link, never counted.

Rules kept here: it is there for the browser that opened the link last, and for nobody else; it goes
when they leave, sign or open the link anew, and at the latest after a day.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import update

from consent_service.db.models.links import OwnLink
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.errors import LinkClosed
from consent_service.services import link_sessions
from consent_service.services.context import Context
from consent_service.services.link_sessions import LinkSession

KEPT = timedelta(days=1)


def draft(ctx: Context, holder: LinkSession) -> dict[str, Any] | None:
    """Return what was answered so far; None before the leaflet was read."""
    with ctx.read() as session:
        row = session.get(OwnLink, holder.own.link)
        if row is None or row.session_mark != holder.own.mark:
            raise LinkClosed("This page has closed. Open your link again.")
        return None if row.draft is None else dict(row.draft)


def save(ctx: Context, holder: LinkSession, body: dict[str, Any]) -> None:
    """Keep what was answered; `body` is made of JSON values."""
    with ctx.begin() as uow:
        row = link_sessions.require_held(ctx, uow, holder.caller)
        row.draft, row.drafted_at = body, uow.at


def forget_old(uow: UnitOfWork) -> int:
    """Forget what nobody went on with; returns how many."""
    old = OwnLink.drafted_at < uow.at - KEPT
    done = uow.session.execute(update(OwnLink).where(old).values(draft=None, drafted_at=None))
    return int(done.rowcount)  # type: ignore[attr-defined]

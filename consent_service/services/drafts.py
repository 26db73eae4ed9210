"""Consent being asked for: kept between two pages, or between two visits, and not yet an act.

Rules kept here:
  * a draft belongs to whoever began it; for everybody else it does not exist;
  * a draft never counts as consent, is gone once its act is recorded, and goes thirty days after
    its last edit (R28).
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentDraft
from consent_service.domain.retention import DRAFTS, Facts, due
from consent_service.domain.retention_rules import TriggerEvent
from consent_service.domain.roles import Permission
from consent_service.errors import NotFound
from consent_service.ids import new_id
from consent_service.services.access import Caller, allows, involvement_for
from consent_service.services.context import Context


@dataclass(frozen=True)
class DraftView:
    """What was entered so far; `body` is made of JSON values.

    `kept_until` is the last day on which it is still there; None where no rule says so.
    """

    id: str
    involvement: str
    body: dict[str, Any]
    edited_at: datetime
    kept_until: date | None


def begin(ctx: Context, caller: Caller, involvement: str, body: dict[str, Any]) -> str:
    """Begin a draft; returns its id."""
    with ctx.begin() as uow:
        involvement_for(ctx, uow.session, caller, Permission.CONSENT_CAPTURE, involvement)
        row = ConsentDraft(
            id=new_id(),
            involvement_id=involvement,
            user_id=caller.id,
            body=body,
            created_at=uow.at,
            edited_at=uow.at,
        )
        uow.session.add(row)
        return row.id


def draft(ctx: Context, caller: Caller, identifier: str) -> DraftView:
    """Return one's own draft."""
    with ctx.read() as session:
        row = _own(ctx, session, caller, identifier)
        return _view(ctx, row)


def mine(ctx: Context, caller: Caller, involvement: str) -> list[DraftView]:
    """Return one's own drafts with a family, the newest first; none without the right to ask."""
    if not allows(ctx, caller, Permission.CONSENT_CAPTURE):
        return []
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.CONSENT_CAPTURE, involvement)
        rows = session.scalars(
            select(ConsentDraft)
            .where(ConsentDraft.involvement_id == involvement, ConsentDraft.user_id == caller.id)
            .order_by(ConsentDraft.edited_at.desc(), ConsentDraft.id)
        )
        return [_view(ctx, row) for row in rows]


def save(ctx: Context, caller: Caller, identifier: str, body: dict[str, Any]) -> None:
    """Keep what was entered."""
    with ctx.begin() as uow:
        row = _own(ctx, uow.session, caller, identifier)
        row.body = body
        row.edited_at = uow.at


def drop(ctx: Context, caller: Caller, identifier: str) -> None:
    """Throw a draft away; one that is gone already stays gone."""
    with ctx.begin() as uow:
        row = uow.session.get(ConsentDraft, identifier)
        if row is not None and row.user_id == caller.id:
            uow.session.delete(row)


def _view(ctx: Context, row: ConsentDraft) -> DraftView:
    facts = Facts({TriggerEvent.DRAFT_LAST_EDITED: london_day(row.edited_at)})
    until = due(ctx.policies.schedule, DRAFTS, facts).due_on
    return DraftView(row.id, row.involvement_id, dict(row.body), row.edited_at, until)


def _own(ctx: Context, session: Session, caller: Caller, identifier: str) -> ConsentDraft:
    row = session.get(ConsentDraft, identifier)
    if row is None or row.user_id != caller.id:
        raise NotFound("There is no such draft of yours.", kind="draft")
    involvement_for(ctx, session, caller, Permission.CONSENT_CAPTURE, row.involvement_id)
    return row

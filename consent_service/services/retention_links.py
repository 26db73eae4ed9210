"""Links whose time is over, as retention finds and destroys them (R29).

Rules kept here: a consent link goes seven days after it was made, or once it was used, but never
while it still opens something; a person's own link once it was ended, or a year after the
involvement's end. What they opened stays.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from consent_service.clock import london_day, start_of_london_day
from consent_service.db.models.links import OwnLink
from consent_service.db.models.people import Involvement
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.domain.audit import Actor, AuditEvent, EventKind
from consent_service.domain.links import LinkKind

Row = tuple[str, str | None, date]

STILL_OPENS = timedelta(days=1)
"""A link made at noon is good until noon of its last day, and one just used for a copy."""

_CONSENT = OwnLink.kind == LinkKind.CONSENT
_PARENT = OwnLink.kind == LinkKind.PARENT


def made(session: Session, last: date) -> list[Row]:
    """Return consent links that nobody used, made before that day."""
    unused = and_(_CONSENT, OwnLink.used_at.is_(None))
    return _by_instant(session, OwnLink.made_at, unused, last - STILL_OPENS)


def used(session: Session, last: date) -> list[Row]:
    """Return consent links used before that day."""
    return _by_instant(session, OwnLink.used_at, _CONSENT, last - STILL_OPENS)


def revoked(session: Session, last: date) -> list[Row]:
    """Return people's own links that were ended that day or before."""
    return _by_instant(session, OwnLink.revoked_at, _PARENT, last)


def involvement_ended(session: Session, last: date) -> list[Row]:
    """Return people's own links of involvements that ended that day or before."""
    query = (
        select(OwnLink.id, OwnLink.involvement_id, Involvement.ended_on)
        .join(Involvement, Involvement.id == OwnLink.involvement_id)
        .where(_PARENT, OwnLink.revoked_at.is_(None), Involvement.ended_on <= last)
        .order_by(Involvement.ended_on, OwnLink.id)
    )
    rows = session.execute(query)
    return [(link, involvement, day) for link, involvement, day in rows if day is not None]


def count(kind: LinkKind) -> Callable[[Session], int]:
    """Return what counts the links of a kind."""

    def counted(session: Session) -> int:
        of_kind = select(func.count()).select_from(OwnLink).where(OwnLink.kind == kind)
        return session.scalar(of_kind) or 0

    return counted


def count_none(_session: Session) -> int:
    """Return 0: these links are counted with the others of their rule."""
    return 0


def end(uow: UnitOfWork, actor: Actor, ids: Sequence[str]) -> None:
    """Destroy links, each with its event."""
    rows = uow.session.execute(
        select(OwnLink.id, OwnLink.involvement_id).where(OwnLink.id.in_(list(ids)))
    ).all()
    uow.session.execute(delete(OwnLink).where(OwnLink.id.in_([row.id for row in rows])))
    for row in rows:
        uow.record(AuditEvent(EventKind.LINK_EXPIRED, actor, row.id, row.involvement_id))


def _by_instant(
    session: Session,
    column: InstrumentedAttribute[Any],
    kind: ColumnElement[bool],
    last: date,
) -> list[Row]:
    before: datetime = start_of_london_day(last + timedelta(days=1))
    query = select(OwnLink.id, OwnLink.involvement_id, column).where(kind, column < before)
    rows = session.execute(query.order_by(column, OwnLink.id))
    return [(link, involvement, london_day(at)) for link, involvement, at in rows]

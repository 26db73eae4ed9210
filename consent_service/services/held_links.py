"""What is held about a person's links, for their subject access file."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.links import OwnLink
from consent_service.services.held_records import Record, record


def links(session: Session, person: str) -> list[Record]:
    """Return a person's links: what they opened and when, never what opens them."""
    rows = session.scalars(
        select(OwnLink).where(OwnLink.person_id == person).order_by(OwnLink.made_at, OwnLink.id)
    )
    return [
        record(
            opens=row.kind,
            made_at=row.made_at,
            last_opened_at=row.opened_at,
            used_at=row.used_at,
            ended_at=row.revoked_at,
        )
        for row in rows
    ]

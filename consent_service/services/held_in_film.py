"""What is held about one person in film, and what left: seen, watched, offered, said, given away.

The rules stand in `held_about`, which asks.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.db.models.accounts import Role, UserRole
from consent_service.db.models.handovers import (
    Disclosure,
    Feedback,
    Handover,
    HandoverItem,
    Quote,
)
from consent_service.db.models.recordings import Asset, DepictedPerson, Viewing
from consent_service.domain.assets import ARRIVING, AssetState, Depiction
from consent_service.services import permission
from consent_service.services.context import Context
from consent_service.services.held_records import Record, record

CARE = "care"


def assets(ctx: Context, session: Session, person: str, at: datetime) -> list[Record]:
    """Return film, clips and photos in which the person can be seen or heard."""
    rows = session.scalars(
        select(Asset)
        .join(DepictedPerson, DepictedPerson.asset_id == Asset.id)
        .where(DepictedPerson.person_id == person, DepictedPerson.depiction == Depiction.DEPICTED)
        .order_by(Asset.filmed_on, Asset.id)
    )
    return [
        record(
            id=row.id,
            kind=row.kind,
            filmed_on=row.filmed_on,
            seconds=row.duration_ms // 1000 if row.duration_ms else None,
            title=row.title,
            noticed=row.noticed,
            principles=row.principles or [],
            state=_state_told(row.state),
            can_be_watched_together=permission.check(ctx, session, row, CARE, at, None).permitted,
            destroyed_from=row.due_on,
            rule=row.rule,
            erased_at=row.erased_at,
        )
        for row in rows
    ]


def _state_told(state: AssetState) -> str:
    """Return what the person is told of a state: never that something is kept apart, nor why.

    Film under a hold or in dispute looks like any other film that is kept.
    """
    if state in (AssetState.ERASED, AssetState.LOCKED):
        return "erased" if state is AssetState.ERASED else "being_erased"
    return "coming_in" if state in ARRIVING else "kept"


def viewings(session: Session, person: str) -> list[Record]:
    """Return who watched them: role, purpose and times, never a name."""
    rows = session.scalars(
        select(Viewing)
        .join(DepictedPerson, DepictedPerson.asset_id == Viewing.asset_id)
        .where(DepictedPerson.person_id == person, DepictedPerson.depiction == Depiction.DEPICTED)
        .order_by(Viewing.started_at, Viewing.id)
    ).all()
    roles: dict[str, list[str]] = {}
    for user, role in session.execute(
        select(UserRole.user_id, Role.name)
        .join(Role, Role.id == UserRole.role_id)
        .where(UserRole.user_id.in_({row.user_id for row in rows}))
        .order_by(Role.name)
    ):
        roles.setdefault(user, []).append(role)
    return [
        record(
            watched=row.asset_id,
            by_role=roles.get(row.user_id, ["staff"]),
            purpose=row.purpose,
            began_at=row.started_at,
            ended_at=row.last_at,
        )
        for row in rows
    ]


def handovers(session: Session, person: str) -> list[Record]:
    """Return photos offered to the person, one by one."""
    rows = session.execute(
        select(Handover, HandoverItem)
        .join(HandoverItem, HandoverItem.handover_id == Handover.id)
        .where(Handover.person_id == person)
        .order_by(Handover.offered_on, Handover.id, HandoverItem.still_id)
    )
    return [
        record(
            photo=item.still_id,
            offered_on=handover.offered_on,
            outcome=item.outcome,
            decided_at=item.decided_at,
            how=handover.how,
        )
        for handover, item in rows
    ]


def feedback(session: Session, person: str) -> list[Record]:
    """Return what the person said about the work."""
    rows = session.scalars(
        select(Feedback).where(Feedback.person_id == person).order_by(Feedback.given_on)
    )
    return [record(words=row.words, given_on=row.given_on) for row in rows]


def quotes(session: Session, person: str) -> list[Record]:
    """Return words that the person let us print."""
    rows = session.scalars(
        select(Quote).where(Quote.person_id == person).order_by(Quote.permitted_at)
    )
    return [
        record(
            words=row.words,
            audience=row.audience,
            until_on=row.until_on,
            withdrawn_at=row.withdrawn_at,
        )
        for row in rows
    ]


def disclosures(session: Session, person: str) -> list[Record]:
    """Who was given film of this person: they may know the recipients (Article 15(1)(c))."""
    rows = session.scalars(
        select(Disclosure)
        .join(DepictedPerson, DepictedPerson.asset_id == Disclosure.asset_id)
        .where(DepictedPerson.person_id == person, DepictedPerson.depiction == Depiction.DEPICTED)
        .order_by(Disclosure.disclosed_on, Disclosure.id)
    )
    return [
        record(
            what=row.asset_id,
            recipient=row.recipient,
            purpose=row.purpose,
            given_on=row.disclosed_on,
            until_on=row.until_on,
            taken_back_on=row.taken_back_on,
        )
        for row in rows
    ]

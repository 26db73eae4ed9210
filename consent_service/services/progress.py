"""How far the work with each family is: what was given, agreed, filmed, watched and filed.

For a whole list at once, in the same few queries however long it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.people import Involvement
from consent_service.db.models.policies import LeafletIssue
from consent_service.db.models.recordings import Asset
from consent_service.db.models.reviews import SessionSummary, SharedReview
from consent_service.db.queries.people import members
from consent_service.db.queries.reconsent import outdated
from consent_service.db.queries.stories import Question, stories_of
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.consent import ConsentState, state_at
from consent_service.domain.people import FamilyRole
from consent_service.domain.purposes import CARE
from consent_service.domain.roles import Permission
from consent_service.services.access import Caller, involvement_for, require
from consent_service.services.consent import StateView, states_in
from consent_service.services.context import Context
from consent_service.services.involvements import InvolvementView

KEPT = (AssetState.STORED, AssetState.AWAITING_CONSENT)


@dataclass
class Progress:
    """How far one family is. `care` is the state of each person who is asked."""

    leaflet_given: set[str] = field(default_factory=set)
    care: dict[str, ConsentState] = field(default_factory=dict)
    recording: str | None = None
    has_clip: bool = False
    has_review: bool = False
    unfiled_summary: str | None = None
    ask_again: set[str] = field(default_factory=set)


def progress(
    ctx: Context, caller: Caller, families: Sequence[InvolvementView]
) -> dict[str, Progress]:
    """Return how far each of these families is, by involvement. They are ones the caller sees."""
    require(ctx, caller, Permission.INVOLVEMENT_READ)
    found = {family.id: Progress() for family in families}
    if not found:
        return found
    with ctx.read() as session:
        _leaflets(session, found)
        _care(ctx, session, families, found)
        _film(session, found)
        _reviews(session, found)
        _ask_again(session, found, ctx.clock.now())
    return found


def states(ctx: Context, caller: Caller, involvement: str) -> dict[str, list[StateView]]:
    """Return the state of every purpose for everybody in a family, by person, at this moment."""
    now = ctx.clock.now()
    with ctx.read() as session:
        involvement_for(ctx, session, caller, Permission.CONSENT_READ, involvement)
        people = tuple(person.id for _, person in members(session, involvement))
        found: dict[str, list[StateView]] = {person: [] for person in people}
        for view in states_in(ctx, session, involvement, people, now, now):
            found[view.person].append(view)
        return found


def _leaflets(session: Session, found: dict[str, Progress]) -> None:
    rows = session.execute(
        select(LeafletIssue.involvement_id, LeafletIssue.person_id).where(
            LeafletIssue.involvement_id.in_(list(found))
        )
    )
    for involvement, person in rows:
        found[involvement].leaflet_given.add(person)


def _care(
    ctx: Context,
    session: Session,
    families: Sequence[InvolvementView],
    found: dict[str, Progress],
) -> None:
    now = ctx.clock.now()
    questions = [
        Question(
            family.id,
            tuple(p.id for m, p in family.people if m.role is not FamilyRole.STAFF),
            (CARE,),
            london_day(now),
        )
        for family in families
    ]
    for involvement, told in stories_of(session, questions).items():
        found[involvement].care = {
            person: state_at(story, now, now).state for (person, _), story in told.items()
        }


def _film(session: Session, found: dict[str, Progress]) -> None:
    rows = session.execute(
        select(Asset.involvement_id, Asset.kind, Asset.id)
        .where(Asset.involvement_id.in_(list(found)), Asset.state.in_(KEPT))
        .order_by(Asset.created_at, Asset.id)
    )
    for involvement, kind, identifier in rows:
        if kind is AssetKind.RECORDING:
            found[involvement].recording = found[involvement].recording or identifier
        found[involvement].has_clip |= kind is AssetKind.CLIP


def _ask_again(session: Session, found: dict[str, Progress], at: datetime) -> None:
    which = select(Involvement.id).where(Involvement.id.in_(list(found)))
    for one in outdated(session, which, at):
        found[one.involvement].ask_again.add(one.person)


def _reviews(session: Session, found: dict[str, Progress]) -> None:
    rows = session.execute(
        select(SharedReview.involvement_id, SessionSummary.id, SessionSummary.filed_at)
        .outerjoin(SessionSummary, SessionSummary.review_id == SharedReview.id)
        .where(SharedReview.involvement_id.in_(list(found)))
        .order_by(SharedReview.held_on)
    )
    for involvement, summary, filed_at in rows:
        found[involvement].has_review = True
        if summary is not None and filed_at is None:
            found[involvement].unfiled_summary = summary

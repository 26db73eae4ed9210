"""How far the work with each family is: what was given, agreed, filmed, watched and filed.

For a whole list at once, in the same few queries however long it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentDecision
from consent_service.db.models.people import Involvement
from consent_service.db.models.policies import LeafletIssue
from consent_service.db.models.reviews import SessionSummary, SharedReview
from consent_service.db.queries.film_numbers import numbered
from consent_service.db.queries.people import members
from consent_service.db.queries.reconsent import outdated
from consent_service.db.queries.stories import Question, stories_of
from consent_service.domain.assets import AssetKind, AssetState
from consent_service.domain.consent import Answer, ConsentState, state_at
from consent_service.domain.people import FamilyRole
from consent_service.domain.purposes import CARE
from consent_service.domain.roles import Permission
from consent_service.services.access import Caller, involvement_for, require
from consent_service.services.consent import StateView, states_in
from consent_service.services.context import Context
from consent_service.services.involvements import InvolvementView

SOON = timedelta(days=14)
"""So long before its last day it is said that a yes runs out."""
KEPT = (AssetState.STORED, AssetState.AWAITING_CONSENT)


@dataclass
class FilmProgress:
    """How far the work with one film is. `waits` is for the consent of somebody in it."""

    asset: str
    number: int
    waits: bool = False
    has_clip: bool = False
    has_review: bool = False


@dataclass(frozen=True)
class RunsOut:
    """A yes that stands, and its last day."""

    last: date
    person: str
    purpose: str


@dataclass
class Progress:
    """How far one family is.

    `care` is the state of each person who is asked, `ends` what runs out within `SOON`, soonest
    first; `films` are those that are kept, oldest first.
    """

    leaflet_given: set[str] = field(default_factory=set)
    care: dict[str, ConsentState] = field(default_factory=dict)
    ends: list[RunsOut] = field(default_factory=list)
    films: list[FilmProgress] = field(default_factory=list)
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
        _running_out(session, found, ctx.clock.now())
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
        for (person, _), story in told.items():
            found[involvement].care[person] = state_at(story, now, now).state


def _running_out(session: Session, found: dict[str, Progress], now: datetime) -> None:
    """Note what runs out soon; more than one question only where an answer says that it might."""
    today = london_day(now)
    rows = session.execute(
        select(
            ConsentDecision.involvement_id,
            ConsentDecision.person_id,
            ConsentDecision.purpose,
            ConsentDecision.named,
        ).where(
            ConsentDecision.involvement_id.in_(list(found)),
            ConsentDecision.answer == Answer.YES,
            ConsentDecision.purpose.is_not(None),
            ConsentDecision.valid_until.between(today, today + SOON),
        )
    )
    asked = {
        (involvement, person, purpose)
        for involvement, person, base, named in rows
        for purpose in ([f"{base}:{use}" for use in named] or [base or ""])
    }
    persons: dict[str, set[str]] = {}
    for involvement, person, _ in asked:
        persons.setdefault(involvement, set()).add(person)
    purposes = tuple(sorted({purpose for _, _, purpose in asked}))
    questions = [Question(i, tuple(sorted(who)), purposes, today) for i, who in persons.items()]
    told = stories_of(session, questions)
    for involvement, person, purpose in sorted(asked):
        finding = state_at(told[involvement][person, purpose], now, now)
        last = finding.valid_until
        if finding.state is ConsentState.GIVEN and last is not None and last <= today + SOON:
            found[involvement].ends.append(RunsOut(last, person, purpose))
    for one in found.values():
        one.ends.sort(key=lambda ending: (ending.last, ending.person, ending.purpose))


def _film(session: Session, found: dict[str, Progress]) -> None:
    films: dict[str, FilmProgress] = {}
    kept = [one for one in numbered(session, list(found)).values() if one.state in KEPT]
    for one in kept:
        if one.kind is AssetKind.RECORDING:
            waits = one.state is AssetState.AWAITING_CONSENT
            films[one.asset] = FilmProgress(one.asset, one.number, waits)
            found[one.involvement].films.append(films[one.asset])
    for one in kept:  # afterwards: a clip may have come in in the same moment as its film
        if one.kind is AssetKind.CLIP and one.recording in films:
            films[one.recording].has_clip = True


def _ask_again(session: Session, found: dict[str, Progress], at: datetime) -> None:
    which = select(Involvement.id).where(Involvement.id.in_(list(found)))
    for one in outdated(session, which, at):
        found[one.involvement].ask_again.add(one.person)


def _reviews(session: Session, found: dict[str, Progress]) -> None:
    rows = session.execute(
        select(
            SharedReview.involvement_id,
            SharedReview.recording_id,
            SessionSummary.id,
            SessionSummary.filed_at,
        )
        .outerjoin(SessionSummary, SessionSummary.review_id == SharedReview.id)
        .where(SharedReview.involvement_id.in_(list(found)))
        .order_by(SharedReview.held_on)
    )
    for involvement, recording, summary, filed_at in rows:
        for film in found[involvement].films:
            film.has_review |= film.asset == recording
        if summary is not None and filed_at is None:
            found[involvement].unfiled_summary = summary

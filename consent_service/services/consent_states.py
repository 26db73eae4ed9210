"""The state of consent, for whoever may read it and for any two moments (rule 1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Text, bindparam, cast, select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentDecision
from consent_service.db.models.people import Involvement, InvolvementPerson
from consent_service.db.queries.columns import rows_of
from consent_service.db.queries.stories import Question as StateQuestion
from consent_service.db.queries.stories import stories_of
from consent_service.domain.consent import ConsentState, state_at
from consent_service.domain.purposes import with_use
from consent_service.domain.roles import Permission
from consent_service.services.access import Caller, person_for, teams_reached
from consent_service.services.context import Context

_MEMBER, _INVOLVEMENT, _DECISION = (
    model.__table__ for model in (InvolvementPerson, Involvement, ConsentDecision)
)
_INVOLVEMENTS = (
    select(_INVOLVEMENT.c.id, _INVOLVEMENT.c.team_id)
    .join_from(_MEMBER, _INVOLVEMENT, _INVOLVEMENT.c.id == _MEMBER.c.involvement_id)
    .where(_MEMBER.c.person_id == bindparam("person"))
    .order_by(_MEMBER.c.added_at, _MEMBER.c.involvement_id)
)
# Nearly every answer names no use of its purpose; those stay where they are.
_NAMED = select(_DECISION.c.involvement_id, _DECISION.c.purpose, _DECISION.c.named).where(
    _DECISION.c.involvement_id.in_(bindparam("involvements", expanding=True)),
    _DECISION.c.purpose.is_not(None),
    cast(_DECISION.c.named, Text) != "[]",
)


@dataclass(frozen=True)
class StateView:
    """The state of one purpose for one person in one involvement."""

    person: str
    purpose: str
    involvement: str
    state: ConsentState
    since: datetime | None
    valid_until: date | None


def state(
    ctx: Context, caller: Caller, person: str, at: datetime | None, known_at: datetime | None
) -> list[StateView]:
    """Return the state of every purpose in every involvement of a person, for any two moments.

    An involvement with another team is left out unless the caller reaches that team too.
    """
    now = ctx.clock.now()
    moment, known = at or now, known_at or now
    with ctx.read() as session:
        person_for(ctx, session, caller, Permission.CONSENT_READ, person)
        teams = teams_reached(ctx, caller, Permission.CONSENT_READ)
        involvements = [
            involvement
            for involvement, team in rows_of(session, _INVOLVEMENTS, person=person)
            if teams is None or team in teams
        ]
        return _states(ctx, session, involvements, (person,), (moment, known))


def states_in(
    ctx: Context,
    session: Session,
    involvement: str,
    persons: tuple[str, ...],
    at: datetime,
    known_at: datetime,
) -> list[StateView]:
    """Return the state of every purpose for these people in one involvement."""
    return _states(ctx, session, [involvement], persons, (at, known_at))


def _states(
    ctx: Context,
    session: Session,
    involvements: Sequence[str],
    persons: tuple[str, ...],
    when: tuple[datetime, datetime],
) -> list[StateView]:
    """Return the states in many involvements, in as few queries as in one."""
    named = _uses_named(session, involvements)
    uses = sorted(set().union(*named.values()))
    purposes = (*ctx.policies.purposes, *uses)
    on = london_day(when[0])
    told = stories_of(session, [StateQuestion(i, persons, purposes, on) for i in involvements])
    views = []
    for involvement in involvements:
        asked = {*ctx.policies.purposes, *named.get(involvement, ())}
        for (person, purpose), story in told[involvement].items():
            if purpose in asked:
                f = state_at(story, *when)
                views.append(
                    StateView(person, purpose, involvement, f.state, f.since, f.valid_until)
                )
    return views


def _uses_named(session: Session, involvements: Sequence[str]) -> dict[str, set[str]]:
    """Return, per involvement, every use of a purpose that somebody named there."""
    found: dict[str, set[str]] = {}
    for involvement, purpose, uses in rows_of(session, _NAMED, involvements=involvements):
        found.setdefault(involvement, set()).update(with_use(purpose, use) for use in uses)
    return found

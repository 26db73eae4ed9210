"""The state of consent, for whoever may read it and for any two moments (rule 1)."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from consent_service.clock import london_day
from consent_service.db.models.consent import ConsentDecision
from consent_service.db.models.people import Involvement, InvolvementPerson
from consent_service.db.queries.consent import Question as StateQuestion
from consent_service.db.queries.consent import findings
from consent_service.domain.consent import ConsentState
from consent_service.domain.roles import Permission
from consent_service.services.access import Caller, person_for, teams_reached
from consent_service.services.context import Context


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
        query = (
            select(InvolvementPerson.involvement_id)
            .where(InvolvementPerson.person_id == person)
            .order_by(InvolvementPerson.added_at, InvolvementPerson.involvement_id)
        )
        teams = teams_reached(ctx, caller, Permission.CONSENT_READ)
        if teams is not None:
            query = query.join(
                Involvement, Involvement.id == InvolvementPerson.involvement_id
            ).where(Involvement.team_id.in_(teams))
        involvements = session.scalars(query)
        return [
            view
            for involvement in involvements
            for view in states_in(ctx, session, involvement, (person,), moment, known)
        ]


def states_in(
    ctx: Context,
    session: Session,
    involvement: str,
    persons: tuple[str, ...],
    at: datetime,
    known_at: datetime,
) -> list[StateView]:
    """Return the state of every purpose for these people in one involvement."""
    purposes = _purposes_with_uses(ctx, session, involvement)
    question = StateQuestion(involvement, persons, purposes, london_day(at))
    found = findings(session, question, at, known_at)
    return [
        StateView(person, purpose, involvement, f.state, f.since, f.valid_until)
        for (person, purpose), f in found.items()
    ]


def _purposes_with_uses(ctx: Context, session: Session, involvement: str) -> tuple[str, ...]:
    rows = session.execute(
        select(ConsentDecision.purpose, ConsentDecision.named).where(
            ConsentDecision.involvement_id == involvement, ConsentDecision.purpose.is_not(None)
        )
    )
    spelt = {f"{purpose}:{use}" for purpose, named in rows for use in named}
    return (*ctx.policies.purposes, *sorted(spelt))
